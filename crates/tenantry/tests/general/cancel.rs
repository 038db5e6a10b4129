//! Every await point can be the last one: each public future is dropped at its 1st, 2nd, ... n-th poll, and the next
//! borrower has to be clean and its acknowledged write durable. On every engine and isolation.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::TryStreamExt;
use sea_orm::ConnectionTrait;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, Row, SqliteConnection, sqlite::SqliteConnectOptions};
use tenantry::{MigrateOptions, NewTenant, TenantDb, Tenantry};

use crate::support::{self, Installation, Kind, TENANT, limits, number, texts, user_add, users};

type Boxed<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Polls a future `left` times, then drops it. `true`: it had ended before that.
struct CutOff<'a> {
    future: Option<Boxed<'a>>,
    left: usize,
}

impl Future for CutOff<'_> {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        if self.left == 0 {
            self.future = None;
            return Poll::Ready(false);
        }
        self.left -= 1;
        let future = self.future.as_mut().expect("polled after its end");
        future.as_mut().poll(cx).map(|()| true)
    }
}

/// Somebody who does not ask tenantry: acknowledged means that he sees it.
enum Witness {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Witness {
    async fn of(place: &Installation, db: &TenantDb) -> Self {
        if place.kind == Kind::SqliteDatabase {
            let options = SqliteConnectOptions::new().filename(place.file_of(db));
            return Self::Sqlite(options.busy_timeout(Duration::from_millis(200)).connect().await.unwrap());
        }
        Self::Postgres(place.admin_at(db).await)
    }

    /// The id of a user, and how many there are.
    async fn user(&mut self, place: &Installation, db: &TenantDb, name: &str) -> (i64, i64) {
        let tenant = db.tenant().id;
        match self {
            Self::Sqlite(raw) => {
                let query = "SELECT id, (SELECT count(*) FROM users) FROM users WHERE username = $1";
                let row = sqlx::query(query).bind(name).fetch_one(raw).await.expect("an acknowledged write is stored");
                (row.get(0), row.get(1))
            }
            Self::Postgres(raw) => {
                let own = format!("SELECT * FROM {}.users WHERE tenant_id = '{tenant}'", place.schema_of(db));
                let query =
                    format!("WITH own AS ({own}) SELECT id, (SELECT count(*) FROM own) FROM own WHERE username = $1");
                let query = sqlx::query(AssertSqlSafe(query)).bind(name);
                let row = query.fetch_one(raw).await.expect("an acknowledged write is stored");
                (row.get(0), row.get(1))
            }
        }
    }

