//! PostgreSQL behind the traits of all engines.

use std::sync::Arc;

use super::{
    PgDriver, PgScope, PostgresEngine,
    administration::wall,
    examination::{audit, canary, escapes, mend},
};
use crate::{
    engine::{
        Attacks, BoxFuture, CanaryTables, Connection, Connections, Engine, EngineKind, Examination, Finding, Ledger,
        Listed, Migration, Outcome, Patience, Place, Placement, Places, Scope, Script, Target, Wall, sealed,
    },
    error::Result,
    tenant::Isolation,
};

impl sealed::Sealed for PostgresEngine {}

impl Engine for PostgresEngine {
    fn kind(&self) -> EngineKind {
        PgDriver::KIND
    }

    fn prepare(&self) -> BoxFuture<'_, Result<Option<u32>>> {
        Box::pin(self.prepare_server())
    }
}

impl Connections for PostgresEngine {
    fn place(&self, placement: &Placement) -> Place {
        match placement.isolation {
            Isolation::Row => Place::Rows,
            Isolation::Schema => Place::Schemas(placement.login.unwrap_or(0)),
            Isolation::Database => Place::Tenant(placement.clone()),
        }
    }

    fn scope(&self, placement: Option<&Placement>) -> Result<Scope> {
        let pooled = self.door.pooler.then_some(self.door.limits);
        let scope = match placement {
            None => PgScope::of_shared(pooled),
            Some(at) => {
                let pooled = pooled.filter(|_| at.isolation != Isolation::Database);
                let names = &self.door.names;
                let is_row = at.isolation == Isolation::Row;
                let role = if is_row { names.rows_role() } else { names.of_tenant(&at.physical) };
                PgScope::of_tenant(at, &role, pooled)
            }
        };
        Ok(Scope::Postgres(Arc::new(scope)))
    }

    fn connect<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<Connection>> {
        Box::pin(async move {
            if !matches!(place, Place::Tenant(_)) {
                self.require_closed().await?;
            }
            Ok(PgDriver::connection(self.door.connect(place).await?))
        })
    }
}

impl Places for PostgresEngine {
    fn tenant_place_create<'a>(
        &'a self,
        placement: &'a Placement,
        scripts: &'a [Arc<Script>],
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.create(placement, scripts))
    }

    fn tenant_place_drop<'a>(&'a self, placement: &'a Placement) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.remove(placement))
    }

    fn shared_form(&self) -> BoxFuture<'_, Result<Option<String>>> {
        Box::pin(async { Ok(Some(self.home().await?.fingerprint().to_owned())) })
    }

    fn shared_refresh<'a>(&'a self, placement: Option<&'a Placement>) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.refresh(placement))
    }

    fn tenant_places(&self) -> BoxFuture<'_, Result<Vec<String>>> {
        Box::pin(audit::tenant_places(&self.door))
    }
}

impl Migration for PostgresEngine {
    fn ledger<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<Ledger>> {
        Box::pin(self.ledger_of(target))
    }

    fn apply<'a>(&'a self, target: &'a Target, script: &'a Script, patience: Patience) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.apply_to(target, script, patience))
    }

    fn renew<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.renew_target(target))
    }

    fn stamp<'a>(&'a self, target: &'a Target, script: &'a Script) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.stamp_on(target, script))
    }
}

impl Examination for PostgresEngine {
    fn audit_server(&self) -> BoxFuture<'_, Result<Vec<Finding>>> {
        Box::pin(async {
            let mut admin = self.control.admin().await?;
            let found = audit::server(&mut admin, &self.door.names, self.home.is_none()).await?;
            admin.done();
            Ok(found)
        })
    }

    fn wall(&self) -> BoxFuture<'_, Result<Wall>> {
        Box::pin(async {
            let mut admin = self.control.admin().await?;
            let wall = wall::read(&mut admin, &self.door.names).await?;
            admin.done();
            Ok(wall)
        })
    }

    fn audit<'a>(&'a self, placement: &'a Placement) -> BoxFuture<'a, Result<Vec<Finding>>> {
        Box::pin(audit::place(&self.control, &self.door.names, placement))
    }

    fn mend<'a>(&'a self, placement: Option<&'a Placement>, finding: &'a Finding) -> BoxFuture<'a, Result<bool>> {
        Box::pin(mend::mend(&self.control, &self.door.names, placement, finding))
    }

    fn canary_prepare<'a>(&'a self, canaries: [&'a Placement; 2]) -> BoxFuture<'a, Result<Option<CanaryTables>>> {
        Box::pin(canary::prepare(&self.control, &self.door.names, canaries))
    }

    fn canary_clean<'a>(&'a self, tables: &'a CanaryTables) -> BoxFuture<'a, Result<()>> {
        Box::pin(canary::clean(&self.control, tables))
    }

    fn canary_escapes<'a>(
        &'a self,
        attacker: &'a Placement,
        victim: &'a Placement,
    ) -> BoxFuture<'a, Result<Vec<(String, Outcome)>>> {
        Box::pin(async move {
            let (place, scope) = (self.place(attacker), self.scope(Some(attacker))?);
            escapes::try_all(&self.door, &place, &scope, victim).await
        })
    }

    fn attacks(&self, victim: &Placement, tables: Option<&CanaryTables>) -> Result<Attacks> {
        Ok(canary::attacks(&self.door.names, victim, tables))
    }
}
