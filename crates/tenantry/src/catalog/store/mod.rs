//! [`Store`]: connections to the catalog's database, and the one way to write.

use std::{
    future::Future,
    path::Path,
    pin::Pin,
    sync::{Mutex, OnceLock},
};

use sea_orm::{
    DatabaseConnection, DatabaseTransaction, DbBackend, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};

use super::{Catalog, Change, unavailable};
use crate::{
    engine::EngineKind,
    error::{Error, ErrorKind, Result},
};

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

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
    kind: EngineKind,
    /// Where the catalog is a file.
    #[cfg(feature = "sqlite")]
    file: Option<sqlite::CatalogFile>,
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

/// Where the catalog is if the settings do not say: a file beside them.
pub(crate) const DEFAULT_URL: &str = "sqlite://catalog.db";

/// The file that a URL names; `None` where the catalog is on a server.
pub(crate) fn file_of(url: &str) -> Option<&Path> {
    match EngineKind::of_url(url) {
        #[cfg(feature = "sqlite")]
        Ok(EngineKind::Sqlite) => url.split_once("://").map(|(_, path)| Path::new(path)),
        #[cfg(feature = "postgres")]
        Ok(EngineKind::Postgres) => None,
        Err(_) => None,
    }
}

/// The query that tells the time of the catalog's database.
pub(super) fn clock(backend: DbBackend) -> Result<&'static str> {
    match backend {
        #[cfg(feature = "sqlite")]
        DbBackend::Sqlite => Ok(sqlite::CLOCK),
        #[cfg(feature = "postgres")]
        DbBackend::Postgres => Ok(postgres::CLOCK),
        other => Err(Error::new(ErrorKind::Internal, format!("no catalog is kept on {other:?}"))),
    }
}

impl Store {
    pub(super) async fn connect(url: &str) -> Result<Self> {
        match EngineKind::of_url(url) {
            #[cfg(feature = "sqlite")]
            Ok(EngineKind::Sqlite) => sqlite::connect(url).await,
            #[cfg(feature = "postgres")]
            Ok(EngineKind::Postgres) => postgres::connect(url).await,
            Err(cause) => {
                Err(Error::new(ErrorKind::Unsupported, "the catalog's URL is of no engine that can keep a catalog")
                    .caused_by(cause)
                    .help("write `url = \"sqlite://catalog.db\"` under [catalog] in tenantry.toml"))
            }
        }
    }

    pub(super) fn read(&self) -> &DatabaseConnection {
        &self.read
    }

    /// A catalog file that was moved away would go on taking writes that nobody finds again.
    pub(super) fn check_in_place(&self) -> Result<()> {
        #[cfg(feature = "sqlite")]
        if let Some(file) = &self.file {
            file.check_in_place()?;
        }
        Ok(())
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
        match self.kind {
            // The transaction began with the lock.
            #[cfg(feature = "sqlite")]
            EngineKind::Sqlite => {}
            #[cfg(feature = "postgres")]
            EngineKind::Postgres => postgres::only_writer(&tx).await?,
        }
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
