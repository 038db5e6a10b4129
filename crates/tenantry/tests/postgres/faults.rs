//! A server that crashes, connections that are killed or cut, and logins that drift.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use tenantry::{Config, Error, Seconds, TenantDb};
use tenantry_testbed::Postgres;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    task::JoinHandle,
};

use crate::{
    counted,
    support::{
        self, APP_PASSWORD, Installation, Kind, NewWay, TENANT, limits, number, open, run, soak, texts, user_add, users,
    },
};

on_every_postgres! {
    a_server_that_crashes_under_load_is_back_within_five_seconds,
    no_statement_goes_to_a_connection_whose_server_has_crashed,
    killed_connections_lose_nothing_that_was_acknowledged,
    a_login_that_drifted_is_refused_with_the_reason,
    what_stops_a_statement_never_hits_the_next_tenant,
}

/// Tenants that read and write all the time, and what was acknowledged to them.
struct Load {
    tenants: Vec<TenantDb>,
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
    acknowledged: Arc<Mutex<Vec<(usize, String)>>>,
    failed: Arc<Mutex<Vec<String>>>,
}

impl Load {
    async fn begin(place: &Installation) -> Self {
        let mut tenants = Vec::new();
        for n in 0..4 {
            let db = place.tenant(&format!("t{n}")).await;
            user_add(&db, &format!("canary-{n}")).await;
            tenants.push(db);
        }
        let mut load = Self {
            tenants,
            stop: Arc::default(),
            workers: Vec::new(),
            acknowledged: Arc::default(),
            failed: Arc::default(),
        };
        for worker in 0..8 {
            let n = worker % 4;
            let (db, stop) = (load.tenants[n].clone(), Arc::clone(&load.stop));
            let (acknowledged, failed) = (Arc::clone(&load.acknowledged), Arc::clone(&load.failed));
            load.workers.push(tokio::spawn(async move {
                for round in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let mark = format!("{worker}-{round}");
                    match write(&db, &format!("canary-{n}"), &mark, round % 2 == 0).await {
                        Ok(()) => acknowledged.lock().unwrap().push((n, mark)),
                        // Failed, or unknown: never told to have gone well.
                        Err(error) => {
                            assert!(error.is_retryable() || error.is_outcome_unknown(), "{error:?}");
                            failed.lock().unwrap().push(mark);
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                    }
                }
            }));
        }
        load
    }

