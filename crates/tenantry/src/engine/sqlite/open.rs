//! Opening files: as an app's tenant, as the shared tables, as a migration.

use std::path::Path;

use sqlx::{
    ConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous},
};

use super::{
    files,
    guard::Mode,
    link::{BUSY_TIMEOUT, SqliteLink},
};
use crate::{
    engine::ScriptKind,
    error::{Error, ErrorKind, Result},
    id::TenantId,
};

/// What every connection has in common. `file` must be absolute: SQLite would read `file:...` as a URI.
pub(super) fn options(file: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .journal_mode(SqliteJournalMode::Wal)
        // An acknowledged commit is on the disk.
        .synchronous(SqliteSynchronous::Full)
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .disable_statement_logging()
}

/// The name under which the shared tables are attached to a tenant's connection.
async fn attach_shared(connection: &mut SqliteConnection, file: &Path, mode: &'static str) -> Result<()> {
    let uri = format!("file:{}?mode={mode}", percent_encoded(file));
    sqlx::query("ATTACH ? AS shared").bind(uri).execute(connection).await?;
    Ok(())
}

/// A path may hold `?`, `#` and `%`, which mean something in a URI.
fn percent_encoded(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"/._-".contains(&b);
    path.as_os_str()
        .as_bytes()
        .iter()
        .map(|&b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02x}") })
        .collect()
}

/// An app's connection to a tenant's own file, the shared file beside it read-only.
pub(super) async fn tenant(file: &Path, shared: &Path, id: TenantId) -> Result<SqliteLink> {
    if !files::is_there(file)? {
        // It may come back from a backup: the client is told to try again.
        return Err(gone(ErrorKind::NotReady, file));
    }
    let mut connection = options(file).connect().await?;
    require_owner(&mut connection, id).await?;
    attach_shared(&mut connection, shared, "ro").await?;
    SqliteLink::guarded(connection, Mode::Tenant, Some(file)).await
}

/// An app's connection to the shared tables: an empty database with the shared file attached as `shared`, so that
/// `shared.plans` means the same here, on a tenant's connection and on the other engines.
pub(super) async fn shared(file: &Path) -> Result<SqliteLink> {
    require(file)?;
    if let Err(error) = files::protect(file) {
        // It may be another user's, who has let us in.
        tracing::warn!(error = &error as &dyn std::error::Error, "the shared tables may be read by others");
    }
    let mut connection = SqliteConnectOptions::new()
        .in_memory(true)
        .shared_cache(false)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .disable_statement_logging()
        .connect()
        .await?;
    attach_shared(&mut connection, file, "rw").await?;
    sqlx::query("PRAGMA shared.synchronous = FULL").execute(&mut connection).await?;
    SqliteLink::guarded(connection, Mode::Shared, Some(file)).await
}

/// A connection for one migration file: of the schema, or of data only, which may read the shared tables.
pub(super) async fn migration(file: &Path, shared: &Path, kind: ScriptKind) -> Result<SqliteLink> {
    require(file)?;
    let mut connection = options(file).connect().await?;
    if kind == ScriptKind::Data && file != shared {
        attach_shared(&mut connection, shared, "ro").await?;
    }
    let mode = match kind {
        ScriptKind::Schema => Mode::Migration,
        ScriptKind::Data => Mode::Data,
    };
    SqliteLink::guarded(connection, mode, Some(file)).await
}

/// The engine's own connection: no guard, and no text of anybody else.
pub(super) async fn engine(file: &Path, create: bool) -> Result<SqliteConnection> {
    if create {
        files::make_private(file)?;
    } else {
        require(file)?;
    }
    Ok(options(file).connect().await?)
}

fn require(file: &Path) -> Result<()> {
    if files::is_there(file)? {
        return Ok(());
    }
    Err(gone(ErrorKind::Io, file))
}

fn gone(kind: ErrorKind, file: &Path) -> Error {
    Error::new(kind, format!("the database file `{}` is gone", file.display())).help("tenantry doctor")
}

/// Refuses a file that belongs to another tenant: a restored or renamed one.
pub(super) async fn require_owner(connection: &mut SqliteConnection, id: TenantId) -> Result<()> {
    let owner: Option<String> =
        sqlx::query_scalar("SELECT tenant_id FROM _tenantry_place").fetch_optional(connection).await.map_err(|e| {
            Error::new(ErrorKind::Isolation, format!("the file of tenant {id} does not say whose it is")).caused_by(e)
        })?;
    if owner.as_deref() == Some(id.to_string().as_str()) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Isolation, format!("the file of tenant {id} is marked as another's"))
        .help("put the tenant's own file back; `tenantry doctor` lists what does not fit"))
}
