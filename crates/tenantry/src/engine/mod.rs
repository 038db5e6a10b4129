//! The only home of dialects: one sealed trait, one module an engine.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use crate::{
    error::{Error, ErrorKind, Result},
    id::TenantId,
    ident::Ident,
    secret::SecretKey,
    tenant::Isolation,
};

mod attack;
mod connection;
mod driver;
mod extension;
mod place;
pub(crate) mod postgres;
mod script;
mod sql_text;
pub(crate) mod sqlite;

pub(crate) use attack::{Attack, Outcome};
pub(crate) use connection::{Begin, Connection, Level, Scope, Stopper, ends_the_connection, was_stopped};
pub(crate) use driver::{Again, Done, Driver, Item, Leave, On, Row, SqlxResult, Statement};
pub use extension::StatelessExtension;
pub(crate) use place::{Place, Placement, Target};
pub(crate) use script::{Applied, Ledger, Script, ScriptKind};
pub(crate) use sql_text::SqlText;

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How long a migration waits for whoever holds a lock that it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// As long as one may keep a fleet.
    Long,
    /// It is tried once: others have waited for the same in vain.
    None,
}

/// What a database engine can do. What it cannot do is an error that names what to use instead, never silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The engine's name, as in its URLs.
    pub engine: &'static str,
    /// The isolations that it offers.
    pub isolations: &'static [Isolation],
    /// The isolation that a tenant gets when none is named.
    pub default_isolation: Isolation,
    /// Whether a migration file and its ledger row are one transaction.
    pub transactional_ddl: bool,
    /// How many tenants reach their data by one login at most, where several have one in common.
    pub tenants_per_login: u32,
    /// Whether apps sign in, with a login that is not the administrator's.
    pub signs_in: bool,
    /// Whether a statement takes its scope along in one round trip: on PostgreSQL by the wire.
    pub one_round_trip: bool,
    /// Whether the server itself keeps a tenant's SQL in its scope, in every isolation. On PostgreSQL that is for its administrator
    /// to allow, and asked of the server: [`Tenantry::server_wall`](crate::Tenantry::server_wall) tells what is missing.
    pub closed_wall: bool,
    /// Why an isolation is missing, and what to use instead.
    pub instead: &'static str,
}

impl Capabilities {
    /// `Ok` if the engine offers the isolation.
    ///
    /// # Errors
    /// If it does not; the help names what to use instead.
    pub fn require(&self, isolation: Isolation) -> Result<()> {
        if self.isolations.contains(&isolation) {
            return Ok(());
        }
        let client = format!("{isolation} isolation is not available on {}", self.engine);
        Err(Error::new(ErrorKind::Unsupported, client.clone()).for_client(client).help(self.instead))
    }
}

/// What an engine has to know of its server.
pub(crate) struct EngineSpec<'a> {
    /// Whose server it is: names that several installations have in common carry it.
    pub(crate) installation: TenantId,
    /// The server's name in the catalog.
    pub(crate) server: &'a str,
    pub(crate) admin_url: &'a str,
    /// Where apps sign in, and as whom.
    pub(crate) app_url: Option<&'a str>,
    pub(crate) pooler: bool,
    /// Whether statements may go through the wire, where the engine has one.
    pub(crate) wire: bool,
    /// The server of the shared tables, which may be this one.
    pub(crate) home: Option<HomeSpec<'a>>,
    /// Opens the passwords that the catalog stores.
    pub(crate) key: &'a Arc<SecretKey>,
    pub(crate) statement_timeout: Duration,
    /// How long a transaction may wait for its next statement.
    pub(crate) idle_in_transaction: Duration,
    /// Whether a server is refused that cannot keep an attacker's SQL within its tenant.
    pub(crate) require_closed_wall: bool,
    /// Extensions of which the settings say that they keep nothing in a session.
    pub(crate) stateless_extensions: &'a Arc<[StatelessExtension]>,
}

/// The server of the shared tables.
pub(crate) struct HomeSpec<'a> {
    pub(crate) server: &'a str,
    pub(crate) admin_url: &'a str,
    pub(crate) app_url: Option<&'a str>,
}

mod sealed {
    pub(crate) trait Sealed {}
}

