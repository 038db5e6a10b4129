//! PostgreSQL: rows in common tables, a schema, or a database per tenant.

use std::sync::Arc;

use super::{
    Attacks, BoxFuture, CanaryTables, Capabilities, Connection, Engine, EngineSpec, Finding, Ledger, Outcome, Patience,
    Place, Placement, Scope, Script, Target, Wall, sealed,
};
use crate::{
    error::{Error, ErrorKind, Result},
    id::TenantId,
    secret::Secret,
    tenant::Isolation,
};

mod audit;
mod canary;
mod connect;
mod control;
mod databases;
mod driver;
mod escapes;
mod extend;
mod extensions;
mod layout;
mod ledger;
pub(crate) mod lex;
mod link;
mod mend;
mod names;
mod outcome;
mod prelude;
mod process;
mod rights;
mod rows;
mod rows_role;
mod rules;
mod schemas;
mod scope;
mod scram;
mod scripts;
mod server;
mod shared;
mod site;
mod slots;
pub(crate) mod statements;
mod text;
mod tries;
mod types;
mod url;
mod wall;
mod wire;
mod writers;

pub(crate) use connect::{PASSWORD_PURPOSE, in_time};
pub(crate) use driver::PgDriver;
pub(crate) use extensions::known_to_keep;
pub(crate) use link::PgLink;
pub(crate) use outcome::not_entered;
pub(crate) use process::Process;
pub(crate) use scope::PgScope;
pub(crate) use scram::new_password;
pub(crate) use text::{CopyDirection, copy_direction, copy_is_plain};
pub(crate) use url::{app_url_new, is_same_database};

/// Refuses all but one plain statement: nothing else may run by hand where the scope is a mere setting of the session.
pub(crate) fn require_plain(sql: &str) -> Result<()> {
    if text::cached(sql)?.plain {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Refused, "in row isolation only one plain statement at a time runs here")
        .help("send one SELECT, INSERT, UPDATE, DELETE or MERGE at a time"))
}

