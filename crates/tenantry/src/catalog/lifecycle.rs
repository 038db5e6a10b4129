//! Changes of a tenant's state: each with its audit entry and the new epoch, in one transaction.

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect,
};

use serde::{Deserialize, Serialize};

use super::{
    Catalog, Name, NewTenant, audit, clock,
    entity::{domain, operation, server, tenant},
    journal, quarantine,
    store::{CatalogTx, Durability},
    tenants::unknown,
    unavailable,
};
use crate::{
    error::{Error, ErrorKind, Result},
    id::TenantId,
    key::TenantKey,
    tenant::{Tenant, TenantState, Transition},
};

/// What a creation was given, for whoever looks at the journal: the tenant's own row says what is to be made.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProvisionInput {
    pub(crate) key: String,
    pub(crate) isolation: String,
    pub(crate) server: String,
    pub(crate) domains: Vec<String>,
}

impl journal::Record for ProvisionInput {
    const FORM: u32 = 1;
}

impl ProvisionInput {
    fn of(new: &NewTenant) -> Self {
        Self {
            key: new.key.to_string(),
            isolation: new.isolation.as_str().into(),
            server: new.server.clone(),
            domains: new.domains.iter().map(|host| host.to_string()).collect(),
        }
    }
}

/// Whom a purge destroys: afterwards nothing else tells the key.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PurgeInput {
    pub(crate) key: String,
}

impl journal::Record for PurgeInput {
    const FORM: u32 = 1;
}

/// What came of asking for a key.
pub(crate) enum Reserved {
    /// The key is ours; the operation has begun.
    New(journal::Operation),
    /// A tenant of that key is being created by somebody, perhaps by a process that is gone.
    Unfinished(Box<Tenant>),
}

fn wrong_state(tenant: &Tenant, transition: Transition) -> Error {
    let (key, state, done) = (&tenant.key, tenant.state, transition.participle());
    let error = Error::new(ErrorKind::WrongState, format!("tenant `{key}` is {state} and cannot be {done}"));
    match (state, transition) {
        (TenantState::Active | TenantState::Suspended, Transition::Purge) => {
            error.help(format!("tenantry tenant delete {key}"))
        }
        (TenantState::Deleted, Transition::Resume | Transition::Suspend) => {
            error.help(format!("tenantry tenant undelete {key}"))
        }
        _ => error.help("tenantry tenant list"),
    }
}

async fn tenant_row(tx: &CatalogTx, id: TenantId) -> Result<tenant::Model> {
    let row = tenant::Entity::find_by_id(id.to_string()).one(&tx.tx).await.map_err(unavailable)?;
    row.ok_or_else(|| unknown(&Name::Id(id)))
}

/// All names under which a cache may hold this tenant.
pub(super) async fn names_of(tx: &CatalogTx, tenant: &Tenant) -> Result<Vec<Name>> {
    let domains = domain::Entity::find()
        .filter(domain::Column::TenantId.eq(tenant.id.to_string()))
        .all(&tx.tx)
        .await
        .map_err(unavailable)?;
    let mut names = vec![Name::Key(tenant.key.clone())];
    names.extend(domains.into_iter().map(|d| Name::Domain(d.host.into())));
    Ok(names)
}

async fn require_key_free(tx: &CatalogTx, key: &TenantKey, now: i64) -> Result<Option<Tenant>> {
    let holder = tenant::Entity::find()
        .filter(tenant::Column::Key.eq(key.as_str()))
        .one(&tx.tx)
        .await
        .map_err(unavailable)?
        .map(Tenant::try_from)
        .transpose()?;
    match holder {
        None => quarantine::require_over(tx, &Name::Key(key.clone()), now).await.map(|()| None),
        Some(tenant) if tenant.state == TenantState::Provisioning || tenant.is_given_up() => Ok(Some(tenant)),
        Some(tenant) => Err(taken(&tenant)),
    }
}

