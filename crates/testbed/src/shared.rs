//! The server that several processes share: whoever comes first starts it.

use std::{
    env,
    fs::{self, DirBuilder, File},
    os::unix::{fs::DirBuilderExt, net::UnixStream},
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use crate::{During, Postgres, Result, area, area::Area, keeper, process, programs::Programs, template::Template};

const IDLE: Duration = Duration::from_secs(30);

/// One for the process: it is held until the process ends.
pub(crate) fn usual() -> Result<Postgres> {
    static SERVER: OnceLock<Result<Postgres>> = OnceLock::new();
    let find = || match env::var("TENANTRY_TEST_POSTGRES_URL") {
        Ok(url) => Postgres::at(&url).map_err(|e| format!("the server of `TENANTRY_TEST_POSTGRES_URL`: {e}")),
        Err(_) => start_or_join(&Area::usual()?, IDLE),
    };
    SERVER.get_or_init(find).clone()
}

pub(crate) fn in_folder(folder: &Path, idle: Duration) -> Result<Postgres> {
    start_or_join(&Area::at(folder)?, idle)
}

fn start_or_join(area: &Area, idle: Duration) -> Result<Postgres> {
    let lock = area.lock()?;
    let directory = area.path("shared");
    let server = match running(&directory) {
        Some(server) => server,
        None => start(area, &directory, &lock)?,
    };
    let users = area.open("users.lock")?;
    users.lock_shared().during("tell that the shared server is used")?;
    File::create(directory.join("used")).during("tell that the shared server was used")?;
    see_that_it_is_kept(area, &directory, idle)?;
    Ok(server.used_by(users))
}

/// The server that the folder tells of, if it answers.
fn running(directory: &Path) -> Option<Postgres> {
    let state = fs::read_to_string(directory.join("state")).ok()?;
    let mut lines = state.lines();
    let (port, version) = (lines.next()?.parse().ok()?, lines.next()?.parse().ok()?);
    let programs = Programs::at(Path::new(lines.next()?));
    UnixStream::connect(socket(directory, port)).ok()?;
    Some(Postgres::ours(directory, port, programs, version))
}

fn socket(directory: &Path, port: u16) -> PathBuf {
    directory.join(format!(".s.PGSQL.{port}"))
}

fn start(area: &Area, directory: &Path, lock: &File) -> Result<Postgres> {
    keeper::can_keep_for_users()?;
    // What a killed server left.
    keeper::stop(directory)?;
    area.sweep(lock)?;
    let template = Template::ready(area, lock)?;
    DirBuilder::new().mode(0o700).create(directory).during("make the shared server's folder")?;
    template.user.own(directory)?;
    template.copy_into(directory, &[])?;
    let (child, port) = process::start_anywhere(&template, directory)?;
    // It outlives us.
    drop(child);
    let Template { programs, version, .. } = template;
    let state = format!("{port}\n{version}\n{}\n", programs.folder().display());
    fs::write(directory.join("state"), state).during("tell where the shared server is")?;
    Ok(Postgres::ours(directory, port, programs, version))
}

fn see_that_it_is_kept(area: &Area, directory: &Path, idle: Duration) -> Result {
    let alive = area.open("keeper.lock")?;
    if area::is_locked(&alive)? {
        return Ok(());
    }
    keeper::keep_for_users(directory, &area.path("start.lock"), &area.path("users.lock"), idle, alive)
}
