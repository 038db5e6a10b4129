//! Operations: lists of (do, undo) steps, written into the journal, that end right when they are run again.

use std::{sync::Arc, time::Duration};

use crate::{
    catalog::Catalog,
    error::{Error, ErrorKind, Result},
    failpoint::Failpoints,
    migrate::Migrations,
    scope::Servers,
};

mod provision;
mod purge;
mod recover;
mod runner;

pub use provision::NewTenant;
pub use recover::Recovered;

/// What operations work on. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Operator {
    pub(crate) catalog: Catalog,
    pub(crate) servers: Arc<Servers>,
    pub(crate) migrations: Migrations,
    pub(crate) failpoints: Failpoints,
}

/// How long a command waits for an operation of another process: its lease, and a little more.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often it looks.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Runs to its end, whatever becomes of the caller: a dropped future leaves nothing half done.
async fn to_the_end<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(work).await.map_err(|e| {
        Error::new(ErrorKind::Internal, "an operation was cut off; it is taken over in 10 s").caused_by(e)
    })?
}

#[cfg(test)]
mod tests;
