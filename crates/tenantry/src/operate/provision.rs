//! Creating tenants at run time.

use std::{sync::Arc, time::Instant};

use serde::{Deserialize, Serialize};

use super::{
    LOOK_AGAIN, Operator, PATIENCE,
    runner::{Work, not_a_step},
    to_the_end,
};
use crate::{
    catalog::{self, Name, Operation, OperationKind, Record, Reserved, Step},
    engine::{RETRY, Target},
    error::{Error, ErrorKind, Result},
    id::TenantId,
    ident::Ident,
    identify::canonical_domain,
    key::TenantKey,
    scope::ServerHandle,
    tenant::{Isolation, Tenant, TenantState},
};

/// What a new tenant is to be. Only the key is required.
///
/// ```
/// use tenantry::{Isolation, NewTenant};
/// # fn example() -> tenantry::Result<()> {
/// let new = NewTenant::new("acme")?.isolation(Isolation::Database).domain("shop.acme.com")?;
/// # let _ = new; Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct NewTenant {
    key: TenantKey,
    isolation: Option<Isolation>,
    server: Option<String>,
    domains: Vec<Box<str>>,
}

impl NewTenant {
    /// A tenant of this key.
    ///
    /// # Errors
    /// If the text is not a tenant key.
    pub fn new(key: &str) -> Result<Self> {
        Ok(Self::with_key(key.parse()?))
    }

    /// A tenant of this key, parsed already.
    pub const fn with_key(key: TenantKey) -> Self {
        Self { key, isolation: None, server: None, domains: Vec::new() }
    }

    /// How its data is kept apart; the default is the server's.
    pub const fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = Some(isolation);
        self
    }

    /// Where its data lies; the default is the first server that has room.
    pub fn server(mut self, name: impl Into<String>) -> Self {
        self.server = Some(name.into());
        self
    }

    /// A custom domain; may be called again for more.
    ///
    /// # Errors
    /// If the text is not a domain.
    pub fn domain(mut self, host: &str) -> Result<Self> {
        self.domains.push(canonical_domain(host)?);
        Ok(self)
    }
}

/// The creation of a tenant: its place is made, and with its end it is served.
pub(super) struct Provision {
    operator: Operator,
    tenant: Tenant,
    server: Arc<ServerHandle>,
}

/// What the steps of a creation leave.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Made {
    /// The version at which the place was made.
    version: Option<i64>,
}

impl Record for Made {
    const FORM: u32 = 1;
}

impl Work for Provision {
    const KIND: OperationKind = OperationKind::Provision;

    type Kept = Made;
    type Output = Tenant;

    async fn load(operator: &Operator, operation: &Operation) -> Result<Self> {
        let tenant = operator.catalog.tenant_get(&Name::Id(operation.tenant()?)).await?;
        let server = operator.servers.get(&tenant.server).await?;
        Ok(Self { operator: operator.clone(), tenant, server })
    }

    async fn step_do(&self, step: Step, kept: &mut Made) -> Result<()> {
        match step {
            Step::Place => {
                let scripts = self.operator.migrations.tenant(self.server.engine.kind());
                self.server.engine.tenant_place_create(&self.tenant.placement(), &scripts).await?;
                kept.version = Some(scripts.last().map_or(0, |script| script.version));
                Ok(())
            }
            Step::Drain | Step::Destroy | Step::Targets => Err(not_a_step(Self::KIND, step)),
        }
    }

    async fn step_undo(&self, step: Step) -> Result<()> {
        match step {
            Step::Place => self.server.engine.tenant_place_drop(&self.tenant.placement()).await,
            Step::Drain | Step::Destroy | Step::Targets => Err(not_a_step(Self::KIND, step)),
        }
    }

    async fn end(&self, operation: &Operation, kept: &Made) -> Result<Tenant> {
        let version = match kept.version {
            Some(version) => version,
            // A program that wrote down no version has made the place, and perhaps with other files than this one's.
            None => self.version_of_place().await?,
        };
        self.operator.catalog.tenant_activate(operation, version).await
    }

    async fn end_undone(&self, operation: &Operation, why: &Error) -> Result<()> {
        self.operator.catalog.tenant_forget(operation, why).await
    }
}

impl Provision {
    async fn version_of_place(&self) -> Result<i64> {
        let target = match self.tenant.isolation {
            Isolation::Row => Target::Rows,
            Isolation::Schema | Isolation::Database => Target::Tenant(self.tenant.placement()),
        };
        let ledger = self.server.engine.ledger(&target).await?;
        Ok(ledger.applied.last().map_or(0, |applied| applied.version))
    }
}

