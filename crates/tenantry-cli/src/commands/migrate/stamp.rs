//! `tenantry migrate stamp`.

use clap::Args;

use super::Which;
use crate::{
    context::Context,
    exit::Exit,
    failure::Result,
    render::{self, table},
};

const NOTES: &str = "\
For tenants whose tables were made by other means. Nothing is run, and nothing checks that the tables are there.

Example:
  tenantry migrate stamp 3 --only acme";

/// Up to which version, for whom.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(crate) struct Stamp {
    /// The newest version that counts as applied
    #[arg(value_parser = clap::value_parser!(i64).range(1..))]
    version: i64,
    #[command(flatten)]
    which: Which,
}

impl Stamp {
    pub(super) async fn run(self, context: &Context) -> Result<Exit> {
        let options = self.which.options()?;
        let stamped = context.open().await?.migrations().stamp(self.version, &options).await?;
        let said = serde_json::json!({ "version": self.version, "stamped": stamped });
        render::answer(context, &said, || {
            format!("{} written into ledgers, none was run", table::count(stamped, "migration"))
        })?;
        Ok(Exit::Ok)
    }
}
