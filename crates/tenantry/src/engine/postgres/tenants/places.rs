//! Making and destroying a tenant's place, in whatever isolation.

use std::sync::Arc;

use super::{databases, rows, schemas};
use crate::{
    engine::{
        Placement, Script,
        postgres::{
            PostgresEngine,
            session::{
                connect::PASSWORD_PURPOSE,
                scram,
                tries::{Tries, waits_for_lock},
            },
        },
    },
    error::{Error, ErrorKind, Result},
    tenant::Isolation,
};

impl PostgresEngine {
    fn password_of(&self, placement: &Placement) -> Result<Option<String>> {
        let open = |sealed: &Arc<str>| self.door.key.open(PASSWORD_PURPOSE, sealed);
        placement.password.as_ref().map(open).transpose()
    }

    pub(crate) async fn create(&self, placement: &Placement, scripts: &[Arc<Script>]) -> Result<()> {
        self.require_renewed().await?;
        let names = &self.door.names;
        if placement.isolation == Isolation::Database {
            let password = self.password_of(placement)?;
            let home = self.home().await?;
            return databases::create(&self.door, &home, placement, scripts, password.as_deref()).await;
        }
        if placement.isolation == Isolation::Row {
            return rows::create(&self.door, placement, scripts).await;
        }
        let login = names.schemas_login(placement.login.unwrap_or(0));
        let secret = self.password.as_ref().map(|p| scram::secret(&scram::password_of(p.expose(), &login)));
        schemas::create(&self.door, placement, scripts, secret.transpose()?.as_deref()).await
    }

    pub(crate) async fn remove(&self, placement: &Placement) -> Result<()> {
        let tries = Tries::begin();
        while let Err(error) = self.try_remove(placement).await {
            // No connection is held meanwhile: who is waited for may need one.
            if !tries.again(&error).await {
                return Err(if waits_for_lock(&error) { in_use(placement, error) } else { error });
            }
        }
        Ok(())
    }

    async fn try_remove(&self, placement: &Placement) -> Result<()> {
        let names = &self.door.names;
        if placement.isolation == Isolation::Row {
            self.require_renewed().await?;
            return rows::remove(&self.door, placement).await;
        }
        self.forget_elsewhere(placement).await?;
        let mut admin = self.control.admin().await?;
        match placement.isolation {
            Isolation::Row => {}
            Isolation::Schema => schemas::remove(&mut admin, names, &placement.physical).await?,
            Isolation::Database => databases::remove(&mut admin, names, &placement.physical).await?,
        }
        admin.done();
        Ok(())
    }

    /// A tenant may give others rights on what it has made in a database of its own. The server drops no role that is named
    /// anywhere, so that this would hold up the purge of another tenant for ever.
    async fn forget_elsewhere(&self, placement: &Placement) -> Result<()> {
        let names = &self.door.names;
        let roles = [names.of_tenant(&placement.physical), names.owner_of_tenant(&placement.physical)];
        let mut admin = self.control.admin().await?;
        let named = sqlx::query_as::<_, (String, String)>(NAMED_IN).bind(&roles[..]).fetch_all(&mut *admin).await?;
        admin.done();
        for (database, role) in named {
            let mut there = match self.control.admin_of(Some(&database)).await {
                // Purged meanwhile, and what named the role with it.
                Err(gone) if gone.kind() == ErrorKind::Isolation => continue,
                there => there?,
            };
            schemas::role_forget(&mut there.connection, &role).await?;
            there.close().await;
        }
        Ok(())
    }
}

/// Which other databases name one of the roles.
const NAMED_IN: &str = "SELECT DISTINCT d.datname::text, r.rolname::text
  FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid JOIN pg_database d ON d.oid = s.dbid
 WHERE s.refclassid = 'pg_authid'::regclass AND r.rolname = ANY ($1)
   AND d.datname <> current_database() AND d.datname <> r.rolname AND d.datallowconn";

/// A purge that has waited for long enough.
fn in_use(placement: &Placement, cause: Error) -> Error {
    Error::new(ErrorKind::OperationRunning, format!("somebody has the data of tenant {} locked", placement.id))
        .caused_by(cause)
        .help("end the migration, or the oldest transaction in pg_stat_activity, and run the command again")
}
