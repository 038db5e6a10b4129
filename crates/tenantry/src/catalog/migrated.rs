//! What is written down of a tenant's migrations: to which version its tables came, or why they did not.

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, UpdateMany,
    sea_query::{Expr, ExprTrait},
};

use super::{Catalog, audit, entity::tenant, lifecycle::names_of, store::Durability, unavailable};
use crate::{
    error::Result,
    id::TenantId,
    tenant::{Isolation, Tenant},
};

impl Catalog {
    /// Writes down the version of the tables that tenants of row isolation have in common, for all of them but those
    /// whose data could not be changed.
    pub(crate) async fn rows_migrated(
        &self,
        server: String,
        migrated: Vec<TenantId>,
        version: i64,
        failed: Vec<(TenantId, String)>,
    ) -> Result<()> {
        let me = self.clone();
        self.write(Durability::Progress, move |tx| {
            Box::pin(async move {
                let in_rows = |change: UpdateMany<tenant::Entity>| {
                    change
                        .filter(tenant::Column::Server.eq(&server))
                        .filter(tenant::Column::Isolation.eq(Isolation::Row.as_str()))
                };
                let mut changed = 0;
                let has_failed = |id: &&TenantId| failed.iter().any(|(failed, _)| failed == *id);
                let ids: Vec<String> = migrated.iter().filter(|id| !has_failed(id)).map(ToString::to_string).collect();
                // A text of SQL takes so many values and no more.
                for ids in ids.chunks(10_000) {
                    changed += in_rows(tenant::Entity::update_many())
                        .col_expr(tenant::Column::Version, Expr::value(version))
                        .col_expr(tenant::Column::Failure, Expr::value(Option::<String>::None))
                        .filter(tenant::Column::Id.is_in(ids))
                        .filter(tenant::Column::Version.ne(version).or(tenant::Column::Failure.is_not_null()))
                        .exec(&tx.tx)
                        .await
                        .map_err(unavailable)?
                        .rows_affected;
                }
                for (id, why) in &failed {
                    changed += in_rows(tenant::Entity::update_many())
                        .col_expr(tenant::Column::Failure, Expr::value(why.as_str()))
                        .filter(tenant::Column::Id.eq(id.to_string()))
                        .exec(&tx.tx)
                        .await
                        .map_err(unavailable)?
                        .rows_affected;
                }
                if changed == 0 {
                    return Ok(());
                }
                let outcome = if failed.is_empty() { "ok" } else { "failed" };
                let detail = format!("server {server}, version {version}, {} tenants failed", failed.len());
                let entry = audit::Entry {
                    action: "rows.migrate",
                    outcome,
                    tenant: None,
                    names: Vec::new(),
                    detail,
                    is_of_all: true,
                };
                audit::record(tx, &me.0.actor, entry).await?;
                Ok(())
            })
        })
        .await
    }

    /// Writes down to which version a tenant was migrated, or why it failed.
    pub(crate) async fn tenant_migrated(&self, id: TenantId, version: i64, failure: Option<String>) -> Result<()> {
        let me = self.clone();
        self.write(Durability::Progress, move |tx| {
            Box::pin(async move {
                let Some(row) = tenant::Entity::find_by_id(id.to_string()).one(&tx.tx).await.map_err(unavailable)?
                else {
                    // Purged in the meantime.
                    return Ok(());
                };
                if row.version == version && row.failure == failure {
                    return Ok(());
                }
                let names = names_of(tx, &Tenant::try_from(row.clone())?).await?;
                let mut row = row.into_active_model();
                row.version = Set(version);
                row.failure = Set(failure.clone());
                row.update(&tx.tx).await.map_err(unavailable)?;
                let outcome = if failure.is_some() { "failed" } else { "ok" };
                let entry = audit::Entry {
                    action: "tenant.migrate",
                    outcome,
                    tenant: Some(id),
                    names,
                    detail: failure.unwrap_or_else(|| format!("version {version}")),
                    is_of_all: false,
                };
                audit::record(tx, &me.0.actor, entry).await?;
                Ok(())
            })
        })
        .await
    }

    /// Writes down that an earlier failure is over; nothing if there was none.
    pub(crate) async fn tenant_migrated_if_failed(&self, id: TenantId, version: i64) -> Result<()> {
        let row = tenant::Entity::find_by_id(id.to_string()).one(self.0.store.read()).await.map_err(unavailable)?;
        match row {
            Some(row) if row.failure.is_some() => self.tenant_migrated(id, version, None).await,
            _ => Ok(()),
        }
    }
}
