//! The keeper of a server: a shell script, since it has to live on when the process that started it is killed.

use std::{
    fs::File,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{During, Result, programs};

const SCRIPT: &str = include_str!("keeper.sh");

/// Removes the server at once.
pub(crate) fn stop(directory: &Path) -> Result {
    programs::output(script("stop", directory).stdin(Stdio::null())).map(drop)
}

/// Removes the server when the standard input of the answered process is closed.
pub(crate) fn keep_for_owner(directory: &Path) -> Result<Child> {
    script("owner", directory).stdin(Stdio::piped()).spawn().during("start the keeper of a server")
}

/// Whether there is what the keeper of a shared server needs.
pub(crate) fn can_keep_for_users() -> Result {
    let missing = "`flock` is not there, which tells when a shared server may end: install the package `util-linux`";
    programs::find("flock").map(drop).ok_or(missing.into())
}

/// Removes the server when it is not used. `alive` is the lock by which others see that there is a keeper: it is handed
/// over with the open file.
pub(crate) fn keep_for_users(directory: &Path, start: &Path, users: &Path, idle: Duration, alive: File) -> Result {
    let mut command = script("users", directory);
    command.arg(start).arg(users).arg(idle.as_secs().max(1).to_string());
    let keeper = command.stdin(alive).spawn().during("start the keeper of the shared server")?;
    // It outlives us, so that nobody waits for it.
    drop(keeper);
    Ok(())
}

fn script(mode: &str, directory: &Path) -> Command {
    let mut command = Command::new("/bin/sh");
    // Not among the arguments, where it would fill every list of processes.
    command.env("KEEPER", SCRIPT).args(["-c", "eval \"$KEEPER\"", "tenantry-testbed-keeper", mode]).arg(directory);
    command.current_dir("/").process_group(0).stdout(Stdio::null()).stderr(Stdio::null());
    command
}
