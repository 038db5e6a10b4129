//! [`Connection`] and [`Link`]: what every engine can do with a physical connection.

use std::{future::Future, sync::Arc, time::Duration};

use super::registry::{Connection, Stopper, with_link, with_stopper};
use crate::id::TenantId;

type Done = Result<(), sqlx::Error>;

/// A connection of one engine. A third one has to say each of these: none has a default that means "fine".
pub(crate) trait Link: Sized + Send {
    /// A check at each checkout that costs no round trip: is the connection still what it was bound to?
    fn still_bound(&mut self) -> bool;

    /// Whether a clean connection is of no use any more: one that has seen too many tenants is not worth keeping.
    fn is_worn(&self) -> bool;

    /// Statements from now on may run until `limit` has passed, where the server does not know the limit itself.
    fn limit(&self, limit: Duration);

    /// When it has last served that tenant, where that makes it faster for it: the larger, the later.
    fn last_served(&self, tenant: TenantId) -> Option<u64>;

    /// Whether the scope could not be entered because the server's side of this connection has not heard of the tenant:
    /// another connection has.
    fn is_out_of_date(&self, error: &sqlx::Error) -> bool;

    /// What an error says that came where a scope was to be entered.
    fn not_entered(&self, error: sqlx::Error) -> sqlx::Error;

    fn begin(&mut self, scope: &Scope, begin: Begin) -> impl Future<Output = Done> + Send;

    /// Commits a transaction in which all went well.
    fn commit_checked(&mut self) -> impl Future<Output = Done> + Send;

    /// Commits a one-shot statement that went well.
    fn commit(&mut self) -> impl Future<Output = Done> + Send;

    fn rollback(&mut self) -> impl Future<Output = Done> + Send;

    /// Savepoints are named by their depth: one that was set for a caller who went away is never taken for another.
    fn savepoint(&mut self, depth: usize) -> impl Future<Output = Done> + Send;

    fn savepoint_release(&mut self, depth: usize) -> impl Future<Output = Done> + Send;

    fn savepoint_rollback(&mut self, depth: usize) -> impl Future<Output = Done> + Send;

    /// Whether the transaction is still there after a statement in it failed: some errors end it whole.
    fn transaction_survives(&mut self) -> impl Future<Output = bool> + Send;

    /// Ends the transaction of a statement that only read and was answered already. `false`: it has to be settled.
    fn finish(&mut self) -> impl Future<Output = bool> + Send;

    /// Brings a connection back to where nothing of its last user is left. `false`: it cannot be proven, close it.
    fn settle(&mut self) -> impl Future<Output = bool> + Send;

    /// Ends the connection and waits for it.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// How what runs on a connection is stopped from outside of it.
pub(crate) trait Interrupt {
    /// At once, where that takes no round trip; a server is asked to stop while the connection is settled.
    fn stop_at_once(&self);

    /// Stops what runs now, and waits until it was asked to. `false`: it cannot be known whether it was.
    fn ask(&self) -> impl Future<Output = bool> + Send;

    /// Ends the connection's other side, where what runs there does not let itself be stopped.
    fn end(&self) -> impl Future<Output = ()> + Send;
}

impl Stopper {
    /// See [`Interrupt::stop_at_once`].
    pub(crate) fn stop(&self) {
        with_stopper!(self, stop => stop.stop_at_once());
    }

    /// See [`Interrupt::end`].
    pub(crate) async fn end(&self) {
        with_stopper!(self, stop => stop.end().await);
    }

    /// Stops what runs now, and waits until it was asked to. What comes after it may be hit too, until the connection is settled.
    pub(crate) async fn halt(&self) {
        // If it cannot be asked, whoever waits for the statement goes on waiting: it is asked again.
        if !with_stopper!(self, stop => stop.ask().await) {
            tracing::warn!("a statement of a tenant that is not served any more cannot be stopped");
        }
    }
}

/// What is put on a connection for one transaction and dies with it.
#[derive(Clone, Debug)]
pub(crate) enum Scope {
    /// The place says it all.
    None,
    #[cfg(feature = "postgres")]
    Postgres(Arc<super::postgres::PgScope>),
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

/// See [`Link`] for each of them.
impl Connection {
    pub(crate) fn still_bound(&mut self) -> bool {
        with_link!(self, link => link.still_bound())
    }

    pub(crate) fn is_worn(&self) -> bool {
        with_link!(self, link => link.is_worn())
    }

    pub(crate) fn limit(&self, limit: Duration) {
        with_link!(self, link => link.limit(limit));
    }

    pub(crate) fn last_served(&self, tenant: TenantId) -> Option<u64> {
        with_link!(self, link => link.last_served(tenant))
    }

    pub(crate) fn is_out_of_date(&self, error: &sqlx::Error) -> bool {
        with_link!(self, link => link.is_out_of_date(error))
    }

    pub(crate) fn not_entered(&self, error: sqlx::Error) -> sqlx::Error {
        with_link!(self, link => link.not_entered(error))
    }

    pub(crate) async fn begin(&mut self, scope: &Scope, begin: Begin) -> Done {
        with_link!(self, link => link.begin(scope, begin).await)
    }

    pub(crate) async fn commit_checked(&mut self) -> Done {
        with_link!(self, link => link.commit_checked().await)
    }

    pub(crate) async fn commit(&mut self) -> Done {
        with_link!(self, link => link.commit().await)
    }

    pub(crate) async fn rollback(&mut self) -> Done {
        with_link!(self, link => link.rollback().await)
    }

    pub(crate) async fn savepoint(&mut self, depth: usize) -> Done {
        with_link!(self, link => link.savepoint(depth).await)
    }

    pub(crate) async fn savepoint_release(&mut self, depth: usize) -> Done {
        with_link!(self, link => link.savepoint_release(depth).await)
    }

    pub(crate) async fn savepoint_rollback(&mut self, depth: usize) -> Done {
        with_link!(self, link => link.savepoint_rollback(depth).await)
    }

    pub(crate) async fn transaction_survives(&mut self) -> bool {
        with_link!(self, link => link.transaction_survives().await)
    }

    pub(crate) async fn finish(&mut self) -> bool {
        with_link!(self, link => link.finish().await)
    }

    pub(crate) async fn settle(&mut self) -> bool {
        with_link!(self, link => link.settle().await)
    }

    pub(crate) async fn close(self) {
        with_link!(self, link => link.close().await);
    }
}
