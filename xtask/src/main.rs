//! The chores of the workspace, as one program that needs nothing but Rust: `cargo xtask test`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal and for CI's log")]

mod cargo;
mod compare;
mod smoke;
mod test;

use std::{error::Error, path::PathBuf, process::ExitCode};

use clap::Parser;

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

/// The chores of the tenantry workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Chore {
    /// Format check, clippy, all tests, doctests and documentation; says per step and per engine what ran.
    Test {
        /// Exit with 0 even if something could not be run.
        #[arg(long)]
        allow_missing: bool,
    },
    /// Builds the shop, starts it in an empty folder and asks it over HTTP.
    Smoke {
        /// Build it optimised, and not as the tests are built.
        #[arg(long, conflicts_with = "program")]
        release: bool,
        /// Check this program instead of building the shop.
        #[arg(long, value_name = "PATH")]
        program: Option<PathBuf>,
    },
    /// The benchmarks of the library; arguments are handed to `cargo bench`.
    Bench {
        /// Handed on as they are, such as a benchmark's name or `--no-run`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Measures tenantry beside its peers (peers/README.md), for docs/performance.md; `--help` says with what arguments.
    #[command(disable_help_flag = true)]
    Compare {
        /// Handed on to the program that measures, such as `--only tenantry-schema,fastify-one-text --seconds 2`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// The long form of the tests that have one: 100,000 requests given up per isolation, ten restarts under load.
    Soak {
        /// The tests run against the PostgreSQL in this folder (DIR/bin/postgres, initdb), instead of the installed one.
        #[arg(long, value_name = "DIR")]
        postgres: Option<PathBuf>,
        /// Only tests whose names contain one of these; `readers` alone: a million texts for what reads SQL.
        names: Vec<String>,
    },
}

fn main() -> ExitCode {
    let done = match Chore::parse() {
        Chore::Test { allow_missing } => test::run(allow_missing),
        Chore::Smoke { release, program } => smoke::run(release, program),
        Chore::Bench { args } => cargo::bench(&args),
        Chore::Compare { args } => compare::run(&args),
        Chore::Soak { postgres, names } => cargo::soak(postgres.as_deref(), &names),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_chores_are_described_without_contradiction() {
        super::Chore::command().debug_assert();
    }
}
