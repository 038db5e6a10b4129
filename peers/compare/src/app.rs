//! A system's own processes: started, waited for, and stopped as a group.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::{
    Result, interrupted,
    load::{Action, Load, Outcome, Spread, Until},
    server::{SINGLE, missing_mariadb},
    systems::{Engine, Program, System},
};

/// Of each system, over all of its processes.
pub(crate) const CONNECTIONS: usize = 32;

/// tenantry makes its tenants before it serves.
const STARTING: Duration = Duration::from_secs(600);
const STOPPING: Duration = Duration::from_secs(10);

/// Where programs are and what they may write to.
#[derive(Debug)]
pub(crate) struct Places {
    /// The folder `peers`.
    pub(crate) peers: PathBuf,
    /// The program `peer-axum`.
    pub(crate) axum: PathBuf,
    /// For logs and catalogs.
    pub(crate) scratch: PathBuf,
    pub(crate) workers: usize,
}

/// It runs until this value goes.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) system: &'static System,
    pub(crate) tenants: usize,
    address: SocketAddr,
    child: Child,
}

impl App {
    /// `use_` tells several instances of a system apart.
    pub(crate) fn start(
        system: &'static System,
        use_: &str,
        url: &str,
        tenants: usize,
        places: &Places,
    ) -> Result<Self> {
        let address = free_address()?;
        let log = places.scratch.join(format!("{}-{use_}.log", system.name));
        let mut command = match system.program {
            Program::Axum => axum(system, use_, tenants, address, places),
            Program::Script(name) => script(system, name, address, places),
        };
        let output = File::create(&log)?;
        command.env("DATABASE_URL", url).process_group(0);
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().map_err(|e| format!("`{}` does not start: {e}", system.name))?;
        let mut app = Self { system, tenants: system.tenants_of(tenants), address, child };
        app.wait_until_it_serves(&log)?;
        Ok(app)
    }

    pub(crate) fn group(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn load(&self, action: Action, spread: Spread, connections: u64, until: Until) -> Result<Outcome> {
        interrupted()?;
        let always = self.system.is_untenanted().then_some(SINGLE);
        let (address, system, tenants) = (self.address, self.system.name, self.tenants);
        Load { address, system, always, tenants, action, spread, connections, until }.run()
    }

    fn wait_until_it_serves(&mut self, log: &Path) -> Result {
        let started = Instant::now();
        loop {
            let one = self.load(Action::Read, Spread::Uniform, 1, Until::Asked(1))?;
            if one.wrong > 0 {
                return Err(format!("`{}` answers with another tenant's users", self.system.name).into());
            }
            if !one.latencies.is_empty() {
                return Ok(());
            }
            let ended = self.child.try_wait()?.is_some();
            if ended || started.elapsed() > STARTING {
                let log = fs::read_to_string(log).unwrap_or_default();
                return Err(format!("`{}` does not serve:\n{}", self.system.name, tail(&log)).into());
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && asked.elapsed() < STOPPING {
            thread::sleep(Duration::from_millis(20));
        }
        // Its workers may outlive the first of them.
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Fetches what a peer needs; an error says why it cannot be measured here.
pub(crate) fn install(system: &System, places: &Places) -> Result {
    if let Some(missing) = missing_mariadb().filter(|_| system.engine == Engine::MariaDb) {
        return Err(missing.into());
    }
    let Program::Script(name) = system.program else { return Ok(()) };
    let output = Command::new(places.peers.join("run")).args([name, "install"]).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("`peers/run {name} install` failed:\n{}", tail(&String::from_utf8_lossy(&output.stderr))).into())
}

fn axum(system: &System, use_: &str, tenants: usize, address: SocketAddr, places: &Places) -> Command {
    let mut command = Command::new(&places.axum);
    command.arg("--style").arg(system.name).arg("--listen").arg(address.to_string());
    command.arg("--connections").arg(CONNECTIONS.to_string());
    command.arg("--tenants").arg(system.tenants_of(tenants).to_string());
    command.arg("--data").arg(places.scratch.join(format!("{}-{use_}", system.name)));
    command
}

fn script(system: &System, name: &str, address: SocketAddr, places: &Places) -> Command {
    let mut command = Command::new(places.peers.join("run"));
    command.arg(name).env("PORT", address.port().to_string());
    command.env("WORKERS", places.workers.to_string()).env("CONNECTIONS", CONNECTIONS.to_string());
    command.env("UNTENANTED", if system.is_untenanted() { "1" } else { "0" });
    command
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// The last lines of a log.
fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

#[cfg(test)]
mod tests {
    #[test]
    fn of_a_log_the_end_is_shown() {
        let log: String = (1..=30).map(|n| format!("line {n}\n")).collect();
        let tail = super::tail(&log);
        assert!(tail.starts_with("line 11\n") && tail.ends_with("line 30"), "{tail}");
        assert_eq!(super::tail(""), "");
    }
}
