//! The journal: which operation is at which step, and whose it is.

use std::time::Duration;

use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, SqlErr, UpdateMany, sea_query::Expr,
};

use super::{
    Catalog, clock,
    entity::operation::{self, Model},
    refused,
    store::{CatalogTx, Durability},
    unavailable,
};
use crate::{
    error::{Error, ErrorKind, Result},
    id::TenantId,
};

mod kind;
mod list;
mod record;
mod step;

pub(crate) use kind::{OperationKind, Subject};
pub use list::{OperationFilter, OperationStatus};
pub(crate) use record::{Nothing, Record};
pub(crate) use step::Step;

/// The state of an operation that has not ended.
const RUNNING: &str = "running";

/// How long an operation belongs to a process that says nothing.
const LEASE: Duration = Duration::from_secs(10);

/// An operation of which this process is the owner.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) id: String,
    pub(crate) kind: OperationKind,
    /// On what it works.
    pub(crate) on: Subject,
    /// The last step that is done.
    done: Option<Step>,
    kept: Option<String>,
    /// Somebody has asked that it be cancelled.
    pub(crate) is_cancelled: bool,
    /// Whose it is: made anew at each beginning and each take-over, so that not even this process has it twice.
    owner: String,
}

/// An operation whose owner has not been heard of for the time of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Abandoned {
    pub(crate) on: Subject,
    running_on: String,
}

impl Abandoned {
    /// Whether nothing is amiss but the row: each target of a fleet has a ledger of its own, which says what is pending.
    pub(crate) fn is_of_fleet(&self) -> bool {
        self.on == Subject::Fleet
    }
}

impl Operation {
    /// The tenant on which it works.
    ///
    /// # Errors
    /// If it works on a fleet.
    pub(crate) fn tenant(&self) -> Result<TenantId> {
        match self.on {
            Subject::Tenant(id) => Ok(id),
            Subject::Fleet => {
                Err(Error::new(ErrorKind::Internal, format!("a {} works on no tenant", self.kind.as_str())))
            }
        }
    }

    /// What its steps have left for those that come.
    pub(crate) fn kept<R: Record>(&self) -> Result<Option<R>> {
        self.kept.as_deref().map(record::read).transpose()
    }

    /// What an operation that has just been taken over still has to do.
    pub(crate) fn steps_left(&self) -> &'static [Step] {
        self.kind.steps_after(self.done)
    }

    fn from_row(row: Model) -> Result<Self> {
        let (kind, on) = (OperationKind::parse(&row.kind)?, Subject::from_column(&row.tenant_id)?);
        let done = step::last_done(kind, on, row.step, row.step_name.as_deref())?;
        let is_cancelled = row.cancel_at.is_some();
        let Model { id, owner, kept, .. } = row;
        Ok(Self { id, kind, on, done, kept, is_cancelled, owner })
    }
}

fn new_owner() -> String {
    TenantId::new().to_string()
}

fn lease_from(now: i64) -> i64 {
    now.saturating_add(i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX))
}

/// Begins an operation. On a tenant there is one at a time; those on a fleet keep out of each other's way themselves.
pub(super) async fn begin<R: Record>(
    tx: &CatalogTx,
    kind: OperationKind,
    on: Subject,
    input: &R,
    now: i64,
) -> Result<Operation> {
    begin_with(tx, kind, on, record::write(input)?, now).await
}

async fn begin_with(tx: &CatalogTx, kind: OperationKind, on: Subject, input: String, now: i64) -> Result<Operation> {
    let (id, owner) = (TenantId::new().to_string(), new_owner());
    let running_on = match on {
        Subject::Tenant(tenant) => tenant.to_string(),
        Subject::Fleet => id.clone(),
    };
    let row = operation::ActiveModel {
        id: Set(id.clone()),
        kind: Set(kind.as_str().into()),
        tenant_id: Set(on.to_column()),
        running_on: Set(Some(running_on)),
        state: Set(RUNNING.into()),
        step: Set(0),
        owner: Set(owner.clone()),
        lease_until: Set(lease_from(now)),
        error: Set(None),
        created_at: Set(now),
        updated_at: Set(now),
        step_name: Set(None),
        input: Set(Some(input)),
        kept: Set(None),
        progress: Set(None),
        result: Set(None),
        cancel_at: Set(None),
    };
    operation::Entity::insert(row).exec_without_returning(&tx.tx).await.map_err(|cause| match cause.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => {
            Error::new(ErrorKind::OperationRunning, format!("another operation works on {on}"))
                .caused_by(cause)
                .help("wait for it; what a crash left is taken over after 10 s, or by `tenantry doctor --repair`")
        }
        _ => refused(cause),
    })?;
    Ok(Operation { id, kind, on, done: None, kept: None, is_cancelled: false, owner })
}

/// A change of the operation's row that only its owner can make, and only while its lease runs.
fn owned(operation: &Operation, now: i64) -> UpdateMany<operation::Entity> {
    operation::Entity::update_many()
        .col_expr(operation::Column::UpdatedAt, Expr::value(now))
        .filter(operation::Column::Id.eq(&operation.id))
        .filter(operation::Column::Owner.eq(&operation.owner))
        .filter(operation::Column::State.eq(RUNNING))
        .filter(operation::Column::LeaseUntil.gt(now))
}

