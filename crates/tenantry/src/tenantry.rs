//! [`Tenantry`]: the handle that an app and the program hold.

use std::{
    fmt,
    path::Path,
    sync::{Arc, Weak},
    time::Duration,
};

use futures_util::{StreamExt, stream};

use crate::{
    catalog::{AuditEntry, Catalog, Domain, Name, NewServer, Server, ServerEntry, TenantFilter},
    config::Config,
    engine::Capabilities,
    error::{Error, ErrorKind, Result},
    failpoint::Failpoints,
    ident::Ident,
    identify::{Directory, canonical_domain},
    key::TenantKey,
    migrate::{Fleet, Migrations},
    operate::{NewTenant, Operator, Recovered},
    pool::PoolStats,
    scope::{self, Servers, SharedDb, TenantDb},
    secret::{Secret, SecretKey},
    tenant::{Tenant, Transition},
};

/// One installation of tenantry: its catalog, its servers, its tenants. Cheap to clone; keep one in a program.
///
/// Its calls may be dropped at any await: what they had begun is finished by itself, or was never there.
///
/// ```no_run
/// # async fn example() -> tenantry::Result<()> {
/// use tenantry::Tenantry;
/// let tenancy = Tenantry::from_config("tenantry.toml").await?;
/// let acme = tenancy.tenant("acme").await?;
/// # let _ = acme; Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tenantry(Arc<Core>);

struct Core {
    config: Config,
    catalog: Catalog,
    servers: Arc<Servers>,
    directory: Arc<Directory>,
    operator: Operator,
}

impl fmt::Debug for Tenantry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenantry").finish_non_exhaustive()
    }
}

/// Opens a [`Tenantry`] from parts.
#[derive(Debug, Default)]
#[must_use]
pub struct TenantryBuilder {
    config: Config,
    migrations: Option<Migrations>,
    key: Option<SecretKey>,
    actor: Option<String>,
    background: bool,
}

impl TenantryBuilder {
    /// The settings; the default is what an empty `tenantry.toml` says.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Migration files that are part of the program, instead of a directory.
    pub fn migrations(mut self, migrations: Migrations) -> Self {
        self.migrations = Some(migrations);
        self
    }

    /// The key that seals stored URLs, instead of `TENANTRY_KEY` or the key file.
    pub fn key(mut self, key: SecretKey) -> Self {
        self.key = Some(key);
        self
    }

    /// The name under which the audit lists what this program does.
    pub fn actor(mut self, name: impl Into<String>) -> Self {
        self.actor = Some(name.into());
        self
    }

    /// Whether this program follows the changes of others and ends what crashed processes left. An app wants it, and
    /// `false` is for a command that ends at once. The default is `true` for [`Tenantry::builder`].
    pub const fn background(mut self, yes: bool) -> Self {
        self.background = yes;
        self
    }

    /// Opens the catalog; makes it if it is not there.
    ///
    /// # Errors
    /// If the catalog cannot be opened, the key does not fit, or a migration file cannot be read.
    pub async fn open(self) -> Result<Tenantry> {
        let config = self.config;
        let key = match self.key {
            Some(key) => key,
            None => SecretKey::load(&config.catalog.key_file)?,
        };
        let migrations = match self.migrations {
            Some(migrations) => migrations,
            None => Migrations::from_dir(&config.migrations.dir)?,
        };
        let max_stale = Duration::try_from_secs_f64(config.catalog.max_stale).unwrap_or(Duration::MAX);
        let actor = self.actor.unwrap_or_else(|| "app".into());
        let catalog = Catalog::open(&config.catalog.url, key, actor, max_stale).await?;
        let servers = Arc::new(Servers::new(catalog.clone(), config.pool));
        let directory = Arc::new(Directory::new(catalog.clone(), config.identify));
        let failpoints = Failpoints::from_environment();
        let operator = Operator { catalog: catalog.clone(), servers: Arc::clone(&servers), migrations, failpoints };
        let tenantry = Tenantry(Arc::new(Core { config, catalog, servers, directory, operator }));
        if self.background {
            tokio::spawn(follow(Arc::downgrade(&tenantry.0)));
        }
        Ok(tenantry)
    }
}

