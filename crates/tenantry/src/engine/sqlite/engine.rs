//! SQLite behind the traits of all engines.

use std::sync::Arc;

use super::{SqliteDriver, SqliteEngine, audit, no_rows, open, place, scripts};
use crate::{
    engine::{
        Attacks, BoxFuture, CanaryTables, Connection, Connections, Engine, EngineKind, Examination, Finding, Ledger,
        Listed, Migration, Outcome, Patience, Place, Placement, Places, Scope, Script, Target, Wall, sealed,
    },
    error::Result,
};

impl sealed::Sealed for SqliteEngine {}

impl Engine for SqliteEngine {
    fn kind(&self) -> EngineKind {
        SqliteDriver::KIND
    }

    fn prepare(&self) -> BoxFuture<'_, Result<Option<u32>>> {
        Box::pin(async {
            place::prepare(&self.directory).await?;
            Ok(None)
        })
    }
}

impl Connections for SqliteEngine {
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
            Ok(SqliteDriver::connection(link))
        })
    }
}

impl Places for SqliteEngine {
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
}

impl Migration for SqliteEngine {
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
}

impl Examination for SqliteEngine {
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
