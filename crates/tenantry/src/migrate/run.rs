//! [`Run`]: a run over a fleet, as the journal knows it while it lasts and afterwards.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{runtime::Handle, task::JoinHandle};

use super::{FleetReport, MigrateOptions};
use crate::{
    catalog::{Catalog, End, Operation, OperationKind, Record},
    error::Result,
};

/// How often a run says how far it is, and hears whether it is to stop. Its lease is more than three times as long.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How the fleet is gone through.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Input {
    only: Option<String>,
    parallel: usize,
    waves: Vec<f64>,
    stop_after: Option<usize>,
    retry_failed: bool,
}

impl Record for Input {
    const FORM: u32 = 1;
}

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    /// How many targets have something to apply.
    targets: usize,
    done: usize,
    failed: usize,
}

impl Record for Progress {
    const FORM: u32 = 1;
}

/// What came of it; each target's own failure stands in the catalog beside the tenant.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Summary {
    tried: usize,
    up_to_date: usize,
    failed: usize,
    not_tried: usize,
    gone: usize,
}

impl Record for Summary {
    const FORM: u32 = 1;
}

impl Summary {
    fn of(report: &FleetReport) -> Self {
        let &FleetReport { ref targets, up_to_date, failed, not_tried, ref gone, .. } = report;
        Self { tried: targets.len(), up_to_date, failed, not_tried, gone: gone.len() }
    }
}

/// A run that goes on. Dropped without [`Run::end`] it has been given up by whoever waited for it.
pub(super) struct Run {
    catalog: Catalog,
    operation: Option<Operation>,
    seen: Arc<Seen>,
    heart: JoinHandle<()>,
    /// A future may be dropped where no runtime is entered.
    runtime: Handle,
}

/// What the run and its heartbeat tell each other.
#[derive(Default)]
struct Seen {
    progress: Mutex<Progress>,
    cancelled: AtomicBool,
}

impl Seen {
    fn progress(&self) -> std::sync::MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Run {
    pub(super) async fn begin(catalog: &Catalog, options: &MigrateOptions, targets: usize) -> Result<Self> {
        let input = Input {
            only: options.only.as_ref().map(|only| only.glob().glob().to_owned()),
            parallel: options.parallel,
            waves: options.waves.clone(),
            stop_after: options.stop_after,
            retry_failed: options.retry_failed,
        };
        let operation = catalog.operation_begin(OperationKind::Migrate, &input).await?;
        let seen = Arc::new(Seen::default());
        seen.progress().targets = targets;
        let heart = tokio::spawn(beat(catalog.clone(), operation.clone(), Arc::clone(&seen)));
        Ok(Self { catalog: catalog.clone(), operation: Some(operation), seen, heart, runtime: Handle::current() })
    }

    pub(super) fn note(&self, failed: bool) {
        let mut progress = self.seen.progress();
        progress.done += 1;
        progress.failed += usize::from(failed);
    }

    /// Whether somebody has asked that it stop.
    pub(super) fn is_cancelled(&self) -> bool {
        self.seen.cancelled.load(Ordering::Acquire)
    }

    /// Writes down what came of it. Each target's ledger has said so already: what was done is no failure because this row cannot
    /// be written, or because its lease was lost while the process stood still.
    pub(super) async fn end(mut self, report: &FleetReport) {
        self.heart.abort();
        let Some(operation) = self.operation.take() else { return };
        let how = if self.is_cancelled() {
            End::Cancelled
        } else if report.failed > 0 {
            End::Failed
        } else {
            End::Done
        };
        let progress = self.seen.progress().clone();
        let ended = async {
            self.catalog.operation_progress(&operation, &progress).await?;
            self.catalog.operation_end(&operation, how, &Summary::of(report), None).await
        };
        told(ended.await);
    }
}

fn told(ended: Result<()>) {
    if let Err(error) = ended {
        // Its lease runs out by itself.
        tracing::warn!(error = &error as &dyn std::error::Error, "the end of a run was not written down");
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.heart.abort();
        let Some(operation) = self.operation.take() else { return };
        let (catalog, seen) = (self.catalog.clone(), Arc::clone(&self.seen));
        self.runtime.spawn(async move {
            let Progress { targets, done, failed } = seen.progress().clone();
            let summary =
                Summary { tried: done, up_to_date: 0, failed, not_tried: targets.saturating_sub(done), gone: 0 };
            let why = "whoever waited for it has gone away".to_owned();
            told(catalog.operation_end(&operation, End::Cancelled, &summary, Some(why)).await);
        });
    }
}

/// A run that cannot say that it is alive goes on all the same: each target has a ledger of its own, and a second runner
/// does no harm.
async fn beat(catalog: Catalog, operation: Operation, seen: Arc<Seen>) {
    loop {
        let progress = seen.progress().clone();
        match catalog.operation_progress(&operation, &progress).await {
            Ok(cancelled) => seen.cancelled.store(cancelled, Ordering::Release),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "a run cannot say how far it is"),
        }
        tokio::time::sleep(HEARTBEAT).await;
    }
}
