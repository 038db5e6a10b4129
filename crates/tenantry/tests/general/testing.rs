//! What `tenantry::testing` gives to an app's own tests, on SQLite.

use std::{path::Path, sync::Mutex};

use axum::{Json, Router, body::Body, http::Request, routing::get};
use tenantry::{
    Identify, Migrations, Result, TenantDb,
    testing::{self, TwoTenants},
};

use crate::support::{TENANT, user_add, users};

async fn two(directory: &Path) -> TwoTenants {
    let migrations = Migrations::embedded(TENANT.iter().copied(), []).unwrap();
    TwoTenants::in_directory(directory, migrations).await.unwrap()
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).unwrap().next().is_none()
}

async fn add(db: TenantDb, canary: String) -> Result<()> {
    sqlx::query("INSERT INTO users (username) VALUES ($1)").bind(canary).execute(db.sqlite()?).await?;
    Ok(())
}

#[tokio::test]
async fn sqlite_two_tenants_are_there_and_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second] = [two(dir.path()).await, two(dir.path()).await];
    user_add(first.a(), "ann").await;
    assert_eq!(users(first.a()).await, ["ann"]);
    for db in [first.b(), second.a(), second.b()] {
        assert!(users(db).await.is_empty());
    }
    assert_eq!(first.tenancy().tenant("tenant-b").await.unwrap().tenant().id, first.b().tenant().id);
    first.remove().await.unwrap();
    assert!(!is_empty(dir.path()));
    drop(second);
    assert!(is_empty(dir.path()));
}

#[tokio::test]
async fn sqlite_a_migration_that_fails_is_an_error_with_its_cause_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let migrations = Migrations::embedded([("0001_users.sql", "CREATE TABEL users (id INTEGER)")], []).unwrap();
    let error = TwoTenants::in_directory(dir.path(), migrations).await.unwrap_err();
    assert!(error.failure().to_string().contains("TABEL"), "{}", error.failure());
    assert!(is_empty(dir.path()));
}

#[tokio::test]
async fn sqlite_tenants_that_are_apart_pass_through_the_database_and_through_a_handler() {
    async fn list(db: TenantDb) -> Json<Vec<String>> {
        Json(users(&db).await)
    }
    let dir = tempfile::tempdir().unwrap();
    let tenants = two(dir.path()).await;
    tenants.assert_apart(add, async |db| Ok(users(&db).await)).await.unwrap();
    let app = Router::new().route("/{tenant}/users", get(list)).layer(tenants.tenancy().layer(Identify::new().path()));
    let ask = async |db: TenantDb| {
        let request = Request::get(format!("/{}/users", db.tenant().key)).body(Body::empty()).unwrap();
        testing::answer(&app, request).await
    };
    tenants.assert_apart(add, ask).await.unwrap();
    let answer = ask(tenants.a().clone()).await.unwrap();
    assert!(answer.starts_with("200 OK [\"canary-"), "{answer}");
}

#[tokio::test]
#[should_panic(expected = "`tenant-b` reads what `tenant-a` has written: ...[\"canary-")]
async fn sqlite_an_answer_that_is_kept_for_all_tenants_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let tenants = two(dir.path()).await;
    let kept = Mutex::new(None);
    let read = async |db: TenantDb| {
        if kept.lock().unwrap().is_none() {
            let names = users(&db).await;
            *kept.lock().unwrap() = Some(names);
        }
        Ok(kept.lock().unwrap().clone().unwrap())
    };
    tenants.assert_apart(add, read).await.unwrap();
}

#[tokio::test]
#[should_panic(expected = "the test proves nothing: `tenant-a` does not read the text canary-")]
async fn sqlite_a_test_that_reads_something_else_proves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let tenants = two(dir.path()).await;
    tenants.assert_apart(add, async |_| Ok(0)).await.unwrap();
}

#[tokio::test]
async fn sqlite_an_error_of_the_app_is_handed_on() {
    let dir = tempfile::tempdir().unwrap();
    let tenants = two(dir.path()).await;
    let fails =
        async |_, _| sqlx::query("SELECT nothing").execute(tenants.a().sqlite()?).await.map(drop).map_err(Into::into);
    assert!(tenants.assert_apart(fails, async |_| Ok(())).await.unwrap_err().is_database());
}
