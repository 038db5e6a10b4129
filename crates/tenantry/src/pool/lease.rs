//! [`Lease`]: one connection for one user, proven clean when it goes back, or closed.

use std::sync::Arc;

use super::{SETTLE_TIMEOUT, Share, Shared, halt::Hold, party::Party};
use crate::engine::Connection;

/// Holds a connection. It is tainted from the moment it is handed out; only [`Lease::clean`] clears it. Dropped while
/// tainted, the connection is stopped, settled, and goes back only if the engine can prove that nothing is left.
pub(crate) struct Lease {
    connection: Option<Connection>,
    shared: Arc<Shared>,
    party: Party,
    generation: u64,
    state: Cleanliness,
    /// How a tenant's is reached from outside, from the moment it is handed out.
    hold: Option<Arc<Hold>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cleanliness {
    Tainted,
    /// A transaction that changed nothing is still to be ended.
    ToFinish,
    /// Of no use to anybody any more.
    Unwanted,
    Clean,
}

impl Lease {
    pub(super) fn new(shared: Arc<Shared>, party: Party, connection: Connection, generation: u64) -> Self {
        Self { connection: Some(connection), shared, party, generation, state: Cleanliness::Clean, hold: None }
    }

    /// The last step before an app gets it. `None`: the connection is not bound to its place any more; it is closed.
    pub(super) fn checked_out(mut self) -> Option<Self> {
        let bound = self.connection.as_mut().is_some_and(Connection::still_bound);
        if bound {
            self.state = Cleanliness::Tainted;
            let stopper = self.connection.as_ref().map(Connection::stopper);
            self.hold = self.party.tenant.zip(stopper).map(|(tenant, stopper)| self.shared.holds.add(tenant, stopper));
            return Some(self);
        }
        self.shared.counters.closed_unproven();
        if let Some(connection) = self.connection.take() {
            self.shared.close_held(self.party.clone(), connection);
        }
        None
    }

    /// The connection. A lease always has one; `None` only inside of its own drop.
    pub(crate) fn connection(&mut self) -> Option<&mut Connection> {
        self.connection.as_mut()
    }

    /// Whether its tenant is not served any more: what ran on it was stopped, and nothing more may be run or committed.
    pub(crate) fn is_halted(&self) -> bool {
        self.hold.as_ref().is_some_and(|hold| hold.is_halted())
    }

    /// The user is done and nothing is left behind: its statement has ended, and so has its transaction.
    pub(crate) fn clean(mut self) {
        self.clear();
    }

    /// As [`Lease::clean`], where the lease itself is given back later. It must not be used again.
    pub(crate) fn clear(&mut self) {
        self.state = Cleanliness::Clean;
    }

    /// Closes the connection: another one will do better.
    pub(crate) fn discard(mut self) {
        self.state = Cleanliness::Unwanted;
    }

    /// The user has its answer; what is left is to end a transaction that changed nothing.
    pub(crate) fn finish_later(mut self) {
        self.state = Cleanliness::ToFinish;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let (shared, party) = (Arc::clone(&self.shared), self.party.clone());
        let halted = self.hold.take().filter(|hold| shared.holds.remove(hold));
        match self.state {
            // What stops it may come late, and must not hit the next one.
            Cleanliness::Clean | Cleanliness::ToFinish if halted.is_some() => {
                self.shared.runtime.spawn(rest_and_settle(shared, party, connection, self.generation, halted));
            }
            Cleanliness::Clean => self.shared.put_back(&self.party, connection, self.generation),
            Cleanliness::Unwanted => self.shared.close_held(party, connection),
            Cleanliness::ToFinish => {
                self.shared.runtime.spawn(finish_or_settle(shared, party, connection, self.generation));
            }
            Cleanliness::Tainted => {
                // Whatever still runs was abandoned: nobody is told its outcome.
                connection.stopper().stop();
                self.shared.runtime.spawn(rest_and_settle(shared, party, connection, self.generation, halted));
            }
        }
    }
}

/// As [`settle_or_close`], once nobody stops it any more who was told to.
async fn rest_and_settle(
    shared: Arc<Shared>,
    party: Party,
    connection: Connection,
    generation: u64,
    halted: Option<Arc<Hold>>,
) {
    let share = Share::held(&shared, &party);
    if let Some(hold) = halted {
        hold.at_rest().await;
    }
    share.keep();
    settle_or_close(shared, party, connection, generation).await;
}

async fn finish_or_settle(shared: Arc<Shared>, party: Party, mut connection: Connection, generation: u64) {
    let share = Share::held(&shared, &party);
    let finished = tokio::time::timeout(SETTLE_TIMEOUT, connection.finish()).await;
    share.keep();
    if matches!(finished, Ok(true)) {
        shared.put_back(&party, connection, generation);
    } else {
        settle_or_close(shared, party, connection, generation).await;
    }
}

async fn settle_or_close(shared: Arc<Shared>, party: Party, mut connection: Connection, generation: u64) {
    let share = Share::held(&shared, &party);
    let proven = tokio::time::timeout(SETTLE_TIMEOUT, connection.settle()).await;
    if matches!(proven, Ok(true)) {
        shared.counters.settled();
        share.keep();
        shared.put_back(&party, connection, generation);
        return;
    }
    shared.counters.closed_unproven();
    tracing::warn!(place = %party.place, "a connection could not be proven clean and was closed");
    connection.close().await;
    drop(share);
}
