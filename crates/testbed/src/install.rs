//! The servers' programs, installed where that is possible without asking.

use std::{
    env,
    process::{Command, Stdio},
};

use rustix::process::geteuid;

use crate::{Result, programs, programs::Programs};

/// What tests against PostgreSQL lack on this machine, and what to install; nothing if a server is named in
/// `TENANTRY_TEST_POSTGRES_URL` or can be started.
#[must_use]
pub fn missing_postgres() -> Option<String> {
    if env::var_os("TENANTRY_TEST_POSTGRES_URL").is_some() {
        return None;
    }
    let lacks_bouncer = || programs::find("pgbouncer").is_none().then(|| "install the package `pgbouncer`".into());
    Programs::find().err().or_else(lacks_bouncer)
}

/// Installs what [`missing_postgres`] finds missing, with `apt-get` as root.
///
/// # Errors
/// What is still missing, and why.
pub fn install_postgres() -> Result {
    let Some(missing) = missing_postgres() else { return Ok(()) };
    if !geteuid().is_root() || programs::find("apt-get").is_none() {
        return Err(missing);
    }
    let installed = apt_get(&["update"])
        .and_then(|()| apt_get(&["install", "--yes", "--no-install-recommends", "postgresql", "pgbouncer"]));
    installed.map_err(|error| format!("{missing}; {error}"))?;
    missing_postgres().map_or(Ok(()), Err)
}

fn apt_get(args: &[&str]) -> Result {
    let mut command = Command::new("apt-get");
    command.args(args).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    // The packages start their services, unless the machine seems to be one that somebody repairs.
    programs::output(command.env("RUNLEVEL", "1")).map(drop)
}
