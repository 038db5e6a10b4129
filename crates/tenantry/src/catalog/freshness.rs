//! [`Freshness`]: whether what was once read from the catalog may still be used.

use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use super::{Change, Name, known::KnownNames};
use crate::error::{Error, ErrorKind, Result};

/// Every name falls into one of these; a change makes all that was read before it, under any name in the same slot,
/// stale. So a cache needs no invalidation that could be missed, and the size is bounded for any number of tenants.
const SLOTS: usize = 4096;

pub(crate) struct Freshness {
    started: Instant,
    /// Every change up to this epoch was heard of and applied.
    heard_to: AtomicU64,
    /// The newest epoch that is known to be committed: what is read from now on is at least as new.
    committed: AtomicU64,
    /// When the catalog last answered, in milliseconds after `started`.
    heard: AtomicU64,
    /// For each slot the epoch of its last change.
    changed: Box<[AtomicU64]>,
    max_stale: Duration,
    known: KnownNames,
}

impl Freshness {
    pub(super) fn new(epoch: u64, max_stale: Duration) -> Self {
        Self {
            started: Instant::now(),
            heard_to: AtomicU64::new(epoch),
            committed: AtomicU64::new(epoch),
            heard: AtomicU64::new(0),
            changed: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            max_stale,
            known: KnownNames::default(),
        }
    }

    /// To be taken *before* reading from the catalog; what is read is at least as new.
    pub(crate) fn mark(&self) -> u64 {
        self.committed.load(Ordering::Acquire)
    }

    /// From where to ask for changes.
    pub(super) fn heard_to(&self) -> u64 {
        self.heard_to.load(Ordering::Acquire)
    }

    /// Whether nothing of that name has changed since `mark`.
    pub(crate) fn holds(&self, name: &Name, mark: u64) -> bool {
        self.slot(name).load(Ordering::Acquire) <= mark
    }

    fn slot(&self, name: &Name) -> &AtomicU64 {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(name);
        let at = usize::try_from(hash % SLOTS as u64).unwrap_or(0);
        // `at` is below `SLOTS`, the length of the slice.
        self.changed.get(at).unwrap_or(&self.committed)
    }

    pub(super) fn apply(&self, change: &Change) {
        if change.is_of_all {
            for slot in &self.changed {
                slot.fetch_max(change.epoch, Ordering::AcqRel);
            }
        }
        for name in &change.names {
            self.slot(name).fetch_max(change.epoch, Ordering::AcqRel);
        }
        // Epochs are given in the order of commits: all older ones can be read too, even those not heard of yet.
        self.committed.fetch_max(change.epoch, Ordering::AcqRel);
        // Last: who forgets a name looks at its slot first.
        self.known.add(&change.names);
    }

    /// Names that need not wait behind those that nobody has.
    pub(crate) fn known(&self) -> &KnownNames {
        &self.known
    }

    /// All changes up to `epoch` have been applied.
    pub(super) fn heard(&self, epoch: u64) {
        self.heard_to.fetch_max(epoch, Ordering::AcqRel);
    }

    pub(super) fn heard_now(&self) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.heard.fetch_max(now, Ordering::AcqRel);
    }

    /// How long the catalog has not answered.
    pub(crate) fn silence(&self) -> Duration {
        self.started.elapsed().saturating_sub(Duration::from_millis(self.heard.load(Ordering::Acquire)))
    }

    /// `Ok` while what is known may be served without the catalog.
    pub(crate) fn check(&self) -> Result<()> {
        let silence = self.silence();
        if silence <= self.max_stale {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::CatalogUnavailable,
            format!("the catalog has not answered for {} s", silence.as_secs()),
        )
        .help(
            "look whether the catalog's database runs; `max_stale` in tenantry.toml says how long to serve without it",
        ))
    }
}
