//! Each step of each operation, failed once and undone twice: made from the lists of steps, on every engine.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use tenantry_testbed::{Postgres, TestDatabase};

use super::{provision::Provision, purge::Purge, runner::Work, *};
use crate::{
    catalog::{Name, Operation, OperationKind, Reserved, Server, ServerEntry},
    engine::{EngineKind, url_of_directory},
    ident::Ident,
    pool::PoolLimits,
    secret::{Secret, SecretKey},
    tenant::{Isolation, Tenant, Transition},
};

/// An installation of its own, without an app.
struct Site {
    operator: Operator,
    isolation: Isolation,
    _dir: tempfile::TempDir,
    _database: Option<TestDatabase>,
}

const FILES: [(&str, &str); 2] = [
    ("0001_users.sqlite.sql", "CREATE TABLE users (id INTEGER PRIMARY KEY)"),
    (
        "0001_users.sql",
        "CREATE TABLE users (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint, PRIMARY KEY (tenant_id, id))",
    ),
];

impl Site {
    async fn on(isolation: Isolation, database: Option<TestDatabase>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key_file = dir.path().join("tenantry.key");
        SecretKey::create_if_missing(&key_file).unwrap();
        let url = url_of_directory(&dir.path().join("catalog.db"));
        let key = SecretKey::load(&key_file).unwrap();
        let catalog = Catalog::open(&url, key, "test".into(), PATIENCE).await.unwrap();
        let servers = Arc::new(Servers::new(catalog.clone(), PoolLimits::default(), false, Arc::default()));
        let operator = Operator {
            catalog: catalog.clone(),
            servers,
            migrations: Migrations::embedded(FILES, []).unwrap(),
            failpoints: Failpoints::default(),
        };
        let data = url_of_directory(&dir.path().join("data"));
        let url = database.as_ref().map_or(data, TestDatabase::url);
        let kind = EngineKind::of_url(&url).unwrap();
        let app_url = kind.app_url_new(catalog.installation(), "local", &url, catalog.key()).unwrap().map(Secret::new);
        let server = Server::to_add("local", Secret::new(url), app_url, false);
        let engine = operator.servers.engine_of(&server, None).unwrap();
        engine.prepare().await.unwrap();
        let entry = ServerEntry {
            name: Ident::new("local").unwrap(),
            engine: kind.name(),
            admin_url: server.admin_url,
            app_url: server.app_url,
            pooler: false,
            capacity: None,
            connections: None,
        };
        operator.catalog.server_add(entry, None).await.unwrap();
        Self { operator, isolation, _dir: dir, _database: database }
    }

    fn new_tenant(&self) -> NewTenant {
        NewTenant::new("acme").unwrap().isolation(self.isolation)
    }

    async fn created(&self) -> Tenant {
        self.operator.tenant_create(self.new_tenant()).await.unwrap()
    }

    async fn deleted(&self) -> Tenant {
        let tenant = self.created().await;
        self.operator.catalog.tenant_transition(tenant.id, Transition::Delete).await.unwrap()
    }

    /// As the journal has it when a process has begun an operation and not yet done a step.
    async fn begun(&self, kind: OperationKind) -> Operation {
        match kind {
            OperationKind::Provision => {
                let wanted = self.operator.placed(&self.new_tenant()).await.unwrap();
                match self.operator.catalog.tenant_reserve(wanted).await.unwrap() {
                    Reserved::New(operation) => operation,
                    Reserved::Unfinished(tenant) => unreachable!("{tenant:?} is there already"),
                }
            }
            OperationKind::Purge => {
                let tenant = self.deleted().await;
                self.operator.catalog.tenant_purge_begin(tenant.id, None).await.unwrap()
            }
            OperationKind::Migrate => unreachable!("its step is the fleet's"),
        }
    }

    async fn is_known(&self, tenant: &Tenant) -> bool {
        self.operator.catalog.tenant_find(&Name::Id(tenant.id)).await.unwrap().is_some()
    }

    async fn places(&self) -> usize {
        let server = self.operator.servers.get("local").await.unwrap();
        server.engine.tenant_places().await.unwrap().len()
    }

    /// Names that were given up a moment ago are free again.
    async fn gives_names_back(&self) {
        self.operator.catalog.quarantine_end().await.unwrap();
    }

    #[cfg(feature = "failpoints")]
    fn at(&self, kind: OperationKind, step: &str, action: &str) {
        self.operator.failpoints.clone().set(&format!("{}.{step}", kind.as_str()), action);
    }
}

/// Does the first `done` steps, and undoes all of them twice.
async fn undone_twice<W: Work>(site: &Site, done: usize) {
    let operation = site.begun(W::KIND).await;
    let work = W::load(&site.operator, &operation).await.unwrap();
    let mut kept = W::Kept::default();
    for step in &W::KIND.steps()[..done] {
        work.step_do(*step, &mut kept).await.unwrap();
        // Whoever takes over does it once more.
        work.step_do(*step, &mut kept).await.unwrap();
    }
    for _ in 0..2 {
        for step in W::KIND.steps().iter().rev() {
            work.step_undo(*step).await.unwrap();
        }
    }
    let why = Error::new(ErrorKind::Internal, "a test");
    work.end_undone(&operation, &why).await.unwrap();
}

