//! `cargo xtask smoke`: the shop as a newcomer meets it, built, started in an empty folder and asked over HTTP.

mod checks;
mod client;
mod server;

use std::{fs, path::PathBuf, process::ExitCode};

use crate::{Result, cargo};
use checks::Check;
use server::Shop;

/// Runs the shop twice on one folder: what the first run acknowledged, the second must still know.
pub(crate) fn run(release: bool, program: Option<PathBuf>) -> Result<ExitCode> {
    let program = match program {
        Some(program) => fs::canonicalize(&program).map_err(|e| format!("`{}`: {e}", program.display()))?,
        None if release => cargo::build_release("shop")?,
        None => cargo::build_as_tests("shop")?,
    };
    let folder = tempfile::tempdir()?;
    let mut failed = 0;
    for (visit, checks) in [("first start", checks::FIRST), ("second start", checks::SECOND)] {
        println!("\n== smoke: {visit}");
        let mut shop = Shop::start(&program, folder.path())?;
        let before = failed;
        failed += report("it serves within ten seconds", shop.wait_until_healthy());
        if failed == before {
            failed += run_all(checks, &shop);
            failed += report("SIGTERM ends it with status 0", shop.stop());
        }
        if failed > before {
            print!("-- what the shop said:\n{}", shop.said());
        }
    }
    println!("\n== smoke: {}", if failed == 0 { "ok".into() } else { format!("{failed} checks FAILED") });
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run_all(checks: &[Check], shop: &Shop) -> usize {
    checks.iter().map(|(name, check)| report(name, check(shop.client()))).sum()
}

/// Prints one check's end and counts its failure.
fn report(name: &str, result: Result) -> usize {
    match result {
        Ok(()) => {
            println!("ok      {name}");
            0
        }
        Err(error) => {
            println!("FAILED  {name}: {error}");
            1
        }
    }
}
