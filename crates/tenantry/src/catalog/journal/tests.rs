//! Whose an operation is, and for how long.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use super::*;
use crate::{
    catalog::{NewTenant, Reserved},
    ident::Ident,
    key::TenantKey,
    secret::SecretKey,
    tenant::Isolation,
};

/// A catalog with the creation of one tenant under way.
async fn creating() -> (tempfile::TempDir, Catalog, Operation) {
    let dir = tempfile::tempdir().unwrap();
    let key_file = dir.path().join("tenantry.key");
    SecretKey::create_if_missing(&key_file).unwrap();
    let url = format!("sqlite://{}", dir.path().join("catalog.db").display());
    let key = SecretKey::load(&key_file).unwrap();
    let catalog = Catalog::open(&url, key, "test".into(), LEASE).await.unwrap();
    let id = TenantId::new();
    let new = NewTenant {
        id,
        // A server need not be there for it.
        key: TenantKey::canary(1),
        isolation: Isolation::Database,
        server: "local".into(),
        physical: Ident::of_tenant(id).to_string(),
        tenants_per_login: None,
        password: None,
        domains: Vec::new(),
    };
    let Ok(Reserved::New(operation)) = catalog.tenant_reserve(new).await else { unreachable!("the key is free") };
    (dir, catalog, operation)
}

#[tokio::test]
async fn a_heartbeat_that_comes_when_its_operation_has_just_ended_is_no_loss() {
    let (_dir, catalog, operation) = creating().await;
    catalog.operation_heartbeat(&operation).await.unwrap();
    catalog.tenant_activate(&operation, 1).await.unwrap();
    catalog.operation_heartbeat(&operation).await.unwrap();
    assert!(catalog.operation_renew(&operation).await.is_err(), "it cannot go on");
}

#[tokio::test]
async fn a_heartbeat_of_who_has_lost_the_operation_is_an_error_even_when_it_has_ended() {
    let (_dir, catalog, operation) = creating().await;
    let loser = Operation { owner: new_owner(), ..operation.clone() };
    assert!(catalog.operation_heartbeat(&loser).await.unwrap_err().is_operation_running());
    catalog.tenant_activate(&operation, 1).await.unwrap();
    assert!(catalog.operation_heartbeat(&loser).await.unwrap_err().is_operation_running());
}
