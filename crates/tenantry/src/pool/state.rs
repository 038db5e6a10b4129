//! Who has which connection and who is next: plain data, no waiting.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::{Duration, Instant},
};

use super::{Lease, closed};
use crate::{
    engine::{Connection, Place},
    error::Result,
    id::TenantId,
};

pub(super) type Sender = tokio::sync::oneshot::Sender<Result<Lease>>;
pub(super) type Receiver = tokio::sync::oneshot::Receiver<Result<Lease>>;

/// What the pool has to do once the lock is gone.
pub(super) enum Action {
    Grant { waiter: Sender, place: Place, connection: Connection, generation: u64 },
    Connect { waiter: Sender, place: Place, generation: u64, instead_of: Option<Connection> },
    Refuse { waiter: Sender, place: Place },
}

pub(super) enum Taken {
    Idle(Connection, u64),
    Wait(Receiver),
}

pub(super) struct State {
    budget: usize,
    per_place: usize,
    /// Connections that exist, are being opened or are being closed.
    open: usize,
    places: HashMap<Place, PlaceState>,
    /// Idle connections, longest unused first.
    idle: BTreeMap<u64, Place>,
    ticks: u64,
    /// Places with waiters, served in turn: who asks for much waits behind himself, not before others.
    turns: VecDeque<Place>,
    closed: bool,
}

#[derive(Default)]
struct PlaceState {
    open: usize,
    idle: Vec<Idle>,
    waiters: VecDeque<Sender>,
    /// Raised when the place is retired: older connections are closed when they come back.
    generation: u64,
    fenced: bool,
}

struct Idle {
    tick: u64,
    since: Instant,
    connection: Connection,
}

impl State {
    pub(super) fn new(budget: usize, per_place: usize) -> Self {
        Self {
            budget,
            per_place,
            open: 0,
            places: HashMap::new(),
            idle: BTreeMap::new(),
            ticks: 0,
            turns: VecDeque::new(),
            closed: false,
        }
    }

