//! PostgreSQL: rows in common tables, a schema, or a database per tenant.

use std::sync::Arc;

use super::{Capabilities, EngineSpec, Link, Place, Target};
use crate::{
    error::{Error, ErrorKind, Result},
    id::TenantId,
    secret::Secret,
    tenant::Isolation,
};

mod administration;
mod dialect;
mod engine;
mod examination;
mod migration;
mod names;
mod rules;
#[cfg(feature = "testing")]
mod scratch;
mod session;
mod tenants;

pub(crate) use session::{dial::in_time, driver::PgDriver, link::PgLink, process::Process, scope::PgScope};
pub(crate) use tenantry_sql::postgres::text::{CopyDirection, copy_direction, copy_is_plain};

use administration::{server, site::Site, wall};
use names::Names;
use session::{
    connect::{self, Door},
    control::Control,
    scope::Limits,
    scram, url,
};
use tenants::{schemas, shared::Home};

static CAPABILITIES: Capabilities = Capabilities {
    engine: "postgres",
    isolations: &[Isolation::Row, Isolation::Schema, Isolation::Database],
    default_isolation: Isolation::Schema,
    transactional_ddl: true,
    tenants_per_login: schemas::TENANTS_PER_LOGIN,
    signs_in: true,
    one_round_trip: true,
    closed_wall: false,
    instead: "",
};

/// A database server; tenants of row and schema isolation live in the database that its URL names.
pub(crate) struct PostgresEngine {
    door: Door,
    control: Arc<Control>,
    installation: TenantId,
    /// The password of the logins that the engine has made on this server.
    password: Option<Secret>,
    /// Where the shared tables are at home, if that is another server.
    home: Option<HomeServer>,
    require_closed_wall: bool,
    /// Set once the wall is known to be closed.
    closed: tokio::sync::OnceCell<()>,
    /// Set once the server is known to have all that this version needs.
    renewed: tokio::sync::OnceCell<()>,
}

/// Another server of the installation, where the shared tables are at home.
struct HomeServer {
    control: Control,
    names: Names,
    password: Option<Secret>,
}

impl PostgresEngine {
    pub(crate) fn new(spec: &EngineSpec<'_>) -> Result<Self> {
        let direct = connect::parse(spec.admin_url, "admin URL")?;
        let (names, app, password) = url::door_of(spec.installation, spec.server, spec.admin_url, spec.app_url)?;
        let control = Arc::new(Control::new(direct.clone(), Arc::clone(spec.stateless_extensions)));
        let door = Door {
            app,
            direct,
            names,
            key: Arc::clone(spec.key),
            secret: password.clone(),
            control: Arc::clone(&control),
            pooler: spec.pooler,
            wire: spec.wire,
            certificates: [spec.app_url.unwrap_or(spec.admin_url), spec.admin_url].map(url::certificates_of),
            limits: Limits { statement: spec.statement_timeout, idle_in_transaction: spec.idle_in_transaction },
            template: tokio::sync::Mutex::default(),
        };
        let home = match &spec.home {
            Some(home) if home.server != spec.server => {
                let (names, _, password) = url::door_of(spec.installation, home.server, home.admin_url, home.app_url)?;
                let control =
                    Control::new(connect::parse(home.admin_url, "admin URL")?, Arc::clone(spec.stateless_extensions));
                Some(HomeServer { control, names, password })
            }
            _ => None,
        };
        Ok(Self {
            door,
            control,
            installation: spec.installation,
            password,
            home,
            require_closed_wall: spec.require_closed_wall,
            closed: tokio::sync::OnceCell::new(),
            renewed: tokio::sync::OnceCell::new(),
        })
    }

    fn site(&self, target: &Target) -> Site {
        match target {
            Target::Shared => Site::shared(&self.door.names),
            Target::Rows => Site::rows(&self.door.names),
            Target::Tenant(placement) => Site::tenant(&self.door.names, placement),
        }
    }

    /// The shared tables as they are now, to be shown elsewhere.
    async fn home(&self) -> Result<Home> {
        let (control, names, password) = match &self.home {
            Some(home) => (&home.control, &home.names, &home.password),
            None => (&*self.control, &self.door.names, &self.password),
        };
        let mut admin = control.admin().await?;
        let reader = names.remote();
        let password = password.as_ref().map(|p| Secret::new(scram::password_of(p.expose(), &reader)));
        let home = Home::read(&mut admin, control.options().clone(), reader, password).await?;
        admin.done();
        Ok(home)
    }

    /// An older version may have prepared the server. Asked once, before anything is made or migrated.
    async fn require_renewed(&self) -> Result<()> {
        let renew = || async {
            let mut admin = self.control.admin().await?;
            let password = self.password.as_ref().map(Secret::expose);
            server::renew(&mut admin, &self.door.names, self.installation, password).await?;
            admin.done();
            Ok(())
        };
        self.renewed.get_or_try_init(renew).await.map(|&()| ())
    }

    /// Where the settings ask for a closed wall, nobody is served behind an open one.
    async fn require_closed(&self) -> Result<()> {
        if !self.require_closed_wall {
            return Ok(());
        }
        let look = || async {
            let mut admin = self.control.admin().await?;
            let wall = wall::read(&mut admin, &self.door.names).await?;
            admin.done();
            if wall.missing.is_empty() {
                return Ok(());
            }
            let missing = wall.missing.join(", ");
            Err(Error::new(
                ErrorKind::Unsupported,
                format!("`require_closed_wall` is set, and the wall is open: {missing}"),
            )
            .help(format!("as a superuser of that server: {}", wall.close)))
        };
        self.closed.get_or_try_init(look).await.map(|&()| ())
    }

    async fn prepare_server(&self) -> Result<Option<u32>> {
        let mut admin = self.control.admin().await?;
        let password = self.password.as_ref().map(Secret::expose);
        server::prepare(&mut admin, &self.door.names, self.installation, password).await?;
        let most: String = sqlx::query_scalar("SHOW max_connections").fetch_one(&mut *admin).await?;
        admin.done();
        self.require_closed().await?;
        self.refresh_main().await?;
        if self.door.names.has_own_login() {
            // Now, and not with the first request: one that may do more than it should is refused.
            self.door.connect(&Place::Rows).await?.close().await;
        }
        Ok(most.parse::<u32>().ok().map(|most| (most / 4).max(1)))
    }
}
