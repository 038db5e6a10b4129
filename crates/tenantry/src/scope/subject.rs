//! Whom a handle speaks for, and whether it still may.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    catalog::{Catalog, Name},
    engine::BoxFuture,
    error::{Error, ErrorKind, Result},
    tenant::Tenant,
};

mod sealed {
    pub trait Sealed {}
}

/// Whom a [`Db`](super::Db) speaks for: one tenant, or the shared tables. Sealed: there is no third.
pub trait Subject: sealed::Sealed + fmt::Debug + Send + Sync + 'static {
    /// In a log: the tenant's key, or that it is the shared tables.
    #[doc(hidden)]
    fn name(&self) -> &str;

    /// Whether it is made to be refused.
    #[doc(hidden)]
    fn is_canary(&self) -> bool;

    #[doc(hidden)]
    fn gate(&self) -> Gate<'_>;

    /// The same as the catalog has it now, whatever this process has heard.
    #[doc(hidden)]
    fn gate_now(&self) -> Gate<'_>;
}

/// Whether a statement may run now.
#[doc(hidden)]
pub enum Gate<'a> {
    /// As far as this process knows.
    Decided(Result<()>),
    /// Something changed: the catalog has to be asked.
    Ask(BoxFuture<'a, Result<()>>),
}

/// One tenant's data.
pub struct TenantScope {
    tenant: Arc<Tenant>,
    catalog: Catalog,
    /// What is known of the tenant is at least as new as this epoch.
    mark: AtomicU64,
}

impl fmt::Debug for TenantScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TenantScope").field(&self.tenant.key).finish()
    }
}

impl TenantScope {
    pub(super) fn new(tenant: Arc<Tenant>, catalog: Catalog) -> Self {
        let mark = AtomicU64::new(tenant.mark);
        Self { tenant, catalog, mark }
    }

    pub(super) const fn tenant(&self) -> &Arc<Tenant> {
        &self.tenant
    }

    async fn ask(&self) -> Result<()> {
        let now = self.catalog.tenant_get(&Name::Id(self.tenant.id)).await?;
        now.check_served()?;
        if now.server != self.tenant.server || now.placement() != self.tenant.placement() {
            return Err(Error::new(
                ErrorKind::NotReady,
                format!("tenant `{}` was moved; ask for a new handle", now.key),
            ));
        }
        self.mark.fetch_max(now.mark, Ordering::AcqRel);
        Ok(())
    }
}

impl sealed::Sealed for TenantScope {}

impl Subject for TenantScope {
    fn name(&self) -> &str {
        self.tenant.key.as_str()
    }

    fn is_canary(&self) -> bool {
        self.tenant.key.is_canary()
    }

    fn gate(&self) -> Gate<'_> {
        let freshness = self.catalog.freshness();
        if let Err(silent) = freshness.check() {
            return Gate::Decided(Err(silent));
        }
        if freshness.holds(&Name::Id(self.tenant.id), self.mark.load(Ordering::Acquire)) {
            Gate::Decided(Ok(()))
        } else {
            Gate::Ask(Box::pin(self.ask()))
        }
    }

    fn gate_now(&self) -> Gate<'_> {
        Gate::Ask(Box::pin(self.ask()))
    }
}

/// The tables that all tenants share.
#[derive(Debug)]
pub struct SharedScope;

impl sealed::Sealed for SharedScope {}

impl Subject for SharedScope {
    fn name(&self) -> &str {
        "(shared tables)"
    }

    fn is_canary(&self) -> bool {
        false
    }

    fn gate(&self) -> Gate<'_> {
        Gate::Decided(Ok(()))
    }

    fn gate_now(&self) -> Gate<'_> {
        Gate::Decided(Ok(()))
    }
}
