//! [`Work`]: an operation as a list of steps, and the runner that journals them.

use std::time::Duration;

use super::Operator;
use crate::{
    catalog::{self, Operation, OperationKind, Record, Step},
    error::{Error, ErrorKind, Result},
};

/// How often a running operation says that it is alive; its lease is more than three times as long.
const HEARTBEAT: Duration = Duration::from_secs(3);

/// What one kind of operation does. Each step may be run again after a crash in the middle of it, and so may its undo.
pub(super) trait Work: Sized + Send + Sync {
    const KIND: OperationKind;

    /// What a step leaves for those that come, and for whoever takes the operation over. The default is that of an
    /// operation whose steps have left nothing.
    type Kept: Record + Default;
    type Output: Send;

    /// What it works on, as the catalog knows it now.
    fn load(operator: &Operator, operation: &Operation) -> impl Future<Output = Result<Self>> + Send;

    fn step_do(&self, step: Step, kept: &mut Self::Kept) -> impl Future<Output = Result<()>> + Send;

    fn step_undo(&self, step: Step) -> impl Future<Output = Result<()>> + Send;

    /// The catalog's own transaction that ends it well.
    fn end(&self, operation: &Operation, kept: &Self::Kept) -> impl Future<Output = Result<Self::Output>> + Send;

    /// The catalog's own transaction that ends it undone.
    fn end_undone(&self, operation: &Operation, why: &Error) -> impl Future<Output = Result<()>> + Send;
}

/// A step of another kind of operation: the lists of steps and what is done in them do not fit.
pub(super) fn not_a_step(kind: OperationKind, step: Step) -> Error {
    Error::new(ErrorKind::Internal, format!("a {} has no step `{}`", kind.as_str(), step.name()))
}

impl Operator {
    /// Runs an operation from where its journal stands, and says meanwhile that it is alive.
    pub(super) async fn run<W: Work>(&self, operation: Operation) -> Result<W::Output> {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.tick().await;
        let mut work = std::pin::pin!(self.run_steps::<W>(operation.clone()));
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = heartbeat.tick() => self.catalog.operation_heartbeat(&operation).await?,
            }
        }
    }

    async fn run_steps<W: Work>(&self, mut operation: Operation) -> Result<W::Output> {
        let work = W::load(self, &operation).await?;
        let mut kept = operation.kept()?.unwrap_or_default();
        let kind = W::KIND.as_str();
        self.failpoints.hit(&format!("{kind}.begun")).await?;
        for step in operation.steps_left() {
            require_wanted(&operation)?;
            work.step_do(*step, &mut kept).await?;
            self.failpoints.hit(&format!("{kind}.{}", step.name())).await?;
            // The last step is written down by the transaction that ends the operation.
            if Some(step) != W::KIND.steps().last() {
                self.catalog.operation_step(&mut operation, *step, &kept).await?;
            }
        }
        let ended = work.end(&operation, &kept).await?;
        self.failpoints.hit(&format!("{kind}.ended")).await?;
        Ok(ended)
    }

    /// Undoes what an operation has done, last step first, and frees what it had reserved.
    pub(super) async fn undo<W: Work>(&self, operation: &Operation, why: &Error) -> Result<()> {
        self.catalog.operation_renew(operation).await?;
        let work = W::load(self, operation).await?;
        for step in W::KIND.steps().iter().rev() {
            work.step_undo(*step).await?;
        }
        self.failpoints.hit(&format!("{}.undone", W::KIND.as_str())).await?;
        work.end_undone(operation, why).await
    }
}

fn require_wanted(operation: &Operation) -> Result<()> {
    if operation.is_cancelled { Err(catalog::cancelled(operation)) } else { Ok(()) }
}
