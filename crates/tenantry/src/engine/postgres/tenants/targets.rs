//! What migrations ask of a target: its ledger, a file applied, its form renewed.

use super::shared;
use crate::{
    engine::{
        Ledger, Patience, Placement, Script, Target,
        postgres::{
            PostgresEngine,
            administration::{layout, ledger, shared_grants},
            migration,
            session::tries::Tries,
        },
    },
    error::Result,
    tenant::Isolation,
};

impl PostgresEngine {
    /// The database that a target is in, if it is not the server's main one.
    fn database_of(&self, target: &Target) -> Option<String> {
        match target {
            Target::Tenant(at) if at.isolation == Isolation::Database => Some(self.door.names.of_tenant(&at.physical)),
            _ => None,
        }
    }

    pub(crate) async fn ledger_of(&self, target: &Target) -> Result<Ledger> {
        let site = self.site(target);
        if let Some(database) = self.database_of(target) {
            let mut own = self.control.admin_of(Some(&database)).await?;
            let applied = ledger::read(&mut own.connection, &site.target).await?;
            let shared_form = shared::form(&mut own.connection).await?;
            own.close().await;
            return Ok(Ledger { applied, shared_form, is_old: false });
        }
        let mut admin = self.control.admin().await?;
        let in_rows = matches!(target, Target::Tenant(at) if at.isolation == Isolation::Row);
        let applied = if in_rows {
            ledger::read_in_rows(&mut admin, &site.target).await?
        } else {
            ledger::read(&mut admin, &site.target).await?
        };
        let is_old = layout::is_old(&mut admin, &self.door.names, &site).await?;
        admin.done();
        Ok(Ledger { applied, shared_form: None, is_old })
    }

    pub(crate) async fn apply_to(&self, target: &Target, script: &Script, patience: Patience) -> Result<()> {
        self.require_renewed().await?;
        migration::apply_with(&self.door, &self.site(target), script, patience).await
    }

    pub(crate) async fn renew_target(&self, target: &Target) -> Result<()> {
        self.require_renewed().await?;
        let (site, tries) = (self.site(target), Tries::begin());
        loop {
            let mut admin = self.control.admin().await?;
            match layout::renew(&mut admin, &self.door.names, &site).await {
                Ok(()) => {
                    admin.done();
                    return Ok(());
                }
                Err(error) if tries.again(&error).await => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) async fn stamp_on(&self, target: &Target, script: &Script) -> Result<()> {
        let mut own = self.control.admin_of(self.database_of(target).as_deref()).await?;
        let stamped = ledger::write(&mut own.connection, &self.site(target).target, &[script]).await;
        own.close().await;
        stamped
    }

    /// On a server that is not their home, its own tenants read the shared tables there.
    pub(crate) async fn refresh_main(&self) -> Result<()> {
        if self.home.is_none() {
            return Ok(());
        }
        let home = self.home().await?;
        let mut admin = self.control.admin().await?;
        shared::import(&mut admin, &home, None).await?;
        sqlx::Executor::execute(&mut *admin, sqlx::AssertSqlSafe(shared_grants::shared_grants(&self.door.names)))
            .await?;
        admin.done();
        Ok(())
    }

    pub(crate) async fn refresh(&self, placement: Option<&Placement>) -> Result<()> {
        let placement = match placement {
            None => return self.refresh_main().await,
            Some(placement) if placement.isolation == Isolation::Database => placement,
            Some(_) => return Ok(()),
        };
        let home = self.home().await?;
        let mut own = self.control.admin_of(Some(&self.door.names.of_tenant(&placement.physical))).await?;
        let refreshed = shared::import(&mut own.connection, &home, None).await;
        own.close().await;
        refreshed
    }
}
