//! The figures that the engine on PostgreSQL is held to: ratios taken side by side, in turns, in one run.
//!
//! `cargo bench -p tenantry --bench postgres -- read|wall|scale|create`; `TENANTRY_BENCH_TENANTS` is another number than 10,000
//! for `scale`. Nothing here fails on a slow machine; the table says what was asked for and what came out.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints, and stops when something is wrong"
)]
#![allow(missing_docs, reason = "a benchmark has no users")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::{
    fmt::Write as _,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Executor,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
};
use support::{SHARED, TENANT, open};
use tenantry::{Config, Isolation, Migrations, NewServer, NewTenant, Seconds, TenantDb, Tenantry};
use tenantry_testbed::{Postgres, PrivatePostgres};

const CLIENTS: usize = 32;
const CONNECTIONS: u32 = 32;
const USERS: usize = 20;
const READ: &str = "SELECT id, username FROM users ORDER BY id";

/// A row of the table, as soon as it is known: a part that fails later does not take it along.
fn row(what: &str, asked: &str, came_out: &str) {
    println!("| {what} | {asked} | {came_out} |");
}

#[tokio::main]
async fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let is_wanted = |part: &str| wanted.is_empty() || wanted.iter().any(|w| w == part);
    println!("| what | asked for | came out |\n|---|---|---|");
    if is_wanted("read") {
        read().await;
    }
    if is_wanted("wall") {
        wall().await;
    }
    if is_wanted("scale") {
        scale().await;
    }
    if is_wanted("create") {
        create().await;
    }
}

/// A server of our own, as it is delivered but for its size; the catalog is a file.
struct Bench {
    server: PrivatePostgres,
    tenancy: Tenantry,
    dir: tempfile::TempDir,
}

impl Bench {
    async fn new(tenant: &[(&str, &str)]) -> Self {
        let settings = [
            ("fsync", "on"),
            ("full_page_writes", "on"),
            ("shared_buffers", "512MB"),
            ("max_connections", "200"),
            ("max_locks_per_transaction", "256"),
        ];
        let server = Postgres::private(&settings).unwrap();
        server.sql("postgres", "CREATE DATABASE app").unwrap();
        let dir = tempfile::tempdir().unwrap();
        let tenancy = app(&dir, tenant, true).await;
        tenancy.server_add(NewServer::new("main", server.url("app")).connections(CONNECTIONS)).await.unwrap();
        let report = tenancy.migrations().up(&tenantry::MigrateOptions::new(), |_| ()).await.unwrap();
        assert_eq!(report.failed, 0);
        Self { server, tenancy, dir }
    }

    /// The first `count` tenants, in an app of their own with connections of its own.
    async fn app_with(&self, isolation: Isolation, count: usize, wire: bool) -> (Tenantry, Arc<Vec<TenantDb>>) {
        let tenancy = app(&self.dir, TENANT, wire).await;
        let mut tenants = Vec::new();
        for n in 0..count {
            tenants.push(tenancy.tenant(&format!("{isolation}{n}")).await.unwrap());
        }
        (tenancy, Arc::new(tenants))
    }

    /// Tenants `from..to`, each with some users.
    async fn tenants(&self, isolation: Isolation, from: usize, to: usize) -> Vec<TenantDb> {
        stream::iter(from..to)
            .map(|n| async move {
                let key = format!("{isolation}{n}");
                self.tenancy.tenant_create(NewTenant::new(&key).unwrap().isolation(isolation)).await.unwrap();
                let db = self.tenancy.tenant(&key).await.unwrap();
                let fill = "INSERT INTO users (username) SELECT 'user' || n FROM generate_series(1, 20) n";
                sqlx::query(fill).execute(db.postgres().unwrap()).await.unwrap();
                db
            })
            .buffered(4)
            .collect()
            .await
    }
}