impl Operator {
    /// Creates a tenant; it is served when this returns. Runs to its end even if the caller goes away.
    ///
    /// # Errors
    /// `Taken` or `Quarantined` for the key or a domain, `NoCapacity`, or what failed: then nothing is left of it.
    pub(crate) async fn tenant_create(&self, new: NewTenant) -> Result<Tenant> {
        let me = self.clone();
        to_the_end(async move { me.create(new).await }).await
    }

    async fn create(&self, new: NewTenant) -> Result<Tenant> {
        let started = Instant::now();
        loop {
            let wanted = self.placed(&new).await?;
            match self.catalog.tenant_reserve(wanted).await? {
                Reserved::New(operation) => {
                    self.failpoints.hit("provision.reserved").await?;
                    return self.finish(operation).await;
                }
                Reserved::Unfinished(tenant) => {
                    if let Some(operation) = self.catalog.operation_take_over(tenant.id).await? {
                        tracing::info!(tenant.key = %tenant.key, "finishing a tenant that another process began");
                        if let Some(tenant) = self.finish_or_undo(operation).await? {
                            return Ok(tenant);
                        }
                        continue;
                    }
                    self.wait_for(&tenant, started).await?;
                }
            }
        }
    }

    async fn wait_for(&self, tenant: &Tenant, started: Instant) -> Result<()> {
        if started.elapsed() < PATIENCE {
            tokio::time::sleep(LOOK_AGAIN).await;
            return Ok(());
        }
        Err(Error::new(ErrorKind::OperationRunning, format!("another process is creating tenant `{}`", tenant.key))
            .help("tenantry tenant list"))
    }

    pub(super) async fn placed(&self, new: &NewTenant) -> Result<catalog::NewTenant> {
        let server = match &new.server {
            Some(name) => self.servers.get(name).await?,
            None => self.server_with_room().await?,
        };
        let capabilities = server.engine.capabilities();
        let isolation = new.isolation.unwrap_or(capabilities.default_isolation);
        capabilities.require(isolation)?;
        let id = TenantId::new();
        Ok(catalog::NewTenant {
            id,
            key: new.key.clone(),
            isolation,
            server: server.name.clone(),
            physical: Ident::of_tenant(id).to_string(),
            tenants_per_login: (isolation == Isolation::Schema).then_some(capabilities.tenants_per_login),
            password: server.engine.kind().tenant_password_new(isolation, self.catalog.key())?,
            domains: new.domains.clone(),
        })
    }

    async fn server_with_room(&self) -> Result<Arc<ServerHandle>> {
        // Most installations have one server, without a capacity: nothing needs to be asked.
        let home = self.servers.home().await?;
        if home.capacity.is_none() {
            return Ok(home);
        }
        for server in self.catalog.server_list().await? {
            let held = self.catalog.tenant_count(&server.name).await?;
            if server.capacity.is_none_or(|most| i64::try_from(held).unwrap_or(i64::MAX) < most) {
                return self.servers.get(&server.name).await;
            }
        }
        Err(Error::new(ErrorKind::NoCapacity, "every server is full").help("tenantry server add NAME ADMIN_URL"))
    }

    /// Goes on where somebody else was: forward, or backward if that one had given up. `None`: it is undone.
    pub(super) async fn finish_or_undo(&self, operation: Operation) -> Result<Option<Tenant>> {
        let tenant = self.catalog.tenant_get(&Name::Id(operation.tenant()?)).await?;
        if tenant.is_given_up() {
            let why = Error::new(ErrorKind::Internal, "the process that created it gave up");
            self.undo::<Provision>(&operation, &why).await?;
            return Ok(None);
        }
        self.finish(operation).await.map(Some)
    }

    /// Runs the steps; what fails is undone, so that the key is free again.
    pub(super) async fn finish(&self, operation: Operation) -> Result<Tenant> {
        let id = operation.tenant()?;
        match self.run::<Provision>(operation.clone()).await {
            Ok(tenant) => Ok(tenant),
            Err(error) => {
                let found = self.catalog.tenant_find(&Name::Id(id)).await?;
                match found {
                    // The step that failed came after the one that counts.
                    Some(tenant) if tenant.state != TenantState::Provisioning => Ok(tenant),
                    _ => {
                        // First of all, so that whoever takes over goes backward too.
                        self.catalog.tenant_give_up(&operation).await?;
                        self.failpoints.hit("provision.given_up").await?;
                        self.undo::<Provision>(&operation, &error).await?;
                        Err(of_creation(error))
                    }
                }
            }
        }
    }
}

/// Nothing of the tenant is left that a migration could go on with.
fn of_creation(error: Error) -> Error {
    match error.help_text().filter(|help| help.contains(RETRY)).map(|help| help.replace(RETRY, "create it again")) {
        Some(help) => error.help(help),
        None => error,
    }
}
