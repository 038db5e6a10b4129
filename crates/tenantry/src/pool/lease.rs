//! [`Lease`]: one connection for one user, proven clean when it goes back, or closed.

use std::sync::Arc;

use super::{SETTLE_TIMEOUT, Share, Shared};
use crate::engine::{Connection, Place};

/// Holds a connection. It is tainted from the moment it is handed out; only [`Lease::clean`] clears it. Dropped while
/// tainted, the connection is stopped, settled, and goes back only if the engine can prove that nothing is left.
pub(crate) struct Lease {
    connection: Option<Connection>,
    shared: Arc<Shared>,
    place: Place,
    generation: u64,
    tainted: bool,
}

impl Lease {
    pub(super) fn new(shared: Arc<Shared>, place: Place, connection: Connection, generation: u64) -> Self {
        Self { connection: Some(connection), shared, place, generation, tainted: false }
    }

    /// The last step before an app gets it. `None`: the connection is not bound to its place any more; it is closed.
    pub(super) fn checked_out(mut self) -> Option<Self> {
        let bound = self.connection.as_ref().is_some_and(|c| self.shared.engine.still_bound(c));
        if bound {
            self.tainted = true;
            return Some(self);
        }
        self.shared.counters.closed_unproven();
        if let Some(connection) = self.connection.take() {
            self.shared.close_all(vec![(self.place.clone(), connection)]);
        }
        None
    }

    /// The connection. A lease always has one; `None` only inside of its own drop.
    pub(crate) fn connection(&mut self) -> Option<&mut Connection> {
        self.connection.as_mut()
    }

    /// The user is done and nothing is left behind: its statement has ended, and so has its transaction.
    pub(crate) fn clean(mut self) {
        self.clear();
    }

    /// As [`Lease::clean`], where the lease itself is given back later. It must not be used again.
    pub(crate) fn clear(&mut self) {
        self.tainted = false;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if !self.tainted {
            self.shared.put_back(&self.place, connection, self.generation);
            return;
        }
        // Whatever still runs was abandoned: nobody is told its outcome.
        connection.stopper().stop();
        let cleaning = clean_or_close(Arc::clone(&self.shared), self.place.clone(), connection, self.generation);
        self.shared.runtime.spawn(cleaning);
    }
}

async fn clean_or_close(shared: Arc<Shared>, place: Place, mut connection: Connection, generation: u64) {
    let share = Share { shared: Arc::clone(&shared), place: place.clone(), kept: false };
    let proven = tokio::time::timeout(SETTLE_TIMEOUT, shared.engine.settle(&mut connection)).await;
    if matches!(proven, Ok(true)) {
        shared.counters.settled();
        share.keep();
        shared.put_back(&place, connection, generation);
        return;
    }
    shared.counters.closed_unproven();
    tracing::warn!(%place, "a connection could not be proven clean and was closed");
    shared.engine.close(connection).await;
    drop(share);
}
