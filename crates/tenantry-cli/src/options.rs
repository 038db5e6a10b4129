//! The options that all commands have in common.

use std::path::PathBuf;

use clap::Args;

/// Options that every command takes.
#[derive(Debug, Args)]
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