/// One more of an installation's apps.
async fn app(dir: &tempfile::TempDir, tenant: &[(&str, &str)], wire: bool) -> Tenantry {
    let limits = |mut config: Config| {
        (config.pool.per_tenant, config.pool.wire) = (CLIENTS, wire);
        config.pool.acquire_timeout = Seconds::new(60.0).unwrap();
        config
    };
    let migrations = Migrations::embedded(tenant.iter().copied(), SHARED.iter().copied()).unwrap();
    let builder = open(dir.path().into(), limits, TENANT).await.migrations(migrations);
    builder.background(false).open().await.unwrap()
}

/// Who is asked for next: each as often as any other, or some far more often.
#[derive(Clone, Copy, Debug)]
enum Load {
    Uniform,
    Zipf,
}

/// Numbers of tenants in the order of their requests, the same for whoever is measured.
fn requests(load: Load, tenants: usize, count: usize) -> Vec<usize> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        #[expect(clippy::cast_precision_loss, reason = "a random number between 0 and 1")]
        let number = (state >> 11) as f64 / (1_u64 << 53) as f64;
        number
    };
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let weights: Vec<f64> = (0..tenants)
        .map(|n| match load {
            Load::Uniform => 1.0,
            Load::Zipf => 1.0 / (n + 1) as f64,
        })
        .scan(0.0, |sum, w| {
            *sum += w;
            Some(*sum)
        })
        .collect();
    let total = weights.last().copied().unwrap_or(1.0);
    (0..count)
        .map(|_| {
            let at = next() * total;
            weights.partition_point(|w| *w < at).min(tenants - 1)
        })
        .collect()
}

