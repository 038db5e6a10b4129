//! The journal: which operation is at which step, and whose it is.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, UpdateMany, sea_query::Expr};

use super::{
    Catalog, clock,
    entity::operation,
    store::{CatalogTx, Durability},
    unavailable,
};
use crate::{
    error::{Error, ErrorKind, Result},
    id::TenantId,
};

mod step;

pub(crate) use step::Step;

/// How long an operation belongs to a process that says nothing.
const LEASE: Duration = Duration::from_secs(10);

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperationKind {
    Provision,
    Purge,
}

impl OperationKind {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Provision => "provision",
            Self::Purge => "purge",
        }
    }

    fn parse(text: &str) -> Result<Self> {
        match text {
            "provision" => Ok(Self::Provision),
            "purge" => Ok(Self::Purge),
            other => Err(Error::new(ErrorKind::Internal, format!("the journal holds an unknown operation `{other}`"))
                .help("a newer program wrote it: use that one")),
        }
    }
}

/// An operation of which this process is the owner.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) kind: OperationKind,
    pub(crate) tenant: TenantId,
    /// The last step that is done.
    done: Option<Step>,
    /// Whose it is: made anew at each beginning and each take-over, so that not even this process has it twice.
    owner: String,
}

impl Operation {
    /// What an operation that has just been taken over still has to do.
    pub(crate) fn steps_left(&self) -> &'static [Step] {
        self.kind.steps_after(self.done)
    }

    fn from_row(row: operation::Model) -> Result<Self> {
        let (kind, tenant) = (OperationKind::parse(&row.kind)?, row.tenant_id.parse()?);
        let done = step::last_done(kind, tenant, row.step, row.step_name.as_deref())?;
        Ok(Self { id: row.id, kind, tenant, done, owner: row.owner })
    }
}

fn new_owner() -> String {
    TenantId::new().to_string()
}

fn lease_from(now: i64) -> i64 {
    now.saturating_add(i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX))
}

pub(super) async fn begin(tx: &CatalogTx, kind: OperationKind, tenant: TenantId, now: i64) -> Result<Operation> {
    let (id, owner) = (TenantId::new().to_string(), new_owner());
    let row = operation::ActiveModel {
        id: Set(id.clone()),
        kind: Set(kind.as_str().into()),
        tenant_id: Set(tenant.to_string()),
        running_on: Set(Some(tenant.to_string())),
        state: Set("running".into()),
        step: Set(0),
        owner: Set(owner.clone()),
        lease_until: Set(lease_from(now)),
        error: Set(None),
        created_at: Set(now),
        updated_at: Set(now),
        step_name: Set(None),
    };
    operation::Entity::insert(row).exec_without_returning(&tx.tx).await.map_err(|e| {
        Error::new(ErrorKind::OperationRunning, format!("another operation works on tenant {tenant}"))
            .caused_by(e)
            .help("wait for it; what a crash left is taken over after 10 s, or by `tenantry doctor --repair`")
    })?;
    Ok(Operation { id, kind, tenant, done: None, owner })
}

/// A change of the operation's row that only its owner can make, and only while its lease runs.
fn owned(operation: &Operation, now: i64) -> UpdateMany<operation::Entity> {
    operation::Entity::update_many()
        .col_expr(operation::Column::UpdatedAt, Expr::value(now))
        .filter(operation::Column::Id.eq(&operation.id))
        .filter(operation::Column::Owner.eq(&operation.owner))
        .filter(operation::Column::State.eq("running"))
        .filter(operation::Column::LeaseUntil.gt(now))
}

async fn made(tx: &CatalogTx, operation: &Operation, change: UpdateMany<operation::Entity>) -> Result<()> {
    if change.exec(&tx.tx).await.map_err(unavailable)?.rows_affected == 1 {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::OperationRunning,
        format!("the {} of tenant {} was taken over by another process", operation.kind.as_str(), operation.tenant),
    )
    .help("tenantry tenant list"))
}

/// `Ok` if the operation is still this process's; another may have taken it over while this one stood still.
pub(super) async fn require_lease(tx: &CatalogTx, operation: &Operation) -> Result<()> {
    let now = clock::now(tx).await?;
    let renewed = owned(operation, now).col_expr(operation::Column::LeaseUntil, Expr::value(lease_from(now)));
    made(tx, operation, renewed).await
}

/// Ends the operation, if it is still this process's.
pub(super) async fn end(tx: &CatalogTx, operation: &Operation, state: &str, error: Option<String>) -> Result<()> {
    let ended = owned(operation, clock::now(tx).await?)
        .col_expr(operation::Column::State, Expr::value(state))
        .col_expr(operation::Column::RunningOn, Expr::value(Option::<String>::None))
        .col_expr(operation::Column::Error, Expr::value(error));
    made(tx, operation, ended).await
}

