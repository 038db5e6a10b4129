//! Who has which connection and who is next: plain data, no waiting.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use super::{
    closed,
    party::Party,
    queue::{Queue, Receiver, Sender},
};
use crate::{
    engine::{Connection, Place},
    error::Result,
    id::TenantId,
};

/// After how long an idle connection is another place's to take, while others are in use.
const UNUSED: Duration = Duration::from_secs(1);

/// How long all connections of a place are in use, and somebody waits for one, before it gets one more of its share of the
/// budget. Places that are used at the same time would do nothing else but open and close.
pub(super) const PATIENCE: Duration = Duration::from_millis(100);

/// The same beyond its share, from a place that has another one and is not short of them itself.
const LONG: Duration = Duration::from_secs(1);

/// What the pool has to do once the lock is gone.
pub(super) enum Action {
    Grant { waiter: Sender, party: Party, connection: Connection, generation: u64 },
    Connect { waiter: Sender, party: Party, generation: u64, instead_of: Option<Connection> },
    Refuse { waiter: Sender, place: Place },
}

pub(super) enum Taken {
    Idle(Connection, u64),
    Wait(Receiver),
}

pub(super) struct State {
    budget: usize,
    per_tenant: usize,
    /// Connections that exist, are being opened or are being closed.
    open: usize,
    places: HashMap<Place, PlaceState>,
    parties: HashMap<Party, PartyState>,
    /// Idle connections, longest unused first.
    idle: BTreeMap<u64, Place>,
    ticks: u64,
    queue: Queue,
    /// Who waited where nobody is let in any more.
    refused: Vec<(Sender, Place)>,
    /// Since when there was always somebody who used a connection.
    busy_since: Instant,
    closed: bool,
}

#[derive(Default)]
struct PlaceState {
    open: usize,
    idle: Vec<Idle>,
    /// Since when whoever came had to wait, or since when it has got its last connection of another place's.
    short_since: Option<Instant>,
    /// Raised when the place is retired: older connections are closed when they come back.
    generation: u64,
}

#[derive(Default)]
struct PartyState {
    /// Connections that it has, is getting, or that are being cleaned behind it.
    held: usize,
    fenced: bool,
}

struct Idle {
    tick: u64,
    since: Instant,
    connection: Connection,
}

impl State {
    pub(super) fn new(budget: usize, per_tenant: usize) -> Self {
        Self {
            budget,
            per_tenant,
            open: 0,
            places: HashMap::new(),
            parties: HashMap::new(),
            idle: BTreeMap::new(),
            ticks: 0,
            queue: Queue::default(),
            refused: Vec::new(),
            busy_since: Instant::now(),
            closed: false,
        }
    }

    /// Open, idle, waiting.
    pub(super) fn sizes(&self) -> (usize, usize, usize) {
        (self.open, self.idle.len(), self.queue.len())
    }

    /// Whether the party has as many connections as one tenant may have.
    pub(super) fn is_at_cap(&self, party: &Party) -> bool {
        is_at_cap(&self.parties, self.per_tenant, party)
    }

    /// Whether the party holds nothing any more, and no connection is open at a place that is its alone.
    pub(super) fn is_gone(&self, party: &Party) -> bool {
        let held = self.parties.get(party).map_or(0, |p| p.held);
        let open = self.places.get(&party.place).map_or(0, |p| p.open);
        held == 0 && (open == 0 || !matches!(party.place, Place::Tenant(_)))
    }

    fn is_refused(&self, party: &Party) -> bool {
        self.closed || self.parties.get(party).is_some_and(|p| p.fenced)
    }

    /// A connection, or a place in the queue, and one to be opened for it at once if that may be.
    pub(super) fn take(&mut self, party: &Party) -> Result<(Taken, Option<Action>)> {
        if self.is_refused(party) {
            return Err(closed(&party.place));
        }
        if self.open == self.idle.len() {
            self.busy_since = Instant::now();
        }
        let is_at_cap = self.is_at_cap(party);
        if !is_at_cap && let Some((connection, generation)) = self.pop_idle_for(party) {
            self.is_not_short(&party.place);
            return Ok((Taken::Idle(connection, generation), None));
        }
        let homeless = match self.places.get_mut(&party.place) {
            Some(entry) if !is_at_cap => {
                entry.short_since.get_or_insert_with(Instant::now);
                false
            }
            entry => entry.is_none(),
        };
        let receiver = self.queue.push(party, homeless);
        // Where its place has connections and the budget is used up, it gets one that comes back, or by a later look.
        let action = if homeless || self.open < self.budget { self.serve(party) } else { None };
        Ok((Taken::Wait(receiver), action))
    }

