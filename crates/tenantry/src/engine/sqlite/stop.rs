//! [`Stop`]: how a connection's work is ended, or given a limit.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::engine::Interrupt;

/// Ends what a connection is doing, and everything it would do until it has been settled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<StopState>);

#[derive(Debug)]
struct StopState {
    stopped: AtomicBool,
    started: Instant,
    /// Milliseconds after `started`; 0 is no limit.
    deadline: AtomicU64,
}

impl Default for StopState {
    fn default() -> Self {
        Self { stopped: AtomicBool::new(false), started: Instant::now(), deadline: AtomicU64::new(0) }
    }
}

impl Stop {
    pub(crate) fn stop(&self) {
        self.0.stopped.store(true, Ordering::Release);
    }

    pub(super) fn reset(&self) {
        self.0.deadline.store(0, Ordering::Release);
        self.0.stopped.store(false, Ordering::Release);
    }

    pub(super) fn limit(&self, limit: Duration) {
        let deadline = self.0.started.elapsed().saturating_add(limit).as_millis();
        self.0.deadline.store(u64::try_from(deadline).unwrap_or(u64::MAX), Ordering::Release);
    }

    pub(super) fn is_due(&self) -> bool {
        let deadline = self.0.deadline.load(Ordering::Acquire);
        self.0.stopped.load(Ordering::Acquire)
            || (deadline != 0 && self.0.started.elapsed().as_millis() > u128::from(deadline))
    }
}

impl Interrupt for Stop {
    fn stop_at_once(&self) {
        self.stop();
    }

    async fn ask(&self) -> bool {
        self.stop();
        true
    }

    async fn end(&self) {
        self.stop();
    }
}