fn taken(tenant: &Tenant) -> Error {
    let (key, state) = (&tenant.key, tenant.state);
    let error = Error::new(ErrorKind::Taken, format!("the key `{key}` belongs to a tenant that is {state}"))
        .for_client("this name is taken");
    match state {
        TenantState::Deleted => {
            error.help(format!("`tenantry tenant undelete {key}` brings it back, `purge` frees the key"))
        }
        _ => error.help("choose another key"),
    }
}

async fn require_capacity(tx: &CatalogTx, name: &str) -> Result<()> {
    let row = server::Entity::find_by_id(name).one(&tx.tx).await.map_err(unavailable)?;
    let Some(row) = row else {
        return Err(
            Error::new(ErrorKind::NotFound, format!("there is no server `{name}`")).help("tenantry server list")
        );
    };
    let Some(capacity) = row.capacity else { return Ok(()) };
    let held =
        tenant::Entity::find().filter(tenant::Column::Server.eq(name)).count(&tx.tx).await.map_err(unavailable)?;
    if i64::try_from(held).unwrap_or(i64::MAX) < capacity {
        return Ok(());
    }
    Err(Error::new(ErrorKind::NoCapacity, format!("server `{name}` holds {held} tenants, its capacity"))
        .help("add a server, or raise the capacity: tenantry server add"))
}

/// The lowest login of a server on which fewer than `most` tenants hang. Reservations are made one after the other, so
/// two of them never count the same room.
async fn login_with_room(tx: &CatalogTx, server: &str, most: u32) -> Result<i32> {
    let held: Vec<(i32, i64)> = tenant::Entity::find()
        .select_only()
        .column(tenant::Column::Login)
        .column_as(tenant::Column::Id.count(), "held")
        .filter(tenant::Column::Server.eq(server))
        .filter(tenant::Column::Login.is_not_null())
        .group_by(tenant::Column::Login)
        .order_by_asc(tenant::Column::Login)
        .into_tuple()
        .all(&tx.tx)
        .await
        .map_err(unavailable)?;
    let is_full = |login: i32| held.iter().any(|(l, n)| *l == login && *n >= i64::from(most));
    Ok((0..).find(|login| !is_full(*login)).unwrap_or(0))
}

impl Catalog {
    /// Takes the key and begins to provision, unless somebody has begun already.
    pub(crate) async fn tenant_reserve(&self, new: NewTenant) -> Result<Reserved> {
        let me = self.clone();
        self.write(Durability::Progress, move |tx| Box::pin(async move { me.reserve_in_tx(tx, new).await })).await
    }

    async fn reserve_in_tx(&self, tx: &CatalogTx, new: NewTenant) -> Result<Reserved> {
        let now = clock::now(tx).await?;
        if let Some(unfinished) = require_key_free(tx, &new.key, now).await? {
            return Ok(Reserved::Unfinished(Box::new(unfinished)));
        }
        // A full server is examined too; its canaries go as soon as they have tried.
        if !new.key.is_canary() {
            require_capacity(tx, &new.server).await?;
        }
        for host in &new.domains {
            super::domains::insert(tx, new.id, host, now).await?;
        }
        let input = ProvisionInput::of(&new);
        let login = match new.tenants_per_login {
            Some(most) => Some(login_with_room(tx, &new.server, most).await?),
            None => None,
        };
        let row = tenant::ActiveModel {
            id: Set(new.id.to_string()),
            key: Set(new.key.to_string()),
            state: Set(TenantState::Provisioning.as_str().into()),
            isolation: Set(new.isolation.as_str().into()),
            server: Set(new.server),
            physical: Set(new.physical),
            login: Set(login),
            password: Set(new.password),
            version: Set(0),
            failure: Set(None),
            was_suspended: Set(false),
            created_at: Set(now),
            deleted_at: Set(None),
        };
        tenant::Entity::insert(row).exec_without_returning(&tx.tx).await.map_err(unavailable)?;
        // No audit yet: nobody sees a reservation, and the creation has one entry, when it has ended.
        let on = journal::Subject::Tenant(new.id);
        let operation = journal::begin(tx, journal::OperationKind::Provision, on, &input, now).await?;
        Ok(Reserved::New(operation))
    }

