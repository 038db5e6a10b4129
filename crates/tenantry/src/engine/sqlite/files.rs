//! How a database file is made, copied, named and removed, with what SQLite keeps beside it.

use std::{
    fs, io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::error::{Error, ErrorKind, Result};

/// The suffix of a file that is not yet a tenant's.
pub(super) const HALF_MADE: &str = ".making";

/// Where a tenant's file is made before it gets its name; another place at each call.
pub(super) fn half_made(file: &Path) -> PathBuf {
    file.with_extension(format!("{}{HALF_MADE}", uuid::Uuid::now_v7().as_simple()))
}

/// Removes what attempts that crashed have left of a tenant's file.
pub(super) fn remove_half_made(file: &Path) -> Result<()> {
    let (Some(folder), Some(stem)) = (file.parent(), file.file_stem()) else { return Ok(()) };
    let start = format!("{}.", stem.to_string_lossy());
    for entry in fs::read_dir(folder).map_err(failed("read", folder))? {
        let path = entry.map_err(failed("read", folder))?.path();
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with(&start) && name.contains(HALF_MADE) {
            match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed("remove", &path)(e)),
                _ => {}
            }
        }
    }
    Ok(())
}

/// The files of a database, main file last: as long as it is there the others are never a stranger's.
fn all_of(file: &Path) -> [PathBuf; 4] {
    let beside = |suffix: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    [beside("-wal"), beside("-shm"), beside("-journal"), file.to_owned()]
}

/// `Ok(true)` if a regular file lies there, `Ok(false)` if nothing does; anything else (a link, a folder) is refused.
pub(super) fn is_there(file: &Path) -> Result<bool> {
    for path in all_of(file) {
        match fs::symlink_metadata(&path) {
            Ok(metadata) if !metadata.is_file() => return Err(not_ours(&path, "is not a regular file")),
            Ok(_) if path == file => return Ok(true),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed("read", &path)(e)),
        }
    }
    Ok(false)
}

/// Removes a database and what SQLite keeps beside it. A `-wal` that stayed would bring its rows back in a new file.
pub(super) fn remove(file: &Path) -> Result<()> {
    for path in all_of(file) {
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(failed("remove", &path)(e)),
        }
    }
    Ok(())
}

/// Removes what crashes left half made in a folder, once it is too old to be somebody's work.
pub(super) fn sweep_half_made(folder: &Path) {
    const OLD: Duration = Duration::from_secs(3600);
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|e| e.path()) {
        let half_made = path.to_string_lossy().contains(HALF_MADE);
        let age = fs::symlink_metadata(&path).and_then(|m| m.modified()).map(|t| t.elapsed().unwrap_or_default());
        if half_made && age.is_ok_and(|age| age > OLD) {
            // Somebody else may have been faster.
            drop(fs::remove_file(&path));
        }
    }
}

/// Copies a closed database, for its owner only.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).map_err(failed("copy a template to", to))?;
    protect(to)
}

/// Makes a file that its owner alone can read, if it is not there: SQLite gives its other files the same mode.
pub(super) fn make_private(file: &Path) -> Result<()> {
    let made = fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(file);
    made.map_err(failed("make", file))?;
    protect(file)
}

/// Lets its owner alone read a file.
pub(super) fn protect(file: &Path) -> Result<()> {
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).map_err(failed("protect", file))
}

pub(super) fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).map_err(failed("read", file))
}

/// Overwrites bytes of a closed database.
pub(super) fn write_at(file: &Path, offset: u64, bytes: &[u8]) -> Result<()> {
    use std::os::unix::fs::FileExt;
    let opened = fs::File::options().write(true).open(file);
    opened.and_then(|f| f.write_all_at(bytes, offset)).map_err(failed("write", file))
}

/// Gives a made file its name, durably: file first, then the name, then the folder. `false`: another has the name
/// already, and keeps it; a rename would replace a tenant's file that is in use.
pub(super) fn publish(made: &Path, name: &Path) -> Result<bool> {
    fs::File::open(made).and_then(|f| f.sync_all()).map_err(failed("write", made))?;
    let linked = fs::hard_link(made, name);
    fs::remove_file(made).map_err(failed("remove", made))?;
    match linked {
        Ok(()) => sync_folder_of(name).map(|()| true),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(failed("name", name)(e)),
    }
}

/// The name on disk has to survive a power cut too.
pub(super) fn sync_folder_of(file: &Path) -> Result<()> {
    let Some(folder) = file.parent() else { return Ok(()) };
    fs::File::open(folder).and_then(|f| f.sync_all()).map_err(failed("write", folder))
}

pub(super) fn failed<'a>(verb: &'a str, path: &'a Path) -> impl Fn(io::Error) -> Error + 'a {
    move |e| Error::new(ErrorKind::Io, format!("cannot {verb} `{}`", path.display())).caused_by(e)
}

pub(super) fn not_ours(path: &Path, why: &str) -> Error {
    Error::new(ErrorKind::Isolation, format!("`{}` {why}: nothing that this program made", path.display()))
        .help("look who put it there; move it away and run `tenantry doctor`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_has_the_name_is_never_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let name = dir.path().join("t_1.db");
        let attempts = [half_made(&name), half_made(&name)];
        assert_ne!(attempts[0], attempts[1], "two attempts are two files");
        for (n, made) in attempts.iter().enumerate() {
            fs::write(made, n.to_string()).expect("written");
            assert_eq!(publish(made, &name).expect("published or not"), n == 0);
        }
        assert_eq!(fs::read_to_string(&name).expect("read"), "0");
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1, "and no attempt is left");
    }
}
