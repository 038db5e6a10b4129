//! [`OperationStatus`]: what the journal tells of operations.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::ExprTrait};
use serde::Serialize;
use serde_json::Value;

use super::{RUNNING, Subject};
use crate::{
    catalog::{
        Catalog,
        entity::operation::{Column, Entity, Model},
        unavailable,
    },
    error::{Error, ErrorKind, Result},
    id::TenantId,
    key::CANARY_PREFIX,
};

/// An operation, running or ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OperationStatus {
    /// Its id; ids sort by time.
    pub id: String,
    /// What it does: `provision`, `purge` or `migrate`.
    pub kind: String,
    /// The tenant on which it works; `None` where that is a fleet.
    pub tenant: Option<TenantId>,
    /// `running`, `done`, `failed`, `undone` or `cancelled`.
    pub state: String,
    /// The last step that was written down as done; the last of all is not, for the end of the operation says so.
    pub step: Option<String>,
    /// What it was given.
    pub input: Option<Value>,
    /// How far it is, where a step takes long.
    pub progress: Option<Value>,
    /// What came of it.
    pub result: Option<Value>,
    /// Why it failed.
    pub error: Option<String>,
    /// Whether somebody has asked that it be cancelled.
    pub is_cancelled: bool,
    /// When it began, in milliseconds since 1970 by the catalog's clock.
    pub created_at: i64,
    /// When it was last heard of, in milliseconds since 1970.
    pub updated_at: i64,
}

/// Which operations, newest first.
///
/// ```
/// use tenantry::OperationFilter;
/// let filter = OperationFilter::all().running().limit(20);
/// # let _ = filter;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct OperationFilter {
    running: bool,
    tenant: Option<TenantId>,
    before: Option<String>,
    limit: u64,
}

impl OperationFilter {
    /// The newest hundred.
    pub const fn all() -> Self {
        Self { running: false, tenant: None, before: None, limit: 100 }
    }

    /// Those that have not ended.
    pub const fn running(mut self) -> Self {
        self.running = true;
        self
    }

    /// Those on one tenant.
    pub const fn tenant(mut self, tenant: TenantId) -> Self {
        self.tenant = Some(tenant);
        self
    }

    /// Those that began before another: the next page.
    pub fn before(mut self, id: impl Into<String>) -> Self {
        self.before = Some(id.into());
        self
    }

    /// So many at most.
    pub const fn limit(mut self, most: u64) -> Self {
        self.limit = most;
        self
    }
}

impl OperationStatus {
    fn of(row: Model) -> Result<Self> {
        let tenant = match Subject::from_column(&row.tenant_id)? {
            Subject::Tenant(id) => Some(id),
            Subject::Fleet => None,
        };
        let shown = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
        Ok(Self {
            tenant,
            input: shown(row.input),
            progress: shown(row.progress),
            result: shown(row.result),
            is_cancelled: row.cancel_at.is_some(),
            id: row.id,
            kind: row.kind,
            state: row.state,
            step: row.step_name,
            error: row.error,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

impl Catalog {
    pub(crate) async fn operation_list(&self, filter: &OperationFilter) -> Result<Vec<OperationStatus>> {
        let of_canary = format!("%\"key\":\"{CANARY_PREFIX}%");
        let not_of_canary = Column::Input.is_null().or(Column::Input.not_like(of_canary));
        let mut query = Entity::find().filter(not_of_canary).order_by_desc(Column::Id).limit(filter.limit);
        if filter.running {
            query = query.filter(Column::State.eq(RUNNING));
        }
        if let Some(tenant) = filter.tenant {
            query = query.filter(Column::TenantId.eq(tenant.to_string()));
        }
        if let Some(before) = &filter.before {
            query = query.filter(Column::Id.lt(before));
        }
        let rows = query.all(self.0.store.read()).await.map_err(unavailable)?;
        rows.into_iter().map(OperationStatus::of).collect()
    }

    pub(crate) async fn operation_get(&self, id: &str) -> Result<OperationStatus> {
        let row = Entity::find_by_id(id).one(self.0.store.read()).await.map_err(unavailable)?;
        let row = row.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, format!("there is no operation `{id}`"))
                .help("tenantry operation list --all")
        })?;
        OperationStatus::of(row)
    }
}
