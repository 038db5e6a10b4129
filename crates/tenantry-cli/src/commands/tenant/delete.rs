//! `tenantry tenant delete` and `purge`.

use super::change::Key;
use crate::{
    confirm,
    context::Context,
    failure::Result,
    render::{self, progress::Progress, table},
};

pub(super) async fn delete(context: &Context, key: &Key) -> Result<()> {
    let days = context.settings()?.tenants.grace_days;
    let tenancy = context.open().await?;
    let tenant = tenancy.tenant_find(&key.key).await?;
    let what = format!("tenant `{}` ({}) will be deleted; its data is kept for {days} days", tenant.key, tenant.id);
    confirm::destruction(context, &what, tenant.key.as_str()).await?;
    let tenant = tenancy.tenant_delete(&key.key).await?;
    render::answer(context, &tenant, || {
        format!("tenant `{}` is deleted; its data is kept for {days} days", tenant.key)
    })?;
    render::hint(context, &format!("to bring it back: tenantry tenant undelete {}", tenant.key));
    Ok(())
}

pub(super) async fn purge(context: &Context, key: &Key) -> Result<()> {
    let tenancy = context.open().await?;
    let tenant = tenancy.tenant_find(&key.key).await?;
    let domains = tenancy.domain_list(Some((&key.key).into())).await?.len();
    let what = format!(
        "the data of tenant `{}` ({}, {}, on server `{}`) will be destroyed for good",
        tenant.key,
        tenant.id,
        table::count(domains, "domain"),
        tenant.server,
    );
    confirm::destruction(context, &what, tenant.key.as_str()).await?;
    let progress = Progress::waiting(context, "destroying the data; waiting until nobody has it open");
    tenancy.tenant_purge(&key.key).await?;
    drop(progress);
    let said = serde_json::json!({ "purged": tenant.key, "id": tenant.id });
    render::answer(context, &said, || format!("tenant `{}` is purged; nothing of it is left", tenant.key))
}
