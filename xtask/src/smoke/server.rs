//! The shop as a child process that never outlives its check.

use std::{
    env,
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::client::{Client, Request};
use crate::Result;

const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Shop {
    child: Child,
    client: Client,
    log: PathBuf,
}

impl Shop {
    /// Starts it with `folder` as its current one, so that its `./data` is in there.
    pub(crate) fn start(program: &Path, folder: &Path) -> Result<Self> {
        let port = free_port()?;
        let log = folder.join("shop.log");
        let out = File::create(&log)?;
        let mut command = Command::new(program);
        command.args(["--listen", &format!("127.0.0.1:{port}")]).current_dir(folder);
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        without_settings(&mut command);
        let child = command.spawn().map_err(|e| format!("`{}` does not start: {e}", program.display()))?;
        Ok(Self { child, client: Client::new(port), log })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn wait_until_healthy(&mut self) -> Result {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("it ended before it served, with {status}").into());
            }
            let answer = self.client.send(Request::get("/healthz"));
            if answer.as_ref().is_ok_and(|a| a.status == 200) {
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                let last = answer.map_or_else(|e| e.to_string(), |a| format!("status {}", a.status));
                return Err(format!("`/healthz` does not answer 200 after {PATIENCE:?}: {last}").into());
            }
            thread::sleep(PAUSE);
        }
    }

    /// Asks it to end, as a service manager does.
    pub(crate) fn stop(&mut self) -> Result {
        if let Some(status) = self.child.try_wait()? {
            return Err(format!("it had ended by itself, with {status}").into());
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = self.end()?;
        if status.success() { Ok(()) } else { Err(format!("it ended with {status}").into()) }
    }

    fn end(&mut self) -> Result<ExitStatus> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(PAUSE);
        }
        Err(format!("it still runs {PATIENCE:?} after SIGTERM").into())
    }

    /// Its output so far.
    pub(crate) fn said(&self) -> String {
        fs::read(&self.log).map_or_else(|e| e.to_string(), |text| String::from_utf8_lossy(&text).into_owned())
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // It has ended already in the good case, and then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the caller's shell sets for its own shop must not reach ours.
fn without_settings(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(|n| n.starts_with("SHOP_") || n.starts_with("TENANTRY_")) {
            command.env_remove(name);
        }
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
