//! The wire: a proxy in this process between a driver's connection and the server's.
//!
//! Entering a tenant costs a driver round trips of its own, for it sends one statement and waits. The wire sends the scope
//! along with the statement: in front of it, under the same Sync, so that both are one transaction, and the statement
//! does not run if the scope fails. It takes the scope's answers out again, and holds the end of a statement back until
//! the server has committed it. A transaction's beginning goes along with its first statement.
//!
//! It stands behind the lease: who uses the connection says what to do by [`Orders`] before it speaks.

mod frames;
mod orders;
mod own;
mod pump;
mod server;
mod session;
mod start;
mod statements;
#[cfg(test)]
mod tests;

use std::{io, os::unix::fs::DirBuilderExt as _, path::PathBuf, sync::Arc, time::Duration};

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use tokio::net::{UnixListener, UnixStream};

pub(in crate::engine::postgres) use orders::Orders;

use super::{connect::in_time, scram::new_password};
use pump::Pump;
use session::Session;
use start::{SECRET, Start};

type Result<T> = std::result::Result<T, sqlx::Error>;

/// What a URL says about certificates; the driver's options do not tell it.
#[derive(Clone, Debug, Default)]
pub(in crate::engine::postgres) struct Certificates {
    pub(in crate::engine::postgres) root: Option<String>,
    pub(in crate::engine::postgres) client: Option<String>,
    pub(in crate::engine::postgres) key: Option<String>,
}

/// Opens a connection through a wire. `own_tables`: its tenants have tables of their own.
pub(in crate::engine::postgres) async fn connect(
    options: PgConnectOptions,
    certificates: &Certificates,
    own_tables: bool,
    local: LocalSocket,
) -> Result<(PgConnection, Arc<Orders>)> {
    let server = server::connect(&options, certificates).await?;
    let secret = new_password().map_err(sqlx::Error::from)?;
    let orders = Arc::new(Orders::default());
    let session = Session::new(Arc::clone(&orders), Start::new(secret.clone()), own_tables);
    let way = options.socket(&local.dir).port(PORT).ssl_mode(PgSslMode::Disable).options([(SECRET, secret.as_str())]);
    let lost = Lost(Arc::clone(&orders));
    tokio::spawn(async move {
        let driver = tokio::time::timeout(PATIENCE, local.driver()).await??;
        let ended = Pump::new(session, driver, server).await;
        if let Err(error) = &ended {
            tracing::debug!(error = error as &dyn std::error::Error, "a wire has ended");
        }
        drop(lost);
        ended
    });
    Ok((in_time(&way).await?, orders))
}

/// How long a local socket waits for its driver, who was told of it by then.
const PATIENCE: Duration = Duration::from_secs(10);

/// Says that the connection is gone, however its task ends.
struct Lost(Arc<Orders>);

impl Drop for Lost {
    fn drop(&mut self) {
        self.0.lose();
    }
}

/// Where the driver comes in: a socket in a directory that nobody else can enter, for one caller only.
pub(in crate::engine::postgres) struct LocalSocket {
    dir: PathBuf,
    listener: UnixListener,
}

impl LocalSocket {
    /// `None`, with a warning: this system has no place for such a socket, and the plain way has to be taken.
    pub(in crate::engine::postgres) fn open() -> Option<Self> {
        match Self::try_open() {
            Ok(door) => Some(door),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "no socket for a wire: the plain way is taken"
                );
                None
            }
        }
    }

    fn try_open() -> io::Result<Self> {
        let name = new_password().map_err(io::Error::other)?;
        let dir = directory().join(format!("tenantry-{}", &name[..32]));
        std::fs::DirBuilder::new().mode(0o700).create(&dir)?;
        let socket = dir.join(format!(".s.PGSQL.{PORT}"));
        match UnixListener::bind(socket) {
            Ok(listener) => Ok(Self { dir, listener }),
            Err(error) => {
                std::fs::remove_dir(&dir)?;
                Err(error)
            }
        }
    }

    async fn driver(self) -> io::Result<UnixStream> {
        let (driver, _) = self.listener.accept().await?;
        let process = driver.peer_cred()?.pid();
        if process.is_some_and(|id| id.cast_unsigned() != std::process::id()) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "another process came to a wire"));
        }
        Ok(driver)
    }
}

impl Drop for LocalSocket {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.dir));
    }
}

/// Part of a socket's name, and nothing else.
const PORT: u16 = 1;

/// The longest directory under which a socket's whole name is short enough for every system.
const LONGEST: usize = 40;

fn directory() -> PathBuf {
    let run = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_dir());
    let dir = run.unwrap_or_else(std::env::temp_dir);
    if dir.as_os_str().len() > LONGEST { "/tmp".into() } else { dir }
}
