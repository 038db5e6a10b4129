//! [`Tx`]: one transaction at one place, which does not forget a failure.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{
    Db,
    subject::{SharedScope, Subject, TenantScope},
};
use crate::{
    engine::{Connection, EngineKind, Scope, SqlText},
    error::{Error, ErrorKind, Result},
    pool::Lease,
};

/// A transaction of one tenant.
pub type TenantTx = Tx<TenantScope>;

/// A transaction on the shared tables.
pub type SharedTx = Tx<SharedScope>;

/// A transaction, or a savepoint inside of one (see [`Tx::begin`]). Dropped without [`Tx::commit`] it rolls back.
///
/// It remembers every statement that failed or was dropped half way: such a transaction cannot be committed, unless what
/// failed stood behind a savepoint that was rolled back.
pub struct Tx<S: Subject> {
    core: Arc<Core<S>>,
    /// 0 is the transaction, more are savepoints inside of it.
    depth: usize,
    ended: bool,
}

struct Core<S: Subject> {
    db: Db<S>,
    state: Arc<Mutex<State>>,
    /// The outermost savepoint that was dropped and still has to be rolled back; none is `usize::MAX`.
    abandoned: AtomicUsize,
}

/// The connection and what has happened on it.
pub(super) struct State {
    lease: Lease,
    /// For the transaction and each open savepoint: whether something in it failed.
    failed: Vec<bool>,
    /// Set while a statement runs; found set later, the statement was dropped half way.
    running: bool,
    /// A statement may have left something that outlives the transaction: the connection has to be reset.
    leaves_state: bool,
    ended: bool,
}

impl<S: Subject> fmt::Debug for Tx<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").field("db", &self.core.db).field("depth", &self.depth).finish()
    }
}

/// The right to run one statement in a transaction.
pub(super) struct Turn<S: Subject> {
    core: Arc<Core<S>>,
    state: OwnedMutexGuard<State>,
}

impl<S: Subject> Turn<S> {
    /// The connection; the statement counts as running until [`Turn::over`].
    pub(super) fn start(&mut self, text: SqlText) -> Result<&mut Connection> {
        self.state.leaves_state |= text.leaves_state;
        self.speak()
    }

    /// The connection is to be reset when the transaction has ended.
    pub(super) fn reset_behind(&mut self) {
        self.state.leaves_state = true;
    }

    /// The connection, for words of our own.
    fn speak(&mut self) -> Result<&mut Connection> {
        self.state.running = true;
        self.core.db.connection(&mut self.state.lease)
    }

    /// Writes down how the statement ended.
    pub(super) async fn over<T>(mut self, result: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
        let result = match result {
            Ok(value) => Ok(value),
            Err(error) => {
                self.fail().await;
                Err(self.core.db.told(&self.state.lease, error).await)
            }
        };
        self.state.running = false;
        result
    }

    /// A reading statement was left before its end: nothing is lost by that.
    pub(super) fn forgive(&mut self) {
        self.state.running = false;
    }

    /// Rolls the innermost savepoint back.
    async fn savepoint_undo(&mut self) -> Result<()> {
        let depth = self.state.failed.len().saturating_sub(1);
        self.speak()?.savepoint_rollback(depth).await?;
        self.state.running = false;
        self.state.failed.pop();
        Ok(())
    }

    async fn fail(&mut self) {
        let db = self.core.db.clone();
        let state = &mut *self.state;
        let lost = match db.connection(&mut state.lease) {
            // Some errors make the database end the whole transaction, savepoints and all.
            Ok(connection) => !connection.transaction_survives().await,
            Err(_) => true,
        };
        if lost {
            state.failed.fill(true);
            state.ended = true;
        } else if let Some(innermost) = state.failed.last_mut() {
            *innermost = true;
        }
    }
}

fn over() -> Error {
    Error::new(ErrorKind::TransactionFailed, "the transaction has ended").help("begin a new one")
}

impl<S: Subject> Tx<S> {
    pub(super) fn new(db: Db<S>, lease: Lease) -> Self {
        let state = State { lease, failed: vec![false], running: false, leaves_state: false, ended: false };
        let core = Core { db, state: Arc::new(Mutex::new(state)), abandoned: AtomicUsize::new(usize::MAX) };
        Self { core: Arc::new(core), depth: 0, ended: false }
    }

    /// The right to go on: as [`Tx::turn`], if the tenant may still be served.
    pub(super) async fn turn_served(&self) -> Result<Turn<S>> {
        let turn = self.turn().await?;
        self.core.db.gate().await?;
        self.core.db.require_served(&turn.state.lease).await?;
        Ok(turn)
    }

