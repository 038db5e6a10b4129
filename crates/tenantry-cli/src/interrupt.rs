//! Ctrl-C: long work stops at the next safe point, everything else at once.

use std::sync::atomic::{AtomicBool, Ordering};

/// How a command hears of Ctrl-C.
#[derive(Debug, Default)]
pub(crate) struct Interrupt {
    attended: AtomicBool,
}

impl Interrupt {
    /// From now on the command itself waits for [`Interrupt::come`] and ends at a point of its choice.
    pub(crate) fn attend(&self) {
        self.attended.store(true, Ordering::Release);
    }

    /// Returns when Ctrl-C comes while no command attends to it.
    pub(crate) async fn unattended(&self) {
        loop {
            Self::come().await;
            if !self.attended.load(Ordering::Acquire) {
                return;
            }
        }
    }

    /// Returns at the next Ctrl-C.
    pub(crate) async fn come() {
        if tokio::signal::ctrl_c().await.is_err() {
            // Without a handler the signal ends the process by itself.
            std::future::pending::<()>().await;
        }
    }
}