    fn acknowledged(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// Until every worker has written again.
    async fn is_back(&self) -> Duration {
        let started = Instant::now();
        let before = self.acknowledged();
        while self.acknowledged() < before + 40 {
            assert!(started.elapsed() < Duration::from_secs(20), "{} since the fault", self.acknowledged() - before);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        started.elapsed()
    }

    /// Acknowledged is stored, and nothing has wandered.
    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for worker in self.workers {
            worker.await.unwrap();
        }
        let acknowledged = std::mem::take(&mut *self.acknowledged.lock().unwrap());
        assert!(!self.failed.lock().unwrap().is_empty(), "nobody noticed the fault: the test tests nothing");
        let mut stored = Vec::new();
        for db in &self.tenants {
            stored.push(texts(db, "SELECT text FROM notes").await.unwrap());
        }
        let lost: Vec<_> = acknowledged.iter().filter(|(n, mark)| !stored[*n].contains(mark)).collect();
        assert_eq!(lost, Vec::<&(usize, String)>::new(), "acknowledged, and lost");
        for (n, stored) in stored.iter().enumerate() {
            let own = |mark: &String| mark.split('-').next().unwrap().parse::<usize>().unwrap() % 4 == n;
            assert!(stored.iter().all(own), "tenant {n} has rows of another: {stored:?}");
        }
    }
}

async fn write(db: &TenantDb, canary: &str, mark: &str, in_a_transaction: bool) -> Result<(), Error> {
    let insert = format!("INSERT INTO notes (text) VALUES ('{mark}')");
    if in_a_transaction {
        support::run_raw_in_tx(db, &insert).await?;
    } else {
        run(db, &insert).await?;
    }
    let names = texts(db, "SELECT username FROM users").await;
    // The write went well, whatever becomes of the read.
    names.map_or(Ok(()), |names| {
        assert_eq!(names, [canary], "a foreign row");
        Ok(())
    })
}

async fn a_server_that_crashes_under_load_is_back_within_five_seconds(kind: Kind) {
    let server = Arc::new(Postgres::private(&[]).unwrap());
    let database = server.database().unwrap();
    let place = Installation::at(kind, Some(database), limits(8, 2), TENANT, |server| server).await;
    let load = Load::begin(&place).await;
    load.is_back().await;
    for _ in 0..soak(3, 10) {
        let restarting = Arc::clone(&server);
        tokio::task::spawn_blocking(move || restarting.restart_immediately().unwrap()).await.unwrap();
        let back = load.is_back().await;
        assert!(back < Duration::from_secs(5), "{back:?}");
    }
    load.end().await;
}

/// A server that crashes says so in a notice, and not in an error, before it goes.
async fn no_statement_goes_to_a_connection_whose_server_has_crashed(kind: Kind) {
    let server = Arc::new(Postgres::private(&[]).unwrap());
    let database = server.database().unwrap();
    let place = Installation::at(kind, Some(database), limits(2, 2), TENANT, |server| server).await;
    let acme = place.tenant("acme").await;
    for round in 0..3 {
        // Two, at rest.
        let insert = || run(&acme, "INSERT INTO users (username) SELECT gen_random_uuid()::text");
        futures_util::future::try_join(insert(), insert()).await.unwrap();
        let restarting = Arc::clone(&server);
        tokio::task::spawn_blocking(move || restarting.restart_immediately().unwrap()).await.unwrap();
        run(&acme, "INSERT INTO users (username) SELECT gen_random_uuid()::text").await.unwrap();
        assert_eq!(number(&acme, "SELECT count(*) FROM users").await.unwrap(), 3 * (round + 1));
    }
}

/// Of the catalog only: tenants' rows are on another server.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_a_catalog_whose_server_is_down_keeps_nobody_from_rows_that_are_known() {
    let server = Postgres::private(&[]).unwrap();
    server.sql("postgres", "CREATE DATABASE catalog").unwrap();
    let with_catalog = |mut config: Config| {
        (config.catalog.url, config.catalog.max_stale) = (server.url("catalog"), Seconds::new(6.0).unwrap());
        config
    };
    let place = Installation::on_with(Kind::PostgresSchema, with_catalog, TENANT).await;
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    user_add(&acme, "ann").await;
    users(&globex).await;
    let other_process = open(place.dir.path().into(), with_catalog, TENANT).await.open().await.unwrap();
    other_process.tenant_suspend("globex").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(place.tenancy.tenant("globex").await.unwrap_err().is_suspended(), "heard of within a second");
    server.stop_immediately().unwrap();
    let down = Instant::now();
    while down.elapsed() < Duration::from_secs(3) {
        assert_eq!(users(&place.tenancy.tenant("acme").await.unwrap()).await, ["ann"], "known: served");
        assert!(place.tenancy.tenant("globex").await.unwrap_err().is_suspended(), "who was cut off stays it");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let stranger = place.tenancy.tenant("stranger").await.unwrap_err();
    assert!(stranger.is_catalog_unavailable() && stranger.http_status() == 503, "unknown is not the same as not there");
    tokio::time::sleep(Duration::from_secs(8).saturating_sub(down.elapsed())).await;
    assert!(place.tenancy.tenant("acme").await.unwrap_err().is_catalog_unavailable(), "nobody may be served for ever");
    assert!(Error::from(run(&acme, "SELECT 1").await.unwrap_err()).is_catalog_unavailable(), "by no old handle either");
    server.start().unwrap();
    let up = Instant::now();
    while place.tenancy.tenant("acme").await.is_err() {
        assert!(up.elapsed() < Duration::from_secs(10), "it does not come back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(users(&acme).await, ["ann"]);
    assert!(place.tenancy.tenant("stranger").await.unwrap_err().is_unknown_tenant());
}

async fn killed_connections_lose_nothing_that_was_acknowledged(kind: Kind) {
    let place = Installation::on_with(kind, limits(8, 2), TENANT).await;
    let load = Load::begin(&place).await;
    load.is_back().await;
    let mut raw = place.admin_at(&load.tenants[0]).await;
    let kill = format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
          WHERE application_name = 'tenantry app' AND starts_with(usename, '{}')",
        place.mark()
    );
    let mut killed = 0_i64;
    for _ in 0..soak(30, 300) {
        let query = sqlx::query_scalar::<_, i64>(sqlx::AssertSqlSafe(kill.clone()));
        killed += query.fetch_one(&mut raw).await.unwrap();
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    assert!(killed > 15, "{killed} were killed");
    let back = load.is_back().await;
    assert!(back < Duration::from_secs(5), "{back:?}");
    load.end().await;
}

/// The request to stop a statement may still be on its way when the statement has ended by itself.
async fn what_stops_a_statement_never_hits_the_next_tenant(kind: Kind) {
    if kind == Kind::PostgresDatabase {
        // Nobody else is ever on its connections.
        return;
    }
    let (place, [acme, other], proxy) = counted::counted(kind, true).await;
    for late in [false, true] {
        let busy = acme.clone();
        let work = tokio::spawn(async move { run(&busy, "SELECT pg_sleep(0.5)").await });
        tokio::time::sleep(Duration::from_millis(150)).await;
        if late {
            proxy.delays(Duration::from_millis(800));
        }
        place.tenancy.tenant_suspend("acme").await.unwrap();
        // What is asked for now is held back by itself.
        tokio::time::sleep(Duration::from_millis(60)).await;
        proxy.delays(Duration::ZERO);
        drop(work.await.unwrap());
        run(&other, "SELECT pg_sleep(1)").await.unwrap();
        place.tenancy.tenant_resume("acme").await.unwrap();
    }
}

/// What happens to a login on the way, how it is taken back, and the word that tells it.
async fn a_login_that_drifted_is_refused_with_the_reason(kind: Kind) {
    let place = Installation::on(kind).await;
    let acme = place.tenant("acme").await;
    user_add(&acme, "ann").await;
    let login = match kind {
        Kind::PostgresSchema => place.login("s0"),
        Kind::PostgresRow => place.login("row"),
        _ => place.role_of(&acme),
    };
    for (drift, back, reason) in [
        ("ALTER ROLE {} SUPERUSER", "ALTER ROLE {} NOSUPERUSER", "superuser"),
        ("ALTER ROLE {} BYPASSRLS", "ALTER ROLE {} NOBYPASSRLS", "BYPASSRLS"),
        ("ALTER ROLE {} INHERIT", "ALTER ROLE {} NOINHERIT", "INHERIT"),
        ("ALTER ROLE {} CREATEROLE", "ALTER ROLE {} NOCREATEROLE", "CREATEROLE"),
        ("ALTER ROLE {} CREATEDB", "ALTER ROLE {} NOCREATEDB", "CREATEDB"),
        ("ALTER ROLE {} REPLICATION", "ALTER ROLE {} NOREPLICATION", "REPLICATION"),
        ("GRANT pg_read_all_data TO {}", "REVOKE pg_read_all_data FROM {}", "member of pg_read_all_data"),
        ("CREATE TABLE public.own (a int); ALTER TABLE public.own OWNER TO {}", "DROP TABLE public.own", "owns"),
    ] {
        place.sql_at(&acme, &drift.replace("{}", &login));
        // Another process, so that its connections are new.
        let late = place.neighbour().await;
        let db = late.tenant("acme").await.unwrap();
        for _ in 0..2 {
            let error = Error::from(texts(&db, "SELECT username FROM users").await.unwrap_err());
            let told = error.to_string();
            assert!(
                told.contains(&login) && told.contains(reason) && error.help_text().is_some(),
                "{drift}: {error:?}"
            );
            assert!(!error.is_retryable() && !error.client_text().contains(&login), "{drift}: {error:?}");
        }
        place.sql_at(&acme, &back.replace("{}", &login));
        assert_eq!(users(&db).await, ["ann"], "{back}");
    }
}

/// A way to the server that breaks at the word DISCARD, by which a connection is reset.
#[derive(Clone)]
struct Proxy {
    port: u16,
    mode: Arc<AtomicU8>,
    broken: Arc<AtomicBool>,
}

const PASS: u8 = 0;
/// The first byte of the reset gets through, then both sides are cut.
const CUT: u8 = 1;
/// The reset is swallowed, and nothing ever comes back.
const HANG: u8 = 2;

impl Proxy {
    async fn before(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let proxy = Self { port, mode: Arc::default(), broken: Arc::default() };
        let accepting = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(accepting.clone().forward(from_client, to_server));
                tokio::spawn(copy(from_server, to_client));
            }
        });
        proxy
    }

