//! Destroying what a deleted tenant left.

use std::time::Instant;

use super::{LOOK_AGAIN, Operator, PATIENCE, to_the_end};
use crate::{
    catalog::{Name, Operation},
    error::{ErrorKind, Result},
    id::TenantId,
    tenant::{Tenant, TenantState},
};

impl Operator {
    /// Destroys a deleted tenant for good; its key and domains are free after a short quarantine. Runs to its end even
    /// if the caller goes away; killed, it is finished when it is called again.
    ///
    /// # Errors
    /// `WrongState` if the tenant is not deleted, `OperationRunning` if somebody still has its data open.
    pub(crate) async fn tenant_purge(&self, id: TenantId) -> Result<()> {
        let me = self.clone();
        to_the_end(async move { me.purge(id, None).await }).await
    }

    /// As [`Operator::tenant_purge`], unless it was brought back since it was found deleted at that time.
    pub(super) async fn tenant_purge_expired(&self, tenant: &Tenant) -> Result<()> {
        let (me, id, deleted_at) = (self.clone(), tenant.id, tenant.deleted_at);
        to_the_end(async move { me.purge(id, deleted_at).await }).await
    }

    async fn purge(&self, id: TenantId, deleted_at: Option<i64>) -> Result<()> {
        let started = Instant::now();
        let operation = loop {
            match self.catalog.tenant_purge_begin(id, deleted_at).await {
                Ok(operation) => break operation,
                Err(error) if error.kind() == ErrorKind::OperationRunning => {
                    if let Some(operation) = self.catalog.operation_take_over(id).await? {
                        break operation;
                    }
                    if started.elapsed() > PATIENCE {
                        return Err(error);
                    }
                    tokio::time::sleep(LOOK_AGAIN).await;
                }
                // Somebody else has just ended it.
                Err(error) if error.is_unknown_tenant() && started.elapsed() > LOOK_AGAIN => return Ok(()),
                Err(error) => return Err(error),
            }
        };
        self.purge_with(operation).await
    }

    pub(super) async fn purge_with(&self, operation: Operation) -> Result<()> {
        self.failpoints.hit("purge.marked").await?;
        let result = self.run(operation.clone()).await;
        if let Err(error) = &result {
            // The tenant stays marked, and nobody is let in; the next call goes on.
            self.catalog.operation_fail(&operation, error).await?;
            if let Some(tenant) = self.catalog.tenant_find(&Name::Id(operation.tenant)).await? {
                self.unfence(&tenant).await?;
            }
        }
        result.map(drop)
    }

    async fn unfence(&self, tenant: &Tenant) -> Result<()> {
        let server = self.servers.get(&tenant.server).await?;
        server.pool.unfence(&server.engine.place(&tenant.placement()), tenant.id);
        Ok(())
    }

    pub(super) async fn purge_list(&self) -> Result<Vec<Tenant>> {
        let mut list = Vec::new();
        for tenant in self.catalog.tenant_list_purging().await? {
            debug_assert_eq!(tenant.state, TenantState::Purging);
            if !self.catalog.is_operated_on(tenant.id).await? {
                list.push(tenant);
            }
        }
        Ok(list)
    }
}
