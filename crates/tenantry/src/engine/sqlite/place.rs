//! A tenant's file: copied from a migrated template, dropped when nobody has it open.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use aws_lc_rs::digest;
use sqlx::{Connection as _, Executor, sqlite::SqliteConnection};

use super::{
    directory::Directory,
    failure, files, open, scripts,
    template::{NOBODY, Template},
};
use crate::{
    engine::{Placement, Script, ScriptKind},
    error::{Error, ErrorKind, Result},
    id::TenantId,
};

/// Raised when the engine's own tables in a tenant's file change.
const TEMPLATE_FORM: u8 = 2;

const PLACE: &str = "CREATE TABLE _tenantry_place (tenant_id TEXT NOT NULL)";

pub(super) async fn prepare(directory: &Directory) -> Result<()> {
    directory.prepare()?;
    let mut connection = open::engine(&directory.shared(), true).await?;
    connection.execute(scripts::LEDGER).await?;
    connection.close().await?;
    Ok(())
}

/// Every step may be the last before a crash, and another process may be at it too: each attempt makes a file of its own,
/// and the first that gives it the tenant's name has made the tenant's file.
pub(super) async fn create(directory: &Directory, placement: &Placement, scripts: &[Arc<Script>]) -> Result<()> {
    directory.check()?;
    let (id, file) = (placement.id, directory.tenant(&placement.physical)?);
    if files::is_there(&file)? {
        return adopt(directory, id, &file, scripts).await;
    }
    // Data files run once per tenant: what they write may differ from one to the next.
    let cut = scripts.iter().position(|s| s.kind == ScriptKind::Data).unwrap_or(scripts.len());
    let (in_template, in_tenant) = scripts.split_at(cut);
    let template = template(directory, in_template).await?;
    let made = files::half_made(&file);
    let (copied, name, is_whole) = (made.clone(), file.clone(), in_tenant.is_empty());
    let mut published = blocking(move || {
        files::copy(&template.file, &copied)?;
        files::write_at(&copied, template.owner_at, id.to_string().as_bytes())?;
        if is_whole { files::publish(&copied, &name) } else { Ok(false) }
    })
    .await?;
    if !is_whole {
        published = finish(directory, &made, &file, in_tenant).await?;
    }
    if published { Ok(()) } else { adopt(directory, id, &file, scripts).await }
}

/// Applies what is the tenant's own and gives the file its name.
async fn finish(directory: &Directory, made: &Path, file: &Path, scripts: &[Arc<Script>]) -> Result<bool> {
    for script in scripts {
        if let Err(error) = scripts::apply(made, &directory.shared(), script).await {
            files::remove(made)?;
            return Err(error);
        }
    }
    let (made, name) = (made.to_owned(), file.to_owned());
    blocking(move || files::publish(&made, &name)).await
}

/// The file that an earlier attempt has made, perhaps of an older program: it gets what it lacks.
async fn adopt(directory: &Directory, id: TenantId, file: &Path, scripts: &[Arc<Script>]) -> Result<()> {
    let mut connection = open::engine(file, false).await?;
    let owned = open::require_owner(&mut connection, id).await;
    connection.close().await?;
    owned?;
    let applied = scripts::ledger(file).await?;
    for script in scripts.iter().filter(|s| !applied.iter().any(|a| a.version == s.version)) {
        scripts::apply(file, &directory.shared(), script).await?;
    }
    Ok(())
}

/// The template of a set of migrations, made when it is first needed.
async fn template(directory: &Directory, scripts: &[Arc<Script>]) -> Result<Template> {
    let name = fingerprint(scripts);
    let file = directory.templates().join(format!("{name}.db"));
    let there = files::is_there(&file)?;
    if let (true, Some(known)) = (there, directory.known_template(&name)) {
        return Ok(known);
    }
    if !there {
        template_publish(directory, &file, scripts).await?;
    }
    let template = blocking(move || Template::read(file)).await?;
    directory.template_learned(name, template.clone());
    Ok(template)
}

async fn template_publish(directory: &Directory, file: &Path, scripts: &[Arc<Script>]) -> Result<()> {
    files::sweep_half_made(&directory.templates());
    // Two processes may make it at once: each its own file, and both are the same.
    let made = directory.templates().join(format!("{}.making", TenantId::new().as_uuid().as_simple()));
    if let Err(error) = template_make(&made, &directory.shared(), scripts).await {
        files::remove(&made)?;
        return Err(error);
    }
    let name = file.to_owned();
    // Another process may have been faster: theirs is the same.
    blocking(move || files::publish(&made, &name)).await.map(drop)
}

async fn template_make(file: &Path, shared: &Path, scripts: &[Arc<Script>]) -> Result<()> {
    let mut connection = open::engine(file, true).await?;
    connection.execute(scripts::LEDGER).await?;
    connection.execute(PLACE).await?;
    sqlx::query("INSERT INTO _tenantry_place (tenant_id) VALUES (?)").bind(NOBODY).execute(&mut connection).await?;
    // Closing the last connection moves the WAL into the file.
    connection.close().await?;
    for script in scripts {
        scripts::apply(file, shared, script).await?;
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
pub(super) async fn drop_fenced(directory: &Directory, placement: &Placement, drain: Duration) -> Result<()> {
    directory.check()?;
    let (id, file) = (placement.id, directory.tenant(&placement.physical)?);
    files::remove_half_made(&file)?;
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
            Err(e) if failure::is_busy(&e) => {}
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