    /// An idle connection of the party's place; it counts as held from now on. Best is the one that has served the tenant
    /// last: so each tenant stays near its connection, without ever waiting for it.
    fn pop_idle_for(&mut self, party: &Party) -> Option<(Connection, u64)> {
        let entry = self.places.get_mut(&party.place)?;
        let last = entry.idle.len().checked_sub(1)?;
        let nearest = |tenant| {
            let served = entry.idle.iter().enumerate().map(|(at, idle)| (idle.connection.last_served(tenant), at));
            served.max().map(|(_, at)| at)
        };
        let at = party.tenant.and_then(nearest).unwrap_or(last);
        let idle = entry.idle.remove(at);
        let generation = entry.generation;
        self.idle.remove(&idle.tick);
        self.parties.entry(party.clone()).or_default().held += 1;
        Some((idle.connection, generation))
    }

    /// Takes another place's idle connection; its share of the budget goes with it.
    fn take_idle(&mut self, tick: u64) -> Option<Connection> {
        let from = self.idle.remove(&tick)?;
        let entry = self.places.get_mut(&from)?;
        let at = entry.idle.iter().position(|i| i.tick == tick)?;
        let idle = entry.idle.swap_remove(at);
        self.one_less_at(&from);
        Some(idle.connection)
    }

    fn is_not_short(&mut self, place: &Place) {
        if let Some(entry) = self.places.get_mut(place) {
            entry.short_since = None;
        }
    }

    fn one_more_at(&mut self, place: &Place) -> u64 {
        let entry = self.places.entry(place.clone()).or_default();
        entry.open += 1;
        entry.short_since = Some(Instant::now());
        if entry.open == 1 {
            self.queue.set_homeless(place, false);
        }
        entry.generation
    }

    fn one_less_at(&mut self, place: &Place) {
        let Some(entry) = self.places.get_mut(place) else { return };
        entry.open = entry.open.saturating_sub(1);
        if entry.open == 0 {
            self.places.remove(place);
            self.queue.set_homeless(place, true);
        }
    }

    fn drop_party_if_unused(&mut self, party: &Party) {
        if self.parties.get(party).is_some_and(|p| p.held == 0 && !p.fenced) {
            self.parties.remove(party);
        }
    }

    /// Serves whoever waits for a connection that has come back. If nobody does, its place has enough of them.
    pub(super) fn dispatch_behind(&mut self, place: &Place) -> Vec<Action> {
        let mut actions = self.refuse();
        while let Some(party) = self.next_for_idle_of(place) {
            let served = self.serve(&party);
            if served.is_none() && self.queue.holds(&party) {
                break;
            }
            actions.extend(served);
        }
        if self.places.get(place).is_some_and(|entry| !entry.idle.is_empty()) {
            self.is_not_short(place);
        }
        actions
    }

    /// Somebody of that place, or of one without any connection who is before them all.
    fn next_for_idle_of(&mut self, place: &Place) -> Option<Party> {
        let idle = self.places.get(place)?.idle.last()?;
        let may = |party: &Party| !is_at_cap(&self.parties, self.per_tenant, party);
        let has_served = |tenant| idle.connection.last_served(tenant).is_some();
        let of_place = self.queue.next_at(place, may, has_served);
        match (of_place, self.queue.first_homeless()) {
            (Some((turn, party)), Some((earlier, homeless))) => {
                Some(if earlier < turn { homeless.clone() } else { party })
            }
            (of_place, homeless) => {
                of_place.map(|(_, party)| party).or_else(|| homeless.map(|(_, party)| party.clone()))
            }
        }
    }

    /// Serves everybody who can be served now, one of each party in turn.
    pub(super) fn dispatch(&mut self) -> Vec<Action> {
        let mut actions = self.refuse();
        loop {
            let before = actions.len();
            for party in self.queue.parties() {
                if self.open >= self.budget && self.idle.is_empty() {
                    return actions;
                }
                actions.extend(self.serve(&party));
            }
            if actions.len() == before {
                return actions;
            }
        }
    }

    fn refuse(&mut self) -> Vec<Action> {
        self.refused.drain(..).map(|(waiter, place)| Action::Refuse { waiter, place }).collect()
    }

