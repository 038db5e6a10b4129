//! What an operator does with servers.

use super::Tenantry;
use crate::{
    catalog::{NewServer, Server, ServerEntry},
    engine::{self, Capabilities, EngineKind, Wall},
    error::{Error, ErrorKind, Result},
    ident::Ident,
    secret::Secret,
};

impl Tenantry {
    /// Adds a server and makes what it needs. The first one is the home of the shared tables; one of another engine that
    /// nobody has used yet, such as `tenantry init` makes, gives way.
    ///
    /// # Errors
    /// If the name is taken or no identifier, or the server cannot be prepared.
    pub async fn server_add(&self, new: NewServer) -> Result<()> {
        let name = Ident::new(new.name.as_str()).map_err(|e| e.help("use a-z, 0-9 and `_`, a letter first"))?;
        let here = std::env::current_dir()
            .map_err(|e| Error::new(ErrorKind::Io, "the current directory is gone").caused_by(e))?;
        let url = engine::absolute_url(new.admin_url.expose(), &here);
        let known = self.0.catalog.server_list().await?;
        if known.iter().any(|server| server.name == new.name) {
            return Err(Error::new(ErrorKind::Taken, format!("there is a server `{name}` already"))
                .help("tenantry server list"));
        }
        let given = new.app_url.is_some() || new.pooler;
        let app_url = match new.app_url {
            Some(url) => Some(url),
            None => {
                let catalog = &self.0.catalog;
                let made =
                    EngineKind::of_url(&url)?.app_url_new(catalog.installation(), &new.name, &url, catalog.key())?;
                made.map(Secret::new)
            }
        };
        let server = Server::to_add(&new.name, Secret::new(url), app_url, new.pooler);
        let url = server.admin_url.expose();
        let unused = self.unused_of_another_engine(&known, url).await?;
        let engine = self.0.servers.engine_of(&server, known.first().filter(|_| unused.is_none()))?;
        if given && !engine.capabilities().signs_in {
            let engine = engine.capabilities().engine;
            return Err(Error::new(ErrorKind::Unsupported, format!("nobody signs in to {engine}"))
                .help("leave --app-url and --pooler out"));
        }
        let connections = engine.prepare().await?;
        // Each of two servers of one place would take the other's tenants for orphans.
        if let Some(same) = known.iter().find(|server| EngineKind::is_same_place(url, server.admin_url.expose())) {
            return Err(Error::new(ErrorKind::Taken, format!("server `{}` is this place already", same.name))
                .help("tenantry server list"));
        }
        let entry = ServerEntry {
            name,
            engine: engine.capabilities().engine,
            admin_url: server.admin_url,
            app_url: server.app_url,
            pooler: new.pooler,
            capacity: new.capacity.map(i64::from),
            connections: new.connections.or(connections).map(i64::from),
        };
        self.0.catalog.server_add(entry, unused.clone()).await?;
        if let Some(unused) = unused {
            self.0.servers.forget(&unused);
        }
        Ok(())
    }

    /// The only server, if it is of another engine than a URL and holds nothing.
    async fn unused_of_another_engine(&self, known: &[Server], url: &str) -> Result<Option<String>> {
        match known {
            [only] if EngineKind::of_url(url)?.name() != only.engine && only.shared_version == 0 => {
                let is_unused = self.0.catalog.tenant_count(&only.name).await? == 0;
                Ok(is_unused.then(|| only.name.clone()))
            }
            _ => Ok(None),
        }
    }

    /// Removes a server that holds no tenant. Its files or databases stay.
    ///
    /// # Errors
    /// If it holds tenants, or is not there.
    pub async fn server_remove(&self, name: &str) -> Result<()> {
        self.0.catalog.server_remove(name.to_owned()).await?;
        self.0.servers.forget(name);
        Ok(())
    }

    /// All servers, the home of the shared tables first.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn server_list(&self) -> Result<Vec<Server>> {
        self.0.catalog.server_list().await
    }

    /// How many tenants a server holds.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn server_tenants(&self, name: &str) -> Result<u64> {
        self.0.catalog.tenant_count(name).await
    }

    /// Whether a server itself keeps a tenant's SQL in its scope, in row and schema isolation: asked anew each time.
    ///
    /// # Errors
    /// If there is no such server, or it cannot be reached.
    pub async fn server_wall(&self, name: &str) -> Result<Wall> {
        self.0.servers.get(name).await?.engine.wall().await
    }

    /// What the engine of a server can do. The wall of a server that does not answer counts as open.
    ///
    /// # Errors
    /// If there is no such server.
    pub async fn server_capabilities(&self, name: &str) -> Result<Capabilities> {
        let server = self.0.servers.get(name).await?;
        let closed_wall = server.engine.wall().await.is_ok_and(|wall| wall.is_closed());
        Ok(Capabilities { closed_wall, ..*server.engine.capabilities() })
    }
}
