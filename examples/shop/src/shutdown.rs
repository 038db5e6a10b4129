//! [`Stop`]: SIGTERM from a service manager, or SIGINT from a keyboard.

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::failure::Failure;

/// Becomes true once, when the process is asked to end. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// From here on the signals do not kill the process any more.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let failed = |e| Failure::new("cannot listen for signals").caused_by(e);
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let (asked, stop) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            asked.send_replace(true);
        });
        Ok(Self(stop))
    }

    pub(crate) async fn asked(mut self) {
        // An error says that the listening task is gone, and then nobody will ever ask.
        if self.0.wait_for(|&asked| asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
