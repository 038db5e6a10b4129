//! Migration files on one database file: the ledger and its rows, in the file's own transaction.

use std::path::Path;

use sqlx::{Connection as _, Executor, Row, sqlite::SqliteConnection};

use super::{link::SqliteLink, open};
use crate::{
    engine::{Applied, Begin, Link, RETRY, Scope, Script},
    error::{Error, ErrorKind, Result},
};

/// Made together with the file, before the first migration.
pub(super) const LEDGER: &str = "CREATE TABLE IF NOT EXISTS _tenantry_migrations (
    version INTEGER PRIMARY KEY,
    description TEXT NOT NULL,
    checksum BLOB NOT NULL,
    applied_at INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER))
)";

pub(super) async fn ledger(file: &Path) -> Result<Vec<Applied>> {
    let mut connection = open::engine(file, false).await?;
    let rows = sqlx::query("SELECT version, description, checksum FROM _tenantry_migrations ORDER BY version")
        .fetch_all(&mut connection)
        .await?;
    connection.close().await?;
    Ok(rows
        .into_iter()
        .map(|row| Applied { version: row.get(0), description: row.get(1), checksum: row.get(2) })
        .collect())
}

pub(super) async fn apply(file: &Path, shared: &Path, script: &Script) -> Result<()> {
    let mut link = open::migration(file, shared, script.kind).await?;
    let result =
        if script.no_transaction { apply_plain(&mut link, script).await } else { apply_in_tx(&mut link, script).await };
    // A connection that is closed rolls back what is still open.
    link.close().await;
    result
}

async fn apply_in_tx(link: &mut SqliteLink, script: &Script) -> Result<()> {
    link.begin(&Scope::None, Begin::WRITE).await?;
    // Only now, under the write lock: another runner may have been here.
    if is_applied(&mut link.connection, script).await? {
        link.rollback().await?;
        return Ok(());
    }
    run(link, script).await?;
    require_left_alone(link, script).await?;
    check_references(link, script).await?;
    record(link, script).await?;
    link.commit().await?;
    Ok(())
}

/// `-- no-transaction`: a crash between the statements and the ledger row runs the file again, so it must bear that.
async fn apply_plain(link: &mut SqliteLink, script: &Script) -> Result<()> {
    if is_applied(&mut link.connection, script).await? {
        return Ok(());
    }
    run(link, script).await?;
    require_left_alone(link, script).await?;
    record(link, script).await
}

async fn run(link: &mut SqliteLink, script: &Script) -> Result<()> {
    let text = sqlx::raw_sql(script.sql.clone());
    link.connection.execute(text).await.map(drop).map_err(|e| refused(script, e))
}

fn refused(script: &Script, cause: sqlx::Error) -> Error {
    let denied = matches!(&cause, sqlx::Error::Database(d) if d.code().as_deref() == Some("23"));
    let error = Error::new(ErrorKind::Migration, format!("migration {} ({}) failed", script.version, script.file))
        .at(&script.file, None)
        .caused_by(cause);
    if denied {
        error.help(
            "a migration may not attach databases, begin or end a transaction or change `_tenantry_*` tables; \
                    put `-- no-transaction` at the top of a file that needs none",
        )
    } else {
        error.help(format!("fix the file and {RETRY}"))
    }
}

/// The new name of a table that is renamed is told to no guard.
async fn require_left_alone(link: &mut SqliteLink, script: &Script) -> Result<()> {
    let speaking = link.guard().speaking();
    let text = r"SELECT name FROM main.sqlite_schema
        WHERE (name LIKE '\_tenantry%' ESCAPE '\' OR tbl_name LIKE '\_tenantry%' ESCAPE '\')
          AND NOT (type = 'table' AND name IN ('_tenantry_place', '_tenantry_migrations'))";
    let strange: Option<String> = sqlx::query_scalar(text).fetch_optional(&mut link.connection).await?;
    drop(speaking);
    let Some(name) = strange else { return Ok(()) };
    Err(Error::new(
        ErrorKind::Migration,
        format!(
            "migration {} ({}) makes `{name}`, which the engine's own tables alone are called",
            script.version, script.file
        ),
    )
    .at(&script.file, None)
    .help("give it a name that does not begin with `_tenantry`"))
}

/// A table that was rebuilt with `foreign_keys` deferred must not lose its references.
async fn check_references(link: &mut SqliteLink, script: &Script) -> Result<()> {
    let speaking = link.guard().speaking();
    let broken = sqlx::query("PRAGMA foreign_key_check").fetch_optional(&mut link.connection).await?;
    drop(speaking);
    if broken.is_none() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Migration,
        format!("migration {} ({}) leaves rows that refer to nothing", script.version, script.file),
    )
    .at(&script.file, None)
    .help("delete or mend those rows in the same file"))
}

async fn is_applied(connection: &mut SqliteConnection, script: &Script) -> Result<bool> {
    let found: Option<i64> = sqlx::query_scalar("SELECT version FROM _tenantry_migrations WHERE version = ?")
        .bind(script.version)
        .fetch_optional(connection)
        .await?;
    Ok(found.is_some())
}

async fn record(link: &mut SqliteLink, script: &Script) -> Result<()> {
    let _speaking = link.guard().speaking();
    insert(&mut link.connection, script).await
}

async fn insert(connection: &mut SqliteConnection, script: &Script) -> Result<()> {
    sqlx::query("INSERT INTO _tenantry_migrations (version, description, checksum) VALUES (?, ?, ?)")
        .bind(script.version)
        .bind(&script.description)
        .bind(&script.checksum)
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn stamp(file: &Path, script: &Script) -> Result<()> {
    let mut connection = open::engine(file, false).await?;
    if !is_applied(&mut connection, script).await? {
        insert(&mut connection, script).await?;
    }
    connection.close().await?;
    Ok(())
}
