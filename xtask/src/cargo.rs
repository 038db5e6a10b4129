//! Calls of cargo: the one that runs us, in the workspace's folder, with everything it says on our stdout.

use std::{
    env,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use serde_json::Value;

use crate::Result;

/// Cargo and its tools speak on stderr; CI reads one stream, in order.
pub(crate) fn cargo<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(workspace()).stderr(io::stdout());
    if !io::stdout().is_terminal() {
        without_colour(&mut command);
    }
    command
}

/// For output that goes to a log, or that we read ourselves.
pub(crate) fn without_colour(command: &mut Command) {
    command.env("CARGO_TERM_COLOR", "never").env("NO_COLOR", "1");
    command.env_remove("CLICOLOR_FORCE").env_remove("FORCE_COLOR");
}

/// Whether `cargo fmt --version` and its like answer: rustup leaves a stand-in for a component that is not there.
pub(crate) fn has(tool: &str) -> bool {
    answers(cargo([tool, "--version"]))
}

/// Whether rustdoc is there, which is a program of its own.
pub(crate) fn has_rustdoc() -> bool {
    let mut rustdoc = Command::new(env::var_os("RUSTDOC").unwrap_or_else(|| "rustdoc".into()));
    rustdoc.arg("--version");
    answers(rustdoc)
}

fn answers(mut command: Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|s| s.success())
}

pub(crate) fn bench(args: &[String]) -> Result<ExitCode> {
    let status = cargo(["bench", "-p", "tenantry"]).args(args).status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Where the tests are that have a long form, and what their names begin with or hold.
const LONG: [&str; 6] = ["faults::", "load::", "places::", "pooler::", "state::", "suspen"];
const BINARIES: [&str; 4] = ["--test", "conformance", "--test", "postgres"];

/// The name by which the properties of what reads SQL are asked for, which need no server.
const READERS: &str = "readers";

/// The properties of `tenantry-sql`, over a million texts of each kind.
fn soak_readers() -> Result<ExitCode> {
    let mut command = cargo(["test", "--release", "-p", "tenantry-sql", "--all-features", "--test", "properties"]);
    let status = command.env("PROPTEST_CASES", "1000000").status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The tests that have a long form, in that form and optimised, one after the other.
///
/// On another PostgreSQL: all tests of it, in their usual form, for what differs between versions is seen in that.
pub(crate) fn soak(postgres: Option<&Path>, names: &[String]) -> Result<ExitCode> {
    if names == [READERS] {
        return soak_readers();
    }
    let mut command = cargo(["test", "--release", "-p", "tenantry"]);
    match postgres {
        None => {
            command.args(BINARIES).args(["--", "--nocapture", "--test-threads", "1"]).env("TENANTRY_SOAK", "1");
            if names.is_empty() {
                command.args(LONG)
            } else {
                command.args(names)
            };
        }
        Some(folder) => {
            let folder = folder.canonicalize().map_err(|e| format!("`{}`: {e}", folder.display()))?;
            command.arg("--no-fail-fast").args(BINARIES).arg("--").args(names);
            command.env("TENANTRY_TEST_POSTGRES_PROGRAMS", folder.join("bin"));
        }
    }
    let status = command.status()?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds a program in release form and answers where cargo put it, wherever its target folder is.
pub(crate) fn build_release(package: &str) -> Result<PathBuf> {
    build(&["--release", "-p", package], package)
}

/// Builds a program as the tests are built: of the whole workspace with all features. Behind them nothing is left to build.
pub(crate) fn build_as_tests(program: &str) -> Result<PathBuf> {
    build(&["--workspace", "--all-features", "--bin", program], program)
}

fn build(args: &[&str], name: &str) -> Result<PathBuf> {
    let mut command = cargo(["build", "--message-format", "json-render-diagnostics"]);
    let output = command.args(args).stdout(Stdio::piped()).spawn()?.wait_with_output()?;
    if !output.status.success() {
        return Err(format!("`{name}` does not build").into());
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    messages.lines().find_map(|m| executable(m, name)).ok_or(format!("cargo built no program `{name}`").into())
}

fn executable(message: &str, name: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let ours = message["reason"] == "compiler-artifact" && message["target"]["name"] == name;
    ours.then(|| message["executable"].as_str().map(PathBuf::from))?
}

pub(crate) fn workspace() -> PathBuf {
    // At run time first: a checkout may have been moved since this program was built.
    let package = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    package.parent().map(Path::to_path_buf).unwrap_or(package)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_program_is_where_cargo_says() {
        let message =
            r#"{"reason":"compiler-artifact","target":{"name":"shop"},"executable":"/elsewhere/release/shop"}"#;
        assert_eq!(executable(message, "shop"), Some("/elsewhere/release/shop".into()));
        assert_eq!(executable(message, "other"), None);
    }

    #[test]
    fn a_library_of_the_same_name_is_no_program() {
        let message = r#"{"reason":"compiler-artifact","target":{"name":"shop"},"executable":null}"#;
        assert_eq!(executable(message, "shop"), None);
    }
}
