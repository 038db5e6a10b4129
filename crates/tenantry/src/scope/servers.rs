//! The servers that this process has a pool for.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
};

use crate::{
    catalog::{Catalog, Server},
    engine::{self, Engine, EngineSpec, HomeSpec, StatelessExtension},
    error::{Error, ErrorKind, Result},
    pool::{Pool, PoolLimits, PoolStats},
    secret::Secret,
};

/// A server with its engine and its pool.
pub(crate) struct ServerHandle {
    pub(crate) name: String,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) pool: Pool,
    /// How many tenants it may hold; it is set when a server is added and never changes.
    pub(crate) capacity: Option<i64>,
}

/// Opens each server once, when it is first needed.
pub(crate) struct Servers {
    catalog: Catalog,
    limits: PoolLimits,
    require_closed_wall: bool,
    stateless_extensions: Arc<[StatelessExtension]>,
    open: RwLock<HashMap<String, Arc<ServerHandle>>>,
    opening: tokio::sync::Mutex<()>,
    /// The server of the shared tables, once it is known: it does not change while it holds tenants.
    home: RwLock<Option<Arc<ServerHandle>>>,
}

impl Servers {
    pub(crate) fn new(
        catalog: Catalog,
        limits: PoolLimits,
        require_closed_wall: bool,
        stateless_extensions: Arc<[StatelessExtension]>,
    ) -> Self {
        Self {
            catalog,
            limits,
            require_closed_wall,
            stateless_extensions,
            open: RwLock::default(),
            opening: tokio::sync::Mutex::default(),
            home: RwLock::default(),
        }
    }

    fn known(&self, name: &str) -> Option<Arc<ServerHandle>> {
        self.open.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(name).cloned()
    }

    pub(crate) async fn get(&self, name: &str) -> Result<Arc<ServerHandle>> {
        if let Some(server) = self.known(name) {
            return Ok(server);
        }
        // One at a time: two pools for one server would have two budgets.
        let _one = self.opening.lock().await;
        if let Some(server) = self.known(name) {
            return Ok(server);
        }
        let server = Arc::new(self.handle_of(&self.catalog.server_find(name).await?).await?);
        self.open.write().unwrap_or_else(std::sync::PoisonError::into_inner).insert(name.into(), Arc::clone(&server));
        Ok(server)
    }

    async fn handle_of(&self, server: &Server) -> Result<ServerHandle> {
        let home = self.catalog.server_list().await?.into_iter().next().ok_or_else(no_server)?;
        let engine = self.engine_of(server, Some(&home))?;
        let connections = server.connections.and_then(|n| usize::try_from(n).ok()).unwrap_or(self.limits.connections);
        let pool = Pool::new(Arc::clone(&engine), PoolLimits { connections, ..self.limits });
        Ok(ServerHandle { name: server.name.clone(), engine, pool, capacity: server.capacity })
    }

    /// The engine of a server, which need not be in the catalog yet. Without a home it is that itself.
    pub(crate) fn engine_of(&self, server: &Server, home: Option<&Server>) -> Result<Arc<dyn Engine>> {
        let home = home.unwrap_or(server);
        engine::open(&EngineSpec {
            installation: self.catalog.installation(),
            server: &server.name,
            admin_url: server.admin_url.expose(),
            app_url: server.app_url.as_ref().map(Secret::expose),
            pooler: server.pooler,
            wire: self.limits.wire,
            home: Some(HomeSpec {
                server: &home.name,
                admin_url: home.admin_url.expose(),
                app_url: home.app_url.as_ref().map(Secret::expose),
            }),
            key: self.catalog.key(),
            statement_timeout: self.limits.statement_timeout.duration(),
            idle_in_transaction: self.limits.idle_in_transaction.duration(),
            require_closed_wall: self.require_closed_wall,
            stateless_extensions: &self.stateless_extensions,
        })
    }

    /// The server that holds the shared tables: the first that was added.
    pub(crate) async fn home(&self) -> Result<Arc<ServerHandle>> {
        if let Some(home) = self.home.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone() {
            return Ok(home);
        }
        let servers = self.catalog.server_list().await?;
        let first = self.get(&servers.first().ok_or_else(no_server)?.name).await?;
        *self.home.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Arc::clone(&first));
        Ok(first)
    }

    pub(crate) fn forget(&self, name: &str) {
        self.open.write().unwrap_or_else(std::sync::PoisonError::into_inner).remove(name);
        *self.home.write().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
    }

    pub(crate) fn all_open(&self) -> Vec<Arc<ServerHandle>> {
        self.open.read().unwrap_or_else(std::sync::PoisonError::into_inner).values().cloned().collect()
    }

    pub(crate) fn stats(&self) -> Vec<(String, PoolStats)> {
        let mut stats: Vec<_> = self.all_open().iter().map(|s| (s.name.clone(), s.pool.stats())).collect();
        stats.sort_by(|a, b| a.0.cmp(&b.0));
        stats
    }
}

pub(crate) fn no_server() -> Error {
    Error::new(ErrorKind::NotFound, "there is no server yet").help("tenantry server add NAME ADMIN_URL")
}
