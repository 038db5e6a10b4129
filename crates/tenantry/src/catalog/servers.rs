//! Servers where tenants may live; their URLs are sealed.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, sea_query::Expr};
use serde::Serialize;

use super::{
    Catalog, audit, clock,
    entity::{server, tenant},
    store::{CatalogTx, Durability},
    unavailable,
};
use crate::{
    error::{Error, ErrorKind, Result},
    ident::Ident,
    secret::Secret,
};

const ADMIN_URL: &str = "admin URL";

/// A server, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// Its engine, as in its URL.
    pub engine: String,
    /// How many tenants it may hold.
    pub capacity: Option<i64>,
    /// How many connections one process may open to it.
    pub connections: Option<i64>,
    /// The version of its shared tables.
    pub shared_version: i64,
    #[serde(skip)]
    pub(crate) admin_url: Secret,
}

/// A server to be added.
#[derive(Clone, Debug)]
pub(crate) struct NewServer {
    pub(crate) name: Ident,
    pub(crate) engine: &'static str,
    pub(crate) admin_url: Secret,
    pub(crate) capacity: Option<i64>,
    pub(crate) connections: Option<i64>,
}

impl Catalog {
    fn server_of(&self, row: server::Model) -> Result<Server> {
        Ok(Server {
            admin_url: Secret::new(self.0.key.open(ADMIN_URL, &row.admin_url)?),
            name: row.name,
            engine: row.engine,
            capacity: row.capacity,
            connections: row.connections,
            shared_version: row.shared_version,
        })
    }

    pub(crate) async fn server_add(&self, new: NewServer) -> Result<()> {
        let me = self.clone();
        let sealed = self.0.key.seal(ADMIN_URL, new.admin_url.expose())?;
        self.write(Durability::Acknowledged, move |tx| {
            Box::pin(async move {
                let name = new.name.as_str();
                if server::Entity::find_by_id(name).one(&tx.tx).await.map_err(unavailable)?.is_some() {
                    return Err(Error::new(ErrorKind::Taken, format!("there is a server `{name}` already"))
                        .help("tenantry server list"));
                }
                let row = server::ActiveModel {
                    name: Set(name.into()),
                    engine: Set(new.engine.into()),
                    admin_url: Set(sealed),
                    app_url: Set(None),
                    capacity: Set(new.capacity),
                    connections: Set(new.connections),
                    pooler: Set(false),
                    shared_version: Set(0),
                    created_at: Set(clock::now(tx).await?),
                };
                server::Entity::insert(row).exec_without_returning(&tx.tx).await.map_err(unavailable)?;
                me.server_audit(tx, "server.add", name).await
            })
        })
        .await
    }

    async fn server_audit(&self, tx: &CatalogTx, action: &str, name: &str) -> Result<()> {
        let entry = audit::Entry { action, outcome: "ok", tenant: None, names: Vec::new(), detail: name.to_owned() };
        audit::record(tx, &self.0.actor, entry).await?;
        Ok(())
    }

    pub(crate) async fn server_remove(&self, name: String) -> Result<()> {
        let me = self.clone();
        self.write(Durability::Acknowledged, move |tx| {
            Box::pin(async move {
                let held = tenant::Entity::find()
                    .filter(tenant::Column::Server.eq(&name))
                    .count(&tx.tx)
                    .await
                    .map_err(unavailable)?;
                if held > 0 {
                    return Err(Error::new(
                        ErrorKind::WrongState,
                        format!("server `{name}` still holds {held} tenants"),
                    )
                    .help("purge its tenants first: tenantry tenant list"));
                }
                let servers = server::Entity::find()
                    .order_by_asc(server::Column::CreatedAt)
                    .order_by_asc(server::Column::Name)
                    .all(&tx.tx)
                    .await
                    .map_err(unavailable)?;
                if servers.len() > 1 && servers.first().is_some_and(|home| home.name == name) {
                    return Err(Error::new(
                        ErrorKind::WrongState,
                        format!("server `{name}` is the home of the shared tables, which all tenants read"),
                    )
                    .help("remove the other servers first: tenantry server list"));
                }
                let gone = server::Entity::delete_by_id(&name).exec(&tx.tx).await.map_err(unavailable)?;
                if gone.rows_affected == 0 {
                    return Err(no_server(&name));
                }
                me.server_audit(tx, "server.remove", &name).await
            })
        })
        .await
    }

    pub(crate) async fn server_find(&self, name: &str) -> Result<Server> {
        let row = server::Entity::find_by_id(name).one(self.0.store.read()).await.map_err(unavailable)?;
        self.server_of(row.ok_or_else(|| no_server(name))?)
    }

    pub(crate) async fn server_list(&self) -> Result<Vec<Server>> {
        let rows = server::Entity::find()
            .order_by_asc(server::Column::CreatedAt)
            .order_by_asc(server::Column::Name)
            .all(self.0.store.read())
            .await
            .map_err(unavailable)?;
        rows.into_iter().map(|row| self.server_of(row)).collect()
    }

    /// Writes down the version of a server's shared tables.
    pub(crate) async fn server_shared_migrated(&self, name: String, version: i64) -> Result<()> {
        let me = self.clone();
        self.write(Durability::Progress, move |tx| {
            Box::pin(async move {
                let changed = server::Entity::update_many()
                    .col_expr(server::Column::SharedVersion, Expr::value(version))
                    .filter(server::Column::Name.eq(&name))
                    .filter(server::Column::SharedVersion.ne(version))
                    .exec(&tx.tx)
                    .await
                    .map_err(unavailable)?;
                if changed.rows_affected == 0 {
                    return Ok(());
                }
                me.server_audit(tx, "shared.migrate", &name).await
            })
        })
        .await
    }
}

fn no_server(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no server `{name}`")).help("tenantry server list")
}
