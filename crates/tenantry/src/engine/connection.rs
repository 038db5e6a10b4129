//! [`Connection`]: a physical connection of one of the engines, and what every engine can do with one.

use std::{sync::Arc, time::Duration};

use super::{postgres, sqlite};
use crate::id::TenantId;

/// A physical connection of one of the engines.
pub(crate) enum Connection {
    Sqlite(Box<sqlite::SqliteLink>),
    Postgres(Box<postgres::PgLink>),
}

/// Whether an error with this SQLSTATE is the last that a server says on a connection: a broken one, a server that goes or
/// does not come up, a transaction that was idle or open for too long.
pub(crate) fn ends_the_connection(code: &str) -> bool {
    code.starts_with("08") || code.starts_with("57P") || matches!(code, "25P03" | "25P04")
}

/// Whether a statement failed because it was stopped, or because it was about to wait for another and was told not to: nothing of
/// it is stored. SQLSTATE query_canceled; SQLITE_INTERRUPT, and SQLITE_BUSY with its extended codes.
pub(crate) fn was_stopped(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|e| e.code());
    matches!(code.as_deref(), Some("57014" | "9" | "5" | "261" | "517"))
}

/// Stops what a connection is doing, from outside of it.
#[derive(Clone, Debug)]
pub(crate) enum Stopper {
    Sqlite(sqlite::Stop),
    Postgres(Arc<postgres::Process>),
}

impl Stopper {
    /// At once, where that takes no round trip; a server is asked to stop while the connection is settled.
    pub(crate) fn stop(&self) {
        match self {
            Self::Sqlite(stop) => stop.stop(),
            Self::Postgres(_) => {}
        }
    }

    /// Ends the connection's other side, where what runs there does not let itself be stopped.
    pub(crate) async fn end(&self) {
        match self {
            Self::Sqlite(stop) => stop.stop(),
            Self::Postgres(process) => process.end().await,
        }
    }

    /// Stops what runs now, and waits until it was asked to. What comes after it may be hit too, until the connection is settled.
    pub(crate) async fn halt(&self) {
        match self {
            Self::Sqlite(stop) => stop.stop(),
            Self::Postgres(process) => {
                // If it cannot be asked, whoever waits for the statement goes on waiting: it is asked again.
                let asked = process.stop().await;
                if !asked {
                    tracing::warn!("a statement of a tenant that is not served any more cannot be stopped");
                }
            }
        }
    }
}

/// What is put on a connection for one transaction and dies with it.
#[derive(Clone, Debug)]
pub(crate) enum Scope {
    /// The place says it all.
    None,
    Postgres(Arc<postgres::PgScope>),
}

/// How a transaction is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Begin {
    pub(crate) read_only: bool,
    pub(crate) level: Option<Level>,
}

/// A standard isolation level of transactions; `None` is the engine's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    ReadUncommitted,
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

impl Begin {
    /// May write. On SQLite it takes the write lock at once: no "database is locked" in the middle.
    pub(crate) const WRITE: Self = Self { read_only: false, level: None };
    /// Reads one snapshot.
    pub(crate) const SNAPSHOT: Self = Self { read_only: true, level: Some(Level::RepeatableRead) };
}

type Done = Result<(), sqlx::Error>;

impl Connection {
    pub(crate) fn stopper(&self) -> Stopper {
        match self {
            Self::Sqlite(link) => Stopper::Sqlite(link.stopper()),
            Self::Postgres(link) => Stopper::Postgres(link.stopper()),
        }
    }

    /// Statements from now on may run until `limit` has passed.
    pub(crate) fn limit(&self, limit: Duration) {
        match self {
            Self::Sqlite(link) => link.limit(limit),
            // The server knows the limit: it came with the connection or comes with the scope.
            Self::Postgres(_) => {}
        }
    }

    /// When it has last served that tenant, where that makes it faster for it: the larger, the later.
    pub(crate) fn last_served(&self, tenant: TenantId) -> Option<u64> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(link) => link.last_served(tenant),
        }
    }

    /// Whether the scope could not be entered because the server's side of this connection has not heard of the tenant:
    /// another connection has.
    pub(crate) fn is_out_of_date(&self, error: &sqlx::Error) -> bool {
        match self {
            Self::Sqlite(_) => false,
            Self::Postgres(link) => link.is_out_of_date(error),
        }
    }

    /// What an error says that came where a scope was to be entered.
    pub(crate) fn not_entered(&self, error: sqlx::Error) -> sqlx::Error {
        match self {
            Self::Sqlite(_) => error,
            Self::Postgres(_) => postgres::not_entered(error),
        }
    }

    pub(crate) async fn begin(&mut self, scope: &Scope, begin: Begin) -> Done {
        match self {
            Self::Sqlite(link) => link.begin(begin).await,
            Self::Postgres(link) => link.begin(scope, begin).await,
        }
    }

    /// Commits a transaction in which all went well.
    pub(crate) async fn commit(&mut self) -> Done {
        match self {
            Self::Sqlite(link) => link.commit().await,
            Self::Postgres(link) => link.commit_checked().await,
        }
    }

    /// Commits a one-shot statement that went well.
    pub(crate) async fn commit_statement(&mut self) -> Done {
        match self {
            Self::Sqlite(link) => link.commit().await,
            Self::Postgres(link) => link.commit().await,
        }
    }

    pub(crate) async fn rollback(&mut self) -> Done {
        match self {
            Self::Sqlite(link) => link.rollback().await,
            Self::Postgres(link) => link.rollback().await,
        }
    }

    pub(crate) async fn savepoint(&mut self, depth: usize) -> Done {
        match self {
            Self::Sqlite(link) => link.savepoint(depth).await,
            Self::Postgres(link) => link.savepoint(depth).await,
        }
    }

    pub(crate) async fn savepoint_release(&mut self, depth: usize) -> Done {
        match self {
            Self::Sqlite(link) => link.savepoint_release(depth).await,
            Self::Postgres(link) => link.savepoint_release(depth).await,
        }
    }

    pub(crate) async fn savepoint_rollback(&mut self, depth: usize) -> Done {
        match self {
            Self::Sqlite(link) => link.savepoint_rollback(depth).await,
            Self::Postgres(link) => link.savepoint_rollback(depth).await,
        }
    }

    /// Whether the transaction is still there after a statement in it failed: some errors end it whole.
    pub(crate) async fn transaction_survives(&mut self) -> bool {
        match self {
            Self::Sqlite(link) => matches!(link.in_transaction().await, Ok(true)),
            Self::Postgres(link) => link.quiet().await,
        }
    }
}
