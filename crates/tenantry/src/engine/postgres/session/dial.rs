//! Opening one connection within a limit.

use std::time::Duration;

use sqlx::{
    ConnectOptions,
    postgres::{PgConnectOptions, PgConnection},
};

/// How long a server may take to answer: one behind a wall that swallows everything never does.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) async fn in_time(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    patiently(options.connect()).await
}

pub(crate) async fn patiently<T>(opening: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let late = |_| std::io::Error::new(std::io::ErrorKind::TimedOut, format!("no answer within {PATIENCE:?}"));
    tokio::time::timeout(PATIENCE, opening).await.map_err(late)?
}

pub(crate) fn has_wrong_password(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|e| e.code()).as_deref() == Some("28P01")
}
