//! Ctrl-C: long work stops at the next safe point, everything else at once.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crate::render;

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

/// How long work that has begun may take to end. What is cut off then is taken over by the next run.
const PATIENCE: Duration = Duration::from_secs(60);

/// Operations and migrations run as tasks of their own, so that they end well: waits for those, until Ctrl-C again.
pub(crate) async fn let_begun_work_end() {
    let runtime = tokio::runtime::Handle::current();
    let all_ended = async {
        while runtime.metrics().num_alive_tasks() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if runtime.metrics().num_alive_tasks() > 0 {
        render::note("interrupted: ending what has begun; Ctrl-C again stops at once");
    } else {
        render::note("interrupted");
    }
    tokio::select! {
        () = all_ended => {}
        () = tokio::time::sleep(PATIENCE) => {}
        () = Interrupt::come() => {}
    }
}
