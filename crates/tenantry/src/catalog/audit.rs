//! Who did what; the same rows are the log of changes that other processes follow.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseConnection, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use serde::Serialize;

use super::{Catalog, Change, Name, clock, entity::audit, schema, store::CatalogTx, unavailable};
use crate::{error::Result, id::TenantId};

/// How many changes one look reads at most; the rest comes with the next.
const CHANGES_AT_ONCE: u64 = 1_000;

/// One entry of the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct AuditEntry {
    /// Its number; a later entry has a higher one.
    pub epoch: i64,
    /// When, in milliseconds since 1970 by the catalog's clock.
    pub at: i64,
    /// Which program did it.
    pub actor: String,
    /// What was done, such as `tenant.suspend`.
    pub action: String,
    /// `ok` or `failed`.
    pub outcome: String,
    /// To which tenant.
    pub tenant_id: Option<String>,
    /// More of it.
    pub detail: String,
}

/// What a transaction is about to write down.
pub(super) struct Entry<'a> {
    pub(super) action: &'a str,
    pub(super) outcome: &'a str,
    pub(super) tenant: Option<TenantId>,
    pub(super) names: Vec<Name>,
    pub(super) detail: String,
    /// It may concern every tenant.
    pub(super) is_of_all: bool,
}

/// A tenant that is there from now on. A creation that failed is told under the same name.
pub(super) const CREATE: &str = "tenant.create";

/// A tenant that has just come to be was served by nobody before: what a connection knows of it is not out of date. Its
/// first ones would be opened twice.
fn outdated(action: &str, tenant: Option<TenantId>) -> Option<TenantId> {
    tenant.filter(|_| action != CREATE)
}

/// Stands in the log of changes for every name.
const OF_ALL: &str = "*";

/// Writes the entry with the next epoch, in the transaction of what it tells about.
pub(super) async fn record(tx: &CatalogTx, actor: &str, entry: Entry<'_>) -> Result<i64> {
    let epoch = schema::epoch_raise(&tx.tx).await?;
    let mut names = entry.names;
    names.extend(entry.tenant.map(Name::Id));
    let mut logged: Vec<String> = names.iter().map(Name::to_log).collect();
    logged.extend(entry.is_of_all.then(|| OF_ALL.to_owned()));
    let row = audit::ActiveModel {
        epoch: Set(epoch),
        at: Set(clock::now(tx).await?),
        actor: Set(actor.to_owned()),
        action: Set(entry.action.to_owned()),
        outcome: Set(entry.outcome.to_owned()),
        tenant_id: Set(entry.tenant.map(|t| t.to_string())),
        names: Set(logged.join(" ")),
        detail: Set(entry.detail),
    };
    audit::Entity::insert(row).exec_without_returning(&tx.tx).await.map_err(unavailable)?;
    tx.announce(Change {
        epoch: u64::try_from(epoch).unwrap_or(0),
        outdates: outdated(entry.action, entry.tenant),
        names,
        is_of_all: entry.is_of_all,
    });
    Ok(epoch)
}

/// The changes behind an epoch, and whether these were all.
pub(super) async fn changes_since(connection: &DatabaseConnection, epoch: u64) -> Result<(Vec<Change>, bool)> {
    let rows = audit::Entity::find()
        .filter(audit::Column::Epoch.gt(i64::try_from(epoch).unwrap_or(i64::MAX)))
        .order_by_asc(audit::Column::Epoch)
        .limit(CHANGES_AT_ONCE)
        .all(connection)
        .await
        .map_err(unavailable)?;
    let is_last = (rows.len() as u64) < CHANGES_AT_ONCE;
    Ok((rows.into_iter().map(change_of).collect(), is_last))
}

fn change_of(row: audit::Model) -> Change {
    Change {
        epoch: u64::try_from(row.epoch).unwrap_or(0),
        outdates: outdated(&row.action, row.tenant_id.and_then(|id| id.parse().ok())),
        names: row.names.split(' ').filter_map(Name::from_log).collect(),
        is_of_all: row.names.split(' ').any(|name| name == OF_ALL),
    }
}

impl Catalog {
    /// Whether this catalog has ever heard of a tenant.
    pub(crate) async fn has_known(&self, id: TenantId) -> Result<bool> {
        let entries = audit::Entity::find().filter(audit::Column::TenantId.eq(id.to_string()));
        Ok(entries.count(self.0.store.read()).await.map_err(unavailable)? > 0)
    }

    /// The newest entries, newest first.
    pub(crate) async fn audit_list(&self, limit: u64) -> Result<Vec<AuditEntry>> {
        let rows = audit::Entity::find()
            .order_by_desc(audit::Column::Epoch)
            .limit(limit)
            .all(self.0.store.read())
            .await
            .map_err(unavailable)?;
        Ok(rows
            .into_iter()
            .map(|r| AuditEntry {
                epoch: r.epoch,
                at: r.at,
                actor: r.actor,
                action: r.action,
                outcome: r.outcome,
                tenant_id: r.tenant_id,
                detail: r.detail,
            })
            .collect())
    }
}
