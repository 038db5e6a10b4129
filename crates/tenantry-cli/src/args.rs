//! The command line: what all commands have in common.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser};

use crate::{commands::Command, exit};

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

/// Options that every command takes.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Global {
    /// The installation's settings
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "TENANTRY_CONFIG",
        hide_env_values = true,
        default_value = "tenantry.toml"
    )]
    pub(crate) config: PathBuf,

    /// Answer with one JSON document; long work with a JSON line per event, the report last
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Do not ask for confirmation
    #[arg(long, short = 'y', global = true)]
    pub(crate) yes: bool,

    /// Say more on stderr; twice for everything. RUST_LOG overrides it
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}
