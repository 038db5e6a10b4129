//! SQLite: a file per tenant in one directory, the shared tables in a file of their own.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{
    Attacks, BoxFuture, CanaryTables, Capabilities, Connection, Engine, Finding, Ledger, Outcome, Patience, Place,
    Placement, Scope, Script, Target, Wall, sealed,
};
use crate::{
    error::{Error, ErrorKind, Result},
    tenant::Isolation,
};

mod audit;
mod driver;
mod files;
mod guard;
mod link;
mod open;
mod place;
mod scripts;

pub(crate) use driver::SqliteDriver;
pub(crate) use link::{SqliteLink, Stop};

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
    directory: files::Directory,
    /// How long a purge waits until other processes have let go of a file.
    drain: Duration,
}

impl SqliteEngine {
    /// `home` is the directory that holds the shared tables of the installation.
    pub(crate) fn new(root: &Path, home: &Path, drain: Duration) -> Result<Self> {
        Ok(Self { directory: files::Directory::new(absolute(root)?, absolute(home)?), drain })
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

impl sealed::Sealed for SqliteEngine {}

impl Engine for SqliteEngine {
    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn prepare(&self) -> BoxFuture<'_, Result<Option<u32>>> {
        Box::pin(async {
            place::prepare(&self.directory).await?;
            Ok(None)
        })
    }

    fn place(&self, placement: &Placement) -> Place {
        Place::Tenant(placement.clone())
    }

    fn scope(&self, _: Option<&Placement>) -> Result<Scope> {
        Ok(Scope::None)
    }

    fn connect<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<Connection>> {
        Box::pin(async move {
            let shared = self.directory.shared();
            let link = match place {
                Place::Shared => open::shared(&shared).await?,
                Place::Rows | Place::Schemas(_) => return Err(no_rows()),
                Place::Tenant(at) => open::tenant(&self.directory.tenant(&at.physical)?, &shared, at.id).await?,
            };
            Ok(Connection::Sqlite(Box::new(link)))
        })
    }

    fn still_bound(&self, connection: &mut Connection) -> bool {
        matches!(connection, Connection::Sqlite(link) if link.file_is_there())
    }

    fn finish<'a>(&'a self, _: &'a mut Connection) -> BoxFuture<'a, bool> {
        // No statement is answered before its end here.
        Box::pin(async { false })
    }

    fn is_worn(&self, _: &Connection) -> bool {
        false
    }

    fn settle<'a>(&'a self, connection: &'a mut Connection) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            match connection {
                Connection::Sqlite(link) => link.settle().await,
                Connection::Postgres(_) => false,
            }
        })
    }

    fn close(&self, connection: Connection) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Connection::Sqlite(link) = connection {
                link.close().await;
            }
        })
    }

    fn tenant_place_create<'a>(
        &'a self,
        placement: &'a Placement,
        scripts: &'a [Arc<Script>],
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(place::create(&self.directory, placement, scripts))
    }

    fn tenant_place_drop<'a>(&'a self, placement: &'a Placement) -> BoxFuture<'a, Result<()>> {
        Box::pin(place::drop_fenced(&self.directory, placement, self.drain))
    }

    fn shared_form(&self) -> BoxFuture<'_, Result<Option<String>>> {
        Box::pin(async { Ok(None) })
    }

    fn shared_refresh<'a>(&'a self, _: Option<&'a Placement>) -> BoxFuture<'a, Result<()>> {
        // The shared file itself is attached to every connection.
        Box::pin(async { Ok(()) })
    }

    fn tenant_places(&self) -> BoxFuture<'_, Result<Vec<String>>> {
        Box::pin(async { self.directory.tenant_names() })
    }

    fn ledger<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<Ledger>> {
        Box::pin(async move { Ok(scripts::ledger(&self.file(target)?).await?.into()) })
    }

    fn apply<'a>(&'a self, target: &'a Target, script: &'a Script, _: Patience) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { scripts::apply(&self.file(target)?, &self.directory.shared(), script).await })
    }

    fn renew<'a>(&'a self, _: &'a Target) -> BoxFuture<'a, Result<()>> {
        // A file of an older version is as one of this version.
        Box::pin(async { Ok(()) })
    }

    fn stamp<'a>(&'a self, target: &'a Target, script: &'a Script) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { scripts::stamp(&self.file(target)?, script).await })
    }

    fn audit_server(&self) -> BoxFuture<'_, Result<Vec<Finding>>> {
        // Nothing lies between the tenants' files that could let one reach another.
        Box::pin(async { Ok(Vec::new()) })
    }

    fn wall(&self) -> BoxFuture<'_, Result<Wall>> {
        // No two tenants share a file.
        Box::pin(async { Ok(Wall::default()) })
    }

    fn audit<'a>(&'a self, placement: &'a Placement) -> BoxFuture<'a, Result<Vec<Finding>>> {
        Box::pin(async move { audit::audit(&self.directory, placement).await })
    }

    fn canary_prepare<'a>(&'a self, _: [&'a Placement; 2]) -> BoxFuture<'a, Result<Option<CanaryTables>>> {
        // No table of one file can be named in another: the files themselves are what is attacked.
        Box::pin(async { Ok(None) })
    }

    fn canary_clean<'a>(&'a self, _: &'a CanaryTables) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn mend<'a>(&'a self, _: Option<&'a Placement>, _: &'a Finding) -> BoxFuture<'a, Result<bool>> {
        // What can be wrong with a file is more than a statement puts right.
        Box::pin(async { Ok(false) })
    }

    fn canary_escapes<'a>(
        &'a self,
        _: &'a Placement,
        _: &'a Placement,
    ) -> BoxFuture<'a, Result<Vec<(String, Outcome)>>> {
        // What SQLite itself refuses is its authorizer's: the attacks ask just that.
        Box::pin(async { Ok(Vec::new()) })
    }

    fn attacks(&self, victim: &Placement, _: Option<&CanaryTables>) -> Result<Attacks> {
        Ok(audit::attacks(&self.directory.tenant(&victim.physical)?))
    }
}
