//! The database's clock, so that processes on several machines agree.

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::unavailable;
use crate::error::Result;

/// Milliseconds since 1970 by the catalog's database.
pub(super) async fn now(connection: &impl ConnectionTrait) -> Result<i64> {
    let backend = connection.get_database_backend();
    let sql = match backend {
        DbBackend::Postgres => "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint) AS now",
        DbBackend::MySql => "SELECT CAST(unix_timestamp(now(3)) * 1000 AS SIGNED) AS now",
        _ => "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now",
    };
    let row = connection.query_one_raw(Statement::from_sql_and_values(backend, sql, [])).await.map_err(unavailable)?;
    row.and_then(|r| r.try_get("", "now").ok())
        .ok_or_else(|| crate::error::Error::new(crate::error::ErrorKind::Internal, "the database told no time"))
}
