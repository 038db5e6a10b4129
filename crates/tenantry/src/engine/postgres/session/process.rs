//! [`Process`]: the server's process behind a connection, which may be asked to stop from outside of it.

use std::{fmt, sync::Arc};

use tokio::sync::Mutex;

use super::control::Control;
use crate::engine::Interrupt;

/// Which process of the server serves a connection, or, behind a pooler, its transaction. It is held while it is asked to stop:
/// behind a pooler it serves somebody else as soon as it is let go.
pub(crate) struct Process {
    control: Arc<Control>,
    pid: Mutex<Option<i32>>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").finish_non_exhaustive()
    }
}

impl Process {
    pub(crate) fn new(control: Arc<Control>, pid: Option<i32>) -> Self {
        Self { control, pid: Mutex::new(pid) }
    }

    /// That process serves from now on, or none that is known.
    pub(crate) async fn set(&self, pid: Option<i32>) {
        *self.pid.lock().await = pid;
    }

    /// Stops what it does, and waits until it was asked. `false`: it cannot be known whether it was.
    pub(crate) async fn stop(&self) -> bool {
        match *self.pid.lock().await {
            Some(pid) => self.control.cancel(pid).await,
            None => true,
        }
    }
}

impl Interrupt for Process {
    fn stop_at_once(&self) {
        // That takes a round trip.
    }

    async fn ask(&self) -> bool {
        self.stop().await
    }

    /// Code of the app's may catch a cancel.
    async fn end(&self) {
        if let Some(pid) = *self.pid.lock().await {
            self.control.terminate(pid).await;
        }
    }
}
