//! `tenantry tenant create`.

use std::path::PathBuf;

use clap::Args;
use tenantry::Isolation;

use super::{bulk, show::Sheet, wish::Wish};
use crate::{
    context::Context,
    exit::Exit,
    failure::Result,
    render::{self, progress::Progress},
};

const NOTES: &str = "\
A key is 1 to 40 of a-z, 0-9, - and _, begins and ends with a letter or digit, and is no reserved word.

The CSV file has a line of titles. Its columns are key, isolation, server and domain; only key is required, and several
domains are parted by spaces or `;`. Each line is a tenant of its own: a bad one is reported with its number and does
not stop the others, and the exit code is 3. To run a file again, add --skip-existing.

PostgreSQL has three isolations: `row` (rows of common tables, behind row security), `schema` (a schema and a role of its
own) and `database` (a database and a login of its own). One installation mixes them, tenant by tenant.

Examples:
  tenantry tenant create acme
  tenantry tenant create globex --isolation database
  tenantry tenant create acme --server local --domain shop.acme.com --domain acme.example
  tenantry tenant create --from tenants.csv --parallel 8 --json";

/// One tenant, or a file of them.
#[derive(Debug, Args)]
#[command(after_help = NOTES, override_usage = "tenantry tenant create [OPTIONS] <KEY>\n       \
    tenantry tenant create [OPTIONS] --from <FILE>")]
pub(crate) struct Create {
    /// The tenant's key
    #[arg(required_unless_present = "from", conflicts_with = "from")]
    key: Option<String>,
    /// How its data is kept apart [default: schema on PostgreSQL, database elsewhere]
    #[arg(long, conflicts_with = "from", value_parser = isolation_parser())]
    isolation: Option<Isolation>,
    /// Where its data lies [default: the first server that has room]
    #[arg(long, value_name = "NAME", conflicts_with = "from")]
    server: Option<String>,
    /// A custom domain; may be given again
    #[arg(long = "domain", value_name = "HOST", conflicts_with = "from")]
    domains: Vec<String>,
    /// Create the tenants of a CSV file
    #[arg(long, value_name = "FILE.csv")]
    from: Option<PathBuf>,
    /// With --from: how many are created at once
    #[arg(long, value_name = "N", default_value_t = 4, conflicts_with = "key",
        value_parser = clap::value_parser!(u16).range(1..=256))]
    parallel: u16,
    /// With --from: a key that exists already is no failure
    #[arg(long, conflicts_with = "key")]
    skip_existing: bool,
}

fn isolation_parser() -> impl clap::builder::TypedValueParser<Value = Isolation> {
    use clap::builder::{PossibleValuesParser, TypedValueParser};
    PossibleValuesParser::new(Isolation::ALL.iter().map(|i| i.as_str())).try_map(|word| word.parse::<Isolation>())
}

impl Create {
    pub(super) async fn run(self, context: &Context) -> Result<Exit> {
        match (&self.from, &self.key) {
            (Some(file), _) => bulk::run(context, file, usize::from(self.parallel), self.skip_existing).await,
            (None, key) => self.one(context, key.as_deref().unwrap_or_default()).await,
        }
    }

    async fn one(&self, context: &Context, key: &str) -> Result<Exit> {
        let tenancy = context.open().await?;
        let wish = Wish {
            key,
            isolation: self.isolation,
            server: self.server.as_deref(),
            domains: self.domains.iter().map(String::as_str).collect(),
        };
        let new = wish.check(tenancy)?;
        let progress = Progress::waiting(context, "creating the tenant");
        let tenant = tenancy.tenant_create(new).await?;
        drop(progress);
        let sheet = Sheet::of(tenancy, tenant).await?;
        render::answer(context, &sheet, || sheet.in_words())?;
        Ok(Exit::Ok)
    }
}
