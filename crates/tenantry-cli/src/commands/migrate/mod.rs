//! `tenantry migrate`.

use clap::{Args, Subcommand};
use tenantry::MigrateOptions;

use crate::{context::Context, exit::Exit, failure::Result};

mod files;
mod new;
mod plan;
mod stamp;
mod status;
mod tenantify;
mod up;
mod verify;

const NOTES: &str = "\
Migrations are plain SQL files: migrations/tenant/0001_users.sql is applied to every tenant, migrations/shared/... once,
to the shared tables, and before the tenants. A file that was applied is never changed: the next one mends it.

On PostgreSQL one set of files serves every isolation: a tenant's table has `tenant_id uuid NOT NULL DEFAULT
tenantry.tenant()`, and its keys begin with it (`tenantry migrate tenantify FILE` writes that for you). What is not safe in tables that tenants have in common is refused, with its
line and what to write. Changes of data stand in files that end in .data.sql, which run once per tenant.
0001_users.sqlite.sql goes before 0001_users.sql on that engine.

Examples:
  tenantry migrate new users          make migrations/tenant/0001_users.sql
  tenantry migrate plan               what would be applied, and to how many
  tenantry migrate up --wave 1%,100%  apply; stops after the first wave with a failure
  tenantry migrate status             which versions the tenants have, and what failed";

/// What to do with migrations.
#[derive(Debug, Subcommand)]
#[command(after_help = NOTES)]
pub(crate) enum Migrate {
    /// Make the next migration file
    New(new::New),
    /// Show what `up` would apply
    Plan(plan::Plan),
    /// Bring the shared tables and all tenants to the newest version; never asks
    Up(up::Up),
    /// Show which versions the tenants have, and which failed and why
    Status,
    /// Compare every history with the files; exit code 4 if one does not fit
    Verify,
    /// Write down that files up to a version were applied, without running them
    Stamp(stamp::Stamp),
    /// Rewrite plain tables of a file into the form that is the same under every isolation
    Tenantify(tenantify::Tenantify),
}

/// Which tenants.
#[derive(Debug, Args)]
struct Which {
    /// Only tenants whose key fits, such as 'acme-*'; the shared tables are left out then
    #[arg(long, value_name = "GLOB", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    only: Option<String>,
}

impl Which {
    fn options(&self) -> Result<MigrateOptions> {
        let options = MigrateOptions::new();
        Ok(match &self.only {
            Some(glob) => options.only(glob)?,
            None => options,
        })
    }
}

impl Migrate {
    pub(crate) async fn run(self, context: &Context) -> Result<Exit> {
        match self {
            Self::New(new) => new.run(context),
            Self::Plan(plan) => plan.run(context).await,
            Self::Up(up) => up.run(context).await,
            Self::Status => status::run(context).await,
            Self::Verify => verify::run(context).await,
            Self::Stamp(stamp) => stamp.run(context).await,
            Self::Tenantify(tenantify) => tenantify.run(context),
        }
    }
}