    /// A connection for who waits longest of that party, if there is one for it.
    fn serve(&mut self, party: &Party) -> Option<Action> {
        if self.is_at_cap(party) {
            return None;
        }
        if self.places.get(&party.place).is_some_and(|entry| !entry.idle.is_empty()) {
            let waiter = self.queue.pop(party)?;
            let (connection, generation) = self.pop_idle_for(party)?;
            return Some(Action::Grant { waiter, party: party.clone(), connection, generation });
        }
        let spare = if self.open < self.budget { None } else { Some(self.spare_for(&party.place)?) };
        let waiter = self.queue.pop(party)?;
        let instead_of = spare.and_then(|tick| self.take_idle(tick));
        if instead_of.is_none() {
            self.open += 1;
        }
        self.parties.entry(party.clone()).or_default().held += 1;
        let generation = self.one_more_at(&party.place);
        Some(Action::Connect { waiter, party: party.clone(), generation, instead_of })
    }

    /// Which idle connection of another place is closed for one more of this: the longest unused at once if it has none,
    /// and if it has been short of them for a while, one that can be spared.
    fn spare_for(&mut self, place: &Place) -> Option<u64> {
        let share = self.budget / self.places.len().max(1);
        let Some(entry) = self.places.get_mut(place) else { return self.idle.keys().next().copied() };
        let now = Instant::now();
        let short_for = now.duration_since(*entry.short_since.get_or_insert(now));
        if short_for < PATIENCE {
            return None;
        }
        let has_less = entry.open < share;
        let can_be_spared = |(tick, place): (&u64, &Place)| {
            let of = self.places.get(place)?;
            let has_more = has_less && of.open > share;
            let has_enough = || short_for >= LONG && of.open > 1 && of.short_since.is_none();
            let unused_for = |idle: &Idle| now.duration_since(idle.since.max(self.busy_since));
            let is_unused = || of.idle.iter().any(|idle| idle.tick == *tick && unused_for(idle) >= UNUSED);
            (has_more || has_enough() || is_unused()).then_some(*tick)
        };
        self.idle.iter().find_map(can_be_spared)
    }

    /// Whether somebody waits although there are idle connections: they have to be looked at again when these are older.
    pub(super) fn is_worth_another_look(&self) -> bool {
        !self.idle.is_empty() && self.queue.len() > 0
    }

    fn release(&mut self, party: &Party) {
        if let Some(entry) = self.parties.get_mut(party) {
            entry.held = entry.held.saturating_sub(1);
        }
    }

    /// Takes a clean connection back. `Some`: it is not wanted any more and has to be closed; the party still holds it.
    pub(super) fn put_back(&mut self, party: &Party, connection: Connection, generation: u64) -> Option<Connection> {
        let refused = self.is_refused(party);
        let Some(entry) = self.places.get_mut(&party.place) else { return Some(connection) };
        if refused || entry.generation != generation {
            return Some(connection);
        }
        self.ticks += 1;
        entry.idle.push(Idle { tick: self.ticks, since: Instant::now(), connection });
        self.idle.insert(self.ticks, party.place.clone());
        self.release(party);
        self.drop_party_if_unused(party);
        None
    }

    /// A connection of that place that nobody held is closed.
    pub(super) fn forget(&mut self, place: &Place) {
        self.open = self.open.saturating_sub(1);
        self.one_less_at(place);
    }

    /// A connection that the party held is closed.
    pub(super) fn forget_held(&mut self, party: &Party) {
        self.forget(&party.place);
        self.release(party);
        self.drop_party_if_unused(party);
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

    /// Retires the places that are this tenant's alone; in a shared place nothing of it stays on a connection.
    pub(super) fn retire_tenant(&mut self, tenant: TenantId) -> Vec<(Place, Connection)> {
        let of_tenant = |place: &&Place| matches!(place, Place::Tenant(at) if at.id == tenant);
        let places: Vec<_> = self.places.keys().filter(of_tenant).cloned().collect();
        places.iter().flat_map(|place| self.retire(place)).collect()
    }

    pub(super) fn fence(&mut self, party: &Party, fenced: bool) -> Vec<(Place, Connection)> {
        self.parties.entry(party.clone()).or_default().fenced = fenced;
        if fenced {
            self.refuse_all_of(party);
        }
        let own = matches!(party.place, Place::Tenant(_));
        let idle = if fenced && own { self.retire(&party.place) } else { Vec::new() };
        self.drop_party_if_unused(party);
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
        for party in self.queue.parties() {
            self.refuse_all_of(&party);
        }
        self.idle_since(Duration::ZERO)
    }

    fn refuse_all_of(&mut self, party: &Party) {
        let waiters = self.queue.drain(party);
        self.refused.extend(waiters.into_iter().map(|waiter| (waiter, party.place.clone())));
    }
}

fn is_at_cap(parties: &HashMap<Party, PartyState>, per_tenant: usize, party: &Party) -> bool {
    party.tenant.is_some() && parties.get(party).is_some_and(|p| p.held >= per_tenant)
}
