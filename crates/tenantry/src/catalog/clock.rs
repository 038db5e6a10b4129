//! The database's clock, so that processes on several machines agree.

use sea_orm::{ConnectionTrait, Statement};

use super::{
    store::{self, CatalogTx},
    unavailable,
};
use crate::error::Result;

/// The time of a transaction, asked for once.
pub(super) async fn now(tx: &CatalogTx) -> Result<i64> {
    match tx.now.get() {
        Some(now) => Ok(*now),
        None => {
            let now = read(&tx.tx).await?;
            Ok(*tx.now.get_or_init(|| now))
        }
    }
}

/// Milliseconds since 1970 by the catalog's database.
pub(super) async fn read(connection: &impl ConnectionTrait) -> Result<i64> {
    let backend = connection.get_database_backend();
    let sql = store::clock(backend)?;
    let row = connection.query_one_raw(Statement::from_sql_and_values(backend, sql, [])).await.map_err(unavailable)?;
    row.and_then(|r| r.try_get("", "now").ok())
        .ok_or_else(|| crate::error::Error::new(crate::error::ErrorKind::Internal, "the database told no time"))
}