    /// The last step of provisioning: from now on the tenant is served.
    pub(crate) async fn tenant_activate(&self, operation: &journal::Operation, version: i64) -> Result<Tenant> {
        let (me, operation) = (self.clone(), operation.clone());
        self.write(Durability::Acknowledged, move |tx| {
            Box::pin(async move {
                journal::end(tx, &operation, journal::End::Done, None, None).await?;
                let id = operation.tenant()?;
                let mut row = tenant_row(tx, id).await?.into_active_model();
                row.version = Set(version);
                me.transition_in_tx(tx, row, Transition::Activate, audit::CREATE).await
            })
        })
        .await
    }

    /// Gives up a tenant that was never served: from now on whoever goes on with the operation undoes it.
    pub(crate) async fn tenant_give_up(&self, operation: &journal::Operation) -> Result<()> {
        let (me, operation) = (self.clone(), operation.clone());
        self.write(Durability::Progress, move |tx| {
            Box::pin(async move {
                journal::require_lease(tx, &operation).await?;
                let row = tenant_row(tx, operation.tenant()?).await?.into_active_model();
                me.transition_in_tx(tx, row, Transition::Purge, "tenant.give_up").await?;
                Ok(())
            })
        })
        .await
    }

    /// Undoes a reservation: the key is free at once, for nobody was ever served under it.
    pub(crate) async fn tenant_forget(&self, operation: &journal::Operation, why: &Error) -> Result<()> {
        let (me, operation, why) = (self.clone(), operation.clone(), why.to_string());
        self.write(Durability::Acknowledged, move |tx| {
            Box::pin(async move {
                journal::end(tx, &operation, journal::End::Undone, None, Some(why.clone())).await?;
                me.remove_in_tx(tx, operation.tenant()?, audit::CREATE, "failed", why, false).await
            })
        })
        .await
    }

    /// The last step of a purge: nothing names the tenant any more, and its names are closed for a while.
    pub(crate) async fn tenant_remove(&self, operation: &journal::Operation) -> Result<()> {
        let (me, operation) = (self.clone(), operation.clone());
        self.write(Durability::Acknowledged, move |tx| {
            Box::pin(async move {
                journal::end(tx, &operation, journal::End::Done, None, None).await?;
                me.remove_in_tx(tx, operation.tenant()?, "tenant.purge", "ok", String::new(), true).await
            })
        })
        .await
    }

    async fn remove_in_tx(
        &self,
        tx: &CatalogTx,
        id: TenantId,
        action: &str,
        outcome: &str,
        detail: String,
        hold: bool,
    ) -> Result<()> {
        let tenant = Tenant::try_from(tenant_row(tx, id).await?)?;
        let names = names_of(tx, &tenant).await?;
        if hold {
            quarantine::begin(tx, &names, clock::now(tx).await?).await?;
        }
        domain::Entity::delete_many()
            .filter(domain::Column::TenantId.eq(id.to_string()))
            .exec(&tx.tx)
            .await
            .map_err(unavailable)?;
        tenant::Entity::delete_by_id(id.to_string()).exec(&tx.tx).await.map_err(unavailable)?;
        audit::record(
            tx,
            &self.0.actor,
            audit::Entry { action, outcome, tenant: Some(id), names, detail, is_of_all: false },
        )
        .await?;
        Ok(())
    }

    /// Changes the state of a tenant at once.
    pub(crate) async fn tenant_transition(&self, id: TenantId, transition: Transition) -> Result<Tenant> {
        let me = self.clone();
        self.write(Durability::Acknowledged, move |tx| {
            Box::pin(async move {
                let row = tenant_row(tx, id).await?.into_active_model();
                let action = format!("tenant.{}", transition.verb());
                me.transition_in_tx(tx, row, transition, &action).await
            })
        })
        .await
    }

