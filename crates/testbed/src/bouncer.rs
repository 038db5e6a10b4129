//! PgBouncer in front of a server, in transaction mode.

use std::{
    fs::File,
    net::TcpStream,
    path::Path,
    process::Child,
    thread,
    time::{Duration, Instant},
};

use crate::{
    During, Postgres, Result, address,
    area::{Area, Home},
    port, process, programs,
    user::ServerUser,
};

const PATIENCE: Duration = Duration::from_secs(10);

/// A pooler on a TCP port of its own; it ends with this value, or with the process.
///
/// Any login of the server that has a SCRAM secret signs in with its password, and PgBouncer signs in to the server with
/// what it learnt from that. The admin has its password here too, and may ask the database `pgbouncer` (`SHOW POOLS`).
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
    process: Child,
    home: Home,
}

impl PgBouncer {
    /// Pools connections to one database of the server, or to all for `*`. Settings replace those that it has, such as
    /// `default_pool_size`, which is 4.
    ///
    /// # Errors
    /// If it is not installed, or with its log.
    pub fn before(server: &Postgres, database: &str, settings: &[(&str, &str)]) -> Result<Self> {
        let program =
            programs::find("pgbouncer").ok_or("`pgbouncer` is not installed: install the package `pgbouncer`")?;
        let (user, home) = prepare()?;
        home.write("users", &users(server), user)?;
        let mut tried = Err(String::new());
        for _ in 0..port::TRIES {
            let port = port::free()?;
            let file =
                home.write("pgbouncer.ini", &configuration(server, database, home.path(), port, settings), user)?;
            tried = start(&program, &file, user, home.path(), port).map(|process| (process, port));
            if !tried.as_ref().is_err_and(|error| error.contains("in use")) {
                break;
            }
        }
        tried.map(|(process, port)| Self { port, process, home })
    }

    /// Where it listens.
    #[must_use]
    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// For a login of the server.
    #[must_use]
    pub fn url(&self, user: &str, password: &str, database: &str) -> String {
        format!("postgres://{user}:{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// For the admin: a database, or `pgbouncer` to ask PgBouncer itself.
    #[must_use]
    pub fn admin_url(&self, database: &str) -> String {
        self.url(address::ADMIN, address::ADMIN_PASSWORD, database)
    }

    /// The text of its log.
    #[must_use]
    pub fn log(&self) -> String {
        process::log_of(self.home.path())
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        // The keeper would find what is left running here.
        let _ = process::stop_immediately(&mut self.process);
    }
}

fn prepare() -> Result<(ServerUser, Home)> {
    let (area, user) = (Area::usual()?, ServerUser::find()?);
    let lock = area.lock()?;
    area.sweep(&lock)?;
    let home = area.home(Home::BOUNCER, user, &lock)?;
    Ok((user, home))
}

/// The admin, who reads everybody else's secret in the server.
fn users(server: &Postgres) -> String {
    let address = server.address();
    let password = Some(address.password()).filter(|p| !p.is_empty()).unwrap_or(address::ADMIN_PASSWORD);
    format!("\"{}\" \"{password}\"\n", address.user())
}

fn configuration(server: &Postgres, database: &str, folder: &Path, port: u16, settings: &[(&str, &str)]) -> String {
    let (address, folder) = (server.address(), folder.display());
    let (host, server_port, admin) = (address.host(), address.port(), address.user());
    let settings: String = settings.iter().map(|(name, value)| format!("{name} = {value}\n")).collect();
    format!(
        "[databases]
{database} = host={host} port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
auth_user = {admin}
auth_query = SELECT rolname, rolpassword FROM pg_catalog.pg_authid WHERE rolname = $1 AND rolcanlogin
admin_users = {admin}
pool_mode = transaction
default_pool_size = 4
max_client_conn = 1000
ignore_startup_parameters = extra_float_digits, options
pidfile = {folder}/pgbouncer.pid
{settings}"
    )
}

fn start(program: &Path, file: &Path, user: ServerUser, folder: &Path, port: u16) -> Result<Child> {
    let log = File::create(folder.join("log")).during("open PgBouncer's log")?;
    let mut command = user.command(program);
    let mut child = command.arg(file).stderr(log).spawn().during("start `pgbouncer`")?;
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        let ended = child.try_wait().during("look after PgBouncer")?;
        if ended.is_some() || start.elapsed() > PATIENCE {
            process::stop_immediately(&mut child)?;
            return Err(format!("`pgbouncer` does not answer; its log:\n{}", process::log_of(folder)));
        }
        thread::sleep(Duration::from_millis(3));
    }
    Ok(child)
}
