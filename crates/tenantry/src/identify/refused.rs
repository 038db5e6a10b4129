//! [`Refused`]: what an operator learns of requests that were turned away.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::error::{Error, ErrorKind};

/// How many requests were refused by what they say of their tenant, since this process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RefusedStats {
    /// The signals of a request named different tenants, or could not be read.
    pub disagreeing: u64,
    /// The tenant is suspended.
    pub suspended: u64,
    /// The tenant is unknown, deleted, or not made yet.
    pub unknown: u64,
    /// A token is missing, not valid, or another tenant's.
    pub unauthenticated: u64,
    /// Too many unknown names were asked for.
    pub throttled: u64,
}

/// One line in the log for a cause in this time: a flood of bad requests is no flood of lines.
const BETWEEN_LINES: Duration = Duration::from_secs(1);

/// Counts refused requests, and tells of them in the log.
#[derive(Default)]
pub(crate) struct Refused([Cause; 5]);

#[derive(Default)]
struct Cause {
    count: AtomicU64,
    /// When the last line was written, and how many there were by then.
    told: Mutex<Option<(Instant, u64)>>,
}

impl Refused {
    /// Counts one; `route` is the route that matched, never the address itself.
    pub(crate) fn note(&self, error: &Error, route: Option<&str>) {
        let Some(cause) = place_of(error.kind()).and_then(|at| self.0.get(at)) else { return };
        let count = cause.count.fetch_add(1, Ordering::Relaxed) + 1;
        let Some(requests) = cause.worth_a_line(count) else { return };
        let code = error.code();
        // The text names at most the tenant that the request itself has named.
        if matches!(error.kind(), ErrorKind::UnknownTenant | ErrorKind::Unauthenticated) {
            // Every scanner makes these.
            tracing::info!(code, route, requests, "requests were refused, the last: {error}");
        } else {
            tracing::warn!(code, route, requests, "requests were refused, the last: {error}");
        }
    }

    pub(crate) fn stats(&self) -> RefusedStats {
        let [disagreeing, suspended, unknown, unauthenticated, throttled] =
            self.0.each_ref().map(|cause| cause.count.load(Ordering::Relaxed));
        RefusedStats { disagreeing, suspended, unknown, unauthenticated, throttled }
    }
}

const fn place_of(kind: ErrorKind) -> Option<usize> {
    match kind {
        ErrorKind::Disagreement | ErrorKind::BadHost | ErrorKind::BadSignal | ErrorKind::NoTenant => Some(0),
        ErrorKind::Suspended => Some(1),
        ErrorKind::UnknownTenant => Some(2),
        ErrorKind::Unauthenticated => Some(3),
        ErrorKind::Throttled => Some(4),
        _ => None,
    }
}

impl Cause {
    /// How many there were since the last line, if it is time for another.
    fn worth_a_line(&self, count: u64) -> Option<u64> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match *told {
            Some((at, _)) if at.elapsed() < BETWEEN_LINES => return None,
            Some((_, before)) => before,
            None => 0,
        };
        *told = Some((Instant::now(), count));
        Some(count.saturating_sub(before))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refused_request_is_counted_by_its_cause_and_few_are_told() {
        let refused = Refused::default();
        for _ in 0..56 {
            refused.note(&Error::new(ErrorKind::Disagreement, ""), None);
        }
        for kind in [ErrorKind::Suspended, ErrorKind::UnknownTenant, ErrorKind::Unauthenticated, ErrorKind::Throttled] {
            refused.note(&Error::new(kind, ""), None);
        }
        refused.note(&Error::new(ErrorKind::Database, ""), None);
        let expected = RefusedStats { disagreeing: 56, suspended: 1, unknown: 1, unauthenticated: 1, throttled: 1 };
        assert_eq!(refused.stats(), expected);
        let cause = Cause::default();
        assert_eq!((cause.worth_a_line(1), cause.worth_a_line(2)), (Some(1), None));
    }
}
