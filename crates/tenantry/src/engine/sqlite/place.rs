//! A tenant's file: copied from a migrated template, dropped when nobody has it open.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::digest;
use sqlx::{Connection as _, Executor, sqlite::SqliteConnection};

use super::{files, open, scripts};
use crate::{
    engine::{Placement, Script},
    error::{Error, ErrorKind, Result},
    id::TenantId,
};

/// Raised when the engine's own tables in a tenant's file change.
const TEMPLATE_FORM: u8 = 1;

const PLACE: &str = "CREATE TABLE _tenantry_place (tenant_id TEXT NOT NULL)";

pub(super) async fn prepare(directory: &files::Directory) -> Result<()> {
    directory.prepare()?;
    let mut connection = open::engine(&directory.shared(), true).await?;
    connection.execute(scripts::LEDGER).await?;
    connection.close().await?;
    Ok(())
}

/// Every step may be the last before a crash: a half-made file is made anew, a finished one is left as it is.
pub(super) async fn create(directory: &files::Directory, placement: &Placement, scripts: &[Arc<Script>]) -> Result<()> {
    directory.check()?;
    let (id, file) = (placement.id, directory.tenant(&placement.physical)?);
    if files::is_there(&file)? {
        let mut connection = open::engine(&file, false).await?;
        open::require_owner(&mut connection, id).await?;
        connection.close().await?;
        return Ok(());
    }
    let template = template(directory, scripts).await?;
    let made = files::half_made(&file);
    let (from, to) = (template, made.clone());
    blocking(move || {
        files::remove(&to)?;
        files::copy(&from, &to)
    })
    .await?;
    mark(&made, id).await?;
    blocking(move || files::publish(&made, &file)).await
}

/// Writes whose file it is. Not durably: `publish` syncs the whole file before it gets its name.
async fn mark(file: &Path, id: TenantId) -> Result<()> {
    use sqlx::{ConnectOptions, sqlite::SqliteSynchronous};
    let mut connection = open::options(file).synchronous(SqliteSynchronous::Off).connect().await?;
    sqlx::query("INSERT INTO _tenantry_place (tenant_id) VALUES (?)")
        .bind(id.to_string())
        .execute(&mut connection)
        .await?;
    connection.close().await?;
    Ok(())
}

/// The file that new tenants are copied from; made once for each set of migrations.
async fn template(directory: &files::Directory, scripts: &[Arc<Script>]) -> Result<PathBuf> {
    let template = directory.templates().join(format!("{}.db", fingerprint(scripts)));
    if files::is_there(&template)? {
        return Ok(template);
    }
    // Two processes may make it at once: each its own file, and both are the same.
    let made = directory.templates().join(format!("{}.making", TenantId::new().as_uuid().as_simple()));
    let result = template_make(&made, scripts).await;
    if result.is_ok() {
        let name = template.clone();
        return blocking(move || files::publish(&made, &name)).await.map(|()| template);
    }
    files::remove(&made)?;
    result.map(|()| template)
}

async fn template_make(file: &Path, scripts: &[Arc<Script>]) -> Result<()> {
    let mut connection = open::engine(file, true).await?;
    connection.execute(scripts::LEDGER).await?;
    connection.execute(PLACE).await?;
    // Closing the last connection moves the WAL into the file.
    connection.close().await?;
    for script in scripts {
        scripts::apply(file, script).await?;
    }
    Ok(())
}

fn fingerprint(scripts: &[Arc<Script>]) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&[TEMPLATE_FORM]);
    for script in scripts {
        context.update(&script.version.to_be_bytes());
        context.update(&script.checksum);
    }
    let hash = context.finish();
    hash.as_ref().iter().take(16).map(|b| format!("{b:02x}")).collect()
}

/// Destroys a tenant's file behind a fence of SQLite's own: only a connection that is alone can leave WAL mode, and it
/// keeps everybody else out while the names go. A handle to an unlinked file would go on acknowledging writes.
pub(super) async fn drop_fenced(directory: &files::Directory, placement: &Placement, drain: Duration) -> Result<()> {
    directory.check()?;
    let (id, file) = (placement.id, directory.tenant(&placement.physical)?);
    files::remove(&files::half_made(&file))?;
    if !files::is_there(&file)? {
        // What a crash between the three files may have left.
        return files::remove(&file);
    }
    let mut connection = open::engine(&file, false).await?;
    let fenced = async {
        open::require_owner(&mut connection, id).await?;
        fence(&mut connection, id, drain).await
    }
    .await;
    if let Err(error) = fenced {
        connection.close().await?;
        return Err(error);
    }
    let gone = file.clone();
    blocking(move || {
        files::remove(&gone)?;
        files::sync_folder_of(&gone)
    })
    .await?;
    // Its file is gone; what closing says of that does not matter any more.
    drop(connection.close().await);
    Ok(())
}

async fn fence(connection: &mut SqliteConnection, id: TenantId, drain: Duration) -> Result<()> {
    let started = Instant::now();
    connection.execute("PRAGMA busy_timeout = 100").await?;
    loop {
        match sqlx::query_scalar::<_, String>("PRAGMA journal_mode = DELETE").fetch_one(&mut *connection).await {
            Ok(mode) if mode == "delete" => break,
            Ok(_) => {}
            Err(e) if Error::from_sqlite_is_busy(&e) => {}
            Err(e) => return Err(e.into()),
        }
        if started.elapsed() >= drain {
            return Err(Error::new(
                ErrorKind::OperationRunning,
                format!("the file of tenant {id} is still open in another process"),
            )
            .help("stop the process that has it open (an app lets go within 2 s), then run the command again"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    connection.execute("PRAGMA locking_mode = EXCLUSIVE").await?;
    connection.execute("BEGIN EXCLUSIVE").await?;
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| Error::new(ErrorKind::Internal, "a file operation was cut off").caused_by(e))?
}
