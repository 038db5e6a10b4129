//! [`Tenantry`]: the handle that an app and the program hold.

mod builder;
mod follow;
mod named;
mod servers;
mod tenants;

use std::{fmt, future::ready, path::Path, sync::Arc, time::Duration};

use futures_util::{StreamExt, TryStreamExt};
use serde::Serialize;

pub use self::builder::TenantryBuilder;
use self::follow::follow;
pub use self::named::TenantRef;
use crate::{
    catalog::{AuditEntry, Catalog, OperationFilter, OperationStatus, TenantFilter},
    config::Config,
    error::{Error, ErrorKind, Result},
    id::TenantId,
    identify::{Directory, RefusedStats},
    key::TenantKey,
    migrate::Fleet,
    operate::{Operator, Recovered},
    pool::PoolStats,
    scope::{Servers, SharedDb, TenantDb},
    tenant::Tenant,
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
        TenantryBuilder::default()
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
        let needed = self.0.operator.migrations.newest(server.engine.kind());
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

    /// A tenant's data by its key or its id, outside of a request: for jobs and tools.
    ///
    /// # Errors
    /// If there is no such tenant, or it is not served.
    pub async fn tenant<'t>(&self, tenant: impl Into<TenantRef<'t>>) -> Result<TenantDb> {
        let name = tenant.into().name()?;
        self.tenant_db(self.0.directory.lookup(&name).await?).await
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
    ) -> Result<Vec<Visit<T>>> {
        let visit = &visit;
        let served = self.0.catalog.tenants(filter).try_filter(|tenant| ready(tenant.state.is_served()));
        let visits = served.map(|tenant| async move {
            let tenant = tenant?;
            let (id, key) = (tenant.id, tenant.key.clone());
            let result = async { visit(self.tenant_db(Arc::new(tenant)).await?).await }.await;
            Ok(Visit { id, key, result })
        });
        // What was begun is let run to its end, although the list may break off.
        let visited: Vec<Result<Visit<T>>> = visits.buffer_unordered(limit.max(1)).collect().await;
        visited.into_iter().collect()
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
    pub async fn migration_failures(&self) -> Result<Vec<FailedMigration>> {
        let failed = self.0.catalog.failure_list().await?;
        Ok(failed.into_iter().map(|(tenant, why)| FailedMigration { tenant, why }).collect())
    }

    /// Ends what processes that are gone have left, and purges tenants whose grace time is over.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn recover(&self) -> Result<Recovered> {
        self.0.operator.recover(self.0.config.tenants.grace()).await
    }

    /// Operations, newest first: what creates, purges or migrates tenants, running or ended.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn operation_list(&self, filter: &OperationFilter) -> Result<Vec<OperationStatus>> {
        self.0.catalog.operation_list(filter).await
    }

    /// One operation.
    ///
    /// # Errors
    /// If there is none of that id.
    pub async fn operation_get(&self, id: &str) -> Result<OperationStatus> {
        self.0.catalog.operation_get(id).await
    }

    /// Asks whoever runs an operation to give it up: it stops before its next step. A creation is undone, a migration of a
    /// fleet stops between two targets.
    ///
    /// # Errors
    /// If there is none of that id, it has ended, or it is a purge: what that has destroyed nothing brings back.
    pub async fn operation_cancel(&self, id: &str) -> Result<()> {
        self.0.catalog.operation_cancel(id).await
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
    pub fn stats(&self) -> Vec<ServerStats> {
        self.0.servers.stats().into_iter().map(|(server, pool)| ServerStats { server, pool }).collect()
    }

    /// How many requests this process has refused by what they say of their tenant, by cause. The log tells of each cause
    /// once a second at most.
    #[must_use]
    pub fn refused(&self) -> RefusedStats {
        self.0.directory.refused.stats()
    }

    /// Refuses new work, waits at most `limit` for connections in use, and closes them all.
    pub async fn shutdown(&self, limit: Duration) {
        for server in self.0.servers.all_open() {
            server.pool.close(limit).await;
        }
    }
}

/// What came of a visit to one tenant: [`Tenantry::each`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Visit<T> {
    /// The tenant.
    pub id: TenantId,
    /// Its key, as it was when the list was read.
    pub key: TenantKey,
    /// What the visit gave, or why it failed.
    pub result: Result<T>,
}

/// A tenant whose last migration failed.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct FailedMigration {
    /// The tenant.
    pub tenant: Tenant,
    /// Why, in one line.
    pub why: String,
}

/// The numbers of one server's pool in this process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ServerStats {
    /// The server's name.
    pub server: String,
    /// Its pool.
    pub pool: PoolStats,
}