    async fn forward(self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut bytes = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = from.read(&mut bytes).await {
            let reset = bytes[..length].windows(7).any(|word| word == b"DISCARD");
            match self.mode.load(Ordering::SeqCst) {
                CUT if reset => {
                    drop(to.write_all(&bytes[..1]).await);
                    self.broken.store(true, Ordering::SeqCst);
                    return;
                }
                HANG if reset => {
                    self.broken.store(true, Ordering::SeqCst);
                    std::future::pending::<()>().await;
                }
                _ if to.write_all(&bytes[..length]).await.is_err() => return,
                _ => {}
            }
        }
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    drop(tokio::io::copy(&mut from, &mut to).await);
}

/// A connection whose reset does not come through is closed, and nobody ever gets it.
async fn a_reset_that_fails_closes_the_connection(kind: Kind, mode: u8) {
    let database = Postgres::shared().unwrap().database().unwrap();
    let address = database.tcp_url().rsplit_once('@').unwrap().1.split_once('/').unwrap().0.to_owned();
    let proxy = Proxy::before(address).await;
    let way = |login: &str, database: &str| NewWay {
        url: format!("postgres://{login}:{APP_PASSWORD}@127.0.0.1:{}/{database}", proxy.port),
        pooler: false,
    };
    let place = Installation::by_another_way(kind, database, limits(2, 2), way).await;
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    user_add(&globex, "gus").await;
    let pid = "SELECT pg_backend_pid()::bigint";
    let mut tx = acme.begin().await.unwrap();
    let before: i64 = sqlx::query_scalar(pid).fetch_one(tx.postgres().unwrap()).await.unwrap();
    sqlx::raw_sql("SET timezone = 'Asia/Tokyo'").execute(tx.postgres().unwrap()).await.unwrap();
    proxy.mode.store(mode, Ordering::SeqCst);
    tx.commit().await.unwrap();
    for _ in 0..50 {
        assert_ne!(number(&globex, pid).await.unwrap(), before, "it was handed out");
        assert_eq!(users(&globex).await, ["gus"]);
        assert_eq!(texts(&globex, "SELECT current_setting('timezone')").await.unwrap(), ["UTC"]);
    }
    assert!(proxy.broken.load(Ordering::SeqCst), "no reset was tried");
    proxy.mode.store(PASS, Ordering::SeqCst);
    if mode == CUT {
        let stats = place.tenancy.stats().remove(0).pool;
        assert!(stats.closed_unproven == 1 && stats.settled == 0, "{stats:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_row_a_reset_that_is_cut_off_closes_the_connection() {
    a_reset_that_fails_closes_the_connection(Kind::PostgresRow, CUT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_schema_a_reset_that_is_cut_off_closes_the_connection() {
    a_reset_that_fails_closes_the_connection(Kind::PostgresSchema, CUT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_schema_a_reset_that_hangs_is_no_connection_for_anybody() {
    a_reset_that_fails_closes_the_connection(Kind::PostgresSchema, HANG).await;
}
