//! Files that are there whole or not at all, whenever the process is killed.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

/// A directory for this user only; one that is there stays as it is.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes the text unless the file holds it already.
pub(crate) fn keep_equal(path: &Path, text: &str) -> io::Result<()> {
    match fs::read(path) {
        Ok(there) if there == text.as_bytes() => Ok(()),
        Ok(_) => replace(path, text),
        Err(e) if e.kind() == io::ErrorKind::NotFound => replace(path, text),
        Err(e) => Err(e),
    }
}

/// Writes the text unless there is such a file: what its owner changed in it stays. Says whether it was written.
pub(crate) fn write_if_missing(path: &Path, text: impl FnOnce() -> String) -> io::Result<bool> {
    if path.try_exists()? {
        return Ok(false);
    }
    replace(path, &text()).map(|()| true)
}

/// Another name first, then the right one: a reader sees the old text or the new one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let fresh = path.with_file_name(name);
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(fresh, path)
}
