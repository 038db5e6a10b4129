//! The figures that the engine on SQLite is held to: ratios taken side by side in one run, printed as a table.
//!
//! `cargo bench -p tenantry`. Nothing here fails on a slow machine; the table says what was asked for and what came out.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and stops when something is wrong")]
#![allow(missing_docs, reason = "a benchmark has no users")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    convert::Infallible,
    future::Ready,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::body::Body;
use http::{Request, Response};
use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};
use support::Installation;
use tenantry::{Config, Identify, NewTenant, TenantDb, Tenantry};
use tower::{Layer, Service};

/// Twelve tables with keys and indexes, as a small product has them.
fn twelve_tables() -> String {
    let table = |n: u32| {
        format!(
            "CREATE TABLE t{n} (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, parent INTEGER REFERENCES t{n} (id), \
             price INTEGER NOT NULL DEFAULT 0, made INTEGER NOT NULL DEFAULT 0);\
             CREATE INDEX t{n}_parent ON t{n} (parent);"
        )
    };
    (1..=12).map(table).collect()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

struct Row {
    what: &'static str,
    asked: &'static str,
    came_out: String,
}

#[tokio::main]
async fn main() {
    // `cargo bench -p tenantry -- create` measures one part.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let is_wanted = |part: &str| wanted.is_empty() || wanted.iter().any(|w| w == part);
    let mut rows = Vec::new();
    if is_wanted("read") {
        rows.push(read().await);
    }
    if is_wanted("identify") {
        rows.push(identify().await);
    }
    if is_wanted("create") {
        rows.push(create().await);
    }
    if is_wanted("fleet") {
        rows.push(ten_thousand().await);
    }
    println!("\n| what | asked for | came out |\n|---|---|---|");
    for row in rows.into_iter().flatten() {
        println!("| {} | {} | {} |", row.what, row.asked, row.came_out);
    }
}

async fn installation() -> Installation {
    let tables = twelve_tables();
    let many = |mut config: Config| {
        config.identify.unknown_per_second = 1_000_000;
        config
    };
    Installation::with(many, &[("0001_tables.sql", &tables)]).await
}

async fn fill(db: &TenantDb) {
    for n in 0..20 {
        let insert = sqlx::query("INSERT INTO t1 (name, price) VALUES (?, ?)").bind(format!("name {n}")).bind(n);
        insert.execute(db.sqlite().unwrap()).await.unwrap();
    }
}

const READ: &str = "SELECT id, name, price FROM t1 ORDER BY id";

/// One-shot reads of 20 rows, in turns of a hundred with the same on a bare connection.
async fn read() -> Vec<Row> {
    let place = installation().await;
    place.tenancy.tenant_create(NewTenant::new("acme").unwrap()).await.unwrap();
    let db = place.tenancy.tenant("acme").await.unwrap();
    fill(&db).await;
    let file = place.tenant_files().into_iter().find(|f| f.extension().is_some_and(|e| e == "db")).unwrap();
    let mut bare = SqliteConnectOptions::new().filename(file).disable_statement_logging().connect().await.unwrap();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for turn in 0..200 {
        let started = Instant::now();
        for _ in 0..100 {
            let rows: Vec<(i64, String, i64)> = sqlx::query_as(READ).fetch_all(db.sqlite().unwrap()).await.unwrap();
            assert_eq!(rows.len(), 20);
        }
        let tenanted = started.elapsed();
        let started = Instant::now();
        for _ in 0..100 {
            let rows: Vec<(i64, String, i64)> = sqlx::query_as(READ).fetch_all(&mut bare).await.unwrap();
            assert_eq!(rows.len(), 20);
        }
        // The first turns warm both up.
        if turn >= 20 {
            ours.push(tenanted);
            theirs.push(started.elapsed());
        }
    }
    let (ours, theirs) = (median(ours) / 100, median(theirs) / 100);
    vec![Row {
        what: "one-shot read of 20 rows, against a bare sqlx connection",
        asked: "at most 1.25",
        came_out: format!("{:.2} ({ours:.1?} / {theirs:.1?})", ours.as_secs_f64() / theirs.as_secs_f64()),
    }]
}

/// Answers at once.
#[derive(Clone)]
struct Nothing;

impl Service<Request<Body>> for Nothing {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        std::future::ready(Ok(Response::new(Body::empty())))
    }
}

async fn time_requests<S>(service: &mut S, host: &str) -> Duration
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    // Few at a time: a request that has just arrived is still near the processor.
    const REQUESTS: u32 = 200;
    let request =
        || Request::get("/users").header("host", host).header("x-tenant-name", "acme").body(Body::empty()).unwrap();
    let requests: Vec<_> = (0..REQUESTS).map(|_| request()).collect();
    let started = Instant::now();
    for request in requests {
        assert_eq!(service.call(request).await.unwrap().status(), 200);
    }
    started.elapsed() / REQUESTS
}

