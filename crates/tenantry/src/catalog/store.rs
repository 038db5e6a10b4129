//! [`Store`]: connections to the catalog's database, and the one way to write.

use std::{
    future::Future,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Mutex, OnceLock},
    time::Duration,
};

use sea_orm::{
    DatabaseConnection, DatabaseTransaction, SqliteTransactionMode, SqlxSqliteConnector, TransactionOptions,
    TransactionTrait,
};
use sqlx::{
    ConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{Catalog, Change, unavailable};
use crate::error::{Error, ErrorKind, Result};

/// Whether a commit has to be on the disk before it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// It is acknowledged to somebody.
    Acknowledged,
    /// It only helps to clean up after `kill -9`, which the operating system survives. After a power cut the place that
    /// it speaks of may be an orphan, which `doctor` finds.
    Progress,
}

pub(super) struct Store {
    read: DatabaseConnection,
    acknowledged: DatabaseConnection,
    progress: DatabaseConnection,
    file: Option<CatalogFile>,
}

struct CatalogFile {
    path: PathBuf,
    identity: (u64, u64),
}

/// A transaction of the catalog, with the changes that others have to hear of once it is committed.
pub(super) struct CatalogTx {
    pub(super) tx: DatabaseTransaction,
    changes: Mutex<Vec<Change>>,
    /// The database's clock, once it was asked.
    pub(super) now: OnceLock<i64>,
}

impl CatalogTx {
    pub(super) fn announce(&self, change: Change) {
        self.changes.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(change);
    }
}

/// The work of a transaction, on a borrow of it.
pub(super) type Work<'c, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'c>>;

impl Store {
    pub(super) async fn connect(url: &str) -> Result<Self> {
        let Some(path) = url.strip_prefix("sqlite://") else {
            return Err(Error::new(ErrorKind::Unsupported, "the catalog's URL does not start with `sqlite://`")
                .help("write `url = \"sqlite://catalog.db\"` under [catalog] in tenantry.toml"));
        };
        Self::connect_sqlite(Path::new(path)).await
    }

    async fn connect_sqlite(path: &Path) -> Result<Self> {
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
        let store = Self {
            read: open(&path, file(SqliteSynchronous::Full), 4).await?,
            acknowledged,
            progress: open(&path, file(SqliteSynchronous::Normal), 1).await?,
            file: Some(CatalogFile { identity: identity(&path)?, path }),
        };
        Ok(store)
    }

    pub(super) fn read(&self) -> &DatabaseConnection {
        &self.read
    }

    /// A catalog file that was moved away would go on taking writes that nobody finds again.
    pub(super) fn check_in_place(&self) -> Result<()> {
        match &self.file {
            Some(file) if identity(&file.path)? != file.identity => {
                Err(Error::new(ErrorKind::CatalogUnavailable, "the catalog's file was replaced")
                    .help("restart the program after a catalog has been restored"))
            }
            _ => Ok(()),
        }
    }

    async fn begin(&self, durability: Durability) -> Result<CatalogTx> {
        self.check_in_place()?;
        let connection = match durability {
            Durability::Acknowledged => &self.acknowledged,
            Durability::Progress => &self.progress,
        };
        // The write lock at once: a transaction that reads first could not take it later.
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        let tx = connection.begin_with_options(options).await.map_err(unavailable)?;
        Ok(CatalogTx { tx, changes: Mutex::default(), now: OnceLock::new() })
    }

    pub(super) async fn write<T>(
        &self,
        durability: Durability,
        work: impl for<'c> FnOnce(&'c CatalogTx) -> Work<'c, T> + Send,
    ) -> Result<(T, Vec<Change>)> {
        let transaction = self.begin(durability).await?;
        match work(&transaction).await {
            Ok(value) => {
                let CatalogTx { tx, changes, .. } = transaction;
                tx.commit().await.map_err(unavailable)?;
                Ok((value, changes.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)))
            }
            Err(error) => {
                if let Err(cause) = transaction.tx.rollback().await {
                    tracing::warn!(cause = &cause as &dyn std::error::Error, "a catalog transaction did not roll back");
                }
                Err(error)
            }
        }
    }
}

impl Catalog {
    /// Runs a transaction to its end as a task of its own: a caller that goes away neither stops it half way nor leaves
    /// it open. What it changed is known to this process before the call returns.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        durability: Durability,
        work: impl for<'c> FnOnce(&'c CatalogTx) -> Work<'c, T> + Send + 'static,
    ) -> Result<T> {
        let catalog = self.clone();
        let task = tokio::spawn(async move {
            let (value, changes) = catalog.0.store.write(durability, work).await?;
            for change in &changes {
                catalog.0.freshness.apply(change);
            }
            Ok(value)
        });
        task.await.map_err(|e| Error::new(ErrorKind::Internal, "a catalog transaction was cut off").caused_by(e))?
    }
}

/// The one place where a pool of sqlx is opened.
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
