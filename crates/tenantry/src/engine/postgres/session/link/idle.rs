//! [`Idle`]: how long a transaction waits for its next words.

use std::time::{Duration, Instant};

/// Since when the transaction on a link waits, if there is one, and how long the server lets it.
pub(super) struct Idle {
    limit: Duration,
    since: Option<Instant>,
}

impl Idle {
    pub(super) const fn new(limit: Duration) -> Self {
        Self { limit, since: None }
    }

    /// A transaction has begun.
    pub(super) fn begin(&mut self) {
        self.since = Some(Instant::now());
    }

    /// The transaction has ended.
    pub(super) const fn end(&mut self) {
        self.since = None;
    }

    /// Words in it have ended.
    pub(super) fn wait_anew(&mut self) {
        if self.since.is_some() {
            self.begin();
        }
    }

    /// Whether a transaction has waited so long that the server has ended it.
    pub(super) fn is_over(&self) -> bool {
        self.since.is_some_and(|since| since.elapsed() >= self.limit)
    }
}