/// How often this process looks for changes of others: well within the 2 s in which a suspension has to bite.
const LOOK: Duration = Duration::from_millis(500);

/// How many looks pass between two that clean up.
const LOOKS_PER_CLEANING: u32 = 10;

/// Follows changes of other processes, and cleans up, for as long as anybody holds the handle.
async fn follow(core: Weak<Core>) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for look in 0_u32.. {
        ticks.tick().await;
        let Some(core) = core.upgrade() else { return };
        let tenantry = Tenantry(core);
        tenantry.follow_once().await;
        if look % LOOKS_PER_CLEANING == 0 {
            tokio::spawn(async move { tenantry.clean_up().await });
        }
    }
}

impl Tenantry {
    /// Opens what a `tenantry.toml` describes, with all that an app needs.
    ///
    /// # Errors
    /// As [`TenantryBuilder::open`], or if the file cannot be used.
    pub async fn from_config(file: impl AsRef<Path>) -> Result<Self> {
        Self::builder().config(Config::load(file)?).open().await
    }

    /// Opens from parts.
    pub fn builder() -> TenantryBuilder {
        TenantryBuilder { background: true, ..TenantryBuilder::default() }
    }

    async fn follow_once(&self) {
        match self.0.catalog.changes_read().await {
            Ok(changes) => {
                for tenant in changes.iter().filter_map(|c| c.tenant) {
                    for server in self.0.servers.all_open() {
                        server.pool.retire_tenant(tenant);
                    }
                }
            }
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "the catalog does not answer"),
        }
    }

    async fn clean_up(&self) {
        for server in self.0.servers.all_open() {
            server.pool.sweep();
        }
        if let Err(error) = self.recover().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "left-overs could not be looked for");
        }
    }

    pub(crate) fn directory(&self) -> &Arc<Directory> {
        &self.0.directory
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.0.catalog
    }

    pub(crate) fn servers(&self) -> &Servers {
        &self.0.servers
    }

    /// The handle of a tenant that was found.
    pub(crate) async fn tenant_db(&self, tenant: Arc<Tenant>) -> Result<TenantDb> {
        tenant.check_served()?;
        let server = self.0.servers.get(&tenant.server).await?;
        let needed = self.0.operator.migrations.newest(server.engine.capabilities().engine);
        if self.0.config.tenants.require_migrated && tenant.version < needed {
            let (key, has) = (&tenant.key, tenant.version);
            return Err(Error::new(
                ErrorKind::NotMigrated,
                format!("tenant `{key}` is at version {has}, this program needs {needed}"),
            )
            .help("tenantry migrate up"));
        }
        TenantDb::new(tenant, server, self.0.catalog.clone())
    }

    /// A tenant's data by its key, outside of a request: for jobs and tools.
    ///
    /// # Errors
    /// If there is no such tenant, or it is not served.
    pub async fn tenant(&self, key: &str) -> Result<TenantDb> {
        let name = Name::Key(self.parse_key(key)?);
        self.tenant_db(self.0.directory.lookup(&name).await?).await
    }

    /// A text that is no key names no tenant.
    fn parse_key(&self, key: &str) -> Result<TenantKey> {
        key.parse().map_err(|e: Error| {
            Error::new(ErrorKind::UnknownTenant, format!("no tenant has the key {key:?}"))
                .caused_by(e)
                .help("tenantry tenant list")
        })
    }

    /// The shared tables.
    ///
    /// # Errors
    /// If there is no server yet.
    pub async fn shared(&self) -> Result<SharedDb> {
        SharedDb::shared(self.0.servers.home().await?)
    }

    /// Visits many tenants, at most `limit` at once; a tenant that fails does not stop the others.
    ///
    /// ```no_run
    /// # async fn example(tenancy: tenantry::Tenantry) -> tenantry::Result<()> {
    /// use tenantry::TenantFilter;
    /// let counts = tenancy
    ///     .each(TenantFilter::all(), 4, async |db| {
    ///         Ok(sqlx::query_scalar::<_, i64>("SELECT count(*) FROM users").fetch_one(db.sqlite()?).await?)
    ///     })
    ///     .await?;
    /// # let _ = counts; Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the list of tenants cannot be read.
    pub async fn each<T>(
        &self,
        filter: TenantFilter,
        limit: usize,
        visit: impl AsyncFn(TenantDb) -> Result<T>,
    ) -> Result<Vec<(TenantKey, Result<T>)>> {
        let tenants = self.0.catalog.tenant_list(&filter).await?;
        let visit = &visit;
        let visits = tenants.into_iter().filter(|t| t.state.is_served()).map(|tenant| async move {
            let key = tenant.key.clone();
            let result = async { visit(self.tenant_db(Arc::new(tenant)).await?).await }.await;
            (key, result)
        });
        Ok(stream::iter(visits).buffer_unordered(limit.max(1)).collect().await)
    }

    /// Creates a tenant; when this returns it is served, by this process and, within 2 s, by all others.
    ///
    /// # Errors
    /// If the key or a domain is taken or reserved, no server has room, or a step failed: then nothing is left of it.
    pub async fn tenant_create(&self, new: NewTenant) -> Result<Tenant> {
        self.0.operator.tenant_create(new).await
    }

    /// A key as an app's user typed it, with the app's own reserved words refused too.
    ///
    /// # Errors
    /// If it is not a tenant key, or reserved.
    pub fn tenant_key(&self, text: &str) -> Result<TenantKey> {
        let key: TenantKey = text.parse()?;
        if self.0.config.tenants.reserved_keys.iter().any(|word| word == text) {
            return Err(Error::new(
                ErrorKind::InvalidKey,
                format!("{text:?} is not a tenant key: the app needs it for itself"),
            )
            .for_client("this is not a tenant key: it is a reserved word")
            .help("choose another key; `tenants.reserved_keys` in tenantry.toml lists these words"));
        }
        Ok(key)
    }

    /// The tenant of that key in whatever state.
    ///
    /// # Errors
    /// If there is none.
    pub async fn tenant_find(&self, key: &str) -> Result<Tenant> {
        self.0.catalog.tenant_get(&Name::Key(self.parse_key(key)?)).await
    }

    /// Tenants by key.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn tenant_list(&self, filter: &TenantFilter) -> Result<Vec<Tenant>> {
        self.0.catalog.tenant_list(filter).await
    }

    async fn transition(&self, key: &str, transition: Transition) -> Result<Tenant> {
        let tenant = self.tenant_find(key).await?;
        let after = self.0.catalog.tenant_transition(tenant.id, transition).await?;
        for server in self.0.servers.all_open() {
            server.pool.retire_tenant(after.id);
        }
        Ok(after)
    }

    /// Stops serving a tenant: at once here, within 2 s everywhere. Its data stays.
    ///
    /// # Errors
    /// If there is no such tenant, or it is not active.
    pub async fn tenant_suspend(&self, key: &str) -> Result<Tenant> {
        self.transition(key, Transition::Suspend).await
    }

    /// Serves a suspended tenant again.
    ///
    /// # Errors
    /// If there is no such tenant, or it is not suspended.
    pub async fn tenant_resume(&self, key: &str) -> Result<Tenant> {
        self.transition(key, Transition::Resume).await
    }

    /// Deletes a tenant. Its data is kept for the grace time, and its key and domains stay its own.
    ///
    /// # Errors
    /// If there is no such tenant, or it is deleted already.
    pub async fn tenant_delete(&self, key: &str) -> Result<Tenant> {
        self.transition(key, Transition::Delete).await
    }

    /// Brings a deleted tenant back as it was.
    ///
    /// # Errors
    /// If there is no such tenant, or it is not deleted.
    pub async fn tenant_undelete(&self, key: &str) -> Result<Tenant> {
        self.transition(key, Transition::Undelete).await
    }

    /// Destroys a deleted tenant for good. Killed half way, it is finished when called again.
    ///
    /// # Errors
    /// If it is not deleted, or its data is still open somewhere.
    pub async fn tenant_purge(&self, key: &str) -> Result<()> {
        let tenant = self.tenant_find(key).await?;
        self.0.operator.tenant_purge(tenant.id).await
    }

    /// Gives a tenant another key. The old one is closed to others for 10 s.
    ///
    /// # Errors
    /// If the new key is taken or reserved.
    pub async fn tenant_rename(&self, key: &str, new_key: &str) -> Result<Tenant> {
        let tenant = self.tenant_find(key).await?;
        self.0.catalog.tenant_rename(tenant.id, self.tenant_key(new_key)?).await
    }

    /// Gives a tenant a custom domain.
    ///
    /// # Errors
    /// If the text is no domain, or it belongs to a tenant already.
    pub async fn domain_add(&self, key: &str, host: &str) -> Result<()> {
        let host = canonical_domain(host)?;
        let tenant = self.tenant_find(key).await?;
        self.0.catalog.domain_add(tenant.id, host).await
    }

    /// Takes a custom domain away; it is closed to others for 10 s.
    ///
    /// # Errors
    /// If no tenant has it.
    pub async fn domain_remove(&self, host: &str) -> Result<()> {
        self.0.catalog.domain_remove(canonical_domain(host)?).await
    }

    /// All domains, or those of one tenant.
    ///
    /// # Errors
    /// If the catalog cannot be read, or there is no such tenant.
    pub async fn domain_list(&self, key: Option<&str>) -> Result<Vec<Domain>> {
        let of = match key {
            Some(key) => Some(self.tenant_find(key).await?.id),
            None => None,
        };
        self.0.catalog.domain_list(of).await
    }

    /// Adds a server and makes what it needs. The first one is the home of the shared tables; one of another engine that
    /// nobody has used yet, such as `tenantry init` makes, gives way.
    ///
    /// # Errors
    /// If the name is taken or no identifier, or the server cannot be prepared.
    pub async fn server_add(&self, new: NewServer) -> Result<()> {
        let name = Ident::new(new.name.as_str()).map_err(|e| e.help("use a-z, 0-9 and `_`, a letter first"))?;
        let here = std::env::current_dir()
            .map_err(|e| Error::new(ErrorKind::Io, "the current directory is gone").caused_by(e))?;
        let url = crate::config::absolute_url(new.admin_url.expose(), &here);
        let known = self.0.catalog.server_list().await?;
        if known.iter().any(|server| server.name == new.name) {
            return Err(Error::new(ErrorKind::Taken, format!("there is a server `{name}` already"))
                .help("tenantry server list"));
        }
        let given = new.app_url.is_some() || new.pooler;
        let app_url = match new.app_url {
            Some(url) => Some(url),
            None => scope::app_url_new(&self.0.catalog, &new.name, &url)?,
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
        if let Some(same) = known.iter().find(|server| scope::is_same_place(url, server.admin_url.expose())) {
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
            [only] if !scope::is_same_engine(url, only.admin_url.expose()) && only.shared_version == 0 => {
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

    /// What the engine of a server can do.
    ///
    /// # Errors
    /// If there is no such server.
    pub async fn server_capabilities(&self, name: &str) -> Result<Capabilities> {
        Ok(*self.0.servers.get(name).await?.engine.capabilities())
    }

    /// Migrations of all tenants and of the shared tables.
    #[must_use]
    pub fn migrations(&self) -> Fleet {
        let Operator { catalog, servers, migrations, failpoints } = self.0.operator.clone();
        Fleet { catalog, servers, migrations, failpoints }
    }

    /// Tenants whose last migration failed, and why.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn migration_failures(&self) -> Result<Vec<(Tenant, String)>> {
        self.0.catalog.failure_list().await
    }

    /// Ends what processes that are gone have left, and purges tenants whose grace time is over.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn recover(&self) -> Result<Recovered> {
        self.0.operator.recover(self.0.config.tenants.grace()).await
    }

    pub(crate) fn operator(&self) -> &Operator {
        &self.0.operator
    }

    /// The newest entries of the audit, newest first.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn audit(&self, limit: u64) -> Result<Vec<AuditEntry>> {
        self.0.catalog.audit_list(limit).await
    }

    /// Numbers of each server's pool that this process has used.
    #[must_use]
    pub fn stats(&self) -> Vec<(String, PoolStats)> {
        self.0.servers.stats()
    }

    /// Refuses new work, waits at most `limit` for connections in use, and closes them all.
    pub async fn shutdown(&self, limit: Duration) {
        for server in self.0.servers.all_open() {
            server.pool.close(limit).await;
        }
    }
}