use connect::Door;
use control::Control;
use names::Names;
use scope::Limits;
use shared::Home;
use site::Site;
use tries::{Tries, waits_for_lock};

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

    /// The database that a target is in, if it is not the server's main one.
    fn database_of(&self, target: &Target) -> Option<String> {
        match target {
            Target::Tenant(at) if at.isolation == Isolation::Database => Some(self.door.names.of_tenant(&at.physical)),
            _ => None,
        }
    }

    fn password_of(&self, placement: &Placement) -> Result<Option<String>> {
        let open = |sealed: &Arc<str>| self.door.key.open(PASSWORD_PURPOSE, sealed);
        placement.password.as_ref().map(open).transpose()
    }

    /// The shared tables as they are now, to be shown elsewhere.
    async fn home(&self) -> Result<Home> {
        let (control, names, password) = match &self.home {
            Some(home) => (&home.control, &home.names, &home.password),
            None => (&*self.control, &self.door.names, &self.password),
        };
        let mut admin = control.admin().await?;
        let reader = names.reader();
        let password = password.as_ref().map(|p| Secret::new(scram::password_of(p.expose(), &reader)));
        let home = Home::read(&mut admin, control.options().clone(), reader, password).await?;
        admin.done();
        Ok(home)
    }

    async fn create(&self, placement: &Placement, scripts: &[Arc<Script>]) -> Result<()> {
        self.require_renewed().await?;
        let names = &self.door.names;
        if placement.isolation == Isolation::Database {
            let password = self.password_of(placement)?;
            let home = self.home().await?;
            return databases::create(&self.door, &home, placement, scripts, password.as_deref()).await;
        }
        if placement.isolation == Isolation::Row {
            return rows::create(&self.door, placement, scripts).await;
        }
        let login = names.schemas_login(placement.login.unwrap_or(0));
        let secret = self.password.as_ref().map(|p| scram::secret(&scram::password_of(p.expose(), &login)));
        schemas::create(&self.door, placement, scripts, secret.transpose()?.as_deref()).await
    }

    async fn remove(&self, placement: &Placement) -> Result<()> {
        let tries = Tries::begin();
        while let Err(error) = self.try_remove(placement).await {
            // No connection is held meanwhile: who is waited for may need one.
            if !tries.again(&error).await {
                return Err(if waits_for_lock(&error) { in_use(placement, error) } else { error });
            }
        }
        Ok(())
    }

    async fn try_remove(&self, placement: &Placement) -> Result<()> {
        let names = &self.door.names;
        if placement.isolation == Isolation::Row {
            self.require_renewed().await?;
            return rows::remove(&self.door, placement).await;
        }
        let mut admin = self.control.admin().await?;
        match placement.isolation {
            Isolation::Row => {}
            Isolation::Schema => schemas::remove(&mut admin, names, &placement.physical).await?,
            Isolation::Database => databases::remove(&mut admin, names, &placement.physical).await?,
        }
        admin.done();
        Ok(())
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

    /// On a server that is not their home, its own tenants read the shared tables there.
    async fn refresh_main(&self) -> Result<()> {
        if self.home.is_none() {
            return Ok(());
        }
        let home = self.home().await?;
        let mut admin = self.control.admin().await?;
        shared::import(&mut admin, &home, None).await?;
        sqlx::Executor::execute(&mut *admin, sqlx::AssertSqlSafe(server::shared_grants(&self.door.names))).await?;
        admin.done();
        Ok(())
    }

    async fn ledger_of(&self, target: &Target) -> Result<Ledger> {
        let site = self.site(target);
        if let Some(database) = self.database_of(target) {
            let mut own = self.control.admin_of(Some(&database)).await?;
            let applied = ledger::read(&mut own.connection, &site.target).await?;
            let shared_form = shared::form(&mut own.connection).await?;
            own.close().await;
            return Ok(Ledger { applied, shared_form, is_old: false });
        }
        let mut admin = self.control.admin().await?;
        let in_rows = matches!(target, Target::Tenant(at) if at.isolation == Isolation::Row);
        let applied = if in_rows {
            ledger::read_in_rows(&mut admin, &site.target).await?
        } else {
            ledger::read(&mut admin, &site.target).await?
        };
        let is_old = layout::is_old(&mut admin, &self.door.names, &site).await?;
        admin.done();
        Ok(Ledger { applied, shared_form: None, is_old })
    }

    async fn apply_to(&self, target: &Target, script: &Script, patience: Patience) -> Result<()> {
        self.require_renewed().await?;
        scripts::apply_with(&self.door, &self.site(target), script, patience).await
    }

    async fn renew_target(&self, target: &Target) -> Result<()> {
        self.require_renewed().await?;
        let (site, tries) = (self.site(target), Tries::begin());
        loop {
            let mut admin = self.control.admin().await?;
            match layout::renew(&mut admin, &self.door.names, &site).await {
                Ok(()) => {
                    admin.done();
                    return Ok(());
                }
                Err(error) if tries.again(&error).await => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn stamp_on(&self, target: &Target, script: &Script) -> Result<()> {
        let mut own = self.control.admin_of(self.database_of(target).as_deref()).await?;
        let stamped = ledger::write(&mut own.connection, &self.site(target).target, &[script]).await;
        own.close().await;
        stamped
    }

    async fn refresh(&self, placement: Option<&Placement>) -> Result<()> {
        let placement = match placement {
            None => return self.refresh_main().await,
            Some(placement) if placement.isolation == Isolation::Database => placement,
            Some(_) => return Ok(()),
        };
        let home = self.home().await?;
        let mut own = self.control.admin_of(Some(&self.door.names.of_tenant(&placement.physical))).await?;
        let refreshed = shared::import(&mut own.connection, &home, None).await;
        own.close().await;
        refreshed
    }
}

/// A purge that has waited for long enough.
fn in_use(placement: &Placement, cause: Error) -> Error {
    Error::new(ErrorKind::OperationRunning, format!("somebody has the data of tenant {} locked", placement.id))
        .caused_by(cause)
        .help("end the migration, or the oldest transaction in pg_stat_activity, and run the command again")
}

impl sealed::Sealed for PostgresEngine {}

impl Engine for PostgresEngine {
    fn capabilities(&self) -> &'static Capabilities {
        &CAPABILITIES
    }

    fn prepare(&self) -> BoxFuture<'_, Result<Option<u32>>> {
        Box::pin(self.prepare_server())
    }

    fn place(&self, placement: &Placement) -> Place {
        match placement.isolation {
            Isolation::Row => Place::Rows,
            Isolation::Schema => Place::Schemas(placement.login.unwrap_or(0)),
            Isolation::Database => Place::Tenant(placement.clone()),
        }
    }

    fn scope(&self, placement: Option<&Placement>) -> Result<Scope> {
        let pooled = self.door.pooler.then_some(self.door.limits);
        let scope = match placement {
            None => PgScope::of_shared(pooled),
            Some(at) => {
                let pooled = pooled.filter(|_| at.isolation != Isolation::Database);
                let names = &self.door.names;
                let is_row = at.isolation == Isolation::Row;
                let role = if is_row { names.rows_role() } else { names.of_tenant(&at.physical) };
                PgScope::of_tenant(at, &role, pooled)
            }
        };
        Ok(Scope::Postgres(Arc::new(scope)))
    }

    fn connect<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<Connection>> {
        Box::pin(async move {
            if !matches!(place, Place::Tenant(_)) {
                self.require_closed().await?;
            }
            Ok(Connection::Postgres(Box::new(self.door.connect(place).await?)))
        })
    }

    fn still_bound(&self, connection: &mut Connection) -> bool {
        match connection {
            // The server itself ends a connection whose database is dropped; a wire can look.
            Connection::Postgres(link) => !link.is_lost(),
            Connection::Sqlite(_) => false,
        }
    }

    fn finish<'a>(&'a self, connection: &'a mut Connection) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            match connection {
                Connection::Postgres(link) => link.commit().await.is_ok(),
                Connection::Sqlite(_) => false,
            }
        })
    }

    fn is_worn(&self, connection: &Connection) -> bool {
        matches!(connection, Connection::Postgres(link) if link.is_worn())
    }

    fn settle<'a>(&'a self, connection: &'a mut Connection) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            match connection {
                Connection::Postgres(link) => link.settle().await,
                Connection::Sqlite(_) => false,
            }
        })
    }

    fn close(&self, connection: Connection) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Connection::Postgres(link) = connection {
                link.close().await;
            }
        })
    }

    fn tenant_place_create<'a>(
        &'a self,
        placement: &'a Placement,
        scripts: &'a [Arc<Script>],
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.create(placement, scripts))
    }

    fn tenant_place_drop<'a>(&'a self, placement: &'a Placement) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.remove(placement))
    }

    fn shared_form(&self) -> BoxFuture<'_, Result<Option<String>>> {
        Box::pin(async { Ok(Some(self.home().await?.fingerprint().to_owned())) })
    }

    fn shared_refresh<'a>(&'a self, placement: Option<&'a Placement>) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.refresh(placement))
    }

    fn tenant_places(&self) -> BoxFuture<'_, Result<Vec<String>>> {
        Box::pin(async {
            let mut admin = self.control.admin().await?;
            let places = audit::tenant_places(&mut admin, &self.door.names).await?;
            admin.done();
            Ok(places)
        })
    }

    fn ledger<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<Ledger>> {
        Box::pin(self.ledger_of(target))
    }

    fn apply<'a>(&'a self, target: &'a Target, script: &'a Script, patience: Patience) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.apply_to(target, script, patience))
    }

    fn renew<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.renew_target(target))
    }

    fn stamp<'a>(&'a self, target: &'a Target, script: &'a Script) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.stamp_on(target, script))
    }

    fn audit_server(&self) -> BoxFuture<'_, Result<Vec<Finding>>> {
        Box::pin(async {
            let mut admin = self.control.admin().await?;
            let found = audit::server(&mut admin, &self.door.names, self.home.is_none()).await?;
            admin.done();
            Ok(found)
        })
    }

    fn wall(&self) -> BoxFuture<'_, Result<Wall>> {
        Box::pin(async {
            let mut admin = self.control.admin().await?;
            let wall = wall::read(&mut admin, &self.door.names).await?;
            admin.done();
            Ok(wall)
        })
    }

    fn audit<'a>(&'a self, placement: &'a Placement) -> BoxFuture<'a, Result<Vec<Finding>>> {
        Box::pin(audit::place(&self.control, &self.door.names, placement))
    }

    fn mend<'a>(&'a self, placement: Option<&'a Placement>, finding: &'a Finding) -> BoxFuture<'a, Result<bool>> {
        Box::pin(mend::mend(&self.control, &self.door.names, placement, finding))
    }

    fn canary_prepare<'a>(&'a self, canaries: [&'a Placement; 2]) -> BoxFuture<'a, Result<Option<CanaryTables>>> {
        Box::pin(canary::prepare(&self.control, &self.door.names, canaries))
    }

    fn canary_clean<'a>(&'a self, tables: &'a CanaryTables) -> BoxFuture<'a, Result<()>> {
        Box::pin(canary::clean(&self.control, tables))
    }

    fn canary_escapes<'a>(
        &'a self,
        attacker: &'a Placement,
        victim: &'a Placement,
    ) -> BoxFuture<'a, Result<Vec<(String, Outcome)>>> {
        Box::pin(async move {
            let (place, scope) = (self.place(attacker), self.scope(Some(attacker))?);
            escapes::try_all(&self.door, &place, &scope, victim).await
        })
    }

    fn attacks(&self, victim: &Placement, tables: Option<&CanaryTables>) -> Result<Attacks> {
        Ok(canary::attacks(&self.door.names, victim, tables))
    }
}