    /// Waits until a statement runs.
    async fn sees(&mut self, statement: &str) {
        match self {
            // Nobody but the connection itself knows; opening one does not take as long.
            Self::Sqlite(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            Self::Postgres(raw) => {
                let runs =
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
                               AND strpos(query, $1) > 0 AND pid <> pg_backend_pid()";
                while sqlx::query_scalar::<_, i64>(runs).bind(statement).fetch_one(&mut *raw).await.unwrap() == 0 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
    }

    /// Nobody holds a transaction, or a lock for as long as its connection lives.
    async fn finds_no_transaction(&mut self) {
        match self {
            Self::Sqlite(raw) => {
                sqlx::raw_sql("BEGIN IMMEDIATE; ROLLBACK").execute(raw).await.expect("no transaction was left open");
            }
            Self::Postgres(raw) => {
                let open = "SELECT state || ': ' || query FROM pg_stat_activity a WHERE datname = current_database()
                              AND application_name = 'tenantry app'
                              AND (state <> 'idle' OR EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'advisory'))";
                let open: Vec<String> = sqlx::query_scalar(open).fetch_all(raw).await.unwrap();
                assert_eq!(open, Vec::<String>::new());
            }
        }
    }
}

/// How many connections two tenants need who use one each.
const fn places(kind: Kind) -> usize {
    match kind {
        Kind::PostgresRow | Kind::PostgresSchema => 1,
        Kind::PostgresDatabase | Kind::SqliteDatabase => 2,
    }
}

/// One tenant whose futures are dropped, a neighbour, and a witness.
struct Scene {
    place: Installation,
    db: TenantDb,
    neighbour: TenantDb,
    witness: Witness,
}

impl Scene {
    /// The next borrower gets what the last one left, and where tenants share a connection so does the neighbour.
    async fn new(kind: Kind) -> Self {
        let connections = if kind == Kind::SqliteDatabase { 8 } else { places(kind) };
        let place = Installation::on_with(kind, limits(connections, 1), TENANT).await;
        let (db, neighbour) = (place.tenant("acme").await, place.tenant("globex").await);
        user_add(&neighbour, "canary").await;
        let witness = Witness::of(&place, &db).await;
        Self { place, db, neighbour, witness }
    }

    /// What every next borrower must find.
    async fn the_next_borrower_is_clean(&mut self, name: &str) {
        let before = number(&self.db, "SELECT count(*) FROM users").await.unwrap();
        let id = user_add(&self.db, name).await;
        assert_eq!(self.witness.user(&self.place, &self.db, name).await, (id, before + 1), "{name}");
        self.witness.finds_no_transaction().await;
        self.the_neighbour_finds_nothing(name).await;
        let stats = self.place.tenancy.stats();
        let most = places(self.place.kind);
        assert!(stats.iter().all(|of| of.pool.open <= most), "{stats:?}");
    }

    async fn the_neighbour_finds_nothing(&self, name: &str) {
        assert_eq!(users(&self.neighbour).await, ["canary"], "{name}");
        if self.place.kind == Kind::SqliteDatabase {
            return;
        }
        let left = "SELECT concat_ws(' ', translate(current_setting('search_path'), '\" ', ''),
                                     current_setting('role'), tenantry.tenant())
             UNION ALL SELECT name FROM pg_cursors WHERE name <> ''
             UNION ALL SELECT pg_listening_channels()
             UNION ALL SELECT relname FROM pg_class WHERE relpersistence = 't' AND relkind = 'r'";
        let role = match self.place.kind {
            Kind::PostgresRow | Kind::PostgresSchema => self.place.role_of(&self.neighbour),
            _ => "none".to_owned(),
        };
        let expected =
            format!("{},shared,pg_temp {role} {}", self.place.schema_of(&self.neighbour), self.neighbour.tenant().id);
        assert_eq!(texts(&self.neighbour, left).await.unwrap(), [expected], "{name}");
    }

    /// Drops the future at every poll until it ends by itself, and then, where polls are not the same each time, after
    /// random times.
    async fn grid(&mut self, name: &str, make: Make) {
        let started = Instant::now();
        for polls in 0.. {
            assert!(polls < 2_000, "{name} does not end");
            let future = Some(make(&self.place.tenancy, &self.db, polls));
            let ended = CutOff { future, left: polls }.await;
            self.the_next_borrower_is_clean(&format!("{name}, poll {polls}")).await;
            if ended {
                // It did end while it was watched: the grid has covered all of it.
                break;
            }
        }
        if self.place.kind == Kind::SqliteDatabase {
            return;
        }
        let whole = Instant::now();
        make(&self.place.tenancy, &self.db, 10_000).await;
        let whole = whole.elapsed().max(Duration::from_millis(1));
        for n in 1..=12 {
            let patience = whole * (n * 7 % 13) / 10;
            drop(tokio::time::timeout(patience, make(&self.place.tenancy, &self.db, 20_000 + n as usize)).await);
            self.the_next_borrower_is_clean(&format!("{name}, after {patience:?}")).await;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{name} takes too long");
    }
}

type Make = for<'a> fn(&'a Tenantry, &'a TenantDb, usize) -> Boxed<'a>;

macro_rules! grid {
    ($($group:ident: { $($name:ident: |$tenancy:pat_param, $db:pat_param, $n:pat_param| $body:block)* })*) => {
        $(
            mod $group {
                use super::*;

                $(
                    fn $name<'a>($tenancy: &'a Tenantry, $db: &'a TenantDb, $n: usize) -> Boxed<'a> {
                        Box::pin(async move { $body })
                    }
                )*

                async fn run(kind: Kind) {
                    let mut scene = Scene::new(kind).await;
                    $(scene.grid(stringify!($name), $name).await;)*
                }

                on_every_kind!(run);
            }
        )*
    };
}

macro_rules! on_every_kind {
    ($run:path) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn sqlite_database() {
            $run(Kind::SqliteDatabase).await;
        }

        on_postgres!($run);
    };
}

macro_rules! on_postgres {
    ($run:path) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn postgres_row() {
            $run(Kind::PostgresRow).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn postgres_schema() {
            $run(Kind::PostgresSchema).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn postgres_database() {
            $run(Kind::PostgresDatabase).await;
        }
    };
}

const ENDLESS: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT (i + 1) % 9 FROM n) SELECT count(*) FROM n";
const NOTE: &str = "INSERT INTO notes (text) VALUES ($1) RETURNING id";

grid! {
    dropped_statements_leave_nothing_behind: {
        a_read: |_, db, _| {
            drop(number(db, "SELECT count(id) FROM users").await);
        }
        a_read_of_all_columns: |_, db, _| {
            on!(db, view => drop(sqlx::query("SELECT * FROM users").fetch_one(view).await));
        }
        a_write: |_, db, n| {
            on!(db, view => drop(sqlx::query(NOTE).bind(n.to_string()).execute(view).await));
        }
        a_returning_write: |_, db, n| {
            on!(db, view => drop(sqlx::query(NOTE).bind(n.to_string()).fetch_one(view).await));
        }
        a_failing_write: |_, db, _| {
            drop(support::run(db, "INSERT INTO users (username) VALUES (NULL)").await);
        }
        several_writes: |_, db, _| {
            let several = "INSERT INTO notes (text) VALUES ('a'); INSERT INTO notes (text) VALUES ('b')";
            on!(db, view => drop(sqlx::raw_sql(several).execute(view).await));
        }
        a_stream: |_, db, _| {
            let update = "UPDATE users SET username = username RETURNING id";
            on!(db, view => {
                let mut rows = sqlx::query(update).fetch(view);
                while let Ok(Some(_)) = rows.try_next().await {}
            });
        }
        a_statement_of_an_orm: |_, db, n| {
            let text = format!("INSERT INTO notes (text) VALUES ('{n}')");
            drop(db.execute_unprepared(&text).await);
        }
    }
    dropped_transactions_leave_nothing_behind: {
        a_transaction: |_, db, n| {
            let Ok(mut tx) = db.begin().await else { return };
            on!(tx, view => drop(sqlx::query(NOTE).bind(n.to_string()).execute(view).await));
            drop(tx.commit().await);
        }
        a_transaction_that_reads: |_, db, _| {
            let Ok(mut tx) = db.begin_read().await else { return };
            on!(tx, view => drop(sqlx::query("SELECT * FROM users").fetch_all(view).await));
            drop(tx.commit().await);
        }
        a_rollback: |_, db, _| {
            let Ok(mut tx) = db.begin().await else { return };
            on!(tx, view => drop(sqlx::query("DELETE FROM users").execute(view).await));
            drop(tx.rollback().await);
        }
        a_savepoint: |_, db, n| {
            let Ok(mut tx) = db.begin().await else { return };
            if let Ok(mut inner) = tx.begin().await {
                on!(inner, view => drop(sqlx::query(NOTE).bind(n.to_string()).execute(view).await));
                drop(inner.commit().await);
            }
            on!(tx, view => drop(sqlx::query("SELECT 1").execute(view).await));
            drop(tx.commit().await);
        }
        a_savepoint_that_is_rolled_back: |_, db, n| {
            let Ok(tx) = db.begin().await else { return };
            if let Ok(mut inner) = tx.begin().await {
                on!(inner, view => drop(sqlx::query(NOTE).bind(n.to_string()).execute(view).await));
                on!(inner, view => drop(sqlx::query("nonsense").execute(view).await));
                drop(inner.rollback().await);
            }
            drop(tx.commit().await);
        }
    }
    dropped_calls_leave_nothing_behind: {
        a_lookup: |tenancy, _, _| {
            drop(tenancy.tenant("acme").await);
            drop(tenancy.tenant("nobody").await);
        }
        a_migration: |tenancy, _, _| {
            let (fleet, options) = (tenancy.migrations(), MigrateOptions::new());
            drop(fleet.up(&options, |_| ()).await);
        }
        a_visit_of_all: |tenancy, _, _| {
            let all = tenantry::TenantFilter::all();
            drop(tenancy.each(all, 2, async |db| Ok(number(&db, "SELECT count(*) FROM users").await?)).await);
        }
    }
}

/// A statement that would run for ever, dropped: it is stopped, and its connection is soon free again.
mod an_abandoned_statement_is_stopped_within_a_second {
    use super::*;

