//! `tenantry tenant show`.

use serde::Serialize;
use tenantry::{Tenant, Tenantry};

use super::change::Key;
use crate::{
    context::Context,
    failure::Result,
    render::{self, table, time},
};

/// A tenant with what the catalog knows besides.
#[derive(Debug, Serialize)]
pub(super) struct Sheet {
    #[serde(flatten)]
    tenant: Tenant,
    domains: Vec<String>,
    /// Why its last migration failed.
    failure: Option<String>,
}

impl Sheet {
    pub(super) async fn of(tenancy: &Tenantry, tenant: Tenant) -> Result<Self> {
        let domains = tenancy.domain_list(Some((&tenant).into())).await?;
        let failures = tenancy.migration_failures().await?;
        let failure = failures.into_iter().find(|failed| failed.tenant.id == tenant.id).map(|failed| failed.why);
        Ok(Self { tenant, domains: domains.into_iter().map(|d| d.host).collect(), failure })
    }

    pub(super) fn in_words(&self) -> String {
        let tenant = &self.tenant;
        let mut pairs = vec![
            ("key", tenant.key.to_string()),
            ("id", tenant.id.to_string()),
            ("state", tenant.state.to_string()),
            ("isolation", tenant.isolation.to_string()),
            ("server", tenant.server.clone()),
            ("version", tenant.version.to_string()),
            ("created", format!("{} UTC", time::utc(tenant.created_at))),
        ];
        if let Some(at) = tenant.deleted_at {
            pairs.push(("deleted", format!("{} UTC", time::utc(at))));
        }
        let domains = if self.domains.is_empty() { "-".to_owned() } else { self.domains.join(", ") };
        pairs.push(("domains", domains));
        if let Some(why) = &self.failure {
            pairs.push(("migration failed", why.clone()));
        }
        table::sheet(pairs)
    }
}

pub(super) async fn run(context: &Context, key: &Key) -> Result<()> {
    let tenancy = context.open().await?;
    let sheet = Sheet::of(tenancy, tenancy.tenant_find(&key.key).await?).await?;
    render::answer(context, &sheet, || sheet.in_words())
}
