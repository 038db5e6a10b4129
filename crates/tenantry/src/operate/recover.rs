//! Finishing or undoing what a process that is gone had begun.

use std::time::Duration;

use serde::Serialize;

use super::Operator;
use crate::{
    catalog::{Operation, OperationKind},
    error::{Error, ErrorKind, Failure, Result},
};

/// What was found and brought to an end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Recovered {
    /// Operations of processes that are gone, now ended.
    pub finished: usize,
    /// Deleted tenants whose grace time was over, now purged.
    pub purged: usize,
    /// What could not be ended, and why.
    pub failed: Vec<Failure>,
}

impl Operator {
    /// Takes over operations whose lease has run out, and purges tenants whose grace time is over.
    pub(crate) async fn recover(&self, grace: Duration) -> Result<Recovered> {
        let mut recovered = Recovered::default();
        for abandoned in self.catalog.operation_list_abandoned().await? {
            match self.catalog.operation_take_over_abandoned(abandoned).await {
                Ok(Some(operation)) => recovered.note(self.end(operation).await, |r| &mut r.finished),
                // Another process was faster.
                Ok(None) => {}
                Err(error) if error.is_catalog_unavailable() => return Err(error),
                // What a newer program wrote keeps none of the others waiting.
                Err(error) => recovered.note(Err(error), |r| &mut r.finished),
            }
        }
        for tenant in self.purge_list().await? {
            let result = self.tenant_purge(tenant.id).await;
            recovered.note(result, |r| &mut r.finished);
        }
        for tenant in self.catalog.tenant_list_expired(grace).await? {
            let result = self.tenant_purge_expired(&tenant).await;
            recovered.note(result, |r| &mut r.purged);
        }
        Ok(recovered)
    }

    async fn end(&self, operation: Operation) -> Result<()> {
        match operation.kind {
            OperationKind::Provision => match self.finish_or_undo(operation).await {
                // As somebody has asked: nothing is left of it.
                Err(error) if error.is_cancelled() => Ok(()),
                ended => ended.map(drop),
            },
            OperationKind::Purge => self.purge_with(operation).await,
            OperationKind::Migrate => self.give_up_run(&operation).await,
        }
    }

    /// Whoever deploys runs the migrations of a fleet, and not whatever process notices that a run was left: each target's own
    /// ledger says where it stands.
    async fn give_up_run(&self, operation: &Operation) -> Result<()> {
        let why = Error::new(ErrorKind::Internal, "the process that ran it is gone; `tenantry migrate up` goes on");
        self.catalog.operation_fail(operation, &why).await
    }
}

impl Recovered {
    fn note(&mut self, result: Result<()>, counter: impl FnOnce(&mut Self) -> &mut usize) {
        match result {
            Ok(()) => *counter(self) += 1,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "an operation could not be ended");
                self.failed.push(error.failure());
            }
        }
    }
}
