//! The command line and its commands, a verb a file.

use clap::{CommandFactory, Parser, Subcommand};

use crate::{
    context::Context,
    exit::{self, Exit},
    failure::Result,
    options::Global,
};

mod completions;
mod doctor;
mod domain;
mod init;
mod migrate;
mod operation;
mod server;
mod sql;
mod tenant;

const EXAMPLES: &str = "\
Examples:
  tenantry init                                  make an installation in this directory
  tenantry tenant create acme                    create a tenant; it is served when this returns
  tenantry migrate new users                     make the next migration file
  tenantry migrate up --wave 1%,10%,100%         migrate all tenants, a canary first
  tenantry doctor                                look for what would break the isolation";

/// Operates an installation of tenantry: its servers, tenants, domains and migrations.
#[derive(Debug, Parser)]
#[command(
    name = "tenantry",
    version,
    arg_required_else_help = true,
    max_term_width = 110,
    after_help = format!("{EXAMPLES}\n\n{}", exit::HELP),
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What can be asked of the program.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an installation: settings, key, folders for migrations, catalog, a SQLite server
    Init(init::Init),
    /// Add, list and remove the database servers where tenants live
    #[command(subcommand, visible_alias = "servers")]
    Server(server::Server),
    /// Create, list, suspend, rename, delete and purge tenants
    #[command(subcommand, visible_alias = "tenants")]
    Tenant(tenant::Tenant),
    /// Add, list and remove the custom domains of tenants
    #[command(subcommand, visible_alias = "domains")]
    Domain(domain::Domain),
    /// Write migrations, and apply them to every tenant
    #[command(subcommand)]
    Migrate(migrate::Migrate),
    /// List, show and cancel what creates, purges or migrates tenants
    #[command(subcommand, visible_alias = "operations")]
    Operation(operation::Operation),
    /// Run SQL as one tenant
    Sql(sql::Sql),
    /// Audit the isolation, and try to break it with two canary tenants
    Doctor(doctor::Doctor),
    /// Print the completion script of a shell
    Completions(completions::Completions),
}

pub(crate) async fn run(context: &Context, command: Command) -> Result<Exit> {
    match command {
        Command::Init(init) => init.run(context).await,
        Command::Server(server) => server.run(context).await,
        Command::Tenant(tenant) => tenant.run(context).await,
        Command::Domain(domain) => domain.run(context).await,
        Command::Migrate(migrate) => migrate.run(context).await,
        Command::Operation(operation) => operation.run(context).await,
        Command::Sql(sql) => sql.run(context).await,
        Command::Doctor(doctor) => doctor.run(context).await,
        Command::Completions(completions) => completions.run(&mut Args::command()),
    }
}