async fn made(tx: &CatalogTx, operation: &Operation, change: UpdateMany<operation::Entity>) -> Result<()> {
    if change.exec(&tx.tx).await.map_err(unavailable)?.rows_affected == 1 {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::OperationRunning,
        format!("the {} of {} was taken over by another process", operation.kind.as_str(), operation.on),
    )
    .help("tenantry operation list"))
}

/// `Ok` if the operation is still this process's; another may have taken it over while this one stood still.
pub(super) async fn require_lease(tx: &CatalogTx, operation: &Operation) -> Result<()> {
    let now = clock::now(tx).await?;
    let renewed = owned(operation, now).col_expr(operation::Column::LeaseUntil, Expr::value(lease_from(now)));
    made(tx, operation, renewed).await
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    /// It stopped before its end, and what it has done stays.
    Cancelled,
    Failed,
    Undone,
}

impl End {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Undone => "undone",
        }
    }
}

/// Ends the operation, if it is still this process's.
pub(super) async fn end(
    tx: &CatalogTx,
    operation: &Operation,
    end: End,
    result: Option<String>,
    error: Option<String>,
) -> Result<()> {
    let mut ended = owned(operation, clock::now(tx).await?)
        .col_expr(operation::Column::State, Expr::value(end.as_str()))
        .col_expr(operation::Column::RunningOn, Expr::value(Option::<String>::None))
        .col_expr(operation::Column::Result, Expr::value(result))
        .col_expr(operation::Column::Error, Expr::value(error));
    // What a fleet has done stays, and is told of as done: it is too late then to ask that it stop.
    let can_be_undone = end == End::Done && operation.on != Subject::Fleet;
    if can_be_undone {
        ended = ended.filter(operation::Column::CancelAt.is_null());
    }
    match made(tx, operation, ended).await {
        Err(_) if can_be_undone && is_cancelled(tx, operation).await? => Err(cancelled(operation)),
        ended => ended,
    }
}

/// Nothing more is done of what somebody has asked to be cancelled.
pub(crate) fn cancelled(operation: &Operation) -> Error {
    let what = format!("the {} of {} was cancelled", operation.kind.as_str(), operation.on);
    Error::new(ErrorKind::Cancelled, what).help("run the same command again")
}

/// Whether somebody has asked that it be cancelled.
async fn is_cancelled(tx: &CatalogTx, operation: &Operation) -> Result<bool> {
    let asked = operation::Entity::find_by_id(&operation.id).filter(operation::Column::CancelAt.is_not_null());
    Ok(asked.count(&tx.tx).await.map_err(unavailable)? > 0)
}

impl Catalog {
    /// Begins an operation on a fleet.
    pub(crate) async fn operation_begin<R: Record>(&self, kind: OperationKind, input: &R) -> Result<Operation> {
        let input = record::write(input)?;
        self.write(Durability::Progress, move |tx| {
            Box::pin(async move {
                let now = clock::now(tx).await?;
                begin_with(tx, kind, Subject::Fleet, input, now).await
            })
        })
        .await
    }

    /// Writes down that a step is done and what it leaves for the others, and renews the lease.
    ///
    /// # Errors
    /// `OperationRunning` if the lease was lost: the operation must not go on.
    pub(crate) async fn operation_step<R: Record>(
        &self,
        operation: &mut Operation,
        done: Step,
        kept: &R,
    ) -> Result<()> {
        let (now_at, kept) = (operation.clone(), record::write(kept)?);
        let written = kept.clone();
        operation.is_cancelled = self
            .write(Durability::Progress, move |tx| {
                Box::pin(async move {
                    require_lease(tx, &now_at).await?;
                    operation::Entity::update_many()
                        .col_expr(operation::Column::StepName, Expr::value(done.name()))
                        .col_expr(operation::Column::Step, Expr::value(step::number_of(now_at.kind, done)))
                        .col_expr(operation::Column::Kept, Expr::value(written))
                        .filter(operation::Column::Id.eq(&now_at.id))
                        .exec(&tx.tx)
                        .await
                        .map_err(unavailable)?;
                    is_cancelled(tx, &now_at).await
                })
            })
            .await?;
        (operation.done, operation.kept) = (Some(done), Some(kept));
        Ok(())
    }

    /// Says that this process is still at it, and how far it is. `true`: somebody has asked that it be cancelled.
    pub(crate) async fn operation_progress<R: Record>(&self, operation: &Operation, progress: &R) -> Result<bool> {
        let (operation, progress) = (operation.clone(), record::write(progress)?);
        self.write(Durability::Progress, move |tx| {
            Box::pin(async move {
                let now = clock::now(tx).await?;
                let renewed = owned(&operation, now)
                    .col_expr(operation::Column::LeaseUntil, Expr::value(lease_from(now)))
                    .col_expr(operation::Column::Progress, Expr::value(progress));
                made(tx, &operation, renewed).await?;
                is_cancelled(tx, &operation).await
            })
        })
        .await
    }