/// The layer with the look-up, the handle and the span, against no layer.
async fn identify() -> Vec<Row> {
    let place = installation().await;
    place.tenancy.tenant_create(NewTenant::new("acme").unwrap()).await.unwrap();
    place.tenancy.domain_add("acme", "shop.acme.test").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let by = |identify: Identify| place.tenancy.layer(identify).layer(Nothing);
    let one = by(Identify::new().host("{tenant}.example.com"));
    let two = by(Identify::new().host("{tenant}.example.com").header("x-tenant-name"));
    let mut rows = Vec::new();
    let mut nothing = Nothing;
    for (what, mut service, host) in [
        ("identify by host, warm", one.clone(), "acme.example.com:8080"),
        ("identify by host and header, compared, warm", two, "acme.example.com:8080"),
        ("identify by custom domain, warm", one.clone(), "shop.acme.test"),
    ] {
        let mut times = Vec::new();
        for turn in 0..600 {
            let with = time_requests(&mut service, host).await;
            let without = time_requests(&mut nothing, host).await;
            if turn >= 50 {
                times.push(with.saturating_sub(without));
            }
        }
        rows.push(Row { what, asked: "under 2 µs", came_out: format!("{:.2?}", median(times)) });
    }
    rows
}

async fn create() -> Vec<Row> {
    let place = installation().await;
    let mut times = Vec::new();
    for n in 0..300 {
        let key = format!("t{n}");
        let started = Instant::now();
        place.tenancy.tenant_create(NewTenant::new(&key).unwrap()).await.unwrap();
        let db = place.tenancy.tenant(&key).await.unwrap();
        sqlx::query("INSERT INTO t1 (name) VALUES ('first')").execute(db.sqlite().unwrap()).await.unwrap();
        times.push(started.elapsed());
    }
    let created: Vec<_> = {
        let mut times = Vec::new();
        for n in 0..300 {
            let key = format!("u{n}");
            let started = Instant::now();
            place.tenancy.tenant_create(NewTenant::new(&key).unwrap()).await.unwrap();
            times.push(started.elapsed());
        }
        times
    };
    vec![
        Row {
            what: "create a tenant ready to serve (12 tables, template)",
            asked: "under 5 ms in the median",
            came_out: format!("{:.2?}", median(created)),
        },
        Row { what: "the same and its first durable write", asked: "-", came_out: format!("{:.2?}", median(times)) },
    ]
}

fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|l| l.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// What look-ups in the catalog cost, without the cache: in turns among few tenants and among many.
async fn lookups(few: &Tenantry, many: &Tenantry, tenants: usize) -> (Duration, Duration) {
    let (mut of_few, mut of_many) = (Vec::new(), Vec::new());
    for turn in 0..4_000 {
        for (tenancy, count, times) in [(few, 100, &mut of_few), (many, tenants, &mut of_many)] {
            let key = format!("t{}", (turn * 7_919) % count);
            let started = Instant::now();
            tenancy.tenant_find(&key).await.unwrap();
            // The first turns read the pages in.
            if turn >= 500 {
                times.push(started.elapsed());
            }
        }
    }
    (median(of_few), median(of_many))
}

async fn ten_thousand() -> Vec<Row> {
    const TENANTS: usize = 10_000;
    let place = installation().await;
    let small = installation().await;
    for n in 0..100 {
        small.tenancy.tenant_create(NewTenant::new(&format!("t{n}")).unwrap()).await.unwrap();
    }
    let started = Instant::now();
    for n in 0..TENANTS {
        place.tenancy.tenant_create(NewTenant::new(&format!("t{n}")).unwrap()).await.unwrap();
    }
    let created = started.elapsed();
    let (at_100, at_10_000) = lookups(&small.tenancy, &place.tenancy, TENANTS).await;
    let (files, mut random) = (open_files(), 0x9E37_79B9_7F4A_7C15_u64);
    let (mut most_memory, mut most_files) = (0, 0);
    let started = Instant::now();
    const REQUESTS: usize = 20_000;
    for request in 0..REQUESTS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let key = format!("t{}", usize::try_from(random % TENANTS as u64).unwrap());
        let db = place.tenancy.tenant(&key).await.unwrap();
        let rows = sqlx::query(READ).fetch_all(db.sqlite().unwrap()).await.unwrap();
        assert_eq!(rows.len(), 0);
        if request % 500 == 0 {
            most_memory = most_memory.max(status("VmRSS"));
            most_files = most_files.max(open_files());
        }
    }
    let served = started.elapsed() / u32::try_from(REQUESTS).unwrap();
    let stats = place.tenancy.stats().remove(0).pool;
    place.tenancy.shutdown(Duration::from_secs(30)).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    vec![
        Row {
            what: "10,000 tenants created one after the other",
            asked: "-",
            came_out: format!("{:.1} s, {:.2?} each", created.as_secs_f64(), created / 10_000),
        },
        Row {
            what: "resident memory, 10,000 tenants served uniformly at random with 256 open",
            asked: "under 200 MB",
            came_out: format!("{} MB (peak; {served:.1?} a request, most of it opening files)", most_memory / 1024),
        },
        Row {
            what: "file handles: before, at the most, after all were closed",
            asked: "no leak",
            came_out: format!("{files}, {most_files} ({} connections open), {}", stats.open, open_files()),
        },
        Row {
            what: "catalog look-up at 10,000 tenants against 100",
            asked: "within 1.2",
            came_out: format!("{:.2} ({at_10_000:.1?} / {at_100:.1?})", at_10_000.as_secs_f64() / at_100.as_secs_f64()),
        },
    ]
}
