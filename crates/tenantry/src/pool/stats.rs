//! What a pool has done, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

/// Numbers of one server's pool. The first three are now, the others since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PoolStats {
    /// Connections that exist, are being opened or closed.
    pub open: usize,
    /// Of these, unused.
    pub idle: usize,
    /// Requests that wait for one.
    pub waiting: usize,
    /// Leases handed out.
    pub leased: u64,
    /// Connections opened.
    pub opened: u64,
    /// Closed to make room for another tenant.
    pub evicted: u64,
    /// Closed because they had served so many tenants that the server's side had grown.
    pub worn: u64,
    /// Abandoned by their user, stopped, and proven clean.
    pub settled: u64,
    /// Closed because they could not be proven clean.
    pub closed_unproven: u64,
    /// Requests that waited in vain.
    pub timed_out: u64,
}

#[derive(Default)]
pub(super) struct Counters {
    leased: AtomicU64,
    opened: AtomicU64,
    evicted: AtomicU64,
    worn: AtomicU64,
    settled: AtomicU64,
    closed_unproven: AtomicU64,
    timed_out: AtomicU64,
}

macro_rules! count {
    ($($name:ident),*) => { $(pub(super) fn $name(&self) { self.$name.fetch_add(1, Ordering::Relaxed); })* };
}

impl Counters {
    count!(leased, opened, evicted, worn, settled, closed_unproven, timed_out);

    pub(super) fn read(&self, open: usize, idle: usize, waiting: usize) -> PoolStats {
        let get = |n: &AtomicU64| n.load(Ordering::Relaxed);
        PoolStats {
            open,
            idle,
            waiting,
            leased: get(&self.leased),
            opened: get(&self.opened),
            evicted: get(&self.evicted),
            worn: get(&self.worn),
            settled: get(&self.settled),
            closed_unproven: get(&self.closed_unproven),
            timed_out: get(&self.timed_out),
        }
    }
}
