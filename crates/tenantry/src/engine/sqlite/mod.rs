//! SQLite: a file per tenant in one directory, the shared tables in a file of their own.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Capabilities, Target};
use crate::{
    error::{Error, ErrorKind, Result},
    tenant::Isolation,
};

mod audit;
mod dialect;
mod directory;
mod driver;
mod engine;
mod failure;
mod files;
mod guard;
mod link;
mod open;
mod place;
#[cfg(feature = "testing")]
mod scratch;
mod scripts;
mod stop;
mod template;

pub(crate) use driver::SqliteDriver;
pub(crate) use link::SqliteLink;
pub(crate) use stop::Stop;

use directory::Directory;

static CAPABILITIES: Capabilities = Capabilities {
    engine: "sqlite",
    isolations: &[Isolation::Database],
    default_isolation: Isolation::Database,
    transactional_ddl: true,
    tenants_per_login: 0,
    signs_in: false,
    one_round_trip: true,
    closed_wall: true,
    instead: "SQLite has neither schemas nor row security: use `--isolation database` (a file per tenant)",
};

/// A directory of SQLite files as a server.
pub(crate) struct SqliteEngine {
    directory: Directory,
    /// How long a purge waits until other processes have let go of a file.
    drain: Duration,
}

impl SqliteEngine {
    /// `home` is the directory that holds the shared tables of the installation.
    pub(crate) fn new(root: &Path, home: &Path, drain: Duration) -> Result<Self> {
        Ok(Self { directory: Directory::new(absolute(root)?, absolute(home)?), drain })
    }

    fn file(&self, target: &Target) -> Result<PathBuf> {
        match target {
            Target::Rows => Err(no_rows()),
            Target::Shared => Ok(self.directory.shared()),
            Target::Tenant(placement) => self.directory.tenant(&placement.physical),
        }
    }
}

fn no_rows() -> Error {
    Error::new(ErrorKind::Internal, "SQLite has no tables that tenants have in common")
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path)
        .map_err(|e| Error::new(ErrorKind::Configuration, format!("`{}` is no directory", path.display())).caused_by(e))
}
