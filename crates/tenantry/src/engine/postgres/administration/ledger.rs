//! What was applied where: one table a database, a name for each target in it.
//!
//! The session that runs a file may neither read nor write that table. What the file's slot works on is written down before
//! (`tenantry.work`), by the administrator; the functions of [`SCHEMA`] know the slot by the session's user, so they are
//! bound to its target and to the files that it was given.

use sqlx::{
    Postgres, Row,
    postgres::{PgArguments, PgConnection},
};

use crate::{
    engine::{Applied, Finding, Script, ScriptKind},
    error::Result,
};

/// The name of the shared tables in the ledger.
pub(crate) const SHARED: &str = "shared";
/// The name of the tables that tenants of row isolation have in common.
pub(crate) const ROWS: &str = "rows";
/// The name of the tenant in the ledger of its own database.
pub(crate) const OWN: &str = "tenant";

/// The version of a tenant of row isolation that was purged: a mark against whoever still has its data files to run.
pub(crate) const GONE: i64 = -1;

/// The table, and what a slot's session may ask and say of its own work.
pub(crate) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS tenantry.migrations (
    target text NOT NULL,
    version bigint NOT NULL,
    kind text NOT NULL,
    description text NOT NULL,
    checksum bytea NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (target, version)
);
CREATE TABLE IF NOT EXISTS tenantry.work (
    slot name NOT NULL,
    target text NOT NULL,
    version bigint NOT NULL,
    kind text NOT NULL,
    description text NOT NULL,
    checksum bytea NOT NULL,
    PRIMARY KEY (slot, version)
);
REVOKE ALL ON tenantry.migrations, tenantry.work FROM PUBLIC;
CREATE OR REPLACE FUNCTION tenantry.missing() RETURNS SETOF bigint
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $missing$
    SELECT w.version FROM tenantry.work w
     WHERE w.slot = session_user
       AND NOT EXISTS (SELECT FROM tenantry.migrations m WHERE m.target = w.target AND m.version = w.version)
    UNION ALL
    SELECT m.version FROM tenantry.migrations m
     WHERE m.version = -1 AND m.target IN (SELECT w.target FROM tenantry.work w WHERE w.slot = session_user)
    $missing$;
CREATE OR REPLACE FUNCTION tenantry.applied(file bigint) RETURNS void
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $applied$
    INSERT INTO tenantry.migrations (target, version, kind, description, checksum)
    SELECT w.target, w.version, w.kind, w.description, w.checksum
      FROM tenantry.work w WHERE w.slot = session_user AND w.version = file
    ON CONFLICT DO NOTHING
    $applied$;
";

/// What [`SCHEMA`] says of a function by which slots ask and say: its body, between the tags of its name.
fn body_of(function: &str) -> &'static str {
    SCHEMA.split(format!("${function}$").as_str()).nth(1).unwrap_or_default()
}

/// Functions that run with the administrator's rights, and that everybody may call: they are as the engine makes them, or somebody
/// has made another of them.
pub(crate) async fn findings(admin: &mut PgConnection) -> Result<Vec<Finding>> {
    let query = "SELECT proname::text, prosrc, prosecdef AND proconfig IS NOT DISTINCT FROM ARRAY['search_path=pg_catalog, pg_temp']
                   FROM pg_catalog.pg_proc
                  WHERE oid IN (to_regprocedure('tenantry.missing()'), to_regprocedure('tenantry.applied(bigint)')) ORDER BY proname";
    let there: Vec<(String, String, bool)> = sqlx::query_as(query).fetch_all(admin).await?;
    let is_other = |(name, body, is_set): &(String, String, bool)| !is_set || body != body_of(name);
    let found = there.into_iter().filter(is_other).map(|(name, ..)| Finding {
        code: "slot_function",
        what: format!("the function tenantry.{name} is not as the engine makes it"),
        repair: SCHEMA.find("CREATE OR REPLACE FUNCTION").map_or(SCHEMA, |at| &SCHEMA[at..]).trim().to_owned(),
    });
    Ok(found.collect())
}

const fn word(kind: ScriptKind) -> &'static str {
    match kind {
        ScriptKind::Schema => "schema",
        ScriptKind::Data => "data",
    }
}

pub(crate) async fn read(connection: &mut PgConnection, target: &str) -> Result<Vec<Applied>> {
    let rows = sqlx::query(
        "SELECT version, description, checksum FROM tenantry.migrations WHERE target = $1 AND version > 0 ORDER BY version",
    )
    .bind(target)
    .fetch_all(connection)
    .await?;
    Ok(rows.iter().map(applied).collect())
}

