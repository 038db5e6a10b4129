//! [`Queue`]: who waits for a connection, in turn.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::{lease::Lease, party::Party};
use crate::{engine::Place, error::Result, id::TenantId};

pub(super) type Sender = tokio::sync::oneshot::Sender<Result<Lease>>;
pub(super) type Receiver = tokio::sync::oneshot::Receiver<Result<Lease>>;

/// Among how many of those who are next at a place a connection looks for one that it has served before.
const NEAR: usize = 8;

/// How often a party may be passed by for that.
const MOST_PASSES: u8 = 8;

/// Parties take turns: who asks for much waits behind himself, not before others.
#[derive(Default)]
pub(super) struct Queue {
    waiting: HashMap<Party, Waiting>,
    /// All that wait, who is next first.
    turns: BTreeMap<Turn, Party>,
    places: HashMap<Place, BTreeSet<Turn>>,
    /// Those who wait at a place that has no connection at all.
    homeless: BTreeSet<Turn>,
    next_turn: Turn,
    waiters: usize,
}

pub(super) type Turn = u64;

#[derive(Default)]
struct Waiting {
    waiters: VecDeque<Sender>,
    turn: Turn,
    passes: u8,
}

impl Queue {
    /// How many wait.
    pub(super) const fn len(&self) -> usize {
        self.waiters
    }

    pub(super) fn holds(&self, party: &Party) -> bool {
        self.waiting.contains_key(party)
    }

    /// All parties in their order.
    pub(super) fn parties(&self) -> Vec<Party> {
        self.turns.values().cloned().collect()
    }

    /// `homeless`: its place has no connection.
    pub(super) fn push(&mut self, party: &Party, homeless: bool) -> Receiver {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.waiters += 1;
        if let Some(waiting) = self.waiting.get_mut(party) {
            waiting.waiters.push_back(sender);
            return receiver;
        }
        let turn = self.enlist(party, homeless);
        self.waiting.insert(party.clone(), Waiting { waiters: [sender].into(), turn, passes: 0 });
        receiver
    }

    /// Puts a party at the end.
    fn enlist(&mut self, party: &Party, homeless: bool) -> Turn {
        let turn = self.next_turn;
        self.next_turn += 1;
        self.turns.insert(turn, party.clone());
        self.places.entry(party.place.clone()).or_default().insert(turn);
        if homeless {
            self.homeless.insert(turn);
        }
        turn
    }

    /// `true`: it was one of those without a place's connection.
    fn strike(&mut self, party: &Party, turn: Turn) -> bool {
        self.turns.remove(&turn);
        if let Some(turns) = self.places.get_mut(&party.place) {
            turns.remove(&turn);
            if turns.is_empty() {
                self.places.remove(&party.place);
            }
        }
        self.homeless.remove(&turn)
    }

    /// Who waits longest of that party and is still there. If others of it wait too, its next turn is behind all others'.
    pub(super) fn pop(&mut self, party: &Party) -> Option<Sender> {
        let waiting = self.waiting.get_mut(party)?;
        let turn = waiting.turn;
        let before = waiting.waiters.len();
        while waiting.waiters.pop_front_if(|waiter| waiter.is_closed()).is_some() {}
        let waiter = waiting.waiters.pop_front();
        self.waiters -= before - waiting.waiters.len();
        let is_last = waiting.waiters.is_empty();
        let homeless = self.strike(party, turn);
        if is_last {
            self.waiting.remove(party);
            return waiter;
        }
        let turn = self.enlist(party, homeless);
        if let Some(waiting) = self.waiting.get_mut(party) {
            (waiting.turn, waiting.passes) = (turn, 0);
        }
        waiter
    }

    /// All of that party.
    pub(super) fn drain(&mut self, party: &Party) -> VecDeque<Sender> {
        let Some(waiting) = self.waiting.remove(party) else { return VecDeque::new() };
        self.waiters -= waiting.waiters.len();
        self.strike(party, waiting.turn);
        waiting.waiters
    }

    /// Whether a place has any connections has changed.
    pub(super) fn set_homeless(&mut self, place: &Place, homeless: bool) {
        for turn in self.places.get(place).into_iter().flatten() {
            if homeless {
                self.homeless.insert(*turn);
            } else {
                self.homeless.remove(turn);
            }
        }
    }

