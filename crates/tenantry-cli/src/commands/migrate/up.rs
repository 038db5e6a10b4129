//! `tenantry migrate up`.

use clap::Args;
use serde::Serialize;
use tenantry::{FleetReport, MigrateEvent, MigrateOptions, TargetReport};

use super::Which;
use crate::{
    context::Context,
    exit::Exit,
    failure::Result,
    interrupt::Interrupt,
    render::{self, progress::Progress, table},
};

const NOTES: &str = "\
Every history is compared with the files first: if one does not fit nothing is applied to anything. Then the shared
tables come, then the tenants. A tenant that fails is reported and does not stop the others of its wave; the exit code
is 3. Killed or interrupted it goes on where it was when it is run again.

Examples:
  tenantry migrate up
  tenantry migrate up --wave 1%,10%,100% --parallel 8   the first wave is the canary
  tenantry migrate up --only 'trial-*' --stop-after 5
  tenantry migrate up --retry-failed                    after the cause was fixed";

/// How to go through the fleet.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(crate) struct Up {
    #[command(flatten)]
    which: Which,
    /// Shares of the fleet; stops after the first wave with a failure
    #[arg(long, value_name = "1%,10%,100%", value_delimiter = ',', value_parser = share)]
    wave: Vec<f64>,
    /// How many tenants at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    parallel: u16,
    /// Stop after so many failures
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    stop_after: Option<u32>,
    /// Only tenants whose last migration failed
    #[arg(long)]
    retry_failed: bool,
}

/// `10%` as 0.1.
fn share(text: &str) -> Result<f64, String> {
    let number = text.trim().strip_suffix('%').ok_or("write it in percent, such as 10%")?;
    match number.parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent / 100.0),
        _ => Err("a share is more than 0% and at most 100%".into()),
    }
}

#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line<'a> {
    Planned { targets: usize },
    Wave { number: usize, targets: usize },
    Done(&'a TargetReport),
    Report(&'a Outcome),
}

#[derive(Debug, Serialize)]
struct Outcome {
    #[serde(flatten)]
    report: FleetReport,
    interrupted: bool,
}

impl Up {
    fn options(&self) -> Result<MigrateOptions> {
        let mut options = self.which.options()?.parallel(usize::from(self.parallel)).waves(&self.wave);
        if let Some(failures) = self.stop_after {
            options = options.stop_after(usize::try_from(failures).unwrap_or(usize::MAX));
        }
        Ok(if self.retry_failed { options.retry_failed() } else { options })
    }

    pub(super) async fn run(self, context: &Context) -> Result<Exit> {
        let options = self.options()?;
        let tenancy = context.open().await?;
        context.interrupt.attend();
        let mut watch = Watch::new(context);
        let fleet = tenancy.migrations();
        let ended = tokio::select! {
            report = fleet.up(&options, |event| watch.see(event)) => Some(report?),
            () = Interrupt::come() => None,
        };
        let outcome = watch.outcome(ended)?;
        render::answer(context, &Line::Report(&outcome), || outcome.in_words())?;
        Ok(outcome.advise(&self))
    }
}

/// Shows what happens while it does, and remembers it in case that the end does not come.
struct Watch<'a> {
    context: &'a Context,
    progress: Progress,
    planned: usize,
    done: Vec<TargetReport>,
    written: Result<()>,
}

impl<'a> Watch<'a> {
    fn new(context: &'a Context) -> Self {
        Self { context, progress: Progress::new(context, 0), planned: 0, done: Vec::new(), written: Ok(()) }
    }

    fn see(&mut self, event: MigrateEvent) {
        let line = match &event {
            MigrateEvent::Planned(targets) => {
                self.planned = *targets;
                self.progress.total(*targets);
                Line::Planned { targets: *targets }
            }
            MigrateEvent::Wave { number, targets } => {
                self.progress.line(&format!("wave {number}: {}", table::count(*targets, "target")));
                Line::Wave { number: *number, targets: *targets }
            }
            MigrateEvent::Done(report) => {
                self.progress.one_more(&report.target);
                self.done.push(report.clone());
                Line::Done(report)
            }
            // What only a newer library tells has no place in this display.
            _ => return,
        };
        if self.context.json && self.written.is_ok() {
            self.written = render::json_line(&line);
        }
    }

    fn outcome(self, ended: Option<FleetReport>) -> Result<Outcome> {
        self.written?;
        Ok(match ended {
            Some(report) => Outcome { report, interrupted: false },
            None => {
                let failed = self.done.iter().filter(|t| t.error.is_some()).count();
                // Of tables in common each tenant that failed is told by itself, beside the tables.
                let not_tried = self.planned.saturating_sub(self.done.len());
                let mut report = FleetReport::default();
                (report.targets, report.failed, report.not_tried) = (self.done, failed, not_tried);
                Outcome { report, interrupted: true }
            }
        })
    }
}

impl Outcome {
    fn in_words(&self) -> String {
        let FleetReport { targets, up_to_date, failed, not_tried, gone, cancelled, .. } = &self.report;
        let migrated = targets.len() - failed;
        if (migrated, *failed, *not_tried, gone.len(), *cancelled) == (0, 0, 0, 0, false) {
            return match up_to_date {
                0 => "nothing to do".into(),
                1 => "nothing to do: 1 target is up to date".into(),
                all => format!("nothing to do: {all} targets are up to date"),
            };
        }
        let mut text = format!(
            "{} migrated, {failed} failed, {up_to_date} up to date before, {not_tried} not tried",
            table::count(migrated, "target")
        );
        if !gone.is_empty() {
            text.push_str(&format!(", {} purged meanwhile", gone.len()));
        }
        if *cancelled {
            text.push_str("; cancelled");
        }
        if *failed > 0 {
            let rows = targets
                .iter()
                .filter_map(|t| Some([t.target.clone(), t.version.to_string(), t.error.as_ref()?.to_string()]));
            text = format!("{}\n\n{text}", table::table(["target", "version", "why it failed"], rows));
        }
        text
    }

    fn advise(&self, asked: &Up) -> Exit {
        let report = &self.report;
        if self.interrupted || report.cancelled {
            render::note("help: `tenantry migrate up` goes on where it was");
            return Exit::Interrupted;
        }
        if report.targets.is_empty() && report.up_to_date == 0 {
            if let Some(glob) = &asked.which.only {
                render::note(&format!("no tenant fits {glob:?}"));
            } else if asked.retry_failed {
                render::note("no tenant's last migration failed");
            }
        }
        if report.failed == 0 {
            return Exit::Ok;
        }
        let shared = report.targets.iter().any(|t| t.target == "shared" && t.error.is_some());
        render::note(if shared {
            "help: fix the file, then: tenantry migrate up"
        } else {
            "help: fix the cause, then: tenantry migrate up --retry-failed"
        });
        Exit::PartFailed
    }
}
