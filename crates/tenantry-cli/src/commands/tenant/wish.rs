//! [`Wish`]: a tenant that is to be created, from the command line or a line of a file.

use tenantry::{Isolation, NewTenant, Tenantry};

/// A tenant as a user asks for it, not yet checked.
#[derive(Debug)]
pub(super) struct Wish<'a> {
    pub(super) key: &'a str,
    pub(super) isolation: Option<Isolation>,
    pub(super) server: Option<&'a str>,
    pub(super) domains: Vec<&'a str>,
}

impl Wish<'_> {
    pub(super) fn check(&self, tenancy: &Tenantry) -> tenantry::Result<NewTenant> {
        let mut new = NewTenant::with_key(tenancy.tenant_key(self.key)?);
        if let Some(isolation) = self.isolation {
            new = new.isolation(isolation);
        }
        if let Some(server) = self.server {
            new = new.server(server);
        }
        for host in &self.domains {
            new = new.domain(host)?;
        }
        Ok(new)
    }
}
