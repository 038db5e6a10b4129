//! `cargo xtask compare`: builds what is measured and what measures it, which everyday use of xtask does not need.

use std::process::{Command, ExitCode};

use crate::{Result, cargo};

pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    let (axum, compare) = (cargo::build_release("peer-axum")?, cargo::build_release("compare")?);
    let mut command = Command::new(compare);
    command.arg("--axum").arg(axum).arg("--workspace").arg(cargo::workspace()).args(args);
    let status = command.status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
