//! The commands, a verb a file.

use clap::Subcommand;

use crate::{context::Context, exit::Exit, failure::Result};

mod completions;
mod doctor;
mod domain;
mod init;
mod migrate;
mod operation;
mod server;
mod sql;
mod tenant;

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
        Command::Completions(completions) => completions.run(),
    }
}