    /// Ends an operation on a fleet.
    pub(crate) async fn operation_end<R: Record>(
        &self,
        operation: &Operation,
        how: End,
        result: &R,
        error: Option<String>,
    ) -> Result<()> {
        let (operation, result) = (operation.clone(), record::write(result)?);
        self.write(Durability::Progress, move |tx| {
            Box::pin(async move { end(tx, &operation, how, Some(result), error).await })
        })
        .await
    }

    /// Asks whoever runs an operation to give it up: it stops before its next step.
    ///
    /// # Errors
    /// If there is none of that id, it has ended, or it is of a kind that cannot be given up.
    pub(crate) async fn operation_cancel(&self, id: &str) -> Result<()> {
        let id = id.to_owned();
        self.write(Durability::Acknowledged, move |tx| Box::pin(async move { cancel(tx, &id).await })).await
    }

    /// Gives an operation up; what it had marked stays marked until it is begun again.
    pub(crate) async fn operation_fail(&self, operation: &Operation, why: &Error) -> Result<()> {
        let (operation, why) = (operation.clone(), why.to_string());
        self.write(Durability::Progress, move |tx| {
            Box::pin(async move { end(tx, &operation, End::Failed, None, Some(why)).await })
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
            .filter(operation::Column::State.ne(RUNNING));
        Ok(ended.count(self.0.store.read()).await.map_err(unavailable)? > 0)
    }

    /// Takes over the operation on that tenant if its owner has not been heard of for the time of a lease.
    ///
    /// # Errors
    /// If a newer program wrote what it is or where it is: then it stays as it is, free for that program.
    pub(crate) async fn operation_take_over(&self, tenant: TenantId) -> Result<Option<Operation>> {
        self.take_over(tenant.to_string()).await
    }

    /// As [`Catalog::operation_take_over`], of one that was found abandoned.
    pub(crate) async fn operation_take_over_abandoned(&self, abandoned: Abandoned) -> Result<Option<Operation>> {
        self.take_over(abandoned.running_on).await
    }

    async fn take_over(&self, running_on: String) -> Result<Option<Operation>> {
        let owner = new_owner();
        self.write(Durability::Progress, move |tx| {
            Box::pin(async move {
                let now = clock::now(tx).await?;
                let taken = operation::Entity::update_many()
                    .col_expr(operation::Column::Owner, Expr::value(owner.as_str()))
                    .col_expr(operation::Column::LeaseUntil, Expr::value(lease_from(now)))
                    .filter(operation::Column::RunningOn.eq(&running_on))
                    .filter(operation::Column::LeaseUntil.lte(now))
                    .exec(&tx.tx)
                    .await
                    .map_err(unavailable)?;
                if taken.rows_affected == 0 {
                    return Ok(None);
                }
                let row = operation::Entity::find()
                    .filter(operation::Column::RunningOn.eq(&running_on))
                    .one(&tx.tx)
                    .await
                    .map_err(unavailable)?;
                row.map(Operation::from_row).transpose()
            })
        })
        .await
    }

    /// What processes that are gone have left.
    pub(crate) async fn operation_list_abandoned(&self) -> Result<Vec<Abandoned>> {
        let now = clock::read(self.0.store.read()).await?;
        let rows = operation::Entity::find()
            .filter(operation::Column::State.eq(RUNNING))
            .filter(operation::Column::LeaseUntil.lte(now))
            .all(self.0.store.read())
            .await
            .map_err(unavailable)?;
        let abandoned = |row: Model| {
            let on = Subject::from_column(&row.tenant_id)?;
            Ok(Abandoned { on, running_on: row.running_on.unwrap_or(row.tenant_id) })
        };
        rows.into_iter().map(abandoned).collect()
    }
}

async fn cancel(tx: &CatalogTx, id: &str) -> Result<()> {
    let row = operation::Entity::find_by_id(id).one(&tx.tx).await.map_err(unavailable)?;
    let row = row.ok_or_else(|| {
        Error::new(ErrorKind::NotFound, format!("there is no operation `{id}`")).help("tenantry operation list --all")
    })?;
    if row.state != RUNNING {
        let (kind, state) = (&row.kind, &row.state);
        return Err(Error::new(ErrorKind::WrongState, format!("this {kind} has ended: it is {state}"))
            .help(format!("tenantry operation show {id}")));
    }
    if !OperationKind::parse(&row.kind)?.can_be_cancelled() {
        let what = format!("a {} cannot be cancelled: what it has destroyed nothing brings back", row.kind);
        return Err(Error::new(ErrorKind::WrongState, what).help(format!("tenantry operation show {id}")));
    }
    operation::Entity::update_many()
        .col_expr(operation::Column::CancelAt, Expr::value(clock::now(tx).await?))
        .filter(operation::Column::Id.eq(id))
        .exec(&tx.tx)
        .await
        .map_err(unavailable)?;
    Ok(())
}

#[cfg(test)]
mod tests;