impl Catalog {
    /// Writes down that a step is done and renews the lease.
    ///
    /// # Errors
    /// `OperationRunning` if the lease was lost: the operation must not go on.
    pub(crate) async fn operation_step(&self, operation: &mut Operation, done: Step) -> Result<()> {
        let now_at = operation.clone();
        self.write(Durability::Progress, move |tx| {
            Box::pin(async move {
                require_lease(tx, &now_at).await?;
                operation::Entity::update_many()
                    .col_expr(operation::Column::StepName, Expr::value(done.name()))
                    .col_expr(operation::Column::Step, Expr::value(step::number_of(now_at.kind, done)))
                    .filter(operation::Column::Id.eq(&now_at.id))
                    .exec(&tx.tx)
                    .await
                    .map_err(unavailable)?;
                Ok(())
            })
        })
        .await?;
        operation.done = Some(done);
        Ok(())
    }

    /// Gives an operation up; what it had marked stays marked until it is begun again.
    pub(crate) async fn operation_fail(&self, operation: &Operation, why: &Error) -> Result<()> {
        let (operation, why) = (operation.clone(), why.to_string());
        self.write(Durability::Progress, move |tx| {
            Box::pin(async move { end(tx, &operation, "failed", Some(why)).await })
        })
        .await
    }

    /// Says that this process is still at it.
    pub(crate) async fn operation_renew(&self, operation: &Operation) -> Result<()> {
        let operation = operation.clone();
        self.write(Durability::Progress, move |tx| Box::pin(async move { require_lease(tx, &operation).await })).await
    }

    /// As [`Catalog::operation_renew`], from beside the work: that may have ended the operation a moment ago.
    ///
    /// # Errors
    /// `OperationRunning` if the lease was lost: the work must not go on.
    pub(crate) async fn operation_heartbeat(&self, operation: &Operation) -> Result<()> {
        match self.operation_renew(operation).await {
            Err(error) if error.kind() == ErrorKind::OperationRunning => {
                if self.has_ended(operation).await? {
                    Ok(())
                } else {
                    Err(error)
                }
            }
            done => done,
        }
    }

    /// Whether its owner, and nobody who took it over, has ended it.
    async fn has_ended(&self, operation: &Operation) -> Result<bool> {
        let ended = operation::Entity::find_by_id(&operation.id)
            .filter(operation::Column::Owner.eq(&operation.owner))
            .filter(operation::Column::State.ne("running"));
        Ok(ended.count(self.0.store.read()).await.map_err(unavailable)? > 0)
    }

    /// Takes over the operation on that tenant if its owner has not been heard of for the time of a lease.
    ///
    /// # Errors
    /// If a newer program wrote what it is or where it is: then it stays as it is, free for that program.
    pub(crate) async fn operation_take_over(&self, tenant: TenantId) -> Result<Option<Operation>> {
        let owner = new_owner();
        self.write(Durability::Progress, move |tx| {
            Box::pin(async move {
                let now = clock::now(tx).await?;
                let taken = operation::Entity::update_many()
                    .col_expr(operation::Column::Owner, Expr::value(owner.as_str()))
                    .col_expr(operation::Column::LeaseUntil, Expr::value(lease_from(now)))
                    .filter(operation::Column::RunningOn.eq(tenant.to_string()))
                    .filter(operation::Column::LeaseUntil.lte(now))
                    .exec(&tx.tx)
                    .await
                    .map_err(unavailable)?;
                if taken.rows_affected == 0 {
                    return Ok(None);
                }
                let row = operation::Entity::find()
                    .filter(operation::Column::RunningOn.eq(tenant.to_string()))
                    .one(&tx.tx)
                    .await
                    .map_err(unavailable)?;
                row.map(Operation::from_row).transpose()
            })
        })
        .await
    }

    /// The tenants on which an operation was left behind.
    pub(crate) async fn operation_list_abandoned(&self) -> Result<Vec<TenantId>> {
        let now = clock::read(self.0.store.read()).await?;
        let rows = operation::Entity::find()
            .filter(operation::Column::State.eq("running"))
            .filter(operation::Column::LeaseUntil.lte(now))
            .all(self.0.store.read())
            .await
            .map_err(unavailable)?;
        rows.into_iter().map(|r| r.tenant_id.parse()).collect()
    }
}

#[cfg(test)]
mod tests;
