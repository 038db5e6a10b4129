//! Names that were given up: closed to others for a while.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter};

use super::{Name, entity::quarantine, store::CatalogTx, unavailable};
use crate::error::{Error, ErrorKind, Result};

/// How long a name that was given up stays closed to others: longer than any cache may be stale.
const QUARANTINE: Duration = Duration::from_secs(10);

/// Refuses a name that was given up a moment ago: somebody may still hold its last owner in a cache.
pub(super) async fn require_over(tx: &CatalogTx, name: &Name, now: i64) -> Result<()> {
    let row = quarantine::Entity::find_by_id(name.to_log()).one(&tx.tx).await.map_err(unavailable)?;
    match row {
        Some(row) if row.until > now => {
            Err(Error::new(ErrorKind::Quarantined, format!("{name} was given up a moment ago"))
                .help(format!("try again in {} s", QUARANTINE.as_secs())))
        }
        _ => Ok(()),
    }
}

/// Closes names to others from now on.
pub(super) async fn begin(tx: &CatalogTx, names: &[Name], now: i64) -> Result<()> {
    let until = now.saturating_add(i64::try_from(QUARANTINE.as_millis()).unwrap_or(i64::MAX));
    for name in names {
        quarantine::Entity::delete_by_id(name.to_log()).exec(&tx.tx).await.map_err(unavailable)?;
        let row = quarantine::ActiveModel { name: Set(name.to_log()), until: Set(until) };
        quarantine::Entity::insert(row).exec_without_returning(&tx.tx).await.map_err(unavailable)?;
    }
    // What is over is of no use to anybody.
    quarantine::Entity::delete_many()
        .filter(quarantine::Column::Until.lt(now))
        .exec(&tx.tx)
        .await
        .map_err(unavailable)?;
    Ok(())
}

#[cfg(test)]
impl super::Catalog {
    /// As if names that were given up had been closed for long enough.
    pub(crate) async fn quarantine_end(&self) -> Result<()> {
        quarantine::Entity::delete_many().exec(self.0.store.read()).await.map(drop).map_err(unavailable)
    }
}
