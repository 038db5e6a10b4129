//! What an operator does with tenants and their domains.

use super::{TenantRef, Tenantry};
use crate::{
    catalog::{Domain, TenantFilter},
    error::{Error, ErrorKind, Result},
    identify::canonical_domain,
    key::TenantKey,
    operate::NewTenant,
    tenant::{Tenant, Transition},
};

impl Tenantry {
    /// Creates a tenant; when this returns it is served, by this process and, within 2 s, by all others.
    ///
    /// # Errors
    /// If the key or a domain is taken or reserved, no server has room, or a step failed: then nothing is left of it.
    pub async fn tenant_create(&self, new: NewTenant) -> Result<Tenant> {
        self.0.operator.tenant_create(new).await
    }

    /// A key as an app's user typed it, with the app's own reserved words refused too.
    ///
    /// # Errors
    /// If it is not a tenant key, or reserved.
    pub fn tenant_key(&self, text: &str) -> Result<TenantKey> {
        let key: TenantKey = text.parse()?;
        if self.0.config.tenants.reserved_keys.iter().any(|word| word == text) {
            return Err(Error::new(
                ErrorKind::InvalidKey,
                format!("{text:?} is not a tenant key: the app needs it for itself"),
            )
            .for_client("this is not a tenant key: it is a reserved word")
            .help("choose another key; `tenants.reserved_keys` in tenantry.toml lists these words"));
        }
        Ok(key)
    }

    /// The tenant of that key or id in whatever state.
    ///
    /// # Errors
    /// If there is none.
    pub async fn tenant_find<'t>(&self, tenant: impl Into<TenantRef<'t>>) -> Result<Tenant> {
        self.tenant_named(tenant.into()).await
    }

    /// Tenants by key.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn tenant_list(&self, filter: &TenantFilter) -> Result<Vec<Tenant>> {
        self.0.catalog.tenant_list(filter).await
    }

    async fn transition(&self, tenant: TenantRef<'_>, transition: Transition) -> Result<Tenant> {
        let tenant = self.tenant_named(tenant).await?;
        let after = self.0.catalog.tenant_transition(tenant.id, transition).await?;
        for server in self.0.servers.all_open() {
            server.pool.retire_tenant(after.id);
            if !after.state.is_served() {
                server.pool.halt(after.id);
            }
        }
        Ok(after)
    }

    /// Stops serving a tenant: at once here, within 2 s everywhere. What it runs is stopped, and nothing of that is stored.
    /// Its data stays.
    ///
    /// # Errors
    /// If there is no such tenant, or it is neither active nor suspended already.
    pub async fn tenant_suspend<'t>(&self, tenant: impl Into<TenantRef<'t>>) -> Result<Tenant> {
        self.transition(tenant.into(), Transition::Suspend).await
    }

    /// Serves a suspended tenant again.
    ///
    /// # Errors
    /// If there is no such tenant, or it is neither suspended nor active already.
    pub async fn tenant_resume<'t>(&self, tenant: impl Into<TenantRef<'t>>) -> Result<Tenant> {
        self.transition(tenant.into(), Transition::Resume).await
    }

    /// Deletes a tenant. Its data is kept for the grace time, and its key and domains stay its own.
    ///
    /// # Errors
    /// If there is no such tenant, or its destruction has begun. One that is deleted already keeps its grace time.
    pub async fn tenant_delete<'t>(&self, tenant: impl Into<TenantRef<'t>>) -> Result<Tenant> {
        self.transition(tenant.into(), Transition::Delete).await
    }

    /// Brings a deleted tenant back as it was.
    ///
    /// # Errors
    /// If there is no such tenant, or it is not deleted.
    pub async fn tenant_undelete<'t>(&self, tenant: impl Into<TenantRef<'t>>) -> Result<Tenant> {
        self.transition(tenant.into(), Transition::Undelete).await
    }

    /// Destroys a deleted tenant for good. Killed half way, it is finished when called again.
    ///
    /// # Errors
    /// If it is not deleted, or its data is still open somewhere.
    pub async fn tenant_purge<'t>(&self, tenant: impl Into<TenantRef<'t>>) -> Result<()> {
        let tenant = self.tenant_named(tenant.into()).await?;
        self.0.operator.tenant_purge(tenant.id).await
    }

    /// Gives a tenant another key. The old key cannot be reused for 10 seconds.
    ///
    /// # Errors
    /// If the new key is taken or reserved.
    pub async fn tenant_rename<'t>(&self, tenant: impl Into<TenantRef<'t>>, new_key: &str) -> Result<Tenant> {
        let tenant = self.tenant_named(tenant.into()).await?;
        self.0.catalog.tenant_rename(tenant.id, self.tenant_key(new_key)?).await
    }

    /// Gives a tenant a custom domain.
    ///
    /// # Errors
    /// If the text is not a domain, or it belongs to a tenant already.
    pub async fn domain_add<'t>(&self, tenant: impl Into<TenantRef<'t>>, host: &str) -> Result<()> {
        let host = canonical_domain(host)?;
        let tenant = self.tenant_named(tenant.into()).await?;
        self.0.catalog.domain_add(tenant.id, host).await
    }

    /// Takes a custom domain away; it cannot be reused for 10 seconds.
    ///
    /// # Errors
    /// If no tenant has it.
    pub async fn domain_remove(&self, host: &str) -> Result<()> {
        self.0.catalog.domain_remove(canonical_domain(host)?).await
    }

    /// All domains, or those of one tenant.
    ///
    /// # Errors
    /// If the catalog cannot be read, or there is no such tenant.
    pub async fn domain_list(&self, tenant: Option<TenantRef<'_>>) -> Result<Vec<Domain>> {
        let of = match tenant {
            Some(tenant) => Some(self.tenant_named(tenant).await?.id),
            None => None,
        };
        self.0.catalog.domain_list(of).await
    }
}
