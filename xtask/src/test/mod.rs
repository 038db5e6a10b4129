//! `cargo xtask test`: every check of the workspace, and in the end an account of what ran.

mod engines;
mod results;
mod steps;
mod summary;

use std::process::ExitCode;

use crate::Result;

/// Runs all steps, whatever fails: a wrong format must not hide a failing test.
pub(crate) fn run(allow_missing: bool) -> Result<ExitCode> {
    install_servers();
    let mut rows = vec![steps::format().run()?, steps::clippy().run()?, steps::default_features().run()?];
    for step in steps::one_engine() {
        rows.push(step.run()?);
    }
    let (tests, results) = steps::tests().run_and_read()?;
    rows.extend([tests, steps::doctests().run()?, steps::documentation().run()?]);
    rows.extend(engines::rows(&results));
    print!("{}", summary::text(&rows));
    Ok(if summary::is_success(&rows, allow_missing) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What cannot be installed is not fatal here: its engine's row says so, and the tests that need it fail.
fn install_servers() {
    if let Err(missing) = tenantry_testbed::install_postgres() {
        println!("\n== servers: {missing}");
    }
}
