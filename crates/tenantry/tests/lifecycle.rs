//! A tenant's life: created at run time, suspended, renamed, deleted, brought back, destroyed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use support::{Installation, user_add, users};
use tenantry::NewTenant;

#[tokio::test]
async fn two_sqlite_tenants_see_their_own_rows_only() {
    let place = Installation::new().await;
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    user_add(&acme, "ann").await;
    user_add(&globex, "gus").await;
    assert_eq!(users(&acme).await, ["ann"]);
    assert_eq!(users(&globex).await, ["gus"]);
}

#[tokio::test]
async fn a_suspended_tenant_runs_no_statement_even_on_a_handle_from_before() {
    let place = Installation::new().await;
    let acme = place.tenant("acme").await;
    user_add(&acme, "ann").await;
    place.tenancy.tenant_suspend("acme").await.unwrap();
    let error = sqlx::query("SELECT 1").fetch_all(acme.sqlite().unwrap()).await.unwrap_err();
    assert!(tenantry::Error::from(error).is_suspended());
    assert!(place.tenancy.tenant("acme").await.unwrap_err().is_suspended());
    place.tenancy.tenant_resume("acme").await.unwrap();
    assert_eq!(users(&acme).await, ["ann"]);
}

#[tokio::test]
async fn a_purged_tenant_leaves_nothing_and_its_key_is_closed_for_a_while() {
    let place = Installation::new().await;
    let acme = place.tenant("acme").await;
    user_add(&acme, "ann").await;
    assert!(place.tenancy.tenant_purge("acme").await.unwrap_err().is_wrong_state());
    place.tenancy.tenant_delete("acme").await.unwrap();
    assert!(place.tenancy.tenant("acme").await.unwrap_err().is_unknown_tenant());
    place.tenancy.tenant_undelete("acme").await.unwrap();
    assert_eq!(users(&acme).await, ["ann"]);
    place.tenancy.tenant_delete("acme").await.unwrap();
    place.tenancy.tenant_purge("acme").await.unwrap();
    assert_eq!(place.tenant_files(), Vec::<std::path::PathBuf>::new());
    let error = place.tenancy.tenant_create(NewTenant::new("acme").unwrap()).await.unwrap_err();
    assert!(error.is_taken() && error.is_retryable(), "{error:?}");
    let late = sqlx::query("INSERT INTO users (username) VALUES ('late')").execute(acme.sqlite().unwrap()).await;
    assert!(tenantry::Error::from(late.unwrap_err()).is_unknown_tenant());
}
