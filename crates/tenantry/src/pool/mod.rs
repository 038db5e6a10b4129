//! Connections of one server under one budget, leased by place. Knows places only, never tenants or requests.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    engine::{Connection, Engine, Place},
    error::{Error, ErrorKind, Result},
    id::TenantId,
    seconds::Seconds,
};

mod halt;
mod lease;
mod party;
mod queue;
mod state;
mod stats;

pub(crate) use lease::Lease;
pub use stats::PoolStats;

use party::Party;
use state::{Action, State, Taken};
use stats::Counters;

/// The limits of one server's pool.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PoolLimits {
    /// Connections to one server, over all tenants. A server's own `--connections` overrides it.
    pub connections: usize,
    /// Connections of one tenant.
    pub per_tenant: usize,
    /// How long a request waits for a connection, in seconds.
    pub acquire_timeout: Seconds,
    /// How long one statement may run, in seconds.
    pub statement_timeout: Seconds,
    /// How long a transaction may wait for its next statement before it is ended, in seconds (PostgreSQL).
    pub idle_in_transaction: Seconds,
    /// After how long an unused connection is closed, in seconds.
    pub idle_timeout: Seconds,
    /// Whether a statement takes its scope along in one round trip, where the engine can do that (PostgreSQL).
    pub wire: bool,
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self {
            connections: 256,
            per_tenant: 8,
            acquire_timeout: Seconds::whole(5),
            statement_timeout: Seconds::whole(30),
            idle_in_transaction: Seconds::whole(60),
            idle_timeout: Seconds::whole(600),
            wire: true,
        }
    }
}

/// The pool of one server. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Shared>);

pub(super) struct Shared {
    engine: Arc<dyn Engine>,
    limits: PoolLimits,
    state: std::sync::Mutex<State>,
    counters: Counters,
    /// Cleaning goes on when the task that dropped a lease is gone.
    runtime: tokio::runtime::Handle,
    /// Wakes who waits for a place to have no connection any more.
    emptied: tokio::sync::Notify,
    /// The leases of tenants that are out.
    holds: halt::Holds,
    me: Weak<Shared>,
    /// Whether somebody will look at the waiters again soon.
    looking: AtomicBool,
}

/// How long the proof that a connection is clean may take before it is closed instead.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

impl Pool {
    /// Must be called inside of a tokio runtime.
    pub(crate) fn new(engine: Arc<dyn Engine>, limits: PoolLimits) -> Self {
        let limits =
            PoolLimits { connections: limits.connections.max(1), per_tenant: limits.per_tenant.max(1), ..limits };
        Self(Arc::new_cyclic(|me| Shared {
            engine,
            limits,
            state: std::sync::Mutex::new(State::new(limits.connections, limits.per_tenant)),
            counters: Counters::default(),
            runtime: tokio::runtime::Handle::current(),
            emptied: tokio::sync::Notify::new(),
            holds: halt::Holds::default(),
            me: Weak::clone(me),
            looking: AtomicBool::new(false),
        }))
    }

    pub(crate) fn limits(&self) -> &PoolLimits {
        &self.0.limits
    }

    pub(crate) fn stats(&self) -> PoolStats {
        let (open, idle, waiting) = self.0.state().sizes();
        self.0.counters.read(open, idle, waiting)
    }

    /// A connection of that place, for one user at a time. Dropped while it waits: nothing is lost, nobody skipped.
    ///
    /// # Errors
    /// `PoolTimeout` names the limit that was reached.
    pub(crate) async fn acquire(&self, place: &Place, tenant: Option<TenantId>) -> Result<Lease> {
        let party = Party { place: place.clone(), tenant };
        loop {
            let lease = match self.0.take(&party)? {
                Taken::Idle(connection, generation) => {
                    Lease::new(Arc::clone(&self.0), party.clone(), connection, generation)
                }
                Taken::Wait(waiter) => self.wait(&party, waiter).await?,
            };
            if let Some(lease) = lease.checked_out() {
                self.0.counters.leased();
                return Ok(lease);
            }
        }
    }

    async fn wait(&self, party: &Party, waiter: queue::Receiver) -> Result<Lease> {
        match tokio::time::timeout(self.0.limits.acquire_timeout.duration(), waiter).await {
            Ok(Ok(granted)) => granted,
            Ok(Err(_)) => Err(closed(&party.place)),
            Err(_) => {
                self.0.counters.timed_out();
                Err(self.0.timeout_error(party))
            }
        }
    }

