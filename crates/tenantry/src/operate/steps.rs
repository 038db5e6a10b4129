//! What the steps of operations do, and the runner that journals them.

use std::{sync::Arc, time::Duration};

use super::Operator;
use crate::{
    catalog::{Name, Operation, OperationKind, Step},
    engine::Place,
    error::Result,
    scope::ServerHandle,
    tenant::Tenant,
};

/// How long a purge waits for the requests of this process.
const DRAIN: Duration = Duration::from_secs(10);

/// How often a running operation says that it is alive; its lease is more than three times as long.
const HEARTBEAT: Duration = Duration::from_secs(3);

fn place_of(server: &ServerHandle, tenant: &Tenant) -> Place {
    server.engine.place(&tenant.placement())
}

impl Operator {
    /// Runs an operation from where its journal stands. The last step is the catalog's own transaction that ends it.
    pub(super) async fn run(&self, operation: Operation) -> Result<Option<Tenant>> {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.tick().await;
        let work = self.run_steps(operation.clone());
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = heartbeat.tick() => self.catalog.operation_heartbeat(&operation).await?,
            }
        }
    }

    async fn run_steps(&self, mut operation: Operation) -> Result<Option<Tenant>> {
        let tenant = self.catalog.tenant_get(&Name::Id(operation.tenant)).await?;
        let server = self.servers.get(&tenant.server).await?;
        let kind = operation.kind;
        self.failpoints.hit(&format!("{}.begun", kind.as_str())).await?;
        for step in operation.steps_left() {
            self.step_do(*step, &tenant, &server).await?;
            self.failpoints.hit(&format!("{}.{}", kind.as_str(), step.name())).await?;
            // The last step is written down by the transaction that ends the operation.
            if Some(step) != kind.steps().last() {
                self.catalog.operation_step(&mut operation, *step).await?;
            }
        }
        let ended = match kind {
            OperationKind::Provision => {
                let version = self.migrations.newest(server.engine.kind());
                Some(self.catalog.tenant_activate(&operation, version).await?)
            }
            OperationKind::Purge => {
                self.catalog.tenant_remove(&operation).await?;
                server.pool.unfence(&place_of(&server, &tenant), tenant.id);
                None
            }
        };
        self.failpoints.hit(&format!("{}.ended", kind.as_str())).await?;
        Ok(ended)
    }

    async fn step_do(&self, step: Step, tenant: &Tenant, server: &Arc<ServerHandle>) -> Result<()> {
        match step {
            Step::Place => {
                let scripts = self.migrations.tenant(server.engine.kind());
                server.engine.tenant_place_create(&tenant.placement(), &scripts).await
            }
            Step::Drain => server.pool.fence(&place_of(server, tenant), tenant.id, DRAIN).await,
            Step::Destroy => {
                // A resumed purge starts here, in a process that may have had leases since.
                server.pool.fence(&place_of(server, tenant), tenant.id, DRAIN).await?;
                server.engine.tenant_place_drop(&tenant.placement()).await
            }
        }
    }

    /// Undoes what an operation has done, last step first, and frees what it had reserved.
    pub(super) async fn undo(&self, operation: &Operation, why: &crate::error::Error) -> Result<()> {
        self.catalog.operation_renew(operation).await?;
        let tenant = self.catalog.tenant_get(&Name::Id(operation.tenant)).await?;
        let server = self.servers.get(&tenant.server).await?;
        for step in operation.kind.steps().iter().rev() {
            match step {
                Step::Place => server.engine.tenant_place_drop(&tenant.placement()).await?,
                Step::Drain | Step::Destroy => {}
            }
        }
        self.failpoints.hit(&format!("{}.undone", operation.kind.as_str())).await?;
        self.catalog.tenant_forget(operation, why).await
    }
}
