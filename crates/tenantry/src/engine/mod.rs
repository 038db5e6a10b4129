//! The only home of dialects: one list of engines, a folder for each.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use crate::{
    error::{Error, ErrorKind, Result},
    id::TenantId,
    secret::SecretKey,
    tenant::Isolation,
};

mod attack;
mod connection;
mod dialect;
mod driver;
mod extension;
mod failure;
mod place;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
mod registry;
#[cfg(feature = "testing")]
mod scratch;
mod script;
mod sql_text;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
mod traits;

pub(crate) use attack::{Attack, Attacks, CanaryTables, Outcome, Trials};
pub(crate) use connection::{Begin, Interrupt, Level, Link, Scope};
pub(crate) use dialect::Dialect;
pub(crate) use driver::{Again, Done, Driver, Item, Leave, On, Row, SqlxResult, Statement};
pub use extension::StatelessExtension;
#[cfg(feature = "postgres")]
pub(crate) use extension::{ExtensionClass, extension_class};
pub use failure::Constraint;
pub(crate) use failure::{Reading, ends_the_connection, is_mistake, is_of_place, was_stopped};
pub(crate) use place::{Place, Placement, Target};
pub(crate) use registry::{Connection, EngineKind, Listed, Stopper, absolute_url, open, url_of_directory, with_engine};
#[cfg(feature = "testing")]
pub(crate) use scratch::Scratch;
pub(crate) use script::{Applied, Ledger, RETRY, Script, ScriptKind};
pub(crate) use sql_text::SqlText;
use traits::sealed;
pub(crate) use traits::{Connections, Engine, Examination, Migration, Places};

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
#[non_exhaustive]
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

/// What of a server's wall is open: where tenants share a database, their SQL could leave its scope by these ways. Without any
/// the wall is closed.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
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

/// Something that an audit found, with the repair.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
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
