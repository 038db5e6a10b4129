//! [`SqliteLink`]: one physical connection to one file, guarded.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::{TryStreamExt, stream::BoxStream};
use sqlx::{
    AssertSqlSafe, Connection as _, Either, Executor, SqlSafeStr, SqlStr, Sqlite,
    sqlite::{SqliteArguments, SqliteConnection, SqliteQueryResult, SqliteRow, SqliteStatement},
};

use super::{
    guard::{self, Guard},
    stop::Stop,
};
use crate::{
    engine::{Begin, Link, Scope, SqlText},
    error::{Error, Result},
    id::TenantId,
};

/// A guarded connection. Its methods are what the scope floor runs statements with.
pub(crate) struct SqliteLink {
    pub(super) connection: SqliteConnection,
    guard: Arc<Guard>,
    stop: Stop,
    file: Option<FileIdentity>,
    /// Set before SQLite is told that nothing may be written, until it was told the opposite.
    only_reads: bool,
}

type Done = Result<(), sqlx::Error>;

type SqliteStatementText = crate::engine::Statement<Sqlite>;

impl SqliteLink {
    pub(super) async fn guarded(
        mut connection: SqliteConnection,
        mode: guard::Mode,
        file: Option<&Path>,
    ) -> Result<Self> {
        let file = file.map(FileIdentity::of).transpose()?;
        let guard = guard::install(&mut connection, mode).await?;
        let stop = Stop::default();
        let seen = stop.clone();
        guard::wait_at_most(&mut connection, BUSY_TIMEOUT, stop.clone()).await?;
        connection.lock_handle().await?.set_progress_handler(STEPS_BETWEEN_CHECKS, move || !seen.is_due());
        Ok(Self { connection, guard, stop, file, only_reads: false })
    }

    pub(crate) fn stopper(&self) -> Stop {
        self.stop.clone()
    }

    /// The engine's own words: transactions, the ledger. Never text of an app.
    ///
    /// Dropped half way, the right to speak ends at once: a word that still waits in the queue is refused.
    pub(super) async fn speak(&mut self, sql: impl SqlSafeStr) -> Result<(), sqlx::Error> {
        let _speaking = self.guard.speaking();
        self.connection.execute(sqlx::raw_sql(sql)).await.map(drop)
    }

    /// Ends what [`Begin::SNAPSHOT`] has begun with: nobody else finds the connection unable to write.
    async fn may_write_again(&mut self) -> Result<(), sqlx::Error> {
        if self.only_reads {
            self.speak("PRAGMA query_only = OFF").await?;
            self.only_reads = false;
        }
        Ok(())
    }

    pub(super) fn guard(&self) -> &Arc<Guard> {
        &self.guard
    }

    /// Begins, if the text needs a transaction around it, and sees to it that the schema is the newest one.
    ///
    /// SQLite notices a schema that another process changed only when a statement runs, and then prepares that statement
    /// again behind the driver's back: its rows would come under the names of the old columns.
    pub(crate) async fn enter(&mut self, text: SqlText) -> Result<(), sqlx::Error> {
        if text.needs_transaction() {
            self.speak(if text.reads_only { "BEGIN DEFERRED" } else { "BEGIN IMMEDIATE" }).await?;
        }
        self.newest_shape(text).await
    }

    /// Looks at the schema inside of the transaction, so that it cannot change any more until that ends.
    pub(crate) async fn newest_shape(&mut self, text: SqlText) -> Result<(), sqlx::Error> {
        if text.shape_follows_schema {
            self.speak("SELECT 1 FROM main.sqlite_master, shared.sqlite_master LIMIT 1").await?;
        }
        Ok(())
    }

    pub(crate) async fn in_transaction(&mut self) -> Result<bool> {
        guard::in_transaction(&mut self.connection).await
    }

    fn query(statement: SqliteStatementText, text: SqlText) -> Text {
        let persistent = text.is_kept(statement.persistent);
        Text { sql: statement.sql, arguments: statement.arguments, persistent }
    }

    /// Runs a statement as it is, in whatever transaction is open.
    pub(crate) fn stream(
        &mut self,
        statement: SqliteStatementText,
        text: SqlText,
    ) -> BoxStream<'_, Result<Either<SqliteQueryResult, SqliteRow>, sqlx::Error>> {
        self.connection.fetch_many(Self::query(statement, text))
    }

    pub(crate) async fn fetch_all(
        &mut self,
        statement: SqliteStatementText,
        text: SqlText,
    ) -> Result<Vec<SqliteRow>, sqlx::Error> {
        self.connection.fetch_all(Self::query(statement, text)).await
    }

    pub(crate) async fn fetch_optional(
        &mut self,
        statement: SqliteStatementText,
        text: SqlText,
    ) -> Result<Option<SqliteRow>, sqlx::Error> {
        self.connection.fetch_optional(Self::query(statement, text)).await
    }

    pub(crate) async fn execute(
        &mut self,
        statement: SqliteStatementText,
        text: SqlText,
    ) -> Result<SqliteQueryResult, sqlx::Error> {
        self.connection.execute_many(Self::query(statement, text)).try_collect().await
    }

    pub(crate) async fn prepare(&mut self, sql: SqlStr) -> Result<SqliteStatement, sqlx::Error> {
        self.connection.prepare(sql).await
    }

    pub(crate) async fn describe(&mut self, sql: SqlStr) -> Result<sqlx_core::describe::Describe<Sqlite>, sqlx::Error> {
        self.connection.describe(sql).await
    }
}

