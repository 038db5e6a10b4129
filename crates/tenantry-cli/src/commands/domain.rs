//! `tenantry domain`.

use clap::Subcommand;

use crate::{
    context::Context,
    exit::Exit,
    failure::Result,
    render::{self, table},
};

const EXAMPLES: &str = "\
Examples:
  tenantry domain add acme shop.acme.com
  tenantry domain list acme";

/// What to do with custom domains.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Domain {
    /// Give a tenant a custom domain
    Add {
        /// The tenant's key
        key: String,
        /// The host name, without port and path
        host: String,
    },
    /// Take a custom domain away; it cannot be reused for 10 seconds
    Remove {
        /// The host name
        host: String,
    },
    /// List all custom domains, or those of one tenant
    #[command(visible_alias = "ls")]
    List {
        /// Only those of this tenant
        key: Option<String>,
    },
}

impl Domain {
    pub(crate) async fn run(self, context: &Context) -> Result<Exit> {
        let tenancy = context.open().await?;
        match self {
            Self::Add { key, host } => {
                tenancy.domain_add(&key, &host).await?;
                let said = serde_json::json!({ "tenant": key, "added": host });
                render::answer(context, &said, || format!("`{}` leads to tenant `{key}`", render::text::clean(&host)))?;
            }
            Self::Remove { host } => {
                tenancy.domain_remove(&host).await?;
                let said = serde_json::json!({ "removed": host });
                render::answer(context, &said, || {
                    format!("`{}` leads to no tenant any more", render::text::clean(&host))
                })?;
            }
            Self::List { key } => {
                let domains = tenancy.domain_list(key.as_deref().map(Into::into)).await?;
                render::answer(context, &domains, || {
                    let rows = domains.iter().map(|d| [d.host.clone(), d.tenant.to_string()]);
                    table::table(["domain", "tenant"], rows)
                })?;
            }
        }
        Ok(Exit::Ok)
    }
}
