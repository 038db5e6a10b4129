//! Custom domains.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde::Serialize;

use super::{
    Catalog, Name, audit, clock,
    entity::{domain, tenant},
    quarantine,
    store::{CatalogTx, Durability},
    tenants::unknown,
    unavailable,
};
use crate::{
    error::{Error, ErrorKind, Result},
    id::TenantId,
    key::TenantKey,
    tenant::Tenant,
};

/// A custom domain and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Domain {
    /// The host in its canonical form.
    pub host: String,
    /// The key of the tenant that it names.
    pub tenant: TenantKey,
}

pub(super) async fn insert(tx: &CatalogTx, tenant: TenantId, host: &str, now: i64) -> Result<()> {
    let name = Name::Domain(host.into());
    if domain::Entity::find_by_id(host).one(&tx.tx).await.map_err(unavailable)?.is_some() {
        return Err(Error::new(ErrorKind::Taken, format!("{name} belongs to a tenant already"))
            .for_client("this domain is taken")
            .help("tenantry domain list"));
    }
    quarantine::require_over(tx, &name, now).await?;
    let row =
        domain::ActiveModel { host: Set(host.to_owned()), tenant_id: Set(tenant.to_string()), created_at: Set(now) };
    domain::Entity::insert(row).exec_without_returning(&tx.tx).await.map_err(unavailable)?;
    Ok(())
}

impl Catalog {
    pub(crate) async fn domain_add(&self, id: TenantId, host: Box<str>) -> Result<()> {
        let me = self.clone();
        self.write(Durability::Acknowledged, move |tx| {
            Box::pin(async move {
                let now = clock::now(tx).await?;
                if tenant::Entity::find_by_id(id.to_string()).one(&tx.tx).await.map_err(unavailable)?.is_none() {
                    return Err(unknown(&Name::Id(id)));
                }
                insert(tx, id, &host, now).await?;
                me.domain_audit(tx, "domain.add", id, host).await
            })
        })
        .await
    }

    async fn domain_audit(&self, tx: &CatalogTx, action: &str, id: TenantId, host: Box<str>) -> Result<()> {
        let detail = host.to_string();
        let entry = audit::Entry {
            action,
            outcome: "ok",
            tenant: Some(id),
            names: vec![Name::Domain(host)],
            detail,
            is_of_all: false,
        };
        audit::record(tx, &self.0.actor, entry).await?;
        Ok(())
    }

    /// Gives a domain up; it cannot be reused for a while.
    pub(crate) async fn domain_remove(&self, host: Box<str>) -> Result<()> {
        let me = self.clone();
        self.write(Durability::Acknowledged, move |tx| {
            Box::pin(async move {
                let row = domain::Entity::find_by_id(host.as_ref()).one(&tx.tx).await.map_err(unavailable)?;
                let Some(row) = row else {
                    return Err(Error::new(ErrorKind::NotFound, format!("no tenant has the domain `{host}`"))
                        .help("tenantry domain list"));
                };
                domain::Entity::delete_by_id(host.as_ref()).exec(&tx.tx).await.map_err(unavailable)?;
                quarantine::begin(tx, &[Name::Domain(host.clone())], clock::now(tx).await?).await?;
                me.domain_audit(tx, "domain.remove", row.tenant_id.parse()?, host).await
            })
        })
        .await
    }

    /// All domains by host, or those of one tenant.
    pub(crate) async fn domain_list(&self, of: Option<TenantId>) -> Result<Vec<Domain>> {
        let mut query = domain::Entity::find().order_by_asc(domain::Column::Host);
        if let Some(id) = of {
            query = query.filter(domain::Column::TenantId.eq(id.to_string()));
        }
        let domains = query.all(self.0.store.read()).await.map_err(unavailable)?;
        let mut list = Vec::with_capacity(domains.len());
        for found in domains {
            let row =
                tenant::Entity::find_by_id(&found.tenant_id).one(self.0.store.read()).await.map_err(unavailable)?;
            if let Some(row) = row {
                list.push(Domain { host: found.host, tenant: Tenant::try_from(row)?.key });
            }
        }
        Ok(list)
    }
}
