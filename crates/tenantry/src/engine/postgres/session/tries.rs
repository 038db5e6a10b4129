//! [`Tries`]: what meets somebody's lock lets others pass and is tried again, for as long as one may keep a fleet.

use std::time::{Duration, Instant};

use crate::error::{Error, ErrorKind};

const PATIENCE: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(200);

pub(crate) struct Tries {
    begun: Instant,
}

impl Tries {
    pub(crate) fn begin() -> Self {
        Self { begun: Instant::now() }
    }

    /// Whether it is worth another try, after a pause: it failed for a lock, and not for long yet.
    pub(crate) async fn again(&self, error: &Error) -> bool {
        let again = waits_for_lock(error) && self.begun.elapsed() < PATIENCE;
        if again {
            tokio::time::sleep(PAUSE).await;
        }
        again
    }
}

/// Whether it failed because somebody else is at the tables, or at the same migration.
pub(crate) fn waits_for_lock(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|c| c.downcast_ref::<sqlx::Error>());
    let code = cause.and_then(|c| c.as_database_error()).and_then(|e| e.code());
    error.kind() == ErrorKind::OperationRunning || matches!(code.as_deref(), Some("55P03" | "40P01"))
}
