//! The folder in which a user's servers live, and the locks in it.

use std::{
    fs::{self, DirBuilder, File, Permissions, TryLockError},
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Child,
};

use rustix::{fs::statvfs, process::geteuid};

use crate::{During, Result, keeper, programs, programs::Programs, settings::SETTINGS_VERSION, user::ServerUser};

/// A database per test is some 300 files that are made and dropped: on a disk that is a fifth of a suite's time.
const MEMORY: &str = "/dev/shm";
/// Of the whole file system, not of what is free: all processes have to come to the same answer.
const ENOUGH: u64 = 4 << 30;

/// Holds the template, the shared server, and the private ones with random names.
#[derive(Debug)]
pub(crate) struct Area {
    root: PathBuf,
}

impl Area {
    /// In memory where there is enough of it, else in `/tmp`, whatever `TMPDIR` says: a socket's path has at most 107 bytes,
    /// and the server's user must get there. The workspace's target folder often fails both.
    pub(crate) fn usual() -> Result<Self> {
        let folder = if has_room(Path::new(MEMORY)) { MEMORY } else { "/tmp" };
        let usual = format!("{folder}/tenantry-testbed-{}-{SETTINGS_VERSION}", geteuid().as_raw());
        // Who asks for other programs must not join a server of the usual ones.
        match programs::chosen() {
            Some(_) => Self::at(Path::new(&format!("{usual}-{}", Programs::find()?.version()?))),
            None => Self::at(Path::new(&usual)),
        }
    }

    pub(crate) fn at(root: &Path) -> Result<Self> {
        match DirBuilder::new().mode(0o711).create(root) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(format!("make `{}`: {error}", root.display()));
            }
            _ => {}
        }
        // Anybody may make folders in /tmp; what others can write to, we do not run a server in.
        let found = fs::symlink_metadata(root).during(&format!("look at `{}`", root.display()))?;
        if !found.is_dir() || found.uid() != geteuid().as_raw() || found.mode() & 0o022 != 0 {
            return Err(format!("`{}` is not a folder of yours alone: remove it", root.display()));
        }
        Ok(Self { root: root.into() })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    pub(crate) fn open(&self, lock: &str) -> Result<File> {
        open(&self.path(lock))
    }

    /// One process at a time makes the template, starts the shared server and sweeps. It is released with the file.
    pub(crate) fn lock(&self) -> Result<File> {
        let file = self.open("start.lock")?;
        file.lock().during("wait for the lock of the test servers")?;
        Ok(file)
    }

    /// A folder for a private server or for a PgBouncer, and its keeper. Needs the lock: a folder without an owner is swept.
    pub(crate) fn home(&self, prefix: &str, user: ServerUser, _lock: &File) -> Result<Home> {
        let made = tempfile::Builder::new().prefix(prefix).rand_bytes(8).tempdir_in(&self.root);
        let directory = made.during("make a server's folder")?;
        user.own(directory.path())?;
        let owner = open(&directory.path().join("owner"))?;
        owner.lock().during("lock a server's folder")?;
        let keeper = keeper::keep_for_owner(directory.path())?;
        Ok(Home { path: directory.keep(), keeper, _owner: owner })
    }

    /// Removes private servers whose owner was killed, and their keeper with it.
    pub(crate) fn sweep(&self, _lock: &File) -> Result {
        let entries = fs::read_dir(&self.root).during("list the test servers")?;
        for path in entries.flatten().map(|entry| entry.path()) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if Home::PREFIXES.iter().any(|prefix| name.starts_with(prefix)) && is_orphan(&path)? {
                keeper::stop(&path)?;
            }
        }
        Ok(())
    }
}

/// Containers often have 64 MiB there.
fn has_room(folder: &Path) -> bool {
    statvfs(folder).is_ok_and(|found| found.f_blocks.saturating_mul(found.f_frsize) >= ENOUGH)
}

fn is_orphan(path: &Path) -> Result<bool> {
    match File::open(path.join("owner")) {
        Ok(owner) => Ok(!is_locked(&owner)?),
        // Its maker was killed in the middle: whoever makes a folder holds the lock that we hold.
        Err(error) => Ok(error.kind() == ErrorKind::NotFound),
    }
}

/// Whether somebody else holds the lock; if not, it is ours now.
pub(crate) fn is_locked(file: &File) -> Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(format!("try a lock: {error}")),
    }
}

fn open(path: &Path) -> Result<File> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path);
    file.during(&format!("open `{}`", path.display()))
}

/// A folder of one owner's. Dropping it ends and removes what runs in it, and so does the end of the process.
#[derive(Debug)]
pub(crate) struct Home {
    path: PathBuf,
    keeper: Child,
    _owner: File,
}

impl Home {
    pub(crate) const PRIVATE: &str = "private-";
    pub(crate) const BOUNCER: &str = "bouncer-";
    const PREFIXES: [&str; 2] = [Self::PRIVATE, Self::BOUNCER];

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file that only the server's user may read.
    pub(crate) fn write(&self, name: &str, text: &str, user: ServerUser) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::write(&path, text).during(&format!("write `{}`", path.display()))?;
        fs::set_permissions(&path, Permissions::from_mode(0o600)).during("close a file to others")?;
        user.own(&path)?;
        Ok(path)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // The end of its input is the keeper's sign.
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
