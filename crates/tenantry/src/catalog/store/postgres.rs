//! The catalog in a schema of its own on PostgreSQL.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DatabaseConnection, SqlxPostgresConnector};
use sqlx::{
    ConnectOptions, Connection as _,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{Store, unavailable};
use crate::{
    engine::{EngineKind, postgres::in_time},
    error::{Error, ErrorKind, Result},
};

/// Milliseconds since 1970.
pub(super) const CLOCK: &str = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint) AS now";

/// The schema that holds the catalog's tables.
const SCHEMA: &str = "tenantry_catalog";

pub(super) async fn connect(url: &str) -> Result<Store> {
    let options: PgConnectOptions = url.parse().map_err(cannot_open)?;
    let options = options.application_name("tenantry catalog").disable_statement_logging();
    make_schema(&options).await?;
    let options = options.options([("search_path", SCHEMA)]);
    // A step of a journal helps after a crash of the program, which the server survives.
    let relaxed = options.clone().options([("synchronous_commit", "off")]);
    Ok(Store {
        read: open(options.clone(), 4).await?,
        acknowledged: open(options, 1).await?,
        progress: open(relaxed, 1).await?,
        kind: EngineKind::Postgres,
        #[cfg(feature = "sqlite")]
        file: None,
    })
}

async fn make_schema(options: &PgConnectOptions) -> Result<()> {
    let mut connection = in_time(options).await.map_err(cannot_open)?;
    let made = sqlx::raw_sql(
        "SELECT pg_advisory_xact_lock(7463205551); \
         CREATE SCHEMA IF NOT EXISTS tenantry_catalog; \
         REVOKE ALL ON SCHEMA tenantry_catalog FROM PUBLIC",
    )
    .execute(&mut connection)
    .await;
    drop(connection.close().await);
    made.map(drop).map_err(cannot_open)
}

/// One transaction writes at a time, from its first statement on, as on SQLite.
pub(super) async fn only_writer(tx: &sea_orm::DatabaseTransaction) -> Result<()> {
    tx.execute_unprepared("SELECT pg_advisory_xact_lock(7463205552)").await.map(drop).map_err(unavailable)
}

#[expect(clippy::disallowed_methods, reason = "the catalog is no tenant's: its connections have nothing to keep apart")]
async fn open(options: PgConnectOptions, connections: u32) -> Result<DatabaseConnection> {
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(5))
        // A restarted server leaves dead connections behind.
        .test_before_acquire(true)
        .connect_with(options)
        .await
        .map_err(cannot_open)?;
    Ok(SqlxPostgresConnector::from_sqlx_postgres_pool(pool))
}

fn cannot_open(cause: sqlx::Error) -> Error {
    Error::new(ErrorKind::CatalogUnavailable, "cannot open the catalog on PostgreSQL")
        .caused_by(cause)
        .help("look whether its server runs, its database exists, and the user may create a schema in it")
}