    /// Closes what is idle at a tenant's places, and what is leased as soon as it comes back.
    pub(crate) fn retire_tenant(&self, tenant: TenantId) {
        let idle = self.0.state().retire_tenant(tenant);
        self.0.close_all(idle);
    }

    /// Whether a tenant has a connection.
    pub(crate) fn serves(&self, tenant: TenantId) -> bool {
        self.0.holds.has(tenant)
    }

    /// Stops whatever a tenant runs that is not served any more. Its leases are good for nothing from now on; who comes
    /// later has to be kept out by whoever hands out leases.
    pub(crate) fn halt(&self, tenant: TenantId) {
        for hold in self.0.holds.halt(tenant) {
            self.0.runtime.spawn(async move { hold.stop().await });
        }
    }

    /// Lets a tenant in no more and waits until it holds no connection, and until no connection is open at a place that
    /// is its alone.
    ///
    /// # Errors
    /// `OperationRunning` if a request holds on longer than `limit`; the place is open again then.
    pub(crate) async fn fence(&self, place: &Place, tenant: TenantId, limit: Duration) -> Result<()> {
        let party = Party { place: place.clone(), tenant: Some(tenant) };
        let idle = self.0.state().fence(&party, true);
        self.0.close_all(idle);
        // Who waits already is refused now.
        self.0.dispatch();
        let emptied = async {
            loop {
                let notified = self.0.emptied.notified();
                if self.0.state().is_gone(&party) {
                    return;
                }
                // An eviction empties a place without a word: look again soon.
                drop(tokio::time::timeout(Duration::from_millis(20), notified).await);
            }
        };
        if tokio::time::timeout(limit, emptied).await.is_ok() {
            return Ok(());
        }
        self.unfence(place, tenant);
        Err(Error::new(ErrorKind::OperationRunning, format!("requests of tenant {tenant} still hold connections"))
            .help("wait until they have ended and run the command again"))
    }

    /// Lets a tenant in again.
    pub(crate) fn unfence(&self, place: &Place, tenant: TenantId) {
        self.0.state().fence(&Party { place: place.clone(), tenant: Some(tenant) }, false);
    }

    /// Closes connections that nobody used for the idle time.
    pub(crate) fn sweep(&self) {
        let old = self.0.state().idle_since(self.0.limits.idle_timeout.duration());
        self.0.close_all(old);
    }

    /// Refuses new leases, closes idle connections, and waits for the leased ones.
    pub(crate) async fn close(&self, limit: Duration) {
        let idle = self.0.state().close();
        self.0.close_all(idle);
        // Who waits is refused now.
        self.0.dispatch();
        let drained = async {
            loop {
                let notified = self.0.emptied.notified();
                if self.0.state().sizes().0 == 0 {
                    return;
                }
                notified.await;
            }
        };
        if tokio::time::timeout(limit, drained).await.is_err() {
            tracing::warn!("connections were still in use at shutdown; they are closed as the process ends");
        }
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // The state is never left half changed: no code that may panic runs under the lock.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn take(&self, party: &Party) -> Result<Taken> {
        let (taken, action) = self.state().take(party)?;
        if matches!(taken, Taken::Wait(_)) {
            self.perform(action);
        }
        Ok(taken)
    }

    fn timeout_error(&self, party: &Party) -> Error {
        let limits = &self.limits;
        let (limit, value) = if self.state().is_at_cap(party) {
            ("pool.per_tenant", limits.per_tenant)
        } else {
            ("pool.connections", limits.connections)
        };
        let (place, waited) = (&party.place, limits.acquire_timeout);
        Error::new(
            ErrorKind::PoolTimeout,
            format!("no connection for {place} within {waited} s: all of `{limit}` = {value} are in use"),
        )
        .help(format!("raise `{limit}` in tenantry.toml, or look what holds the connections"))
    }