/// One database server. Sealed: an engine lives in this folder and passes the conformance suite.
pub(crate) trait Engine: sealed::Sealed + Send + Sync + 'static {
    fn capabilities(&self) -> &'static Capabilities;

    /// Makes what a server needs before the first tenant; may be run again. Tells how many connections one process
    /// should open at most, where the server itself has a limit.
    fn prepare(&self) -> BoxFuture<'_, Result<Option<u32>>>;

    /// The place whose connections reach a tenant's data.
    fn place(&self, placement: &Placement) -> Place;

    /// What is put on a connection for each transaction of a tenant; of the shared tables: `None`.
    fn scope(&self, placement: Option<&Placement>) -> Result<Scope>;

    /// Opens a connection to a place and proves that it is that place.
    fn connect<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<Connection>>;

    /// A check at each checkout that costs no round trip: is the connection still what it was bound to?
    fn still_bound(&self, connection: &mut Connection) -> bool;

    /// Ends the transaction of a statement that only read and was answered already. `false`: it has to be settled.
    fn finish<'a>(&'a self, connection: &'a mut Connection) -> BoxFuture<'a, bool>;

    /// Whether a clean connection is worth keeping: one that has seen too many tenants is not.
    fn is_worn(&self, connection: &Connection) -> bool;

    /// Brings a connection back to where nothing of its last user is left. `false`: it cannot be proven, close it.
    fn settle<'a>(&'a self, connection: &'a mut Connection) -> BoxFuture<'a, bool>;

    /// Ends the connection and waits for it.
    fn close(&self, connection: Connection) -> BoxFuture<'_, ()>;

    /// Makes the tenant's place at the newest version of `scripts`; may be run again after a crash at any point.
    fn tenant_place_create<'a>(
        &'a self,
        placement: &'a Placement,
        scripts: &'a [Arc<Script>],
    ) -> BoxFuture<'a, Result<()>>;

    /// Destroys the tenant's place once nobody has it open; may be run again.
    fn tenant_place_drop<'a>(&'a self, placement: &'a Placement) -> BoxFuture<'a, Result<()>>;

    /// The form of the shared tables as other databases show them now; `None` where nothing else shows them.
    fn shared_form(&self) -> BoxFuture<'_, Result<Option<String>>>;

    /// Brings what a tenant's own place, or without one the server's common database, shows of the shared tables to
    /// their newest form.
    fn shared_refresh<'a>(&'a self, placement: Option<&'a Placement>) -> BoxFuture<'a, Result<()>>;

    /// The names of all tenant places that are there, to find orphans.
    fn tenant_places(&self) -> BoxFuture<'_, Result<Vec<String>>>;

    /// What was applied to a target.
    fn ledger<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<Ledger>>;

    /// Applies one file and writes its ledger row, in one transaction where the engine can. Applied already: nothing.
    fn apply<'a>(&'a self, target: &'a Target, script: &'a Script, patience: Patience) -> BoxFuture<'a, Result<()>>;

    /// Brings what a program of an older version has made to the form of this one; nothing where it has that already. May be
    /// run again.
    fn renew<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<()>>;

    /// Writes a file's ledger row without running it.
    fn stamp<'a>(&'a self, target: &'a Target, script: &'a Script) -> BoxFuture<'a, Result<()>>;

    /// Looks for what would break the isolation on this server as a whole.
    fn audit_server(&self) -> BoxFuture<'_, Result<Vec<Finding>>>;

    /// Whether the server itself keeps a tenant's SQL in its scope.
    fn wall(&self) -> BoxFuture<'_, Result<Wall>>;

    /// Looks for what would break the isolation of one place; an empty list means nothing was found.
    fn audit<'a>(&'a self, placement: &'a Placement) -> BoxFuture<'a, Result<Vec<Finding>>>;

    /// Repairs what an audit has found, if that only puts back what tenantry had made or takes away a right that nobody should have.
    /// `placement`: of the audited place, none of the server. `false`: it is for the operator to decide.
    fn mend<'a>(&'a self, placement: Option<&'a Placement>, finding: &'a Finding) -> BoxFuture<'a, Result<bool>>;

    /// Makes tables that two canaries can try each other's rows on, where the engine needs any; the app's own are never
    /// touched. They go with [`Engine::canary_clean`] or with the canaries.
    fn canary_prepare<'a>(&'a self, canaries: [&'a Placement; 2]) -> BoxFuture<'a, Result<Option<CanaryTables>>>;

    /// Removes these tables where they do not go with the canaries.
    fn canary_clean<'a>(&'a self, tables: &'a CanaryTables) -> BoxFuture<'a, Result<()>>;

    /// Tries, on a connection of its own, what the server itself must refuse to one canary's SQL before another's data, whatever our
    /// own checks let through. Nothing where the place is the wall, or the wall is open.
    fn canary_escapes<'a>(
        &'a self,
        attacker: &'a Placement,
        victim: &'a Placement,
    ) -> BoxFuture<'a, Result<Vec<(String, Outcome)>>>;

    /// What a buggy or hostile statement may try to reach `victim`.
    fn attacks(&self, victim: &Placement, tables: Option<&CanaryTables>) -> Result<Attacks>;
}

/// What of a server's wall is open: where tenants share a database, their SQL could leave its scope by these ways. Without any
/// the wall is closed.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Wall {
    /// What everybody may do there that only the engine should.
    pub missing: Vec<String>,
    /// What a superuser of the server types to close it; empty where it is closed.
    pub close: String,
}

impl Wall {
    /// Whether nothing is missing.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        self.missing.is_empty()
    }
}

/// Tables of the canaries: `parent (id, secret)` and `child (id, parent_id)`, whose rows go with their parent.
#[derive(Clone, Debug)]
pub(crate) struct CanaryTables {
    pub(crate) parent: Ident,
    pub(crate) child: Ident,
}

/// What one canary tenant tries against another.
pub(crate) struct Attacks {
    /// Texts that must all be refused.
    pub(crate) refused: Vec<Attack>,
    /// Texts that may be refused or not; the victim's rows must neither show nor change.
    pub(crate) tried: Vec<Attack>,
    /// A query that tells whose connection it runs on: the tenant's id.
    pub(crate) whose: &'static str,
}

/// Something that an audit found, with the repair.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// A stable word for programs, such as `orphan_file`.
    pub code: &'static str,
    /// What was found.
    pub what: String,
    /// What to type or change.
    pub repair: String,
}

impl Finding {
    /// What could not be done, and what the error says against it.
    pub(crate) fn of_error(code: &'static str, what: &str, error: &Error) -> Self {
        let repair = error.help_text().unwrap_or("look at the server's log").to_owned();
        Self { code, what: format!("{what}: {error}"), repair }
    }
}
