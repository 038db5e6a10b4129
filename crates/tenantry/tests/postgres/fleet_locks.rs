//! A tenant whose tables somebody has locked, in a fleet on PostgreSQL: it is told of, and keeps nobody else.

use std::time::{Duration, Instant};

use tenantry::{FleetReport, MigrateEvent, MigrateOptions, Migrations, TenantDb, Tenantry};

use crate::support::{Installation, Kind, SHARED, TENANT, open, texts, user_add, users};

const ALTER: (&str, &str) = ("0002_next.sql", "ALTER TABLE users ADD COLUMN age bigint");
const CHANGE: (&str, &str) = ("0002_next.data.sql", "UPDATE users SET username = upper(username)");
const INDEX: (&str, &str) =
    ("0002_next.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY by_name ON users (tenant_id, username)");

/// A fleet of five whose third tenant has its table locked by somebody who does not let go.
struct Locked {
    place: Installation,
    tenants: Vec<TenantDb>,
    next: Tenantry,
    lock: sqlx::PgConnection,
}

impl Locked {
    async fn new(kind: Kind, file: (&str, &str), lock: &str) -> Self {
        let place = Installation::on(kind).await;
        let mut tenants = Vec::new();
        for n in 0..5 {
            let db = place.tenant(&format!("t{n}")).await;
            user_add(&db, "ann").await;
            tenants.push(db);
        }
        let migrations = Migrations::embedded(TENANT.iter().copied().chain([file]), SHARED.iter().copied()).unwrap();
        let next = open(place.dir.path().into(), |c| c, TENANT).await.migrations(migrations).open().await.unwrap();
        let mut admin = place.admin_at(&tenants[2]).await;
        let id = tenants[2].tenant().id.to_string();
        let schema = place.schema_of(&tenants[2]);
        let text = format!("BEGIN; SET search_path = {schema}; {}", lock.replace("{id}", &id));
        sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&mut admin).await.unwrap();
        Self { place, tenants, next, lock: admin }
    }

    /// Migrates all, and tells when each was done.
    async fn up(&self) -> (FleetReport, Vec<(String, Duration)>) {
        let (began, mut done) = (Instant::now(), Vec::new());
        let on = |event| {
            if let MigrateEvent::Done(report) = event {
                done.push((report.target, began.elapsed()));
            }
        };
        let report = self.next.migrations().up(&MigrateOptions::new().parallel(2), on).await.unwrap();
        (report, done)
    }

    /// The next run, when the lock is gone.
    async fn ends_well(mut self) {
        sqlx::raw_sql("ROLLBACK").execute(&mut self.lock).await.unwrap();
        let options = MigrateOptions::new().retry_failed();
        let report = self.next.migrations().up(&options, |_| ()).await.unwrap();
        assert_eq!(report.failed, 0, "{report:?}");
        assert!(self.next.migration_failures().await.unwrap().is_empty());
        assert_eq!(self.next.migrations().verify().await.unwrap(), []);
        for db in &self.tenants {
            assert_eq!(self.next.tenant(db.tenant().key.as_str()).await.unwrap().tenant().version, 2);
            assert_eq!(users(db).await.len(), 1);
        }
        let invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid";
        assert_eq!(self.place.database.as_ref().unwrap().sql(invalid).unwrap(), "0");
    }
}

const TABLE: &str = "LOCK TABLE users IN ACCESS EXCLUSIVE MODE";

/// It fails after the time of its own, with the reason and what to type; the others were done long before.
async fn a_locked_tenant(kind: Kind, file: (&str, &str)) {
    let locked = Locked::new(kind, file, TABLE).await;
    let (report, done) = locked.up().await;
    assert_eq!((report.failed, report.targets.len()), (1, 5), "{kind:?} {file:?} {report:?}");
    let failed = report.targets.iter().find(|t| t.error.is_some()).unwrap();
    assert_eq!((failed.target.as_str(), failed.version), ("t2", 1));
    let why = failed.error.as_ref().unwrap().to_string();
    for part in ["0002_next", "lock timeout", "pg_stat_activity", "--retry-failed"] {
        assert!(why.contains(part), "{kind:?} {why}");
    }
    for (target, after) in done {
        if file == INDEX && target != "t2" {
            // Its server lets one index wait for another that is being made.
            continue;
        }
        assert_eq!(after > Duration::from_secs(30), target == "t2", "{kind:?} {file:?}: {target} after {after:?}");
    }
    locked.ends_well().await;
}

