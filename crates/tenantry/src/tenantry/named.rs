//! [`TenantRef`]: one tenant, by its key or by its id.

use super::Tenantry;
use crate::{
    catalog::Name,
    error::{Error, ErrorKind, Result},
    id::TenantId,
    key::TenantKey,
    tenant::Tenant,
};

/// A tenant by its key or by its id, as calls take it that concern one tenant: `tenant("acme")`, `tenant(id)`.
///
/// A key may be given to another tenant later, and an id never is: a job that outlives a request keeps the id.
#[derive(Clone, Copy, Debug)]
pub struct TenantRef<'a>(Named<'a>);

#[derive(Clone, Copy, Debug)]
enum Named<'a> {
    Key(&'a str),
    Id(TenantId),
}

impl<'a> From<&'a str> for TenantRef<'a> {
    fn from(key: &'a str) -> Self {
        Self(Named::Key(key))
    }
}

impl<'a> From<&&'a str> for TenantRef<'a> {
    fn from(key: &&'a str) -> Self {
        Self(Named::Key(key))
    }
}

impl<'a> From<&'a String> for TenantRef<'a> {
    fn from(key: &'a String) -> Self {
        Self(Named::Key(key))
    }
}

impl<'a> From<&'a TenantKey> for TenantRef<'a> {
    fn from(key: &'a TenantKey) -> Self {
        Self(Named::Key(key.as_str()))
    }
}

impl From<TenantId> for TenantRef<'_> {
    fn from(id: TenantId) -> Self {
        Self(Named::Id(id))
    }
}

impl From<&Tenant> for TenantRef<'_> {
    fn from(tenant: &Tenant) -> Self {
        Self(Named::Id(tenant.id))
    }
}

impl TenantRef<'_> {
    /// A text that is no key names no tenant.
    pub(super) fn name(self) -> Result<Name> {
        match self.0 {
            Named::Id(id) => Ok(Name::Id(id)),
            Named::Key(key) => key.parse().map(Name::Key).map_err(|e: Error| {
                Error::new(ErrorKind::UnknownTenant, format!("no tenant has the key {key:?}"))
                    .caused_by(e)
                    .help("tenantry tenant list")
            }),
        }
    }
}

impl Tenantry {
    pub(super) async fn tenant_named(&self, tenant: TenantRef<'_>) -> Result<Tenant> {
        self.0.catalog.tenant_get(&tenant.name()?).await
    }
}
