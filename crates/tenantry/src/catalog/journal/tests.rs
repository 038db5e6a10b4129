//! Whose an operation is, and for how long.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use futures_util::TryStreamExt;

use super::*;
use crate::{
    catalog::{NewTenant, Reserved, TenantFilter},
    ident::Ident,
    key::TenantKey,
    secret::SecretKey,
    tenant::{Isolation, Tenant},
};

/// A catalog with the creation of one tenant under way.
async fn creating() -> (tempfile::TempDir, Catalog, Operation) {
    let dir = tempfile::tempdir().unwrap();
    let key_file = dir.path().join("tenantry.key");
    SecretKey::create_if_missing(&key_file).unwrap();
    let url = format!("sqlite://{}", dir.path().join("catalog.db").display());
    let key = SecretKey::load(&key_file).unwrap();
    let catalog = Catalog::open(&url, key, "test".into(), LEASE).await.unwrap();
    // A server need not be there for it.
    let Ok(Reserved::New(operation)) = catalog.tenant_reserve(new_tenant(TenantKey::canary(1))).await else {
        unreachable!("the key is free")
    };
    (dir, catalog, operation)
}

fn new_tenant(key: TenantKey) -> NewTenant {
    let id = TenantId::new();
    NewTenant {
        id,
        key,
        isolation: Isolation::Database,
        server: "local".into(),
        physical: Ident::of_tenant(id).to_string(),
        tenants_per_login: None,
        password: None,
        domains: Vec::new(),
    }
}

#[tokio::test]
async fn an_operation_that_cannot_be_written_down_is_told_with_the_reason_and_one_that_runs_is_not_mixed_up_with_it() {
    let (_dir, catalog, operation) = creating().await;
    let id = operation.tenant().unwrap();
    let twice = catalog.tenant_purge_begin(id, None).await.unwrap_err();
    assert!(twice.is_operation_running(), "{twice:?}");
    let trigger = "CREATE TRIGGER broken BEFORE INSERT ON operations BEGIN SELECT RAISE(ABORT, 'disk exploded'); END";
    sea_orm::ConnectionTrait::execute_unprepared(catalog.0.store.read(), trigger).await.unwrap();
    let broken = catalog.operation_begin(OperationKind::Migrate, &Nothing {}).await.unwrap_err();
    assert_eq!((broken.http_status(), broken.is_operation_running()), (500, false), "{broken:?}");
    assert!(broken.causes().iter().any(|cause| cause.contains("disk exploded")), "{broken:?}");
}

#[tokio::test]
async fn a_page_of_tenants_is_full_while_a_doctor_has_its_canaries() {
    let (_dir, catalog, _) = creating().await;
    for number in 2..5 {
        catalog.tenant_reserve(new_tenant(TenantKey::canary(number))).await.unwrap();
    }
    let one = "INSERT INTO servers (name, engine, admin_url, pooler, shared_version, created_at) VALUES ('local', 'sqlite', '', false, 0, 0)";
    sea_orm::ConnectionTrait::execute_unprepared(catalog.0.store.read(), one).await.unwrap();
    for key in ["acme", "globex", "umbrella"] {
        catalog.tenant_reserve(new_tenant(key.parse().unwrap())).await.unwrap();
    }
    let listed = catalog.tenant_list(&TenantFilter::all().limit(2)).await.unwrap();
    assert_eq!(listed.iter().map(|tenant| tenant.key.as_str()).collect::<Vec<_>>(), ["acme", "globex"]);
    // Whoever visits all of them reads pages, whose length does not divide their number or does.
    for page in 1..5 {
        let visited: Vec<Tenant> = catalog.tenants_by(TenantFilter::all(), page).try_collect().await.unwrap();
        let mut keys: Vec<_> = visited.iter().map(|tenant| tenant.key.as_str()).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["acme", "globex", "umbrella"], "{page} at once");
    }
    let some = TenantFilter::all().after("acme".parse().unwrap());
    let of_a_filter =
        |filter| async { catalog.tenants_by(filter, 1).try_collect::<Vec<Tenant>>().await.unwrap().len() };
    assert_eq!((of_a_filter(some.clone()).await, of_a_filter(some.limit(1)).await), (2, 1));
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
async fn a_run_over_a_fleet_that_is_cancelled_when_all_is_done_is_done_and_a_creation_is_not() {
    let (_dir, catalog, creation) = creating().await;
    let run = catalog.operation_begin(OperationKind::Migrate, &Nothing {}).await.unwrap();
    for operation in [&run, &creation] {
        catalog.operation_cancel(&operation.id).await.unwrap();
    }
    catalog.operation_end(&run, End::Done, &Nothing {}, None).await.unwrap();
    assert_eq!(catalog.operation_get(&run.id).await.unwrap().state, "done");
    assert!(catalog.tenant_activate(&creation, 1).await.unwrap_err().is_cancelled());
}

#[tokio::test]
async fn a_heartbeat_of_who_has_lost_the_operation_is_an_error_even_when_it_has_ended() {
    let (_dir, catalog, operation) = creating().await;
    let loser = Operation { owner: new_owner(), ..operation.clone() };
    assert!(catalog.operation_heartbeat(&loser).await.unwrap_err().is_operation_running());
    catalog.tenant_activate(&operation, 1).await.unwrap();
    assert!(catalog.operation_heartbeat(&loser).await.unwrap_err().is_operation_running());
}

/// Changes the row of the only operation, as its owner does not.
async fn rewrite(catalog: &Catalog, column: operation::Column, value: impl Into<sea_orm::Value> + Clone) {
    operation::Entity::update_many().col_expr(column, Expr::value(value)).exec(catalog.0.store.read()).await.unwrap();
}

async fn row(catalog: &Catalog) -> Model {
    operation::Entity::find().one(catalog.0.store.read()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_step_is_written_down_by_its_name_and_counted_for_older_programs() {
    let (_dir, catalog, mut operation) = creating().await;
    assert_eq!((row(&catalog).await.step, row(&catalog).await.step_name), (0, None));
    catalog.operation_step(&mut operation, Step::Place, &Nothing {}).await.unwrap();
    assert_eq!((row(&catalog).await.step, row(&catalog).await.step_name.as_deref()), (1, Some("place")));
    assert_eq!(operation.steps_left(), []);
    rewrite(&catalog, operation::Column::LeaseUntil, 0).await;
    let taken = catalog.operation_take_over(operation.tenant().unwrap()).await.unwrap().expect("its lease is over");
    assert_eq!(taken.steps_left(), []);
}

#[tokio::test]
async fn an_operation_at_a_step_that_is_not_known_is_left_as_it_is() {
    let (_dir, catalog, operation) = creating().await;
    rewrite(&catalog, operation::Column::StepName, "archive").await;
    rewrite(&catalog, operation::Column::LeaseUntil, 0).await;
    let left = row(&catalog).await;
    let error = catalog.operation_take_over(operation.tenant().unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("the step `archive`, which this program does not know"), "{error}");
    assert_eq!(row(&catalog).await, left, "the newer program can take it over at once");
}
