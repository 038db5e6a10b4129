//! A purge in row isolation is final: no transaction that began before it writes for the tenant after it has answered.

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tenantry::{DoctorOptions, TenantDb};
use tenantry_testbed::Postgres;

use crate::support::{APP_PASSWORD, Installation, Kind, NewWay, number, run};

const NOTE: &str = "INSERT INTO notes (text) VALUES ('late')";

fn left(place: &Installation, db: &TenantDb) -> String {
    let id = db.tenant().id;
    place
        .database
        .as_ref()
        .unwrap()
        .sql(&format!("SELECT count(*) FROM tenant.notes WHERE tenant_id = '{id}'"))
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_transaction_of_another_process_writes_nothing_after_the_purge() {
    let place = Installation::on(Kind::PostgresRow).await;
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    let neighbour = place.neighbour().await;
    let frozen = neighbour.tenant("acme").await.unwrap();
    let mut tx = frozen.begin().await.unwrap();
    sqlx::query(NOTE).execute(tx.postgres().unwrap()).await.unwrap();
    place.tenancy.tenant_delete("acme").await.unwrap();
    place.tenancy.tenant_purge("acme").await.unwrap();
    assert_eq!(left(&place, &acme).trim(), "0");
    let late = match tx.postgres() {
        Ok(view) => sqlx::query(NOTE).execute(view).await.map(drop),
        Err(error) => Err(error.into()),
    };
    let committed = tx.commit().await;
    assert!(late.is_err() && committed.is_err(), "{late:?} {committed:?}");
    assert_eq!(left(&place, &acme).trim(), "0", "nothing was written behind the purge");
    run(&globex, NOTE).await.unwrap();
    assert_eq!(number(&globex, "SELECT count(*) FROM notes").await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_waited_for_a_lock_writes_nothing_after_the_purge() {
    let place = Installation::on(Kind::PostgresRow).await;
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    run(&acme, "INSERT INTO notes (text) VALUES ('first')").await.unwrap();
    let neighbour = place.neighbour().await;
    let waiting = neighbour.tenant("acme").await.unwrap();
    let mut holder = place.admin_at(&acme).await;
    holder.execute("BEGIN; SELECT FROM tenant.notes FOR UPDATE").await.unwrap();
    let late = tokio::spawn(async move { run(&waiting, "UPDATE notes SET text = 'late'").await });
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    while place.database.as_ref().unwrap().sql(waits).unwrap() == "0" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    place.tenancy.tenant_delete("acme").await.unwrap();
    let tenancy = place.tenancy.clone();
    let purge = tokio::spawn(async move { tenancy.tenant_purge("acme").await });
    while place.sql_at(&acme, "SELECT count(*) FROM tenantry.migrations WHERE version = -1") == "0" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    holder.execute("COMMIT").await.unwrap();
    purge.await.unwrap().unwrap();
    drop(late.await.unwrap());
    assert_eq!(left(&place, &acme).trim(), "0");
    run(&globex, NOTE).await.unwrap();
}

/// A statement of such a transaction sees the tenant as it was when that began, so no policy can tell it of the purge.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_transaction_with_an_old_snapshot_has_written_goes_with_the_purge() {
    let database = Postgres::shared().unwrap().database().unwrap();
    let address = database.tcp_url().rsplit_once('@').unwrap().1.split_once('/').unwrap().0.to_owned();
    let url = |login: &str, database: &str| format!("postgres://{login}:{APP_PASSWORD}@{address}/{database}");
    let way = |login: &str, database: &str| NewWay { url: url(login, database), pooler: false };
    let place = Installation::by_another_way(Kind::PostgresRow, database, |config| config, way).await;
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    let app = format!("{}_app", place.database_of(&acme));
    let mut old = PgConnection::connect(&url(&app, &place.database_of(&acme))).await.unwrap();
    let scope = format!(
        "BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL ROLE {}; SET LOCAL search_path = tenant;
         SET LOCAL tenantry.tenant = '{}'",
        place.role_of(&acme),
        acme.tenant().id
    );
    old.execute(AssertSqlSafe(scope)).await.unwrap();
    old.execute(NOTE).await.unwrap();
    place.tenancy.tenant_delete("acme").await.unwrap();
    let tenancy = place.tenancy.clone();
    let purge = tokio::spawn(async move { tenancy.tenant_purge("acme").await });
    while place.sql_at(&acme, "SELECT count(*) FROM tenantry.migrations WHERE version = -1") == "0" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    old.execute(NOTE).await.unwrap();
    assert!(!purge.is_finished(), "it waits for who began before it");
    old.execute("COMMIT").await.unwrap();
    purge.await.unwrap().unwrap();
    assert_eq!(left(&place, &acme).trim(), "0");
    run(&globex, NOTE).await.unwrap();
}

/// As it would be if the check of functions had missed it.
#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_let_itself_be_stopped_is_ended_when_its_tenant_is_suspended() {
    let place = Installation::on(Kind::PostgresRow).await;
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    let deaf = "CREATE FUNCTION tenant.deaf() RETURNS text LANGUAGE plpgsql AS $$ BEGIN
            FOR n IN 1..20 LOOP BEGIN PERFORM pg_sleep(1); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP;
            RETURN 'deaf'; END $$";
    place.sql_at(&acme, deaf);
    let neighbour = place.neighbour().await;
    let busy = acme.clone();
    let work = tokio::spawn(async move { run(&busy, "INSERT INTO notes (text) VALUES (deaf())").await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    neighbour.tenant_suspend("acme").await.unwrap();
    let told = Instant::now();
    assert!(work.await.unwrap().is_err(), "nothing of it is acknowledged");
    assert!(told.elapsed() < Duration::from_millis(2_500), "{:?}", told.elapsed());
    assert_eq!(left(&place, &acme).trim(), "0");
    run(&globex, NOTE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_trigger_does_while_rows_are_deleted_it_does_without_the_administrators_rights() {
    let place = Installation::on(Kind::PostgresRow).await;
    let acme = place.tenant("acme").await;
    run(&acme, NOTE).await.unwrap();
    // As it would be if the check of functions had missed it.
    let planted = "CREATE FUNCTION tenant.planted() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN EXECUTE 'RESET ROLE'; EXECUTE 'CREATE ROLE planted SUPERUSER'; RETURN OLD; END $$;
         CREATE TRIGGER planted AFTER DELETE ON tenant.notes FOR EACH ROW EXECUTE FUNCTION tenant.planted();
         ALTER TABLE tenant.notes ENABLE ALWAYS TRIGGER planted";
    place.sql_at(&acme, planted);
    place.tenancy.tenant_delete("acme").await.unwrap();
    place.tenancy.tenant_purge("acme").await.unwrap_err();
    assert_eq!(place.sql_at(&acme, "SELECT count(*) FROM pg_roles WHERE rolname = 'planted'"), "0");
    place.sql_at(&acme, "DROP TRIGGER planted ON tenant.notes");
    place.tenancy.tenant_purge("acme").await.unwrap();
    assert_eq!(left(&place, &acme).trim(), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_rows_of_a_tenant_that_was_purged_and_deletes_them() {
    let place = Installation::on(Kind::PostgresRow).await;
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    run(&globex, NOTE).await.unwrap();
    place.tenancy.tenant_delete("acme").await.unwrap();
    place.tenancy.tenant_purge("acme").await.unwrap();
    let clean = place.tenancy.doctor(DoctorOptions::new().read_only(true)).await.unwrap();
    assert!(clean.findings.is_empty(), "{clean:#?}");
    let id = acme.tenant().id;
    place.sql_at(&globex, &format!("INSERT INTO tenant.notes (tenant_id, text) VALUES ('{id}', 'planted')"));
    let report = place.tenancy.doctor(DoctorOptions::new().read_only(true)).await.unwrap();
    let codes: Vec<_> = report.findings.iter().map(|f| f.code).collect();
    assert_eq!(codes, ["orphan"], "{report:#?}");
    let report = place.tenancy.doctor(DoctorOptions::new().read_only(true).repair(true)).await.unwrap();
    assert!(report.findings.is_empty() && !report.repaired.is_empty(), "{report:#?}");
    assert_eq!(left(&place, &acme).trim(), "0");
    assert_eq!(number(&globex, "SELECT count(*) FROM notes").await.unwrap(), 1);
}