    async fn run(kind: Kind) {
        let mut scene = Scene::new(kind).await;
        let mut waits = Vec::new();
        for round in 0..5 {
            tokio::select! {
                ended = number(&scene.db, ENDLESS) => unreachable!("{ended:?}"),
                () = scene.witness.sees(ENDLESS) => {}
            }
            let abandoned = Instant::now();
            user_add(&scene.db, &format!("u{round}")).await;
            waits.push(abandoned.elapsed());
        }
        waits.sort();
        // The machine of a test may have other things to do for a while: no one of five says anything about the engine.
        assert!(waits[2] < Duration::from_secs(1) && waits[4] < Duration::from_secs(5), "{waits:?}");
        let stats = scene.place.tenancy.stats().remove(0).pool;
        assert!(stats.settled >= 5 && stats.closed_unproven == 0, "{stats:?}");
    }

    on_every_kind!(run);
}

/// A server that is busy may see a cancel before it has read the statement, and then it means nothing to it.
mod a_cancel_that_comes_before_its_statement_is_said_again {
    use super::*;

    async fn run(kind: Kind) {
        let scene = Scene::new(kind).await;
        let process = loop {
            let process = number(&scene.db, "SELECT pg_backend_pid()::int8").await.unwrap().to_string();
            count(&scene.db, 1).await.unwrap();
            // The first look at the catalog's changes may have closed it: it finds a tenant that is new.
            if signal("-STOP", &process) {
                break process;
            }
        };
        let query = count(&scene.db, i64::MAX);
        assert!(tokio::time::timeout(Duration::from_millis(50), query).await.is_err());
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(signal("-CONT", &process));
        let next = tokio::time::timeout(Duration::from_secs(5), user_add(&scene.db, "ann"));
        next.await.expect("the statement does not run on");
        let stats = scene.place.tenancy.stats().remove(0).pool;
        assert!(stats.settled >= 1 && stats.closed_unproven == 0, "{stats:?}");
    }

