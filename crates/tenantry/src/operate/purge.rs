//! Destroying what a deleted tenant left.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    LOOK_AGAIN, Operator, PATIENCE,
    runner::{Work, not_a_step},
    to_the_end,
};
use crate::{
    catalog::{Name, Nothing, Operation, OperationKind, Step},
    engine::Place,
    error::{Error, ErrorKind, Result},
    id::TenantId,
    scope::ServerHandle,
    tenant::{Tenant, TenantState},
};

/// How long a purge waits for the requests of this process.
const DRAIN: Duration = Duration::from_secs(10);

/// The end of a deleted tenant: nobody is let in, its place is destroyed, and nothing names it any more.
pub(super) struct Purge {
    operator: Operator,
    tenant: Tenant,
    server: Arc<ServerHandle>,
    place: Place,
}

impl Purge {
    async fn drain(&self) -> Result<()> {
        self.server.pool.fence(&self.place, self.tenant.id, DRAIN).await
    }
}

impl Work for Purge {
    const KIND: OperationKind = OperationKind::Purge;

    type Kept = Nothing;
    type Output = ();

    async fn load(operator: &Operator, operation: &Operation) -> Result<Self> {
        let tenant = operator.catalog.tenant_get(&Name::Id(operation.tenant()?)).await?;
        let server = operator.servers.get(&tenant.server).await?;
        let place = server.engine.place(&tenant.placement());
        Ok(Self { operator: operator.clone(), tenant, server, place })
    }

    async fn step_do(&self, step: Step, _: &mut Nothing) -> Result<()> {
        match step {
            Step::Drain => self.drain().await,
            Step::Destroy => {
                // A resumed purge starts here, in a process that may have had leases since.
                self.drain().await?;
                self.server.engine.tenant_place_drop(&self.tenant.placement()).await
            }
            Step::Place | Step::Targets => Err(not_a_step(Self::KIND, step)),
        }
    }

    async fn step_undo(&self, step: Step) -> Result<()> {
        match step {
            // Nothing of a purge is taken back: what failed goes on when it is called again.
            Step::Drain | Step::Destroy => Ok(()),
            Step::Place | Step::Targets => Err(not_a_step(Self::KIND, step)),
        }
    }

    async fn end(&self, operation: &Operation, _: &Nothing) -> Result<()> {
        self.operator.catalog.tenant_remove(operation).await?;
        self.server.pool.unfence(&self.place, self.tenant.id);
        Ok(())
    }

    /// The tenant stays marked, and nobody is let in; the next call goes on.
    async fn end_undone(&self, operation: &Operation, why: &Error) -> Result<()> {
        self.operator.catalog.operation_fail(operation, why).await?;
        self.server.pool.unfence(&self.place, self.tenant.id);
        Ok(())
    }
}

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
        match self.run::<Purge>(operation.clone()).await {
            Ok(()) => Ok(()),
            Err(error) => {
                self.undo::<Purge>(&operation, &error).await?;
                Err(error)
            }
        }
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
