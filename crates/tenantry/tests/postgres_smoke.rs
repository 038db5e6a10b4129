//! smoke
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
mod support;
use support::*;
async fn smoke(kind: Kind) {
    let t = std::time::Instant::now();
    let place = Installation::on(kind).await;
    eprintln!("installed {:?}", t.elapsed());
    let acme = place.tenant("acme").await;
    eprintln!("acme {:?}", t.elapsed());
    let globex = place.tenant("globex").await;
    eprintln!("globex {:?}", t.elapsed());
    user_add(&acme, "ann").await;
    user_add(&globex, "ann").await;
    user_add(&globex, "bob").await;
    assert_eq!(users(&acme).await, ["ann"]);
    assert_eq!(users(&globex).await, ["ann", "bob"]);
    let mut tx = acme.begin().await.unwrap();
    sqlx::query("INSERT INTO users (username) VALUES ('x')").execute(tx.postgres().unwrap()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(users(&acme).await, ["ann", "x"]);
    let plans: i64 =
        sqlx::query_scalar("SELECT count(*) FROM plans").fetch_one(acme.postgres().unwrap()).await.unwrap();
    assert_eq!(plans, 0);
    let shared = place.tenancy.shared().await.unwrap();
    sqlx::query("INSERT INTO plans (name) VALUES ('free')").execute(shared.postgres().unwrap()).await.unwrap();
    let plans: i64 =
        sqlx::query_scalar("SELECT count(*) FROM plans").fetch_one(acme.postgres().unwrap()).await.unwrap();
    assert_eq!(plans, 1);
    eprintln!("{:?} {:?}", t.elapsed(), place.tenancy.stats());
    place.tenancy.tenant_delete("globex").await.unwrap();
    place.tenancy.tenant_purge("globex").await.unwrap();
    eprintln!("purged {:?}", t.elapsed());
    let report = place.tenancy.doctor(tenantry::DoctorOptions::new()).await.unwrap();
    eprintln!("doctor {:?} {report:#?}", t.elapsed());
}
#[tokio::test(flavor = "multi_thread")]
async fn postgres_row() {
    smoke(Kind::PostgresRow).await
}
#[tokio::test(flavor = "multi_thread")]
async fn postgres_schema() {
    smoke(Kind::PostgresSchema).await
}
#[tokio::test(flavor = "multi_thread")]
async fn postgres_database() {
    smoke(Kind::PostgresDatabase).await
}
