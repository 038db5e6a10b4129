//! A running `postgres` in a server's folder.

use std::{
    fs::{self, File},
    path::Path,
    process::Child,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{During, Result, port, template::Template};

/// Crash recovery on a busy machine takes a while.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(3);

/// Starts it on a free port and waits until it can be used.
pub(crate) fn start_anywhere(template: &Template, directory: &Path) -> Result<(Child, u16)> {
    let mut tried = Err(String::new());
    for _ in 0..port::TRIES {
        let port = port::free()?;
        tried = start(template, directory, port).map(|child| (child, port));
        if !tried.as_ref().is_err_and(|error| error.contains("could not bind")) {
            break;
        }
    }
    tried
}

pub(crate) fn start(template: &Template, directory: &Path, port: u16) -> Result<Child> {
    let log = directory.join("log");
    let out = File::options().create(true).append(true).open(&log).during("open the server's log")?;
    let mut command = template.user.command(&template.programs.named("postgres"));
    command.arg("-D").arg(directory.join("data")).arg("-k").arg(directory).args(["-h", "127.0.0.1", "-p"]);
    command.arg(port.to_string()).stdout(out.try_clone().during("open the server's log")?).stderr(out);
    let mut child = command.spawn().during("start `postgres`")?;
    match wait_until_ready(&mut child, directory) {
        Ok(()) => Ok(child),
        Err(error) => {
            stop_immediately(&mut child)?;
            Err(format!("{error}; its log:\n{}", log_of(directory)))
        }
    }
}

pub(crate) fn log_of(directory: &Path) -> String {
    fs::read(directory.join("log")).map_or_else(|e| e.to_string(), |log| String::from_utf8_lossy(&log).into_owned())
}

/// As a power failure would, except that what the system holds in memory is not lost.
pub(crate) fn stop_immediately(child: &mut Child) -> Result {
    if child.try_wait().during("look after the server")?.is_none() {
        kill_process(Pid::from_child(child), Signal::QUIT).during("stop the server")?;
        child.wait().during("wait for the server's end")?;
    }
    Ok(())
}

fn wait_until_ready(child: &mut Child, directory: &Path) -> Result {
    let (start, pid) = (Instant::now(), child.id().to_string());
    while !is_ready(directory, &pid) {
        if let Some(status) = child.try_wait().during("look after the server")? {
            return Err(format!("`postgres` ended at its start, {status}"));
        }
        if start.elapsed() > PATIENCE {
            return Err(format!("`postgres` is not ready after {PATIENCE:?}"));
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// As `pg_ctl` sees it: the first line is the process, the eighth its state.
fn is_ready(directory: &Path, pid: &str) -> bool {
    let text = fs::read_to_string(directory.join("data/postmaster.pid")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.first() == Some(&pid) && lines.get(7) == Some(&"ready")
}
