//! Applying files of migrations: statement by statement, as the owner of the tables, and verified before the commit.

use sqlx::{AssertSqlSafe, Executor, postgres::PgConnection};

use super::{
    administration::{
        layout, ledger,
        locks::{DATA_LOCK_TIMEOUT, LOCK_TIMEOUT, keep_apart, lock},
        site::{Site, SiteKind},
    },
    names::Names,
    session::{connect::Door, transaction, tries::Tries},
};
use crate::{
    engine::{Patience, Script, ScriptKind},
    error::{Error, ErrorKind, Result},
};

pub(super) mod allowed;
mod beside;
pub(super) mod extend;
pub(super) mod fault;
mod file;
mod keys;
mod plain;
pub(super) mod prelude;
pub(super) mod slots;
mod standing;
mod verify;

use allowed::is_of_extensions;
use beside::Beside;
use file::{run_data, run_schema};
use keys::Keys;
use plain::apply_plain;
use verify::secure;

/// Applies one file and writes it down, in one transaction unless it asks for none. Applied already: nothing.
pub(super) async fn apply(door: &Door, site: &Site, script: &Script) -> Result<()> {
    apply_with(door, site, script, Patience::Long).await
}

pub(super) async fn apply_with(door: &Door, site: &Site, script: &Script, patience: Patience) -> Result<()> {
    if site.kind == SiteKind::Shared && is_of_extensions(script) {
        return extend::apply(door, site, script, patience).await;
    }
    let role = match script.kind {
        ScriptKind::Schema => site.owner(&door.names),
        ScriptKind::Data => site.role.clone(),
    };
    let mut slot = slots::open(door, site, &role, &[script]).await?;
    let connection = &mut slot.connection;
    let tries = Tries::begin();
    let applied = loop {
        let tried = if script.no_transaction {
            apply_plain(connection, &door.names, site, script).await
        } else {
            apply_in_tx(connection, &door.names, site, &[script], &[], patience).await
        };
        match tried {
            Err(error) if patience == Patience::Long && tries.again(&error).await => {}
            done => break done,
        }
    };
    slot.close().await;
    applied
}

/// Applies files of the schema in one transaction, and writes down `counted` without running them.
pub(super) async fn apply_together(door: &Door, site: &Site, files: &[&Script], counted: &[&Script]) -> Result<()> {
    let all: Vec<&Script> = files.iter().chain(counted).copied().collect();
    if all.is_empty() {
        return Ok(());
    }
    let mut slot = slots::open(door, site, &site.owner(&door.names), &all).await?;
    let applied = apply_in_tx(&mut slot.connection, &door.names, site, files, counted, Patience::None).await;
    slot.close().await;
    applied
}

async fn apply_in_tx(
    slot: &mut PgConnection,
    names: &Names,
    site: &Site,
    files: &[&Script],
    counted: &[&Script],
    patience: Patience,
) -> Result<()> {
    let lock_timeout = match (files, patience) {
        ([script], Patience::Long) if script.kind == ScriptKind::Data => DATA_LOCK_TIMEOUT,
        _ => LOCK_TIMEOUT,
    };
    // What is read after the lock was taken must be what its last holder has left.
    let begin = format!("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '{lock_timeout}'");
    slot.execute(AssertSqlSafe(begin)).await?;
    let applied = async {
        lock(slot, &site.target, "pg_try_advisory_xact_lock").await?;
        require_there(slot, site).await?;
        keep_apart(slot, site, "xact_").await?;
        in_tx(slot, names, site, files, counted).await
    }
    .await;
    transaction::end(slot, applied).await
}

/// The files in the transaction that is open, under the lock of its target.
async fn in_tx(
    slot: &mut PgConnection,
    names: &Names,
    site: &Site,
    files: &[&Script],
    counted: &[&Script],
) -> Result<()> {
    let missing = ledger::missing(slot).await?;
    if missing.contains(&ledger::GONE) {
        return Err(no_place(site));
    }
    let is_missing = |script: &&&Script| missing.contains(&script.version);
    let of_schema: Vec<&Script> =
        files.iter().filter(is_missing).copied().filter(|script| script.kind == ScriptKind::Schema).collect();
    let beside = Beside::before(slot, site, &of_schema).await?;
    let keys = if of_schema.is_empty() { None } else { Keys::before(slot, site).await? };
    let (mut done, mut changed) = (Vec::new(), Vec::new());
    for script in files.iter().filter(is_missing) {
        match script.kind {
            ScriptKind::Schema => {
                run_schema(slot, names, site, script).await?;
                changed.push(*script);
            }
            ScriptKind::Data => run_data(slot, site, script).await?,
        }
        done.push(*script);
    }
    if !changed.is_empty() {
        secure(slot, names, site, &changed).await?;
    }
    if let Some(keys) = keys {
        keys.require_kept(slot, names, site, &changed).await?;
    }
    beside.require_same(slot, site, &changed).await?;
    for script in done.iter().chain(counted.iter().filter(is_missing)) {
        ledger::applied_by_slot(slot, script.version).await?;
    }
    Ok(())
}

/// A purge takes the same lock: under it the tenant is there to the end, or is not there any more. What needs no table
/// would otherwise be written down for one that is gone.
async fn require_there(slot: &mut PgConnection, site: &Site) -> Result<()> {
    let query = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)";
    if sqlx::query_scalar(query).bind(&site.schema).fetch_one(slot).await? {
        return Ok(());
    }
    match site.kind {
        SiteKind::Schema => Err(no_place(site)),
        SiteKind::Rows | SiteKind::Shared | SiteKind::Database => Err(layout::is_gone(&site.schema)),
    }
}

fn no_place(site: &Site) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no place `{}` any more", site.target))
        .help("`tenantry tenant list` shows who is there, `tenantry doctor` what is amiss")
}
