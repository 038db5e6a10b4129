//! `tenantry tenant list`.

use clap::Args;
use tenantry::{TenantFilter, TenantState};

use crate::{
    context::Context,
    failure::Result,
    render::{self, table, time},
};

const EXAMPLES: &str = "\
Examples:
  tenantry tenant list --state suspended
  tenantry tenant list --limit 100 --after acme    the next page";

/// Which tenants.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct List {
    /// Only those in this state
    #[arg(long, value_parser = state_parser())]
    state: Option<TenantState>,
    /// Only those on this server
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// Only those whose key sorts behind this one
    #[arg(long, value_name = "KEY")]
    after: Option<String>,
}

fn state_parser() -> impl clap::builder::TypedValueParser<Value = TenantState> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(TenantState::ALL.iter().map(|s| s.as_str())).try_map(|word| word.parse::<TenantState>())
}

impl List {
    pub(super) async fn run(self, context: &Context) -> Result<()> {
        let mut filter = TenantFilter::all();
        if let Some(state) = self.state {
            filter = filter.state(state);
        }
        if let Some(server) = self.server {
            filter = filter.server(server);
        }
        if let Some(after) = self.after {
            filter = filter.after(after.parse()?);
        }
        if let Some(limit) = self.limit {
            filter = filter.limit(limit.into());
        }
        let tenants = context.open().await?.tenant_list(&filter).await?;
        render::answer(context, &tenants, || {
            table::table(
                ["key", "state", "isolation", "server", "version", "id", "created (utc)"],
                tenants.iter().map(|t| {
                    [
                        t.key.to_string(),
                        t.state.to_string(),
                        t.isolation.to_string(),
                        t.server.clone(),
                        t.version.to_string(),
                        t.id.to_string(),
                        time::utc(t.created_at),
                    ]
                }),
            )
        })?;
        if tenants.is_empty() {
            render::hint(context, "no tenant fits: tenantry tenant create KEY");
        }
        Ok(())
    }
}