impl Link for SqliteLink {
    /// Whether the path still leads to the file that this connection has open: a handle to an unlinked file would go on
    /// acknowledging writes.
    fn still_bound(&mut self) -> bool {
        self.file.as_ref().is_none_or(FileIdentity::holds)
    }

    fn is_worn(&self) -> bool {
        false
    }

    fn limit(&self, limit: Duration) {
        self.stop.limit(limit);
    }

    fn last_served(&self, _: TenantId) -> Option<u64> {
        None
    }

    fn is_out_of_date(&self, _: &sqlx::Error) -> bool {
        false
    }

    fn not_entered(&self, error: sqlx::Error) -> sqlx::Error {
        error
    }

    async fn begin(&mut self, _: &Scope, begin: Begin) -> Done {
        // One level is all that SQLite has, and it is the strictest.
        if begin.read_only {
            self.only_reads = true;
            return self.speak("PRAGMA query_only = ON; BEGIN DEFERRED").await;
        }
        self.speak("BEGIN IMMEDIATE").await
    }

    async fn commit(&mut self) -> Done {
        self.speak("COMMIT").await?;
        self.may_write_again().await
    }

    async fn rollback(&mut self) -> Done {
        self.speak("ROLLBACK").await?;
        self.may_write_again().await
    }

    async fn commit_checked(&mut self) -> Done {
        // What has failed in it the handle knows: SQLite itself would commit the rest.
        self.commit().await
    }

    async fn savepoint(&mut self, depth: usize) -> Done {
        self.speak(AssertSqlSafe(format!("SAVEPOINT tenantry_{depth}"))).await
    }

    async fn savepoint_release(&mut self, depth: usize) -> Done {
        self.speak(AssertSqlSafe(format!("RELEASE tenantry_{depth}"))).await
    }

    async fn savepoint_rollback(&mut self, depth: usize) -> Done {
        self.speak(AssertSqlSafe(format!("ROLLBACK TO tenantry_{depth}; RELEASE tenantry_{depth}"))).await
    }

    async fn transaction_survives(&mut self) -> bool {
        matches!(self.in_transaction().await, Ok(true))
    }

    async fn finish(&mut self) -> bool {
        // No statement is answered before its end here.
        false
    }

    /// Whether nothing of a last user can be left: no statement that runs on, no transaction.
    async fn settle(&mut self) -> bool {
        // The answer comes when the worker has done all that was asked of it: nothing runs on behind it.
        if self.connection.ping().await.is_err() {
            return false;
        }
        let open = self.in_transaction().await;
        self.stop.reset();
        match open {
            Ok(false) => self.may_write_again().await.is_ok(),
            Ok(true) => self.rollback().await.is_ok() && matches!(self.in_transaction().await, Ok(false)),
            Err(_) => false,
        }
    }

    async fn close(self) {
        self.stop.stop();
        if let Err(error) = self.connection.close().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "a connection did not close cleanly");
        }
    }
}

/// A text with its arguments, as sqlx takes it.
struct Text {
    sql: SqlStr,
    arguments: Option<SqliteArguments>,
    persistent: bool,
}

impl<'q> sqlx::Execute<'q, Sqlite> for Text {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&SqliteStatement> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<SqliteArguments>, sqlx::error::BoxDynError> {
        Ok(self.arguments.take())
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}

/// How long a writer waits for another before "database is locked".
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// After how many steps of SQLite's machine a running statement looks whether it has to stop: some tens of microseconds.
const STEPS_BETWEEN_CHECKS: i32 = 4_000;

/// Which file a connection has open.
struct FileIdentity {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl FileIdentity {
    fn of(path: &Path) -> Result<Self> {
        let metadata = std::fs::symlink_metadata(path)
            .map_err(|e| Error::new(crate::error::ErrorKind::Io, "a tenant's file is gone").caused_by(e))?;
        Ok(Self { path: path.into(), device: metadata.dev(), inode: metadata.ino() })
    }

    fn holds(&self) -> bool {
        std::fs::symlink_metadata(&self.path)
            .is_ok_and(|now| now.is_file() && now.dev() == self.device && now.ino() == self.inode)
    }
}
