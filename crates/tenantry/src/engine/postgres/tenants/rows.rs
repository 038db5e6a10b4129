//! Tenants of row isolation: tables in common, whose rows the database filters.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Executor, postgres::PgConnection};

use super::writers;
use crate::{
    engine::{
        Placement, Script, ScriptKind,
        postgres::{
            administration::{layout, ledger, locks, rights::Rights, site::Site},
            migration::{self, slots},
            names::{TENANT, quoted},
            rules,
            session::{connect::Door, scope::path, transaction, tries::Tries},
        },
    },
    error::{Error, ErrorKind, Result},
};

/// The tables are made with the first tenant; what is the tenant's own are its rows.
pub(crate) async fn create(door: &Door, placement: &Placement, scripts: &[Arc<Script>]) -> Result<()> {
    let tries = Tries::begin();
    while let Err(error) = make_tables(door, scripts).await {
        // Another first tenant is being made.
        if !tries.again(&error).await {
            return Err(error);
        }
    }
    let own = Site::tenant(&door.names, placement);
    for script in scripts.iter().filter(|s| s.kind == ScriptKind::Data) {
        migration::apply(door, &own, script).await?;
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
    migration::apply_together(door, &site, &of(ScriptKind::Schema), &of(ScriptKind::Data)).await?;
    for script in rest {
        match script.kind {
            ScriptKind::Schema => migration::apply(door, &site, script).await?,
            ScriptKind::Data => migration::apply_together(door, &site, &[], &[script]).await?,
        }
    }
    Ok(())
}

/// How often rows are deleted that triggers have written meanwhile.
const MOST_ROUNDS: usize = 10;

/// First the tenant's end is committed, which every statement that writes asks for. Then those are waited for that have asked
/// before, and only then the rows are deleted. Killed in between, or failed, it is run again from the beginning.
pub(crate) async fn remove(door: &Door, placement: &Placement) -> Result<()> {
    let mut admin = door.control.admin().await?;
    admin.execute("BEGIN").await?;
    let buried = bury_in_tx(&mut admin, placement).await;
    transaction::end(&mut admin, buried).await?;
    writers::wait_out(&mut admin, &door.names).await?;
    let tables = tables(&mut admin).await?;
    if tables.is_empty() {
        admin.done();
        return Ok(());
    }
    let owner = layout::owner_of(&mut admin, TENANT).await?;
    let hides = hides_rows(&mut admin, placement).await?;
    admin.done();
    let there = if hides { Some(there(door, placement, &tables).await?) } else { None };
    // Whatever a trigger or a policy of the app's does, it does with the owner's rights and no others.
    let mut slot = slots::open_for_end(door, &placement.physical, &owner).await?;
    let removed = remove_as(&mut slot.connection, placement, &owner, &tables, there).await;
    slot.close().await;
    removed
}

/// Under the lock: a data file that runs for it would fill tables that this knows nothing of.
async fn bury_in_tx(admin: &mut PgConnection, placement: &Placement) -> Result<()> {
    locks::lock(admin, &placement.physical, "pg_try_advisory_xact_lock").await?;
    ledger::bury(admin, &placement.physical).await
}

async fn tables(admin: &mut PgConnection) -> Result<Vec<String>> {
    let query =
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY c.oid DESC";
    Ok(sqlx::query_scalar(query).bind(TENANT).fetch_all(admin).await?)
}

/// Deletes a tenant's rows in one statement over all tables, so that references between them, in circles too, are looked
/// at only when all are gone.
async fn remove_as(
    slot: &mut PgConnection,
    placement: &Placement,
    owner: &str,
    tables: &[String],
    there: Option<Vec<i64>>,
) -> Result<()> {
    slot.execute("BEGIN").await?;
    let removed = async {
        enter(slot, placement, owner).await?;
        if let Some(there) = there {
            require_seen(slot, placement, tables, &there).await?;
        }
        delete(slot, placement, tables).await?;
        require_none(slot, placement, tables).await
    }
    .await;
    transaction::end(slot, removed).await
}

/// As the owner, who is bound by the walls too: it could delete no other tenant's rows.
async fn enter(slot: &mut PgConnection, placement: &Placement, owner: &str) -> Result<()> {
    let scope = format!(
        "SET LOCAL lock_timeout = '{}'; SET LOCAL search_path = {}; SET LOCAL tenantry.tenant = '{}'; SET LOCAL ROLE {}",
        locks::DATA_LOCK_TIMEOUT,
        path(TENANT),
        placement.id,
        quoted(owner)
    );
    slot.execute(AssertSqlSafe(scope)).await?;
    Ok(())
}

/// Whether a policy of the app's may hide rows from the owner, and there is a role that sees all the same.
async fn hides_rows(admin: &mut PgConnection, placement: &Placement) -> Result<bool> {
    let query = "SELECT EXISTS (SELECT FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
                                 WHERE c.relnamespace = $1::regnamespace AND NOT p.polname = ANY ($2))";
    let ours = ["tenantry_allow", rules::POLICY, rules::FORMER_POLICY, rules::FIRST_POLICY];
    let has_others: bool = sqlx::query_scalar(query).bind(TENANT).bind(&ours[..]).fetch_one(&mut *admin).await?;
    let hides = has_others && Rights::of(admin).await?.is_superuser;
    if hides && rules::has_unbound(admin).await? {
        return Err(Error::new(
            ErrorKind::WrongState,
            format!(
                "the rows of tenant {} cannot be counted beside an IMMUTABLE function that is not bound",
                placement.id
            ),
        )
        .help("`tenantry doctor` names the function and the statement that binds it; then purge again"));
    }
    Ok(hides)
}

