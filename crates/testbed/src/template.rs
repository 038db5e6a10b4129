//! The data directory that `initdb` made once, and copies of it.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::Write,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    During, Result, address,
    area::Area,
    programs,
    programs::Programs,
    settings::{SETTINGS, SIGN_IN},
    user::ServerUser,
};

/// What a server is made of.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) programs: Programs,
    pub(crate) version: u32,
    pub(crate) user: ServerUser,
    path: PathBuf,
}

impl Template {
    /// Makes it if there is none, which the lock allows to one process at a time.
    pub(crate) fn ready(area: &Area, _lock: &File) -> Result<Self> {
        let (programs, user) = (Programs::find()?, ServerUser::find()?);
        let version = programs.version()?;
        let path = area.path(&format!("template-{}-{}", version / 10_000, user.id()));
        if !path.exists() {
            make(&programs, user, &path)?;
        }
        Ok(Self { programs, version, user, path })
    }

    /// A data directory in the server's folder, with settings of its own at the end, where they win.
    pub(crate) fn copy_into(&self, directory: &Path, settings: &[(&str, &str)]) -> Result {
        let data = directory.join("data");
        // As the server's user: then the files are its own, without a walk over all of them.
        programs::output(self.user.command(Path::new("/bin/cp")).arg("-a").arg(&self.path).arg(&data))?;
        let lines: String = settings.iter().map(|(name, value)| setting(name, value)).collect();
        append(&data.join("postgresql.conf"), &lines)
    }
}

fn setting(name: &str, value: &str) -> String {
    format!("{name} = '{}'\n", value.replace('\'', "''"))
}

fn append(file: &Path, text: &str) -> Result {
    let opened = OpenOptions::new().append(true).open(file);
    opened.and_then(|mut file| file.write_all(text.as_bytes())).during(&format!("write `{}`", file.display()))
}

/// Under another name until it is whole.
fn make(programs: &Programs, user: ServerUser, path: &Path) -> Result {
    let (making, password) = (path.with_extension("making"), path.with_extension("password"));
    if making.exists() {
        fs::remove_dir_all(&making).during("remove half a template")?;
    }
    DirBuilder::new().mode(0o700).create(&making).during("make the template's folder")?;
    user.own(&making)?;
    fs::write(&password, address::ADMIN_PASSWORD).during("write the admin's password")?;
    programs::output(&mut initdb(programs, user, &making, &password))?;
    fs::remove_file(&password).during("remove the admin's password")?;
    append(&making.join("postgresql.conf"), SETTINGS)?;
    let admin = format!("local all {} trust\n", address::ADMIN);
    fs::write(making.join("pg_hba.conf"), admin + SIGN_IN).during("write `pg_hba.conf`")?;
    fs::rename(&making, path).during("put the template in its place")
}

fn initdb(programs: &Programs, user: ServerUser, data: &Path, password: &Path) -> Command {
    let mut command = user.command(&programs.named("initdb"));
    command.args(["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--auth=scram-sha-256", "--username"]);
    command.arg(address::ADMIN).arg("--pwfile").arg(password).arg("--pgdata").arg(data);
    command
}
