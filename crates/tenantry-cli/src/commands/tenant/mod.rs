//! `tenantry tenant`.

use clap::Subcommand;

use crate::{context::Context, exit::Exit, failure::Result};

mod bulk;
mod change;
mod create;
mod delete;
mod list;
mod show;
mod wish;

const EXAMPLES: &str = "\
A tenant is active, suspended, deleted (its data is kept for the grace time) or purged (nothing is left).

Examples:
  tenantry tenant create acme --domain shop.acme.com
  tenantry tenant create --from tenants.csv --parallel 8
  tenantry tenant suspend acme
  tenantry tenant delete acme && tenantry tenant purge acme";

/// What to do with tenants.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Tenant {
    /// Create a tenant, or those of a CSV file; they are served when this returns
    Create(create::Create),
    /// List tenants by key
    #[command(visible_alias = "ls")]
    List(list::List),
    /// Show one tenant with its domains
    Show(change::Key),
    /// Stop serving a tenant: at once here, within 2 s in every app
    Suspend(change::Key),
    /// Serve a suspended tenant again
    Resume(change::Key),
    /// Give a tenant another key; the old key cannot be reused for 10 seconds
    Rename(change::Rename),
    /// Delete a tenant: it is not served any more, its data is kept for the grace time
    Delete(change::Key),
    /// Bring a deleted tenant back as it was
    Undelete(change::Key),
    /// Destroy a deleted tenant's data for good
    Purge(change::Key),
}

impl Tenant {
    pub(crate) async fn run(self, context: &Context) -> Result<Exit> {
        match self {
            Self::Create(create) => return create.run(context).await,
            Self::List(list) => list.run(context).await?,
            Self::Show(key) => show::run(context, &key).await?,
            Self::Suspend(key) => change::suspend(context, &key).await?,
            Self::Resume(key) => change::resume(context, &key).await?,
            Self::Rename(rename) => change::rename(context, &rename).await?,
            Self::Delete(key) => delete::delete(context, &key).await?,
            Self::Undelete(key) => change::undelete(context, &key).await?,
            Self::Purge(key) => delete::purge(context, &key).await?,
        }
        Ok(Exit::Ok)
    }
}