    /// Waits until no other statement of this transaction runs, and cleans up behind dropped savepoints.
    async fn turn(&self) -> Result<Turn<S>> {
        let state = Arc::clone(&self.core.state).lock_owned().await;
        let mut turn = Turn { core: Arc::clone(&self.core), state };
        if turn.state.ended {
            return Err(over());
        }
        if turn.state.running {
            // Nobody read how the statement before ended: it failed, and may have taken the whole transaction with it.
            turn.fail().await;
            turn.state.running = false;
            if turn.state.ended {
                return Err(over());
            }
        }
        let outermost = self.core.abandoned.swap(usize::MAX, Ordering::AcqRel);
        while turn.state.failed.len() > outermost {
            if let Err(error) = turn.savepoint_undo().await {
                self.core.abandoned.fetch_min(outermost, Ordering::AcqRel);
                return Err(error);
            }
        }
        if self.depth >= turn.state.failed.len() {
            return Err(over());
        }
        Ok(turn)
    }

    /// Sets a savepoint and gives a transaction inside of this one. While it is open, use it and not its parent.
    ///
    /// # Errors
    /// If this transaction has ended.
    pub async fn begin(&self) -> Result<Self> {
        let mut turn = self.turn_served().await?;
        let depth = turn.state.failed.len();
        let set = turn.speak()?.savepoint(depth).await;
        if set.is_ok() {
            turn.state.failed.push(false);
        }
        turn.over(set).await?;
        Ok(Self { core: Arc::clone(&self.core), depth, ended: false })
    }

    /// Makes it durable; of a savepoint: keeps it as part of the transaction around it.
    ///
    /// Dropped before it has answered, its outcome is unknown.
    ///
    /// # Errors
    /// If anything in it failed and was not rolled back to a savepoint: then nothing of it is stored.
    pub async fn commit(mut self) -> Result<()> {
        let mut turn = self.turn_served().await?;
        if turn.state.failed.len() != self.depth + 1 {
            self.roll_back(turn).await?;
            return Err(Error::new(
                ErrorKind::TransactionFailed,
                "a savepoint inside of the transaction is still open: it was rolled back",
            )
            .help("commit or roll back the inner transaction first"));
        }
        if turn.state.failed.last().copied().unwrap_or(true) {
            self.roll_back(turn).await?;
            return Err(Error::new(
                ErrorKind::TransactionFailed,
                "a statement in the transaction had failed: it was rolled back",
            )
            .help("handle the statement's error, or put it behind a savepoint: `tx.begin()`"));
        }
        let connection = turn.speak()?;
        let done = if self.depth == 0 {
            connection.commit_checked().await
        } else {
            connection.savepoint_release(self.depth).await
        };
        match done {
            Ok(()) => {
                self.finish(turn);
                Ok(())
            }
            // The lease stays tainted: the connection is settled or closed.
            Err(cause) => Err(Error::from(self.core.db.told(&turn.state.lease, cause).await)),
        }
    }

    /// Undoes everything since [`Db::begin`], or since the savepoint.
    ///
    /// # Errors
    /// If the database cannot be reached; then it is undone all the same, for nothing was committed.
    pub async fn rollback(mut self) -> Result<()> {
        let turn = self.turn().await?;
        self.roll_back(turn).await
    }

    async fn roll_back(&mut self, mut turn: Turn<S>) -> Result<()> {
        while turn.state.failed.len() > self.depth.max(1) {
            turn.savepoint_undo().await?;
        }
        turn.state.running = false;
        self.ended = true;
        if self.depth > 0 {
            return Ok(());
        }
        turn.speak()?.rollback().await?;
        self.finish(turn);
        Ok(())
    }

    fn finish(&mut self, mut turn: Turn<S>) {
        self.ended = true;
        turn.state.running = false;
        if self.depth > 0 {
            turn.state.failed.pop();
            return;
        }
        turn.state.ended = true;
        if !turn.state.leaves_state {
            turn.state.lease.clear();
        }
    }

    /// The engine on which the data lies, as in its URLs: `sqlite` or `postgres`.
    #[must_use]
    pub fn engine(&self) -> &'static str {
        self.core.db.engine()
    }

    pub(crate) fn kind(&self) -> EngineKind {
        self.core.db.kind()
    }

    pub(super) fn db(&self) -> &Db<S> {
        &self.core.db
    }

    pub(super) fn scope(&self) -> &Scope {
        self.core.db.scope()
    }
}

impl<S: Subject> Drop for Tx<S> {
    fn drop(&mut self) {
        if !self.ended && self.depth > 0 {
            // Of the transaction itself the lease takes care: it comes back tainted and is rolled back.
            self.core.abandoned.fetch_min(self.depth, Ordering::AcqRel);
        }
    }
}