/// Runs the requests over the clients and gives the requests per second.
async fn throughput<F>(requests: &Arc<Vec<usize>>, one: impl Fn(usize) -> F + Send + Sync + Clone + 'static) -> f64
where
    F: Future<Output = usize> + Send,
{
    let next = Arc::new(AtomicUsize::new(0));
    let started = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (next, requests, one) = (Arc::clone(&next), Arc::clone(requests), one.clone());
            tokio::spawn(async move {
                while let Some(&tenant) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    assert_eq!(one(tenant).await, USERS);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let count = requests.len() as f64;
    count / started.elapsed().as_secs_f64()
}

async fn ours(tenants: &Arc<Vec<TenantDb>>, requests: &Arc<Vec<usize>>) -> f64 {
    let tenants = Arc::clone(tenants);
    throughput(requests, move |n| {
        let db = tenants[n].clone();
        async move {
            let rows: Vec<(i64, String)> = sqlx::query_as(READ).fetch_all(db.postgres().unwrap()).await.unwrap();
            rows.len()
        }
    })
    .await
}

/// The same by hand, as a careful app writes it in sqlx.
async fn by_hand(pool: &PgPool, begins: &Arc<Vec<String>>, requests: &Arc<Vec<usize>>) -> f64 {
    let (pool, begins) = (pool.clone(), Arc::clone(begins));
    throughput(requests, move |n| {
        let (pool, begin) = (pool.clone(), begins[n].clone());
        async move {
            #[expect(clippy::disallowed_methods, reason = "what an app without tenantry does")]
            let mut connection = pool.acquire().await.unwrap();
            connection.execute(AssertSqlSafe(begin)).await.unwrap();
            let rows: Vec<(i64, String)> = sqlx::query_as(READ).fetch_all(&mut *connection).await.unwrap();
            connection.execute("COMMIT").await.unwrap();
            rows.len()
        }
    })
    .await
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// A login as an app without tenantry has it.
async fn pool_by_hand(bench: &Bench) -> PgPool {
    let options: PgConnectOptions = bench.server.url("app").parse().unwrap();
    let options = options.username("by_hand").password("by hand").disable_statement_logging();
    #[expect(clippy::disallowed_methods, reason = "what an app without tenantry does")]
    let pool = PgPoolOptions::new()
        .min_connections(CONNECTIONS)
        .max_connections(CONNECTIONS)
        .test_before_acquire(false)
        .connect_with(options)
        .await;
    pool.unwrap()
}

async fn read() {
    let bench = Bench::new(TENANT).await;
    for isolation in [Isolation::Row, Isolation::Schema] {
        let tenants = Arc::new(bench.tenants(isolation, 0, 1_000).await);
        let begins: Vec<String> = tenants.iter().map(begin_by_hand).collect();
        bench.server.sql("app", &rights_by_hand(&tenants)).unwrap();
        let (by_wire, over_wire) = bench.app_with(isolation, 1_000, true).await;
        let (by_words, without) = bench.app_with(isolation, 1_000, false).await;
        let (pool, begins) = (pool_by_hand(&bench).await, Arc::new(begins));
        for load in [Load::Uniform, Load::Zipf] {
            let requests = Arc::new(requests(load, tenants.len(), 4_000));
            // Each connection is to know each tenant by then, as far as it will.
            for _ in 0..8 {
                ours(&over_wire, &requests).await;
                ours(&without, &requests).await;
                by_hand(&pool, &begins, &requests).await;
            }
            let (mut wire, mut words, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..7 {
                wire.push(ours(&over_wire, &requests).await);
                theirs.push(by_hand(&pool, &begins, &requests).await);
                words.push(ours(&without, &requests).await);
            }
            let theirs = median(theirs);
            for (way, mine) in [("", median(wire)), (", without the wire", median(words))] {
                row(
                    &format!(
                        "one-shot read of 20 rows, 1,000 tenants, {isolation} isolation, {load:?}{way}: \
                         time by `BEGIN; SET LOCAL` in sqlx"
                    ),
                    "at most 1.1",
                    &format!("{:.2} ({mine:.0} against {theirs:.0} requests/s)", theirs / mine),
                );
            }
        }
        pool.close().await;
        eprintln!("{:?}\n{:?}", by_wire.stats(), by_words.stats());
    }
}

/// As versions made it that had no policy in front of a statement's conditions.
const WITHOUT_POLICY: &str = "DO $$ DECLARE place text; BEGIN
         FOR place IN SELECT polrelid::regclass FROM pg_policy WHERE polname = '!tenantry_first' LOOP
             EXECUTE format('DROP POLICY \"!tenantry_first\" ON %s', place);
         END LOOP;
     END $$";
/// As versions made it that entered no role in row isolation.
const WITHOUT_ROLE: &str = "DO $$ DECLARE
         mark text := (SELECT 'tn_' || right(replace(owner::text, '-', ''), 12) FROM tenantry.place);
         rows text := mark || '_rows'; login text := mark || '_on_main_row';
     BEGIN
         EXECUTE format('DROP OWNED BY %I', rows);
         EXECUTE format('DROP ROLE %I', rows);
         EXECUTE format('GRANT USAGE ON SCHEMA tenant, shared TO %I', login);
         EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA tenant TO %I', login);
     END $$";

/// What the closed wall costs a read in row isolation: a policy in front of its conditions, and a role to enter.
async fn wall() {
    let open = [("the policy in front", vec![WITHOUT_POLICY]), ("both", vec![WITHOUT_POLICY, WITHOUT_ROLE])];
    for (what, undo) in open {
        let (closed, open) = (Bench::new(TENANT).await, Bench::new(TENANT).await);
        for bench in [&closed, &open] {
            bench.tenants(Isolation::Row, 0, 100).await;
            bench.server.sql("app", "VACUUM ANALYZE").unwrap();
        }
        undo.iter().for_each(|text| drop(open.server.sql("app", text).unwrap()));
        closed_by_open(&closed, &open, what).await;
    }
}

/// In pairs that take turns. Each turn has connections of its own, because one that knows of no role is closed after 10 s.
async fn closed_by_open(closed: &Bench, open: &Bench, what: &str) {
    let few = Arc::new(requests(Load::Uniform, 100, 12_000));
    let turn = async |bench: &Bench| {
        let (app, tenants) = bench.app_with(Isolation::Row, 100, true).await;
        ours(&tenants, &few).await;
        let rate = ours(&tenants, &few).await;
        app.shutdown(Duration::from_secs(5)).await;
        rate
    };
    let mut ratios = Vec::new();
    for pair in 0..31 {
        let (closed, open) = if pair % 2 == 0 {
            let closed = turn(closed).await;
            (closed, turn(open).await)
        } else {
            let open = turn(open).await;
            (turn(closed).await, open)
        };
        ratios.push(open / closed);
    }
    ratios.sort_by(f64::total_cmp);
    let quarter = ratios.len() / 4;
    row(
        &format!("one-shot read of 20 rows, row isolation: time by the same without {what}"),
        "at most 1.03",
        &format!(
            "{:.3} (middle half of {} pairs {:.3} to {:.3}, all {:.3} to {:.3})",
            ratios[ratios.len() / 2],
            ratios.len(),
            ratios[quarter],
            ratios[ratios.len() - 1 - quarter],
            ratios[0],
            ratios[ratios.len() - 1]
        ),
    );
}

fn schema_of(db: &TenantDb) -> String {
    format!("t_{}", db.tenant().id.as_uuid().as_simple())
}

/// What a login by hand needs: the tables in common, and a role for each tenant that has its own.
fn rights_by_hand(tenants: &[TenantDb]) -> String {
    let mut text = "DO $$ BEGIN CREATE ROLE by_hand LOGIN NOINHERIT PASSWORD 'by hand';
         EXCEPTION WHEN duplicate_object THEN NULL; END $$;
         GRANT CONNECT ON DATABASE app TO by_hand; GRANT USAGE ON SCHEMA tenant TO by_hand; GRANT SELECT ON ALL TABLES IN SCHEMA tenant TO by_hand;"
        .to_owned();
    for db in tenants.iter().filter(|db| db.tenant().isolation == Isolation::Schema) {
        let role = format!("r_{}", schema_of(db));
        let schema = schema_of(db);
        write!(
            text,
            "CREATE ROLE {role}; GRANT {role} TO by_hand; GRANT USAGE ON SCHEMA {schema} TO {role};
             GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role};\n"
        )
        .unwrap();
    }
    text
}

fn begin_by_hand(db: &TenantDb) -> String {
    let (id, schema) = (db.tenant().id, schema_of(db));
    if db.tenant().isolation == Isolation::Row {
        return format!("BEGIN; SET LOCAL search_path = tenant, shared; SET LOCAL tenantry.tenant = '{id}'");
    }
    format!("BEGIN; SET LOCAL ROLE r_{schema}; SET LOCAL search_path = {schema}, shared")
}

/// The same requests against 100 tenants and against 10,000, each in an app of its own whose connections know its tenants.
async fn scale() {
    let most = std::env::var("TENANTRY_BENCH_TENANTS").map_or(10_000, |most| most.parse().unwrap());
    for isolation in [Isolation::Row, Isolation::Schema] {
        let bench = Bench::new(TENANT).await;
        let started = Instant::now();
        bench.tenants(isolation, 0, most).await;
        eprintln!("{most} tenants of {isolation} isolation made in {:.0} s", started.elapsed().as_secs_f64());
        bench.server.sql("app", "VACUUM ANALYZE").unwrap();
        let (small, few) = bench.app_with(isolation, 100, true).await;
        let (large, all) = bench.app_with(isolation, most, true).await;
        for load in [Load::Uniform, Load::Zipf] {
            let of_few = Arc::new(requests(load, few.len(), 6_000));
            let of_all = requests(load, all.len(), 15 * 6_000);
            let mut of_all = of_all.chunks(6_000).map(|some| Arc::new(some.to_vec()));
            let (mut less, mut more) = (Vec::new(), Vec::new());
            for some in of_all.by_ref().take(10) {
                let rate = ours(&all, &some).await;
                eprintln!("{load:?}, while connections meet their tenants: {rate:.0} requests/s");
            }
            ours(&few, &of_few).await;
            for some in of_all {
                less.push(ours(&few, &of_few).await);
                more.push(ours(&all, &some).await);
            }
            let (less, more) = (median(less), median(more));
            row(
                &format!("requests/s at {most} tenants against 100, {isolation} isolation, {load:?}"),
                match (isolation, load) {
                    (Isolation::Row, Load::Uniform) | (Isolation::Schema, Load::Zipf) => "at least 0.85",
                    _ => "to be reported",
                },
                &format!("{:.2} ({more:.0} against {less:.0})", more / less),
            );
        }
        eprintln!("{:?}\n{:?}", small.stats(), large.stats());
    }
}

/// Twelve tables with keys and indexes, as a small product has them.
fn twelve_tables() -> String {
    let mut text = String::new();
    for n in 1..=12 {
        write!(
            text,
            "CREATE TABLE t{n} (
                 tenant_id uuid NOT NULL DEFAULT tenantry.tenant(),
                 id bigint GENERATED BY DEFAULT AS IDENTITY,
                 name text NOT NULL, parent bigint, price bigint NOT NULL DEFAULT 0, made timestamptz NOT NULL DEFAULT now(),
                 PRIMARY KEY (tenant_id, id), UNIQUE (tenant_id, name),
                 FOREIGN KEY (tenant_id, parent) REFERENCES t{n} (tenant_id, id)
             );
             CREATE INDEX t{n}_parent ON t{n} (tenant_id, parent);\n"
        )
        .unwrap();
    }
    text
}

/// Creating a tenant against the same statements in a session of psql that is open already.
async fn create() {
    let tables = twelve_tables();
    let bench = Bench::new(&[("0001_tables.sql", &tables)]).await;
    for isolation in [Isolation::Schema, Isolation::Database] {
        let (mut mine, mut theirs) = (Vec::new(), Vec::new());
        for turn in 0..25 {
            let key = format!("{isolation}{turn}");
            let started = Instant::now();
            bench.tenancy.tenant_create(NewTenant::new(&key).unwrap().isolation(isolation)).await.unwrap();
            let made = started.elapsed();
            let by_psql = psql(&bench, isolation, turn, &tables);
            // The first makes the template.
            if turn > 2 {
                mine.push(made.as_secs_f64() * 1e3);
                theirs.push(by_psql.as_secs_f64() * 1e3);
            }
        }
        let (mine, theirs) = (median(mine), median(theirs));
        row(
            &format!("create a tenant of {isolation} isolation with 12 tables against the same statements in psql"),
            "at most 1.3",
            &format!("{:.2} ({mine:.1} against {theirs:.1} ms)", mine / theirs),
        );
    }
}

fn psql(bench: &Bench, isolation: Isolation, turn: usize, tables: &str) -> Duration {
    let name = format!("by_hand_{turn}");
    let script = if isolation == Isolation::Schema {
        format!(
            "BEGIN; CREATE ROLE {name} NOLOGIN; CREATE SCHEMA {name}; SET LOCAL search_path = {name}; {tables}
             GRANT USAGE ON SCHEMA {name} TO {name};
             GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {name} TO {name};
             GRANT USAGE ON ALL SEQUENCES IN SCHEMA {name} TO {name}; COMMIT;"
        )
    } else {
        format!(
            "CREATE DATABASE {name}; CREATE ROLE db_{name} LOGIN PASSWORD 'x'; REVOKE ALL ON DATABASE {name} FROM PUBLIC;
             GRANT CONNECT ON DATABASE {name} TO db_{name};
             \\c {name}
             CREATE SCHEMA tenantry; CREATE FUNCTION tenantry.tenant() RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT NULL::uuid $$;
             BEGIN; {tables} GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO db_{name}; COMMIT;"
        )
    };
    // The program's own start is taken off.
    let started = Instant::now();
    run_psql(bench, "SELECT 1;");
    let empty = started.elapsed();
    let started = Instant::now();
    run_psql(bench, &script);
    started.elapsed().saturating_sub(empty)
}

fn run_psql(bench: &Bench, script: &str) {
    use std::io::Write;
    let mut psql = Command::new("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", &bench.server.url("app")])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    psql.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(psql.wait().unwrap().success());
}