    /// Open, idle, waiting.
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        (self.open, self.idle.len(), self.places.values().map(|p| p.waiters.len()).sum())
    }

    pub(super) fn open_at(&self, place: &Place) -> usize {
        self.places.get(place).map_or(0, |p| p.open)
    }

    pub(super) fn is_empty(&self, place: &Place) -> bool {
        self.open_at(place) == 0
    }

    pub(super) fn take(&mut self, place: &Place) -> Result<Taken> {
        if self.closed || self.places.get(place).is_some_and(|p| p.fenced) {
            return Err(closed(place));
        }
        if let Some((connection, generation)) = self.pop_idle_of(place) {
            return Ok(Taken::Idle(connection, generation));
        }
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let entry = self.places.entry(place.clone()).or_default();
        if entry.waiters.is_empty() {
            self.turns.push_back(place.clone());
        }
        entry.waiters.push_back(sender);
        Ok(Taken::Wait(receiver))
    }

    fn pop_idle_of(&mut self, place: &Place) -> Option<(Connection, u64)> {
        let entry = self.places.get_mut(place)?;
        let idle = entry.idle.pop()?;
        self.idle.remove(&idle.tick);
        Some((idle.connection, entry.generation))
    }

    /// Takes the connection that was unused the longest; its share of the budget goes with it.
    fn pop_oldest(&mut self) -> Option<Connection> {
        let (tick, place) = self.idle.pop_first()?;
        let entry = self.places.get_mut(&place)?;
        let at = entry.idle.iter().position(|i| i.tick == tick)?;
        let idle = entry.idle.swap_remove(at);
        entry.open -= 1;
        self.drop_if_unused(&place);
        Some(idle.connection)
    }

    fn drop_if_unused(&mut self, place: &Place) {
        if self.places.get(place).is_some_and(|p| p.open == 0 && p.waiters.is_empty() && !p.fenced) {
            self.places.remove(place);
        }
    }

    /// Serves everybody who can be served now, one of each place in turn.
    pub(super) fn dispatch(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        // How many places are to be looked at before nobody can be served any more.
        let mut to_look_at = self.turns.len();
        while to_look_at > 0 && (self.open < self.budget || !self.idle.is_empty()) {
            let Some(place) = self.turns.pop_front() else { break };
            to_look_at -= 1;
            let served = self.serve(&place);
            if self.places.get(&place).is_some_and(|p| !p.waiters.is_empty()) {
                self.turns.push_back(place);
            } else {
                self.drop_if_unused(&place);
            }
            if let Some(action) = served {
                actions.push(action);
                to_look_at = self.turns.len();
            }
        }
        actions
    }

    fn serve(&mut self, place: &Place) -> Option<Action> {
        let waiter = self.next_waiter(place)?;
        if self.closed || self.places.get(place).is_some_and(|p| p.fenced) {
            return Some(Action::Refuse { waiter, place: place.clone() });
        }
        if let Some((connection, generation)) = self.pop_idle_of(place) {
            return Some(Action::Grant { waiter, place: place.clone(), connection, generation });
        }
        let room_here = self.open_at(place) < self.per_place;
        let free = self.open < self.budget;
        if !room_here || (!free && self.idle.is_empty()) {
            self.places.entry(place.clone()).or_default().waiters.push_front(waiter);
            return None;
        }
        let instead_of = if free {
            self.open += 1;
            None
        } else {
            self.pop_oldest()
        };
        let entry = self.places.entry(place.clone()).or_default();
        entry.open += 1;
        Some(Action::Connect { waiter, place: place.clone(), generation: entry.generation, instead_of })
    }

    /// Who waits longest at that place and is still there.
    fn next_waiter(&mut self, place: &Place) -> Option<Sender> {
        let entry = self.places.get_mut(place)?;
        while let Some(waiter) = entry.waiters.pop_front() {
            if !waiter.is_closed() {
                return Some(waiter);
            }
        }
        None
    }

    /// Takes a clean connection back. `Some`: it is not wanted any more and has to be closed.
    pub(super) fn put_back(&mut self, place: &Place, connection: Connection, generation: u64) -> Option<Connection> {
        let Some(entry) = self.places.get_mut(place) else { return Some(connection) };
        if self.closed || entry.fenced || entry.generation != generation {
            return Some(connection);
        }
        self.ticks += 1;
        entry.idle.push(Idle { tick: self.ticks, since: Instant::now(), connection });
        self.idle.insert(self.ticks, place.clone());
        None
    }

    /// A connection of that place is closed.
    pub(super) fn forget(&mut self, place: &Place) {
        self.open = self.open.saturating_sub(1);
        if let Some(entry) = self.places.get_mut(place) {
            entry.open = entry.open.saturating_sub(1);
        }
        self.drop_if_unused(place);
    }

    /// The connections to close now; those that are out are closed when they come back.
    fn retire(&mut self, place: &Place) -> Vec<(Place, Connection)> {
        let Some(entry) = self.places.get_mut(place) else { return Vec::new() };
        entry.generation += 1;
        let idle = std::mem::take(&mut entry.idle);
        for i in &idle {
            self.idle.remove(&i.tick);
        }
        idle.into_iter().map(|i| (place.clone(), i.connection)).collect()
    }

    pub(super) fn retire_tenant(&mut self, tenant: TenantId) -> Vec<(Place, Connection)> {
        let of_tenant = |place: &&Place| matches!(place, Place::Tenant(at) if at.id == tenant);
        let places: Vec<_> = self.places.keys().filter(of_tenant).cloned().collect();
        places.iter().flat_map(|place| self.retire(place)).collect()
    }

    pub(super) fn fence(&mut self, place: &Place, fenced: bool) -> Vec<(Place, Connection)> {
        self.places.entry(place.clone()).or_default().fenced = fenced;
        let idle = if fenced { self.retire(place) } else { Vec::new() };
        self.drop_if_unused(place);
        idle
    }

    pub(super) fn idle_since(&mut self, age: Duration) -> Vec<(Place, Connection)> {
        let now = Instant::now();
        let mut old = Vec::new();
        for (place, entry) in &mut self.places {
            let (stale, fresh): (Vec<_>, Vec<_>) =
                entry.idle.drain(..).partition(|i| now.duration_since(i.since) >= age);
            entry.idle = fresh;
            for i in stale {
                self.idle.remove(&i.tick);
                old.push((place.clone(), i.connection));
            }
        }
        old
    }

    pub(super) fn close(&mut self) -> Vec<(Place, Connection)> {
        self.closed = true;
        self.idle_since(Duration::ZERO)
    }
}
