//! The catalog in a file of SQLite.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use sea_orm::{DatabaseConnection, SqlxSqliteConnector};
use sqlx::{
    ConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{Store, file_of};
use crate::{
    engine::EngineKind,
    error::{Error, ErrorKind, Result},
};

/// Milliseconds since 1970.
pub(super) const CLOCK: &str = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now";

pub(super) struct CatalogFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl CatalogFile {
    pub(super) fn check_in_place(&self) -> Result<()> {
        if identity(&self.path)? == self.identity {
            return Ok(());
        }
        Err(Error::new(ErrorKind::CatalogUnavailable, "the catalog's file was replaced")
            .help("restart the program after a catalog has been restored"))
    }
}

pub(super) async fn connect(url: &str) -> Result<Store> {
    let path = file_of(url).unwrap_or(Path::new(url));
    let path = std::path::absolute(path).map_err(|e| cannot_open(path, e))?;
    let file = |synchronous| {
        SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10))
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(synchronous)
            .disable_statement_logging()
    };
    let acknowledged = open(&path, file(SqliteSynchronous::Full), 1).await?;
    protect(&path)?;
    Ok(Store {
        read: open(&path, file(SqliteSynchronous::Full), 4).await?,
        acknowledged,
        progress: open(&path, file(SqliteSynchronous::Normal), 1).await?,
        kind: EngineKind::Sqlite,
        file: Some(CatalogFile { identity: identity(&path)?, path }),
    })
}

#[expect(clippy::disallowed_methods, reason = "the catalog is no tenant's: its connections have nothing to keep apart")]
async fn open(path: &Path, options: SqliteConnectOptions, connections: u32) -> Result<DatabaseConnection> {
    let pool = SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(15))
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options)
        .await
        .map_err(|e| cannot_open(path, e))?;
    Ok(SqlxSqliteConnector::from_sqlx_sqlite_pool(pool))
}

fn cannot_open(path: &Path, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::new(ErrorKind::CatalogUnavailable, format!("cannot open the catalog `{}`", path.display()))
        .caused_by(cause)
        .help("look whether its directory exists and belongs to you; `tenantry init` makes a new one")
}

fn identity(path: &Path) -> Result<(u64, u64)> {
    let metadata = std::fs::metadata(path).map_err(|e| cannot_open(path, e))?;
    Ok((metadata.dev(), metadata.ino()))
}

/// It names every customer: for its owner only.
fn protect(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(|e| cannot_open(path, e))
}
