//! [`Control`]: the engine's own connections, as the administrator: to change things, and to stop abandoned statements.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use sqlx::{
    ConnectOptions, Connection as _,
    postgres::{PgConnectOptions, PgConnection},
};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{dial::in_time, extensions, types::OwnTypes};
use crate::{
    engine::StatelessExtension,
    error::{Error, ErrorKind, Result},
};

/// How many changes run at once; with the one that stops statements this is all that comes on top of the budget.
pub(crate) const MOST: usize = 4;

/// How long a server may take to stop a statement before its connection is closed instead.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) struct Control {
    options: PgConnectOptions,
    idle: Mutex<Vec<PgConnection>>,
    permits: Semaphore,
    canceller: tokio::sync::Mutex<Option<PgConnection>>,
    pub(crate) own_types: OwnTypes,
    pub(crate) extensions: extensions::Known,
}

/// A connection as the administrator. Given back by [`Admin::done`] only; dropped it is closed, whatever it was doing.
pub(crate) struct Admin<'c> {
    control: &'c Control,
    connection: PgConnection,
    _permit: SemaphorePermit<'c>,
}

impl std::ops::Deref for Admin<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl std::ops::DerefMut for Admin<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

impl Admin<'_> {
    /// Ended well, outside of a transaction, and with nothing set for the session.
    pub(crate) fn done(self) {
        let mut idle = self.control.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if idle.len() < MOST {
            idle.push(self.connection);
        }
    }
}

impl Control {
    pub(crate) fn new(options: PgConnectOptions, stateless: Arc<[StatelessExtension]>) -> Self {
        let options = options
            .application_name("tenantry")
            .disable_statement_logging()
            // A program that was killed does not go on behind its successor's back.
            .options([("client_connection_check_interval", "500ms")]);
        Self {
            options,
            idle: Mutex::default(),
            permits: Semaphore::new(MOST),
            canceller: tokio::sync::Mutex::default(),
            own_types: OwnTypes::default(),
            extensions: extensions::Known::new(stateless),
        }
    }

    pub(crate) const fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    async fn permit(&self) -> Result<SemaphorePermit<'_>> {
        self.permits.acquire().await.map_err(|_| Error::new(ErrorKind::NotReady, "the server is being closed"))
    }

    /// A connection to the database that the administrator's URL names.
    pub(crate) async fn admin(&self) -> Result<Admin<'_>> {
        let permit = self.permit().await?;
        while let Some(mut connection) = self.pop_idle() {
            // One that a restarted server has closed is no use.
            if connection.ping().await.is_ok() {
                return Ok(Admin { control: self, connection, _permit: permit });
            }
        }
        let connection = in_time(&self.options).await.map_err(|cause| cannot_connect(&self.options, cause))?;
        Ok(Admin { control: self, connection, _permit: permit })
    }

    fn pop_idle(&self) -> Option<PgConnection> {
        self.idle.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop()
    }

    /// A connection of its own to another database of the server, or for what leaves state behind; never kept.
    pub(crate) async fn admin_of(&self, database: Option<&str>) -> Result<Fresh<'_>> {
        let permit = self.permit().await?;
        let mut options = self.options.clone();
        if let Some(database) = database {
            options = options.database(database);
        }
        let connection = in_time(&options).await.map_err(|cause| match database {
            Some(name) if is_missing(&cause) => is_gone(name, cause),
            _ => cannot_connect(&options, cause),
        })?;
        Ok(Fresh { connection, _permit: permit })
    }

    /// Asks the server to stop what that process of it does, and waits until it was asked. `false`: it cannot be known.
    pub(crate) async fn cancel(&self, pid: i32) -> bool {
        tokio::time::timeout(CANCEL_TIMEOUT, self.try_cancel(pid)).await.unwrap_or(false)
    }

    /// Asks the server to end that process of it.
    pub(crate) async fn terminate(&self, pid: i32) -> bool {
        let ended = self.ask_of("SELECT pg_terminate_backend($1)", pid);
        tokio::time::timeout(CANCEL_TIMEOUT, ended).await.unwrap_or(false)
    }

    async fn try_cancel(&self, pid: i32) -> bool {
        self.ask_of("SELECT pg_cancel_backend($1)", pid).await
    }

    async fn ask_of(&self, question: &'static str, pid: i32) -> bool {
        let mut canceller = self.canceller.lock().await;
        for _ in 0..2 {
            let mut connection = match canceller.take() {
                Some(connection) => connection,
                None => match self.options.connect().await {
                    Ok(connection) => connection,
                    Err(error) => {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "an abandoned statement cannot be stopped"
                        );
                        return false;
                    }
                },
            };
            let asked = sqlx::query(question).bind(pid).execute(&mut connection).await;
            if asked.is_ok() {
                *canceller = Some(connection);
                return true;
            }
        }
        false
    }
}

/// A connection as the administrator that is closed after its use.
pub(crate) struct Fresh<'c> {
    pub(crate) connection: PgConnection,
    _permit: SemaphorePermit<'c>,
}

impl Fresh<'_> {
    pub(crate) async fn close(self) {
        if let Err(error) = self.connection.close().await {
            tracing::debug!(error = &error as &dyn std::error::Error, "a connection did not close cleanly");
        }
    }
}

/// Whether the server says that there is no such database.
fn is_missing(cause: &sqlx::Error) -> bool {
    cause.as_database_error().and_then(|e| e.code()).as_deref() == Some("3D000")
}

fn is_gone(database: &str, cause: sqlx::Error) -> Error {
    Error::new(ErrorKind::Isolation, format!("the database `{database}` is gone"))
        .caused_by(cause)
        .help("tenantry doctor")
}

/// With whom and where it was tried, and never the password.
fn cannot_connect(options: &PgConnectOptions, cause: sqlx::Error) -> Error {
    let (host, port, user) = (options.get_host(), options.get_port(), options.get_username());
    let way = match options.get_socket() {
        Some(socket) => format!("{} (port {port})", socket.display()),
        None => format!("{host}:{port}"),
    };
    Error::new(
        ErrorKind::DatabaseBusy,
        format!("cannot reach the database server at {way} as its administrator `{user}`"),
    )
    .caused_by(cause)
    .help("look whether it runs there, and whether user, password and database of the admin URL are right")
}
