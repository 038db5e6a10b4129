//! What a statement costs on the way to PostgreSQL, counted on a wire that the test holds.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tenantry::TenantDb;
use tenantry_testbed::Proxy;

use crate::{
    counted::counted,
    support::{Installation, Kind, settled},
};

async fn read(db: &TenantDb) {
    let names: Vec<String> =
        sqlx::query_scalar("SELECT username FROM users").fetch_all(db.postgres().unwrap()).await.unwrap();
    assert_eq!(names, ["ann"]);
}

async fn write(db: &TenantDb) {
    let done =
        sqlx::query("UPDATE users SET username = $1 WHERE username = $1").bind("ann").execute(db.postgres().unwrap());
    assert_eq!(done.await.unwrap().rows_affected(), 1);
}

async fn sea_orm(db: &TenantDb) {
    let text = "SELECT username FROM users WHERE username = $1";
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, text, ["ann".into()]);
    assert!(db.query_one_raw(statement).await.unwrap().is_some());
}

async fn in_a_transaction(db: &TenantDb) {
    let mut tx = db.begin().await.unwrap();
    let view = tx.postgres().unwrap();
    let names: Vec<String> = sqlx::query_scalar("SELECT username FROM users").fetch_all(view).await.unwrap();
    assert_eq!(names, ["ann"]);
    tx.commit().await.unwrap();
}

/// It gets its answer with so many round trips and not with one less, also when tenants take turns on a connection.
async fn costs(place: &Installation, tenants: &[TenantDb; 2], wire: &Proxy, what: What, expected: usize) {
    let run = async |db: &TenantDb| match what {
        What::Read => read(db).await,
        What::Write => write(db).await,
        What::SeaOrm => sea_orm(db).await,
        What::Transaction => in_a_transaction(db).await,
    };
    for db in tenants.iter().cycle().take(4) {
        // A connection that was reset behind a request that went away has to prepare the statements again.
        for warm in tenants.iter().chain(tenants) {
            run(warm).await;
        }
        settled(place).await;
        wire.answers_only(expected);
        let answer = tokio::time::timeout(Duration::from_secs(20), run(db)).await;
        assert!(answer.is_ok(), "{:?} {what:?}: {expected} round trips were not enough", place.kind);
        wire.answers_only(usize::MAX);
        settled(place).await;
        wire.answers_only(expected - 1);
        let answer = tokio::time::timeout(Duration::from_millis(300), run(db)).await;
        assert!(answer.is_err(), "{:?} {what:?}: the wire does not count", place.kind);
        wire.answers_only(usize::MAX);
    }
}

#[derive(Clone, Copy, Debug)]
enum What {
    Read,
    Write,
    SeaOrm,
    Transaction,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_statement_costs_its_caller_one_round_trip_in_every_isolation() {
    for kind in [Kind::PostgresRow, Kind::PostgresSchema, Kind::PostgresDatabase] {
        let (place, tenants, wire) = counted(kind, true).await;
        let tenants = of_one_connection(kind, tenants);
        for what in [What::Read, What::Write, What::SeaOrm] {
            costs(&place, &tenants, &wire, what, 1).await;
        }
    }
}

/// In databases of their own tenants have connections of their own, of which there is one here.
fn of_one_connection(kind: Kind, tenants: [TenantDb; 2]) -> [TenantDb; 2] {
    if kind == Kind::PostgresDatabase { [tenants[0].clone(), tenants[0].clone()] } else { tenants }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_beginning_of_a_transaction_goes_along_with_its_first_statement() {
    for kind in [Kind::PostgresRow, Kind::PostgresSchema, Kind::PostgresDatabase] {
        let (place, tenants, wire) = counted(kind, true).await;
        costs(&place, &of_one_connection(kind, tenants), &wire, What::Transaction, 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_wire_a_warm_read_costs_two_round_trips_and_a_write_three() {
    for kind in [Kind::PostgresRow, Kind::PostgresSchema] {
        let (place, tenants, wire) = counted(kind, false).await;
        costs(&place, &tenants, &wire, What::Read, 2).await;
        costs(&place, &tenants, &wire, What::Write, 3).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_first_statement_on_a_warm_connection_costs_one_round_trip_too() {
    let (place, [acme, _], wire) = counted(Kind::PostgresSchema, true).await;
    read(&acme).await;
    write(&acme).await;
    let (reader, writer) = (place.tenant("reader").await, place.tenant("writer").await);
    let (reader, writer) = (reader.postgres().unwrap(), writer.postgres().unwrap());
    settled(&place).await;
    wire.answers_only(1);
    let names = sqlx::query_scalar::<_, String>("SELECT username FROM users").fetch_all(reader);
    assert!(tokio::time::timeout(Duration::from_secs(20), names).await.unwrap().unwrap().is_empty());
    settled(&place).await;
    wire.answers_only(1);
    let done = sqlx::query("UPDATE users SET username = $1 WHERE username = $1").bind("ann").execute(writer);
    let done = tokio::time::timeout(Duration::from_secs(20), done).await.unwrap().unwrap();
    assert_eq!(done.rows_affected(), 0);
}
