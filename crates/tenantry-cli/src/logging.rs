//! The log, on stderr.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// `RUST_LOG` overrides `-v`. Which statement was refused the operator knows, who has typed it.
pub(crate) fn start(verbose: u8) {
    let usual = match verbose {
        0 => "warn,tenantry::statements=off",
        1 => "warn,tenantry=info,tenantry::statements=off",
        2 => "info,tenantry=debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(usual));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && crate::render::colours_wanted())
        .init();
}