async fn every_undo_may_be_run_twice(site: Site) {
    for kind in OperationKind::ALL {
        for done in 0..=kind.steps().len() {
            match kind {
                OperationKind::Provision => {
                    undone_twice::<Provision>(&site, done).await;
                    assert_eq!(site.places().await, 0, "behind {done} steps");
                }
                OperationKind::Purge => {
                    undone_twice::<Purge>(&site, done).await;
                    // Nothing of it is taken back: it goes on when it is called again.
                    let left = site.operator.catalog.tenant_list_purging().await.unwrap().remove(0);
                    site.operator.tenant_purge(left.id).await.unwrap();
                    assert!(!site.is_known(&left).await && site.places().await == 0, "behind {done} steps");
                    site.gives_names_back().await;
                }
                // Its step is the fleet's, and each target has a ledger of its own.
                OperationKind::Migrate => {}
            }
        }
    }
}

#[cfg(feature = "failpoints")]
async fn every_step_that_fails_ends_right_when_it_is_run_again(site: Site) {
    for kind in OperationKind::ALL {
        for step in kind.steps() {
            match kind {
                OperationKind::Provision => {
                    site.at(kind, step.name(), "error");
                    site.operator.tenant_create(site.new_tenant()).await.unwrap_err();
                    assert_eq!(site.places().await, 0, "{step:?}");
                    site.at(kind, step.name(), "off");
                    let tenant = site.created().await;
                    site.operator.catalog.tenant_transition(tenant.id, Transition::Delete).await.unwrap();
                    site.operator.tenant_purge(tenant.id).await.unwrap();
                    site.gives_names_back().await;
                }
                OperationKind::Purge => {
                    let tenant = site.deleted().await;
                    site.at(kind, step.name(), "error");
                    site.operator.tenant_purge(tenant.id).await.unwrap_err();
                    assert!(site.is_known(&tenant).await, "{step:?}");
                    site.at(kind, step.name(), "off");
                    site.operator.tenant_purge(tenant.id).await.unwrap();
                    assert!(!site.is_known(&tenant).await && site.places().await == 0, "{step:?}");
                    site.gives_names_back().await;
                }
                OperationKind::Migrate => {}
            }
        }
    }
}

async fn a_creation_that_is_cancelled_leaves_nothing_and_a_purge_cannot_be(site: Site) {
    let operation = site.begun(OperationKind::Provision).await;
    site.operator.catalog.operation_cancel(&operation.id).await.unwrap();
    let error = site.operator.finish(operation.clone()).await.unwrap_err();
    assert!(error.is_cancelled(), "{error:?}");
    assert_eq!(site.places().await, 0);
    let ended = site.operator.catalog.operation_get(&operation.id).await.unwrap();
    assert!(ended.state == "undone" && ended.is_cancelled && ended.error.is_some(), "{ended:?}");
    let over = site.operator.catalog.operation_cancel(&operation.id).await.unwrap_err();
    assert!(over.is_wrong_state(), "{over:?}");

    let operation = site.begun(OperationKind::Purge).await;
    let refused = site.operator.catalog.operation_cancel(&operation.id).await.unwrap_err();
    assert!(refused.is_wrong_state() && refused.help_text().is_some(), "{refused:?}");
    assert!(site.operator.catalog.operation_cancel("nothing").await.unwrap_err().help_text().is_some());
}

macro_rules! on {
    ($name:ident, $isolation:ident, $database:expr) => {
        mod $name {
            use super::*;

            async fn site() -> Site {
                Site::on(Isolation::$isolation, $database).await
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn every_undo_may_be_run_twice() {
                super::every_undo_may_be_run_twice(site().await).await;
            }

            #[cfg(feature = "failpoints")]
            #[tokio::test(flavor = "multi_thread")]
            async fn every_step_that_fails_ends_right_when_it_is_run_again() {
                super::every_step_that_fails_ends_right_when_it_is_run_again(site().await).await;
            }

            #[tokio::test(flavor = "multi_thread")]
            async fn a_creation_that_is_cancelled_leaves_nothing_and_a_purge_cannot_be() {
                super::a_creation_that_is_cancelled_leaves_nothing_and_a_purge_cannot_be(site().await).await;
            }
        }
    };
}

fn database() -> Option<TestDatabase> {
    Some(Postgres::shared().and_then(|server| server.database()).expect("a database"))
}

on!(sqlite_database, Database, None);
on!(postgres_row, Row, database());
on!(postgres_schema, Schema, database());
on!(postgres_database, Database, database());
