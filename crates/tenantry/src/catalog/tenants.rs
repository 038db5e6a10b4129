//! Tenants: looking them up, listing them.

use futures_util::{Stream, TryStreamExt, stream};
use sea_orm::{
    ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select, sea_query::Query,
};

use super::{
    Catalog, Name,
    entity::{domain, tenant},
    unavailable,
};
use crate::{
    error::{Error, ErrorKind, Result},
    id::TenantId,
    key::{CANARY_PREFIX, TenantKey},
    tenant::{Isolation, Tenant, TenantState},
};

/// What a new tenant is to be.
#[derive(Clone, Debug)]
pub(crate) struct NewTenant {
    pub(crate) id: TenantId,
    pub(crate) key: TenantKey,
    pub(crate) isolation: Isolation,
    pub(crate) server: String,
    pub(crate) physical: String,
    /// How many tenants hang on one shared login at most; none where tenants have no login in common.
    pub(crate) tenants_per_login: Option<u32>,
    /// The sealed password of its own login, where it gets one.
    pub(crate) password: Option<String>,
    pub(crate) domains: Vec<Box<str>>,
}

/// Which tenants to list; the default is all of them.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct TenantFilter {
    pub(super) state: Option<TenantState>,
    pub(super) server: Option<String>,
    pub(super) isolation: Option<Isolation>,
    pub(super) after: Option<TenantKey>,
    pub(super) limit: Option<u64>,
}

impl TenantFilter {
    /// All tenants.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only those in this state.
    pub fn state(mut self, state: TenantState) -> Self {
        self.state = Some(state);
        self
    }

    /// Only those on this server.
    pub fn server(mut self, name: impl Into<String>) -> Self {
        self.server = Some(name.into());
        self
    }

    /// Only those that are kept apart in this way.
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = Some(isolation);
        self
    }

    /// Only those whose key sorts behind this one: the next page.
    pub fn after(mut self, key: TenantKey) -> Self {
        self.after = Some(key);
        self
    }

    /// At most so many.
    pub fn limit(mut self, tenants: u64) -> Self {
        self.limit = Some(tenants);
        self
    }
}

impl TryFrom<tenant::Model> for Tenant {
    type Error = Error;

    fn try_from(row: tenant::Model) -> Result<Self> {
        Ok(Self {
            id: row.id.parse()?,
            key: TenantKey::from_catalog(&row.key)?,
            state: row.state.parse()?,
            isolation: row.isolation.parse()?,
            server: row.server,
            version: row.version,
            created_at: row.created_at,
            deleted_at: row.deleted_at,
            physical: row.physical.into(),
            login: row.login,
            password: row.password.map(Into::into),
            was_suspended: row.was_suspended,
            mark: 0,
        })
    }
}

pub(super) fn unknown(name: &Name) -> Error {
    Error::new(ErrorKind::UnknownTenant, format!("no tenant has {name}")).help("tenantry tenant list")
}

/// How many tenants are read at once where all are visited.
const PAGE: u64 = 500;

/// The query of a filter, without its order and its limit. The canaries of `doctor` are left out in it, so that a page is as long as
/// it was asked for while a doctor is at work.
fn among(filter: &TenantFilter) -> Select<tenant::Entity> {
    let mut query = tenant::Entity::find().filter(tenant::Column::Key.not_like(format!("{CANARY_PREFIX}%")));
    if let Some(state) = filter.state {
        query = query.filter(tenant::Column::State.eq(state.as_str()));
    }
    if let Some(server) = &filter.server {
        query = query.filter(tenant::Column::Server.eq(server));
    }
    if let Some(isolation) = filter.isolation {
        query = query.filter(tenant::Column::Isolation.eq(isolation.as_str()));
    }
    if let Some(after) = &filter.after {
        query = query.filter(tenant::Column::Key.gt(after.as_str()));
    }
    query
}

impl Catalog {
    /// The tenant of that name in whatever state, one query.
    pub(crate) async fn tenant_find(&self, name: &Name) -> Result<Option<Tenant>> {
        self.0.store.check_in_place()?;
        // Before the read: a change that comes in between makes the answer look older than it is, never newer.
        let mark = self.0.freshness.mark();
        let query = match name {
            Name::Id(id) => tenant::Entity::find_by_id(id.to_string()),
            Name::Key(key) => tenant::Entity::find().filter(tenant::Column::Key.eq(key.as_str())),
            Name::Domain(host) => tenant::Entity::find().filter(
                tenant::Column::Id.in_subquery(
                    Query::select()
                        .column(domain::Column::TenantId)
                        .from(domain::Entity)
                        .and_where(domain::Column::Host.eq(host.as_ref()))
                        .to_owned(),
                ),
            ),
        };
        let row = query.one(self.0.store.read()).await.map_err(unavailable)?;
        self.0.freshness.heard_now();
        let tenant = row.map(Tenant::try_from).transpose()?;
        Ok(tenant.map(|t| Tenant { mark, ..t }))
    }

