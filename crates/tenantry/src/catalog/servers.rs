//! Servers where tenants may live; their URLs are sealed.

use std::path::Path;

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, sea_query::Expr};
use serde::Serialize;

use super::{
    Catalog, audit, clock,
    entity::{server, tenant},
    store::{CatalogTx, Durability},
    unavailable,
};
use crate::{
    engine::url_of_directory,
    error::{Error, ErrorKind, Result},
    ident::Ident,
    secret::Secret,
};

const ADMIN_URL: &str = "admin URL";
const APP_URL: &str = "app URL";

/// A server, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Server {
    /// Its name.
    pub name: String,
    /// Its engine, as in its URL.
    pub engine: String,
    /// How many tenants it may hold.
    pub capacity: Option<i64>,
    /// How many connections one process may open to it.
    pub connections: Option<i64>,
    /// Whether apps reach it through a pooler that gives them another connection for each transaction.
    pub pooler: bool,
    /// The version of its shared tables.
    pub shared_version: i64,
    #[serde(skip)]
    pub(crate) admin_url: Secret,
    /// Where apps sign in, and as whom: the restricted login.
    #[serde(skip)]
    pub(crate) app_url: Option<Secret>,
}

impl Server {
    /// A server as it will be, before the catalog has it.
    pub(crate) fn to_add(name: &str, admin_url: Secret, app_url: Option<Secret>, pooler: bool) -> Self {
        let (engine, name) = (String::new(), name.to_owned());
        Self { name, engine, capacity: None, connections: None, pooler, shared_version: 0, admin_url, app_url }
    }
}

/// A server to be added. Only its name and the administrator's URL are required.
///
/// ```
/// let new = tenantry::NewServer::new("main", "postgres://admin:secret@db/app").capacity(5_000).connections(50);
/// # let _ = new;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct NewServer {
    pub(crate) name: String,
    pub(crate) admin_url: Secret,
    pub(crate) app_url: Option<Secret>,
    pub(crate) pooler: bool,
    pub(crate) capacity: Option<u32>,
    pub(crate) connections: Option<u32>,
}

impl NewServer {
    /// A server of that name: `sqlite://DIRECTORY`, or a `postgres://` URL of an administrator.
    pub fn new(name: impl Into<String>, admin_url: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            admin_url: Secret::new(admin_url.into()),
            app_url: None,
            pooler: false,
            capacity: None,
            connections: None,
        }
    }

    /// A server that needs no database server: a directory, with a file of SQLite for each tenant.
    ///
    /// ```
    /// let new = tenantry::NewServer::in_directory("local", "/srv/tenants");
    /// # let _ = new;
    /// ```
    pub fn in_directory(name: impl Into<String>, directory: impl AsRef<Path>) -> Self {
        Self::new(name, url_of_directory(directory.as_ref()))
    }

    /// Where apps sign in, and as whom: a restricted login. Without it one is made and kept.
    pub fn app_url(mut self, url: impl Into<String>) -> Self {
        self.app_url = Some(Secret::new(url.into()));
        self
    }

    /// Whether the app's URL leads to a pooler that gives each transaction another connection.
    pub const fn pooler(mut self, yes: bool) -> Self {
        self.pooler = yes;
        self
    }

    /// How many tenants it may hold; the default is any number.
    pub const fn capacity(mut self, tenants: u32) -> Self {
        self.capacity = Some(tenants);
        self
    }

    /// How many connections one process may open to it for its tenants; the default is a quarter of what the server
    /// allows, where it has such a limit.
    pub const fn connections(mut self, connections: u32) -> Self {
        self.connections = Some(connections);
        self
    }
}

/// A server as the catalog is to keep it.
#[derive(Clone, Debug)]
pub(crate) struct ServerEntry {
    pub(crate) name: Ident,
    pub(crate) engine: &'static str,
    pub(crate) admin_url: Secret,
    pub(crate) app_url: Option<Secret>,
    pub(crate) pooler: bool,
    pub(crate) capacity: Option<i64>,
    pub(crate) connections: Option<i64>,
}

impl Catalog {
    fn server_of(&self, row: server::Model) -> Result<Server> {
        Ok(Server {
            admin_url: Secret::new(self.0.key.open(ADMIN_URL, &row.admin_url)?),
            app_url: row.app_url.map(|url| self.0.key.open(APP_URL, &url).map(Secret::new)).transpose()?,
            pooler: row.pooler,
            name: row.name,
            engine: row.engine,
            capacity: row.capacity,
            connections: row.connections,
            shared_version: row.shared_version,
        })
    }

    /// Adds a server. The one that it replaces has to be unused still.
    pub(crate) async fn server_add(&self, new: ServerEntry, replaces: Option<String>) -> Result<()> {
        let me = self.clone();
        let sealed = self.0.key.seal(ADMIN_URL, new.admin_url.expose())?;
        let sealed_app = new.app_url.as_ref().map(|url| self.0.key.seal(APP_URL, url.expose())).transpose()?;
        self.write(Durability::Acknowledged, move |tx| {
            Box::pin(async move {
                if let Some(unused) = replaces {
                    me.remove_in(tx, &unused).await?;
                }
                let name = new.name.as_str();
                if server::Entity::find_by_id(name).one(&tx.tx).await.map_err(unavailable)?.is_some() {
                    return Err(Error::new(ErrorKind::Taken, format!("there is a server `{name}` already"))
                        .help("tenantry server list"));
                }
                let row = server::ActiveModel {
                    name: Set(name.into()),
                    engine: Set(new.engine.into()),
                    admin_url: Set(sealed),
                    app_url: Set(sealed_app),
                    capacity: Set(new.capacity),
                    connections: Set(new.connections),
                    pooler: Set(new.pooler),
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
        let entry = audit::Entry {
            action,
            outcome: "ok",
            tenant: None,
            names: Vec::new(),
            detail: name.to_owned(),
            is_of_all: false,
        };
        audit::record(tx, &self.0.actor, entry).await?;
        Ok(())
    }

    pub(crate) async fn server_remove(&self, name: String) -> Result<()> {
        let me = self.clone();
        self.write(Durability::Acknowledged, move |tx| Box::pin(async move { me.remove_in(tx, &name).await })).await
    }

    async fn remove_in(&self, tx: &CatalogTx, name: &str) -> Result<()> {
        let held =
            tenant::Entity::find().filter(tenant::Column::Server.eq(name)).count(&tx.tx).await.map_err(unavailable)?;
        if held > 0 {
            return Err(Error::new(ErrorKind::WrongState, format!("server `{name}` still holds {held} tenants"))
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
        let gone = server::Entity::delete_by_id(name).exec(&tx.tx).await.map_err(unavailable)?;
        if gone.rows_affected == 0 {
            return Err(no_server(name));
        }
        self.server_audit(tx, "server.remove", name).await
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