    /// Marks a tenant as being destroyed and begins the operation that does it.
    ///
    /// With `deleted_at` only if it was deleted then: what was undeleted in between is not meant.
    pub(crate) async fn tenant_purge_begin(&self, id: TenantId, deleted_at: Option<i64>) -> Result<journal::Operation> {
        let me = self.clone();
        self.write(Durability::Acknowledged, move |tx| {
            Box::pin(async move {
                let row = tenant_row(tx, id).await?;
                if deleted_at.is_some() && row.deleted_at != deleted_at {
                    return Err(Error::new(ErrorKind::WrongState, "the tenant was brought back in between"));
                }
                let key = row.key.clone();
                me.transition_in_tx(tx, row.into_active_model(), Transition::Purge, "tenant.purge_begin").await?;
                let now = clock::now(tx).await?;
                let (on, input) = (journal::Subject::Tenant(id), PurgeInput { key });
                journal::begin(tx, journal::OperationKind::Purge, on, &input, now).await
            })
        })
        .await
    }

    async fn transition_in_tx(
        &self,
        tx: &CatalogTx,
        mut row: tenant::ActiveModel,
        transition: Transition,
        action: &str,
    ) -> Result<Tenant> {
        use sea_orm::TryIntoModel;
        let before = Tenant::try_from(row.clone().try_into_model().map_err(unavailable)?)?;
        if before.state.is_reached_by(transition) {
            return Ok(before);
        }
        let mut after = before.state.after(transition).ok_or_else(|| wrong_state(&before, transition))?;
        match transition {
            Transition::Delete => {
                row.was_suspended = Set(before.state == TenantState::Suspended);
                row.deleted_at = Set(Some(clock::now(tx).await?));
            }
            Transition::Undelete => {
                if before.was_suspended {
                    after = TenantState::Suspended;
                }
                row.deleted_at = Set(None);
            }
            _ => {}
        }
        row.state = Set(after.as_str().into());
        let names = names_of(tx, &before).await?;
        let tenant = Tenant::try_from(row.update(&tx.tx).await.map_err(unavailable)?)?;
        let entry = audit::Entry {
            action,
            outcome: "ok",
            tenant: Some(tenant.id),
            names,
            detail: String::new(),
            is_of_all: false,
        };
        audit::record(tx, &self.0.actor, entry).await?;
        Ok(tenant)
    }

    /// Gives a tenant another key; nothing else of it changes. The old key is closed for a while.
    pub(crate) async fn tenant_rename(&self, id: TenantId, key: TenantKey) -> Result<Tenant> {
        let me = self.clone();
        self.write(Durability::Acknowledged, move |tx| {
            Box::pin(async move {
                let now = clock::now(tx).await?;
                let row = tenant_row(tx, id).await?;
                let before = Tenant::try_from(row.clone())?;
                if before.state == TenantState::Provisioning || before.state == TenantState::Purging {
                    return Err(Error::new(
                        ErrorKind::WrongState,
                        format!("tenant `{}` is {}: it cannot be renamed", before.key, before.state),
                    ));
                }
                if let Some(holder) = require_key_free(tx, &key, now).await? {
                    return Err(taken(&holder));
                }
                let mut names = names_of(tx, &before).await?;
                quarantine::begin(tx, &[Name::Key(before.key.clone())], now).await?;
                let mut row = row.into_active_model();
                row.key = Set(key.to_string());
                let tenant = Tenant::try_from(row.update(&tx.tx).await.map_err(unavailable)?)?;
                names.push(Name::Key(key));
                let detail = format!("{} -> {}", before.key, tenant.key);
                let entry = audit::Entry {
                    action: "tenant.rename",
                    outcome: "ok",
                    tenant: Some(id),
                    names,
                    detail,
                    is_of_all: false,
                };
                audit::record(tx, &me.0.actor, entry).await?;
                Ok(tenant)
            })
        })
        .await
    }

    /// Whether anything of that tenant is in the journal and not yet ended.
    pub(crate) async fn is_operated_on(&self, id: TenantId) -> Result<bool> {
        let count = operation::Entity::find()
            .filter(operation::Column::RunningOn.eq(id.to_string()))
            .count(self.0.store.read())
            .await
            .map_err(unavailable)?;
        Ok(count > 0)
    }
}