    /// The tenant of that name.
    ///
    /// # Errors
    /// `UnknownTenant` if there is none.
    pub(crate) async fn tenant_get(&self, name: &Name) -> Result<Tenant> {
        self.tenant_find(name).await?.ok_or_else(|| unknown(name))
    }

    /// Tenants by key. The canaries of `doctor` are not among them.
    pub(crate) async fn tenant_list(&self, filter: &TenantFilter) -> Result<Vec<Tenant>> {
        let query = among(filter).order_by_asc(tenant::Column::Key).limit(filter.limit);
        let rows = query.all(self.0.store.read()).await.map_err(unavailable)?;
        rows.into_iter().map(Tenant::try_from).collect()
    }

    /// The same one by one, for whoever visits many: read a page at a time, and by their ids, which no rename changes, so that each is
    /// met once. Who is made meanwhile comes at the end.
    pub(crate) fn tenants(&self, filter: TenantFilter) -> impl Stream<Item = Result<Tenant>> + Send {
        self.tenants_by(filter, PAGE)
    }

    pub(super) fn tenants_by(&self, filter: TenantFilter, page: u64) -> impl Stream<Item = Result<Tenant>> + Send {
        let catalog = self.clone();
        let begin = Some(None);
        let pages = stream::try_unfold(begin, move |behind: Option<Option<String>>| {
            let (catalog, filter) = (catalog.clone(), filter.clone());
            async move {
                let Some(behind) = behind else { return Ok(None) };
                let rows = catalog.page(&filter, behind, page).await?;
                let is_last = filter.limit.is_some() || (rows.len() as u64) < page;
                let next = rows.last().filter(|_| !is_last).map(|last| Some(last.id.to_string()));
                Ok::<_, Error>(Some((stream::iter(rows.into_iter().map(Ok)), next)))
            }
        });
        pages.try_flatten()
    }

    /// A list of which the caller has said how long it is at most is one page, by key.
    async fn page(&self, filter: &TenantFilter, behind: Option<String>, page: u64) -> Result<Vec<Tenant>> {
        if filter.limit.is_some() {
            return self.tenant_list(filter).await;
        }
        let mut query = among(filter).order_by_asc(tenant::Column::Id).limit(page);
        if let Some(behind) = behind {
            query = query.filter(tenant::Column::Id.gt(behind));
        }
        let rows = query.all(self.0.store.read()).await.map_err(unavailable)?;
        rows.into_iter().map(Tenant::try_from).collect()
    }

    /// Tenants whose destruction has begun.
    pub(crate) async fn tenant_list_purging(&self) -> Result<Vec<Tenant>> {
        let rows = tenant::Entity::find()
            .filter(tenant::Column::State.eq(TenantState::Purging.as_str()))
            .all(self.0.store.read())
            .await
            .map_err(unavailable)?;
        rows.into_iter().map(Tenant::try_from).collect()
    }

    /// Canary tenants that a `doctor` left behind when it was killed.
    pub(crate) async fn canary_list(&self) -> Result<Vec<Tenant>> {
        let rows = tenant::Entity::find()
            .filter(tenant::Column::Key.starts_with(CANARY_PREFIX))
            .all(self.0.store.read())
            .await
            .map_err(unavailable)?;
        rows.into_iter().map(Tenant::try_from).collect()
    }

    /// Tenants whose grace time is over.
    pub(crate) async fn tenant_list_expired(&self, grace: std::time::Duration) -> Result<Vec<Tenant>> {
        let now = super::clock::read(self.0.store.read()).await?;
        let before = now.saturating_sub(i64::try_from(grace.as_millis()).unwrap_or(i64::MAX));
        let rows = tenant::Entity::find()
            .filter(tenant::Column::State.eq(TenantState::Deleted.as_str()))
            .filter(tenant::Column::DeletedAt.lt(before))
            .all(self.0.store.read())
            .await
            .map_err(unavailable)?;
        rows.into_iter().map(Tenant::try_from).collect()
    }

    /// How many tenants have a place on that server.
    pub(crate) async fn tenant_count(&self, server: &str) -> Result<u64> {
        tenant::Entity::find()
            .filter(tenant::Column::Server.eq(server))
            .count(self.0.store.read())
            .await
            .map_err(unavailable)
    }

    /// Why the last migration of each tenant failed, for those where it did.
    pub(crate) async fn failure_list(&self) -> Result<Vec<(Tenant, String)>> {
        let rows = tenant::Entity::find()
            .filter(tenant::Column::Failure.is_not_null())
            .all(self.0.store.read())
            .await
            .map_err(unavailable)?;
        rows.into_iter()
            .map(|row| {
                let failure = row.failure.clone().unwrap_or_default();
                Ok((Tenant::try_from(row)?, failure))
            })
            .collect()
    }
}