    pub(super) fn first_homeless(&self) -> Option<(Turn, &Party)> {
        let turn = self.homeless.first()?;
        self.turns.get_key_value(turn).map(|(turn, party)| (*turn, party))
    }

    /// Who gets a connection of that place, of those who `may`: one of the next few that it `has_served`, so that each
    /// tenant stays near its connections. With the turn of whoever is the next of all.
    pub(super) fn next_at(
        &mut self,
        place: &Place,
        may: impl Fn(&Party) -> bool,
        has_served: impl Fn(TenantId) -> bool,
    ) -> Option<(Turn, Party)> {
        let turns = self.places.get(place)?;
        let near: Vec<(Turn, &Party)> = turns
            .iter()
            .filter_map(|turn| Some((*turn, self.turns.get(turn)?)))
            .filter(|(_, party)| may(party))
            .take(NEAR)
            .collect();
        let (first_turn, first) = *near.first()?;
        let is_passed_enough = self.waiting.get(first).is_none_or(|waiting| waiting.passes >= MOST_PASSES);
        let fits = |(_, party): &(Turn, &Party)| party.tenant.is_some_and(&has_served);
        let at = if is_passed_enough { 0 } else { near.iter().position(fits).unwrap_or(0) };
        let chosen = near.get(at)?.1.clone();
        for (_, passed) in near.iter().take(at) {
            if let Some(waiting) = self.waiting.get_mut(*passed) {
                waiting.passes = waiting.passes.saturating_add(1);
            }
        }
        Some((first_turn, chosen))
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn party(login: i32, tenant: u128) -> Party {
        Party { place: Place::Schemas(login), tenant: Some(TenantId::from_uuid(Uuid::from_u128(tenant))) }
    }

    fn waits(queue: &mut Queue, parties: &[&Party], homeless: bool) -> Vec<Receiver> {
        parties.iter().map(|party| queue.push(party, homeless)).collect()
    }

    fn next(queue: &mut Queue, known: &[&Party]) -> Party {
        let known: Vec<_> = known.iter().filter_map(|party| party.tenant).collect();
        let (_, party) =
            queue.next_at(&Place::Schemas(0), |_| true, |tenant| known.contains(&tenant)).expect("a party");
        party
    }

    #[test]
    fn parties_take_turns_however_many_of_one_wait() {
        let (greedy, modest) = (party(0, 1), party(0, 2));
        let mut queue = Queue::default();
        let _there = waits(&mut queue, &[&greedy, &greedy, &greedy, &modest], false);
        let mut served = Vec::new();
        while queue.len() > 0 {
            let party = next(&mut queue, &[]);
            assert!(queue.pop(&party).is_some());
            served.push(party);
        }
        assert_eq!(served, [greedy.clone(), modest, greedy.clone(), greedy]);
    }

    #[test]
    fn one_that_the_connection_has_served_may_pass_but_not_for_ever() {
        let (stranger, known) = (party(0, 1), party(0, 2));
        let mut queue = Queue::default();
        let _there = waits(&mut queue, &[&stranger], false);
        let mut passes = 0;
        loop {
            let _there = waits(&mut queue, &[&known], false);
            let party = next(&mut queue, &[&known]);
            assert!(queue.pop(&party).is_some());
            if party == stranger {
                break;
            }
            passes += 1;
        }
        assert_eq!(passes, MOST_PASSES);
        let far: Vec<_> = (10..10 + NEAR as u128).map(|n| party(0, n)).collect();
        let mut queue = Queue::default();
        let _there = waits(&mut queue, &far.iter().chain([&known]).collect::<Vec<_>>(), false);
        assert_eq!(next(&mut queue, &[&known]), far[0], "only the next few are looked at");
    }

    #[test]
    fn who_has_gone_is_passed_over_and_leaves_nothing() {
        let (gone, there) = (party(0, 1), party(0, 2));
        let mut queue = Queue::default();
        drop(waits(&mut queue, &[&gone, &gone], true));
        let _there = waits(&mut queue, &[&there], true);
        assert!(queue.pop(&gone).is_none() && !queue.holds(&gone));
        assert_eq!(queue.first_homeless().map(|(_, party)| party), Some(&there));
        queue.set_homeless(&there.place, false);
        assert!(queue.first_homeless().is_none());
        assert_eq!(queue.drain(&there).len(), 1);
        assert!(queue.len() == 0 && queue.parties().is_empty() && queue.places.is_empty() && queue.waiting.is_empty());
    }
}
