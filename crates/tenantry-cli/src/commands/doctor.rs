//! `tenantry doctor`.

use clap::Args;
use tenantry::{DoctorOptions, DoctorReport};

use crate::{
    context::Context,
    exit::Exit,
    failure::{Failure, Result},
    render::{self, progress::Progress, table, text::clean_lines},
};

const NOTES: &str = "\
It looks for what crashed processes left, audits the place of every tenant, compares the servers with the catalog and
every migration history with the files, and makes two canary tenants on each server that try to reach each other. No
request can name the canaries, and they are removed at the end. Exit code 4 means that something was found.

Examples:
  tenantry doctor                look, and try
  tenantry doctor --read-only    look only
  tenantry doctor --repair       end what crashed processes left, remove what belongs to nobody, put walls back";

/// How far it may go.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(crate) struct Doctor {
    /// End what crashed processes left, remove orphans and old canaries, purge tenants whose grace time is over
    #[arg(long)]
    repair: bool,
    /// Change nothing: make no canary tenants
    #[arg(long, conflicts_with = "repair")]
    read_only: bool,
}

impl Doctor {
    pub(crate) async fn run(self, context: &Context) -> Result<Exit> {
        let tenancy = context.open().await?.clone();
        let options = DoctorOptions::new().repair(self.repair).read_only(self.read_only);
        let progress = Progress::waiting(context, "examining");
        // A task of its own: after Ctrl-C it goes on until the canaries are gone.
        let report = tokio::spawn(async move { tenancy.doctor(options).await })
            .await
            .map_err(|e| Failure::new("the examination was cut off").caused_by(e))??;
        drop(progress);
        render::answer(context, &report, || in_words(&report))?;
        Ok(if report.findings.is_empty() { Exit::Ok } else { Exit::Found })
    }
}

fn in_words(report: &DoctorReport) -> String {
    let mut text = String::new();
    for check in &report.checks {
        text.push_str(&format!("checked   {}\n", clean_lines(check, "          ")));
    }
    for done in &report.repaired {
        text.push_str(&format!("repaired  {}\n", clean_lines(done, "          ")));
    }
    for finding in &report.findings {
        text.push_str(&format!("\nfinding[{}]: {}\n", finding.code, clean_lines(&finding.what, "      ")));
        text.push_str(&format!("help: {}\n", clean_lines(&finding.repair, "      ")));
    }
    let verdict = match report.findings.len() {
        0 => "nothing was found".to_owned(),
        some => format!("\n{} found", table::count(some, "problem")),
    };
    text + &verdict
}
