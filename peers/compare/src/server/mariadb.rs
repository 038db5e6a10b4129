//! MariaDB, with a database for each tenant.

use std::{
    env,
    fmt::Write as _,
    fs::{self, File},
    io::{Seek, Write},
    net::{Ipv4Addr, TcpListener},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, geteuid, kill_process};

use super::{AllWritten, SINGLE};
use crate::{
    Result,
    load::{answer::USERS, key},
};

/// An app has an engine for each tenant in each of its processes, and each engine a connection at least.
const CONNECTIONS_A_TENANT: usize = 4;
const STARTING: Duration = Duration::from_secs(60);
const STOPPING: Duration = Duration::from_secs(20);

/// It is stopped with this value.
pub(super) struct MariaDb {
    child: Child,
    folder: PathBuf,
    port: u16,
    tenants: usize,
    version: String,
}

/// What would have to be installed.
pub(crate) fn missing() -> Option<&'static str> {
    let programs = ["mariadbd", "mariadb", "mariadb-install-db"];
    let none = programs.iter().any(|program| find(program).is_none());
    none.then_some("no MariaDB is installed: the packages `mariadb-server-core` and `mariadb-client-core`")
}

pub(super) fn url(port: u16) -> String {
    format!("mysql://peer:peer@127.0.0.1:{port}")
}

impl MariaDb {
    /// As it is delivered but for its size.
    pub(super) fn start(tenants: usize, folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let data = format!("--datadir={}", folder.join("data").display());
        let mut install = program("mariadb-install-db")?;
        install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]).arg(&data);
        output(install.args(as_root()))?;
        let mut server = program("mariadbd")?;
        server
            .arg("--no-defaults")
            .arg(&data)
            .args(as_root())
            .args(["--bind-address=127.0.0.1", "--skip-name-resolve"]);
        server.arg(format!("--port={port}")).arg(format!("--socket={}", socket(folder)));
        server.arg(format!("--pid-file={}", folder.join("pid").display())).arg("--innodb-buffer-pool-size=512M");
        server.arg(format!("--max-connections={}", tenants * CONNECTIONS_A_TENANT + 100));
        let log = File::create(folder.join("log"))?;
        server.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        let child = server.spawn()?;
        let mut started = Self { child, folder: folder.into(), port, tenants, version: String::new() };
        started.wait()?;
        started.sql(&seed(tenants))?;
        Ok(started)
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    pub(super) fn main_process(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn written(&self, all: &mut AllWritten) -> Result {
        all.read(&self.sql(&written(self.tenants))?, '\t');
        Ok(())
    }

    fn wait(&mut self) -> Result {
        let started = Instant::now();
        loop {
            match self.sql("SELECT version()") {
                Ok(version) => {
                    self.version = format!("MariaDB {}", version.split('-').next().unwrap_or_default().trim());
                    return Ok(());
                }
                Err(error) if started.elapsed() > STARTING || self.child.try_wait()?.is_some() => {
                    let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                    return Err(format!("MariaDB does not start: {error}\n{log}").into());
                }
                Err(_) => thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// Lines, their columns separated by tabs.
    fn sql(&self, text: &str) -> Result<String> {
        // By a file: with a pipe a long text and a long answer would wait for each other.
        let mut file = tempfile::tempfile()?;
        file.write_all(text.as_bytes())?;
        file.rewind()?;
        let mut client = program("mariadb")?;
        client.args(["--no-defaults", "--batch", "--skip-column-names", "--user=root"]);
        output(client.arg(format!("--socket={}", socket(&self.folder))).stdin(file))
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        if let Some(id) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(id, Signal::TERM);
        }
        let asked = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && asked.elapsed() < STOPPING {
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn socket(folder: &Path) -> String {
    folder.join("socket").display().to_string()
}

/// It refuses to be root's unless it is told to.
fn as_root() -> Option<&'static str> {
    geteuid().is_root().then_some("--user=root")
}

fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    folders.map(|folder: PathBuf| folder.join(program)).find(|file| file.is_file())
}

fn program(name: &str) -> Result<Command> {
    let path = find(name).ok_or_else(|| format!("`{name}` is not installed"))?;
    Ok(Command::new(path))
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let name = command.get_program().display().to_string();
    Err(format!("`{name}` failed: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}

fn seed(tenants: usize) -> String {
    let mut text = "CREATE USER peer@127.0.0.1 IDENTIFIED BY 'peer'; GRANT ALL ON *.* TO peer@127.0.0.1;\n".to_owned();
    for name in (0..tenants).map(key).chain([SINGLE.into()]) {
        let users: Vec<_> = (1..=USERS).map(|n| format!("('user_{name}_{n}')")).collect();
        let _ = writeln!(
            text,
            "CREATE DATABASE {name}; USE {name};
             CREATE TABLE users (id bigint AUTO_INCREMENT PRIMARY KEY, username varchar(80) NOT NULL UNIQUE);
             CREATE TABLE notes (id bigint AUTO_INCREMENT PRIMARY KEY, text text NOT NULL);
             INSERT INTO users (username) VALUES {};",
            users.join(", ")
        );
    }
    text
}

fn written(tenants: usize) -> String {
    let columns = "system varchar(80), meant varchar(80), place varchar(80)";
    let mut text = format!("CREATE TEMPORARY TABLE {SINGLE}.written ({columns});\n");
    for name in (0..tenants).map(key).chain([SINGLE.into()]) {
        let _ = writeln!(
            text,
            "INSERT INTO {SINGLE}.written
             SELECT substring_index(text, ' ', 1), substring_index(text, ' ', -1), '{name}' FROM {name}.notes;"
        );
    }
    text + &format!("SELECT system, count(*), sum(meant <> place) FROM {SINGLE}.written GROUP BY system;\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tenant_has_a_database_and_so_has_nobody_in_particular() {
        let text = seed(2);
        assert_eq!(text.matches("CREATE DATABASE").count(), 3);
        assert!(text.contains("('user_t00001_20')") && text.contains("('user_single_1')"), "{text}");
        assert_eq!(written(2).matches("INSERT INTO").count(), 3);
    }
}