    fn signal(name: &str, process: &str) -> bool {
        std::process::Command::new("kill").args([name, process]).status().unwrap().success()
    }

    /// Prepared by its first use, it is sent and run in one.
    async fn count(db: &TenantDb, to: i64) -> Result<i64, sqlx::Error> {
        let text =
            "WITH RECURSIVE n(i) AS (SELECT 1::int8 UNION ALL SELECT i + 1 FROM n WHERE i < $1) SELECT count(*) FROM n";
        sqlx::query_scalar(text).bind(to).fetch_one(db.postgres().unwrap()).await
    }

    on_postgres!(run);
}

/// Operations on tenants run to their end: a caller that goes away leaves either nothing or all of it.
mod a_dropped_operation_ends_all_the_same {
    use super::*;

    async fn run(kind: Kind) {
        let place = Installation::on(kind).await;
        let tenancy = &place.tenancy;
        for polls in 1..200 {
            let key = format!("t{polls}");
            let make = || async {
                let new = NewTenant::new(&key).unwrap().isolation(kind.isolation());
                drop(tenancy.tenant_create(new.domain(&format!("{key}.example.com")).unwrap()).await);
                drop(tenancy.tenant_suspend(&key).await);
                drop(tenancy.tenant_resume(&key).await);
                drop(tenancy.tenant_delete(&key).await);
                drop(tenancy.tenant_undelete(&key).await);
                drop(tenancy.tenant_delete(&key).await);
                drop(tenancy.tenant_purge(&key).await);
            };
            let ended = CutOff { future: Some(Box::pin(make())), left: polls }.await;
            settle(tenancy, &key).await;
            if ended {
                assert!(tenancy.tenant_find(&key).await.unwrap_err().is_unknown_tenant());
                break;
            }
        }
        let report = tenancy.doctor(tenantry::DoctorOptions::new()).await.unwrap();
        assert_eq!(report.findings, [], "{report:?}");
    }

    /// Waits until what was begun has ended, and looks that the tenant is whole or not there.
    async fn settle(tenancy: &Tenantry, key: &str) {
        for _ in 0..500 {
            match tenancy.tenant_find(key).await {
                Err(error) => return assert!(error.is_unknown_tenant()),
                Ok(tenant) if tenant.state.is_served() => {
                    // `suspend` may be on its way; a tenant that is served works.
                    if let Ok(db) = tenancy.tenant(key).await {
                        let count = number(&db, "SELECT count(*) FROM users").await;
                        assert!(count.is_ok() || tenantry::Error::from(count.unwrap_err()).http_status() < 500);
                    }
                    return;
                }
                Ok(tenant) if ["suspended", "deleted"].contains(&tenant.state.as_str()) => return,
                Ok(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        unreachable!("the operation on {key} does not end");
    }

    on_every_kind!(run);
}