/// Tables in common are everybody's: all are told of, in the time that one takes.
async fn locked_common_tables(file: (&str, &str)) {
    let locked = Locked::new(Kind::PostgresRow, file, TABLE).await;
    let began = Instant::now();
    let (report, _) = locked.up().await;
    assert!(report.failed > 0 && began.elapsed() < Duration::from_secs(90), "{:?} {report:?}", began.elapsed());
    let failures = locked.next.migration_failures().await.unwrap();
    assert_eq!(failures.len(), 5, "{failures:?}");
    assert!(failures.iter().all(|failed| failed.why.contains("lock timeout")), "{failures:?}");
    locked.ends_well().await;
}

/// One tenant's row is locked, in tables that it has in common with others.
async fn a_locked_row() {
    let locked = Locked::new(Kind::PostgresRow, CHANGE, "SELECT FROM users WHERE tenant_id = '{id}' FOR UPDATE").await;
    let (report, _) = locked.up().await;
    let failed: Vec<_> = report.targets.iter().filter(|t| t.error.is_some()).map(|t| t.target.as_str()).collect();
    assert_eq!(failed, ["rows of local", "t2"], "{report:?}");
    for (n, db) in locked.tenants.iter().enumerate() {
        let expected = if n == 2 { "ann" } else { "ANN" };
        assert_eq!(texts(db, "SELECT username FROM users").await.unwrap(), [expected]);
    }
    locked.ends_well().await;
}

/// All of them wait at the same time, for it takes a minute.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_table_somebody_holds_is_told_of_and_taken_by_the_next_run() {
    tokio::join!(
        a_locked_tenant(Kind::PostgresSchema, ALTER),
        a_locked_tenant(Kind::PostgresSchema, CHANGE),
        a_locked_tenant(Kind::PostgresSchema, INDEX),
        a_locked_tenant(Kind::PostgresDatabase, ALTER),
        a_locked_tenant(Kind::PostgresDatabase, CHANGE),
        locked_common_tables(ALTER),
        locked_common_tables(CHANGE),
        a_locked_row(),
        a_purge_that_cannot_have_its_tables(),
        a_reader_of_the_shared_tables(),
    );
}

/// Holds the tenant's own form of the table, and nothing at home.
const READ: &str = "EXPLAIN SELECT FROM shared.plans";

/// In the tenant's own database, where they are shown anew after a change.
async fn a_reader_of_the_shared_tables() {
    let mut locked = Locked::new(Kind::PostgresDatabase, ALTER, READ).await;
    let shared = SHARED.iter().copied().chain([("0002_prices.sql", "ALTER TABLE plans ADD COLUMN price bigint")]);
    let migrations = Migrations::embedded(TENANT.iter().copied().chain([ALTER]), shared).unwrap();
    let dir = locked.place.dir.path().into();
    locked.next = open(dir, |c| c, TENANT).await.migrations(migrations).open().await.unwrap();
    let (report, _) = locked.up().await;
    assert_eq!(report.failed, 1, "{report:?}");
    let failed = report.targets.iter().find(|t| t.error.is_some()).unwrap();
    assert_eq!((failed.target.as_str(), failed.version), ("t2", 1));
    let why = failed.error.as_ref().unwrap().to_string();
    assert!(why.contains("somebody reads the shared table `plans`") && why.contains("pg_stat_activity"), "{why}");
    locked.ends_well().await;
}

/// It is told of too, with what to do, and nobody is let in meanwhile; run again it ends.
async fn a_purge_that_cannot_have_its_tables() {
    let mut locked = Locked::new(Kind::PostgresSchema, ALTER, TABLE).await;
    let tenancy = &locked.place.tenancy;
    tenancy.tenant_delete("t2").await.unwrap();
    let error = tenancy.tenant_purge("t2").await.unwrap_err();
    assert!(error.is_operation_running() && error.help_text().unwrap().contains("pg_stat_activity"), "{error:?}");
    assert!(tenancy.tenant("t2").await.is_err());
    sqlx::raw_sql("ROLLBACK").execute(&mut locked.lock).await.unwrap();
    locked.place.tenancy.tenant_purge("t2").await.unwrap();
    let left = locked.place.database.as_ref().unwrap().sql(
        "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 't\\_%' AND length(nspname) = 34), \
         (SELECT count(DISTINCT target) FROM tenantry.migrations WHERE target LIKE 't\\_%')",
    );
    assert_eq!(left.unwrap().trim(), "4|4");
}