/// How many rows of the tenant are in each table. Nobody writes any more.
async fn there(door: &Door, placement: &Placement, tables: &[String]) -> Result<Vec<i64>> {
    let mut slot = slots::open_to_look(door, &door.names.auditor()).await?;
    let there = counts(&mut slot.connection, placement, tables).await;
    slot.close().await;
    there
}

async fn counts(connection: &mut PgConnection, placement: &Placement, tables: &[String]) -> Result<Vec<i64>> {
    let id = placement.id;
    let each: Vec<String> =
        tables.iter().map(|table| format!("(SELECT count(*) FROM {table} WHERE tenant_id = '{id}')")).collect();
    let text = format!("SELECT ARRAY[{}]::bigint[]", each.join(", "));
    Ok(sqlx::query_scalar(AssertSqlSafe(text)).fetch_one(connection).await?)
}

/// What a policy hides from the owner would stay.
async fn require_seen(slot: &mut PgConnection, placement: &Placement, tables: &[String], there: &[i64]) -> Result<()> {
    let seen = counts(slot, placement, tables).await?;
    let hidden = tables.iter().zip(there.iter().zip(&seen)).filter(|(_, (there, seen))| there != seen);
    let hidden: Vec<&str> = hidden.map(|(table, _)| table.as_str()).collect();
    if hidden.is_empty() { Ok(()) } else { Err(kept_in(placement, &hidden.join(", "))) }
}

async fn delete(slot: &mut PgConnection, placement: &Placement, tables: &[String]) -> Result<()> {
    let id = placement.id;
    let deletes: Vec<String> = tables
        .iter()
        .enumerate()
        .map(|(n, table)| format!("d{n} AS (DELETE FROM {table} WHERE tenant_id = '{id}' RETURNING 1)"))
        .collect();
    // A trigger of the app's may write rows behind a deletion: until nothing is left.
    let counts: Vec<String> = (0..tables.len()).map(|n| format!("(SELECT count(*) FROM d{n})")).collect();
    let text = format!("WITH {} SELECT {}", deletes.join(", "), counts.join(" + "));
    for _ in 0..MOST_ROUNDS {
        let gone: i64 = sqlx::query_scalar(AssertSqlSafe(text.clone())).fetch_one(&mut *slot).await?;
        if gone == 0 {
            return Ok(());
        }
    }
    Err(Error::new(ErrorKind::WrongState, format!("the rows of tenant {id} come back as often as they are deleted"))
        .help("look for a trigger that writes rows when others are deleted"))
}

/// That nothing more was deleted does not mean that nothing is left: a policy or a trigger may keep rows.
async fn require_none(slot: &mut PgConnection, placement: &Placement, tables: &[String]) -> Result<()> {
    let left = counts(slot, placement, tables).await?;
    let kept = tables.iter().zip(&left).filter(|(_, count)| **count > 0).map(|(table, _)| table.as_str());
    let kept: Vec<&str> = kept.collect();
    if kept.is_empty() { Ok(()) } else { Err(kept_in(placement, &kept.join(", "))) }
}

fn kept_in(placement: &Placement, tables: &str) -> Error {
    Error::new(ErrorKind::WrongState, format!("rows of tenant {} cannot be deleted from {tables}", placement.id))
        .help("look for a policy or a trigger of yours on DELETE, change it by a migration, and purge again")
}