    /// Gives a clean connection back to whoever is next.
    fn put_back(&self, party: &Party, connection: Connection, generation: u64) {
        if connection.is_worn() {
            self.counters.worn();
            return self.close_held(party.clone(), connection);
        }
        // In one breath: nobody gets it who came after those that wait.
        let (unwanted, actions) = {
            let mut state = self.state();
            let unwanted = state.put_back(party, connection, generation);
            (unwanted, state.dispatch_behind(&party.place))
        };
        self.perform(actions);
        self.emptied.notify_waiters();
        if let Some(connection) = unwanted {
            self.close_held(party.clone(), connection);
        }
    }

    fn dispatch(&self) {
        let actions = self.state().dispatch();
        self.perform(actions);
    }

    /// Looks again when those who wait have waited for a while; one such look is enough for all.
    fn look_again(&self) {
        if self.looking.load(Ordering::Acquire)
            || !self.state().is_worth_another_look()
            || self.looking.swap(true, Ordering::AcqRel)
        {
            return;
        }
        let me = Weak::clone(&self.me);
        self.runtime.spawn(async move {
            tokio::time::sleep(state::PATIENCE).await;
            if let Some(me) = me.upgrade() {
                me.looking.store(false, Ordering::Release);
                me.dispatch();
            }
        });
    }

    fn perform(&self, actions: impl IntoIterator<Item = Action>) {
        self.look_again();
        for action in actions {
            let Some(me) = self.me.upgrade() else { return };
            match action {
                Action::Grant { waiter, party, connection, generation } => {
                    // Nobody there any more: the lease comes back by its own drop.
                    drop(waiter.send(Ok(Lease::new(me, party, connection, generation))));
                }
                Action::Connect { waiter, party, generation, instead_of } => {
                    self.runtime.spawn(async move { me.connect(waiter, party, generation, instead_of).await });
                }
                Action::Refuse { waiter, place } => drop(waiter.send(Err(closed(&place)))),
            }
        }
    }

    /// Runs as a task of its own, so that a request that goes away leaves a connection for the next one.
    async fn connect(
        self: Arc<Self>,
        waiter: queue::Sender,
        party: Party,
        generation: u64,
        instead_of: Option<Connection>,
    ) {
        let share = Share::held(&self, &party);
        if let Some(victim) = instead_of {
            self.counters.evicted();
            victim.close().await;
        }
        let opened = tokio::time::timeout(SETTLE_TIMEOUT, self.engine.connect(&party.place)).await;
        let answer = match opened {
            Ok(Ok(connection)) => {
                self.counters.opened();
                share.keep();
                Ok(Lease::new(Arc::clone(&self), party, connection, generation))
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::new(
                ErrorKind::PoolTimeout,
                format!("{} did not open in {} s", party.place, SETTLE_TIMEOUT.as_secs()),
            )),
        };
        drop(waiter.send(answer));
    }

    /// Closes connections that nobody holds.
    fn close_all(&self, connections: Vec<(Place, Connection)>) {
        let Some(me) = self.me.upgrade() else { return };
        for (place, connection) in connections {
            self.close_with(Share { shared: Arc::clone(&me), of: Of::Place(place), kept: false }, connection);
        }
    }

    /// Closes a connection that a party still holds.
    fn close_held(&self, party: Party, connection: Connection) {
        let Some(me) = self.me.upgrade() else { return };
        self.close_with(Share::held(&me, &party), connection);
    }

    fn close_with(&self, share: Share, connection: Connection) {
        self.runtime.spawn(async move {
            connection.close().await;
            drop(share);
        });
    }
}

/// One connection's share of the budget, given back even if what holds it is dropped or panics.
struct Share {
    shared: Arc<Shared>,
    of: Of,
    kept: bool,
}

enum Of {
    /// Nobody holds the connection.
    Place(Place),
    Party(Party),
}

impl Share {
    fn held(shared: &Arc<Shared>, party: &Party) -> Self {
        Self { shared: Arc::clone(shared), of: Of::Party(party.clone()), kept: false }
    }

    /// The share goes on with the connection.
    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        match &self.of {
            Of::Place(place) => self.shared.state().forget(place),
            Of::Party(party) => self.shared.state().forget_held(party),
        }
        self.shared.emptied.notify_waiters();
        self.shared.dispatch();
    }
}

fn closed(place: &Place) -> Error {
    Error::new(ErrorKind::NotReady, format!("{place} takes no requests: it is being changed, or the program is ending"))
}
