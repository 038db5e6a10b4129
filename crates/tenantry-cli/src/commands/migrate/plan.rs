//! `tenantry migrate plan`.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;
use tenantry::TargetPlan;

use super::Which;
use crate::{
    context::Context,
    exit::Exit,
    failure::Result,
    render::{self, table},
};

/// Which targets.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    #[command(flatten)]
    which: Which,
    /// Only tenants whose last migration failed
    #[arg(long)]
    retry_failed: bool,
}

#[derive(Debug, Serialize)]
struct Pending {
    pending: Vec<TargetPlan>,
    up_to_date: usize,
}

impl Plan {
    pub(super) async fn run(self, context: &Context) -> Result<Exit> {
        let mut options = self.which.options()?;
        if self.retry_failed {
            options = options.retry_failed();
        }
        let targets = context.open().await?.migrations().plan(&options).await?;
        let (pending, current): (Vec<_>, Vec<_>) =
            targets.into_iter().partition(|t| !t.pending.is_empty() || t.error.is_some());
        let plan = Pending { pending, up_to_date: current.len() };
        render::answer(context, &plan, || plan.in_words())?;
        Ok(Exit::Ok)
    }
}

/// As many keys as one line of a large fleet names.
const KEYS_IN_A_LINE: usize = 3;

impl Pending {
    /// Targets that need the same are one line.
    fn in_words(&self) -> String {
        if self.pending.is_empty() {
            return format!("nothing is pending: {} up to date", table::count(self.up_to_date, "target"));
        }
        let mut alike: BTreeMap<(bool, i64, String), Vec<&str>> = BTreeMap::new();
        for target in &self.pending {
            let is_tenant = target.target != "shared";
            let what = match &target.error {
                Some(error) => format!("cannot be migrated: {error}"),
                None => target.pending.join(", "),
            };
            alike.entry((is_tenant, target.version, what)).or_default().push(&target.target);
        }
        let rows = alike.into_iter().map(|((_, version, what), targets)| {
            let mut names = targets.iter().take(KEYS_IN_A_LINE).copied().collect::<Vec<_>>().join(", ");
            if targets.len() > KEYS_IN_A_LINE {
                names = format!("{} ({names}, ...)", targets.len());
            }
            [names, version.to_string(), what]
        });
        let broken = self.pending.iter().filter(|target| target.error.is_some()).count();
        let mut summary = table::count(self.pending.len() - broken, "target");
        summary.push_str(&format!(" to migrate, {} up to date", self.up_to_date));
        if broken > 0 {
            summary.push_str(&format!(", {broken} cannot be migrated"));
        }
        format!("{}\n\n{summary}", table::table(["targets", "version", "pending"], rows))
    }
}
