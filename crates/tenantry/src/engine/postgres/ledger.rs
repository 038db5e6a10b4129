//! What was applied where: one table a database, a name for each target in it.

use sqlx::{Row, postgres::PgConnection};

use crate::{
    engine::{Applied, Script, ScriptKind},
    error::Result,
};

/// The name of the shared tables in the ledger.
pub(super) const SHARED: &str = "shared";
/// The name of the tables that tenants of row isolation have in common.
pub(super) const ROWS: &str = "rows";
/// The name of the tenant in the ledger of its own database.
pub(super) const OWN: &str = "tenant";

/// The version of a tenant of row isolation that was purged: a mark against whoever still has its data files to run.
pub(super) const GONE: i64 = -1;

const fn word(kind: ScriptKind) -> &'static str {
    match kind {
        ScriptKind::Schema => "schema",
        ScriptKind::Data => "data",
    }
}

pub(super) async fn read(connection: &mut PgConnection, target: &str) -> Result<Vec<Applied>> {
    let rows = sqlx::query(
        "SELECT version, description, checksum FROM tenantry.migrations WHERE target = $1 AND version > 0 ORDER BY version",
    )
    .bind(target)
    .fetch_all(connection)
    .await?;
    Ok(rows.iter().map(applied).collect())
}

/// For a tenant of row isolation: files of the schema as its tables have them, files of data as it has them itself.
pub(super) async fn read_in_rows(connection: &mut PgConnection, tenant: &str) -> Result<Vec<Applied>> {
    let rows = sqlx::query(
        "SELECT version, description, checksum FROM tenantry.migrations
         WHERE (target = $1 AND kind = 'schema') OR (target = $2 AND version > 0) ORDER BY version",
    )
    .bind(ROWS)
    .bind(tenant)
    .fetch_all(connection)
    .await?;
    Ok(rows.iter().map(applied).collect())
}

fn applied(row: &sqlx::postgres::PgRow) -> Applied {
    Applied { version: row.get(0), description: row.get(1), checksum: row.get(2) }
}

pub(super) async fn has(connection: &mut PgConnection, target: &str, version: i64) -> Result<bool> {
    let query = "SELECT EXISTS (SELECT FROM tenantry.migrations WHERE target = $1 AND version = $2)";
    Ok(sqlx::query_scalar(query).bind(target).bind(version).fetch_one(connection).await?)
}

/// Writes files down as applied; those that are written down already stay as they are.
pub(super) async fn write(connection: &mut PgConnection, target: &str, scripts: &[&Script]) -> Result<()> {
    let versions: Vec<i64> = scripts.iter().map(|s| s.version).collect();
    let kinds: Vec<&str> = scripts.iter().map(|s| word(s.kind)).collect();
    let descriptions: Vec<&str> = scripts.iter().map(|s| s.description.as_str()).collect();
    let checksums: Vec<&[u8]> = scripts.iter().map(|s| s.checksum.as_slice()).collect();
    sqlx::query(
        "INSERT INTO tenantry.migrations (target, version, kind, description, checksum)
         SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::text[], $5::bytea[]) ON CONFLICT DO NOTHING",
    )
    .bind(target)
    .bind(versions)
    .bind(kinds)
    .bind(descriptions)
    .bind(checksums)
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets what was applied, and that nothing ever will be again.
pub(super) async fn bury(connection: &mut PgConnection, target: &str) -> Result<()> {
    forget(connection, target).await?;
    sqlx::query(
        "INSERT INTO tenantry.migrations (target, version, kind, description, checksum) VALUES ($1, $2, 'gone', '', '')",
    )
    .bind(target)
    .bind(GONE)
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn forget(connection: &mut PgConnection, target: &str) -> Result<()> {
    sqlx::query("DELETE FROM tenantry.migrations WHERE target = $1").bind(target).execute(connection).await?;
    Ok(())
}
