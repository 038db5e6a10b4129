//! `tenantry tenant suspend|resume|rename|undelete`.

use clap::Args;
use tenantry::{Tenant, TenantState};

use crate::{context::Context, failure::Result, render};

/// Which tenant.
#[derive(Debug, Args)]
pub(crate) struct Key {
    /// The tenant's key
    pub(super) key: String,
}

/// Which tenant, and its new key.
#[derive(Debug, Args)]
pub(crate) struct Rename {
    /// The tenant's key
    key: String,
    /// Its new key: 1 to 40 of a-z, 0-9, - and _
    new_key: String,
}

fn tell(context: &Context, tenant: &Tenant, was: Option<TenantState>) -> Result<()> {
    let already = if was == Some(tenant.state) { " already" } else { "" };
    render::answer(context, tenant, || format!("tenant `{}` is{already} {}", tenant.key, tenant.state))
}

pub(super) async fn suspend(context: &Context, key: &Key) -> Result<()> {
    let tenancy = context.open().await?;
    let was = tenancy.tenant_find(&key.key).await?.state;
    tell(context, &tenancy.tenant_suspend(&key.key).await?, Some(was))
}

pub(super) async fn resume(context: &Context, key: &Key) -> Result<()> {
    let tenancy = context.open().await?;
    let was = tenancy.tenant_find(&key.key).await?.state;
    tell(context, &tenancy.tenant_resume(&key.key).await?, Some(was))
}

pub(super) async fn undelete(context: &Context, key: &Key) -> Result<()> {
    tell(context, &context.open().await?.tenant_undelete(&key.key).await?, None)
}

pub(super) async fn rename(context: &Context, rename: &Rename) -> Result<()> {
    let tenant = context.open().await?.tenant_rename(&rename.key, &rename.new_key).await?;
    render::answer(context, &tenant, || {
        let (old, new) = (&rename.key, &tenant.key);
        format!("tenant `{old}` is now `{new}`; the key `{old}` cannot be reused for 10 seconds")
    })
}
