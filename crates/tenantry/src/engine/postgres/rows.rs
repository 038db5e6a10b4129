//! Tenants of row isolation: tables in common, whose rows the database filters.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Executor, postgres::PgConnection};

use super::{
    connect::Door,
    layout, ledger,
    names::{TENANT, literal, quoted},
    scope::path,
    scripts,
    site::Site,
    tries::Tries,
};
use crate::{
    engine::{Placement, Script, ScriptKind},
    error::{Error, ErrorKind, Result},
};

/// The tables are made with the first tenant; what is the tenant's own are its rows.
pub(super) async fn create(door: &Door, placement: &Placement, scripts: &[Arc<Script>]) -> Result<()> {
    let tries = Tries::begin();
    while let Err(error) = make_tables(door, scripts).await {
        // Another first tenant is being made.
        if !tries.again(&error).await {
            return Err(error);
        }
    }
    let own = Site::tenant(&door.names, placement);
    for script in scripts.iter().filter(|s| s.kind == ScriptKind::Data) {
        scripts::apply(door, &own, script).await?;
    }
    Ok(())
}

async fn make_tables(door: &Door, scripts: &[Arc<Script>]) -> Result<()> {
    let site = Site::rows(&door.names);
    let mut admin = door.control.admin().await?;
    let applied = ledger::read(&mut admin, &site.target).await?;
    admin.done();
    let is_missing = |s: &Script| s.kind == ScriptKind::Schema && !applied.iter().any(|a| a.version == s.version);
    let Some(first) = scripts.iter().find(|s| is_missing(s)) else { return Ok(()) };
    if !applied.is_empty() {
        // To migrate them here would change the tables under all other tenants, without a canary.
        return Err(Error::new(
            ErrorKind::Migration,
            format!("the tables of row isolation lack migration {} ({})", first.version, first.file),
        )
        .help("tenantry migrate up"));
    }
    // All in one transaction, or a second first tenant would meet half of them.
    let cut = scripts.iter().position(|s| s.no_transaction).unwrap_or(scripts.len());
    let (whole, rest) = scripts.split_at(cut);
    let of = |kind| whole.iter().map(AsRef::as_ref).filter(|s: &&Script| s.kind == kind).collect::<Vec<_>>();
    // What changes data has nobody's rows to change yet: it counts as applied.
    scripts::apply_together(door, &site, &of(ScriptKind::Schema), &of(ScriptKind::Data)).await?;
    for script in rest {
        match script.kind {
            ScriptKind::Schema => scripts::apply(door, &site, script).await?,
            ScriptKind::Data => scripts::apply_together(door, &site, &[], &[script]).await?,
        }
    }
    Ok(())
}

/// How often rows are deleted that triggers have written meanwhile.
const MOST_ROUNDS: usize = 10;

/// Deletes a tenant's rows in one statement over all tables, so that references between them, in circles too, are looked
/// at only when all are gone.
pub(super) async fn remove(connection: &mut PgConnection, placement: &Placement) -> Result<()> {
    connection.execute("BEGIN").await?;
    let removed = remove_in_tx(connection, placement).await;
    connection.execute(if removed.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    removed
}

async fn remove_in_tx(connection: &mut PgConnection, placement: &Placement) -> Result<()> {
    // First of all: a data file that runs for it would fill tables that this knows nothing of.
    scripts::lock(connection, &placement.physical, "pg_try_advisory_xact_lock").await?;
    ledger::bury(connection, &placement.physical).await?;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY c.oid DESC",
    )
    .bind(TENANT)
    .fetch_all(&mut *connection)
    .await?;
    if tables.is_empty() {
        return Ok(());
    }
    delete(connection, placement, &tables).await?;
    require_none(connection, placement, &tables).await
}

async fn delete(connection: &mut PgConnection, placement: &Placement, tables: &[String]) -> Result<()> {
    let id = placement.id;
    connection.execute(WITHOUT_TRIGGERS).await?;
    let owner = layout::owner_of(connection, TENANT).await?;
    // As the owner, who is bound by the walls too: it could delete no other tenant's rows.
    let scope = format!(
        "SET LOCAL lock_timeout = '{}'; SET LOCAL search_path = {}; SET LOCAL tenantry.tenant = '{id}'; SET LOCAL ROLE {}",
        scripts::DATA_LOCK_TIMEOUT,
        path(TENANT),
        quoted(&owner)
    );
    connection.execute(AssertSqlSafe(scope)).await?;
    let deletes: Vec<String> = tables
        .iter()
        .enumerate()
        .map(|(n, table)| format!("d{n} AS (DELETE FROM {table} WHERE tenant_id = '{id}' RETURNING 1)"))
        .collect();
    // A trigger of the app's may write rows behind a deletion: until nothing is left.
    let counts: Vec<String> = (0..tables.len()).map(|n| format!("(SELECT count(*) FROM d{n})")).collect();
    let text = format!("WITH {} SELECT {}", deletes.join(", "), counts.join(" + "));
    for _ in 0..MOST_ROUNDS {
        let gone: i64 = sqlx::query_scalar(AssertSqlSafe(text.clone())).fetch_one(&mut *connection).await?;
        if gone == 0 {
            return Ok(());
        }
    }
    Err(Error::new(ErrorKind::WrongState, format!("the rows of tenant {id} come back as often as they are deleted"))
        .help("look for a trigger that writes rows when others are deleted"))
}

/// Where the administrator may say so, no trigger of the app's runs: it might keep rows, or write others.
/// Dropping a schema or a database runs none either.
const WITHOUT_TRIGGERS: &str = "DO $do$ BEGIN
    IF has_parameter_privilege('session_replication_role', 'SET') THEN
        SET LOCAL session_replication_role = replica;
    END IF;
END $do$";

/// That nothing more was deleted does not mean that nothing is left: a policy may hide rows, and a trigger may keep
/// them.
async fn require_none(connection: &mut PgConnection, placement: &Placement, tables: &[String]) -> Result<()> {
    let id = placement.id;
    let superuser = "SELECT rolsuper FROM pg_roles WHERE rolname = session_user";
    if sqlx::query_scalar(superuser).fetch_one(&mut *connection).await? {
        // Who sees what the owner does not.
        connection.execute("SET LOCAL ROLE NONE").await?;
    }
    let kept: Vec<String> = tables
        .iter()
        .map(|table| format!("SELECT {} WHERE EXISTS (SELECT FROM {table} WHERE tenant_id = '{id}')", literal(table)))
        .collect();
    let kept: Vec<String> =
        sqlx::query_scalar(AssertSqlSafe(kept.join(" UNION ALL "))).fetch_all(&mut *connection).await?;
    if kept.is_empty() {
        return Ok(());
    }
    let kept = kept.join(", ");
    Err(Error::new(ErrorKind::WrongState, format!("rows of tenant {id} cannot be deleted from {kept}"))
        .help("look for a policy or a trigger of yours on DELETE, change it by a migration, and purge again"))
}