/// For a tenant of row isolation: files of the schema as its tables have them, files of data as it has them itself.
pub(crate) async fn read_in_rows(connection: &mut PgConnection, tenant: &str) -> Result<Vec<Applied>> {
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

pub(crate) async fn has(connection: &mut PgConnection, target: &str, version: i64) -> Result<bool> {
    let query = "SELECT EXISTS (SELECT FROM tenantry.migrations WHERE target = $1 AND version = $2)";
    Ok(sqlx::query_scalar(query).bind(target).bind(version).fetch_one(connection).await?)
}

/// Says what a slot is going to work on.
pub(crate) async fn assign(connection: &mut PgConnection, slot: &str, target: &str, scripts: &[&Script]) -> Result<()> {
    let query = sqlx::query(
        "WITH former AS (DELETE FROM tenantry.work WHERE slot = $1 AND NOT version = ANY ($3))
         INSERT INTO tenantry.work (slot, target, version, kind, description, checksum)
         SELECT $1, $2, * FROM unnest($3::bigint[], $4::text[], $5::text[], $6::bytea[])
         ON CONFLICT (slot, version) DO UPDATE
            SET target = EXCLUDED.target, kind = EXCLUDED.kind, description = EXCLUDED.description,
                checksum = EXCLUDED.checksum",
    )
    .bind(slot)
    .bind(target);
    bind_files(query, scripts).execute(connection).await?;
    Ok(())
}

/// Says that a slot deletes the rows of a target that is gone.
pub(crate) async fn assign_end(connection: &mut PgConnection, slot: &str, target: &str) -> Result<()> {
    sqlx::query(
        "WITH former AS (DELETE FROM tenantry.work WHERE slot = $1 AND version <> $3)
         INSERT INTO tenantry.work (slot, target, version, kind, description, checksum)
         VALUES ($1, $2, $3, 'gone', '', '') ON CONFLICT (slot, version) DO UPDATE SET target = EXCLUDED.target",
    )
    .bind(slot)
    .bind(target)
    .bind(GONE)
    .execute(connection)
    .await?;
    Ok(())
}

/// Which of its files a slot has still to apply; [`GONE`] among them once its target is purged.
pub(crate) async fn missing(slot: &mut PgConnection) -> Result<Vec<i64>> {
    Ok(sqlx::query_scalar("SELECT * FROM tenantry.missing()").fetch_all(slot).await?)
}

/// Writes one of a slot's files down as applied.
pub(crate) async fn applied_by_slot(slot: &mut PgConnection, version: i64) -> Result<()> {
    sqlx::query("SELECT tenantry.applied($1)").bind(version).execute(slot).await?;
    Ok(())
}

type Query<'q> = sqlx::query::Query<'q, Postgres, PgArguments>;

/// Binds what the ledger keeps of files, a list a column: versions, kinds, descriptions and checksums.
fn bind_files<'q>(query: Query<'q>, scripts: &[&Script]) -> Query<'q> {
    query
        .bind(scripts.iter().map(|s| s.version).collect::<Vec<_>>())
        .bind(scripts.iter().map(|s| word(s.kind)).collect::<Vec<_>>())
        .bind(scripts.iter().map(|s| s.description.as_str()).collect::<Vec<_>>())
        .bind(scripts.iter().map(|s| s.checksum.as_slice()).collect::<Vec<_>>())
}

/// Writes files down as applied; those that are written down already stay as they are.
pub(crate) async fn write(connection: &mut PgConnection, target: &str, scripts: &[&Script]) -> Result<()> {
    let query = sqlx::query(
        "INSERT INTO tenantry.migrations (target, version, kind, description, checksum)
         SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::text[], $5::bytea[]) ON CONFLICT DO NOTHING",
    )
    .bind(target);
    bind_files(query, scripts).execute(connection).await?;
    Ok(())
}

/// Forgets what was applied, and that nothing ever will be again.
pub(crate) async fn bury(connection: &mut PgConnection, target: &str) -> Result<()> {
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

pub(crate) async fn forget(connection: &mut PgConnection, target: &str) -> Result<()> {
    sqlx::query("DELETE FROM tenantry.migrations WHERE target = $1").bind(target).execute(connection).await?;
    Ok(())
}
