//! The only home of dialects: one sealed trait, one module an engine.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use crate::{
    error::{Error, ErrorKind, Result},
    id::TenantId,
    tenant::{Isolation, Tenant},
};

mod script;
mod sql_text;
pub(crate) mod sqlite;

pub(crate) use script::{Applied, Script, ScriptKind};
pub(crate) use sql_text::SqlText;

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

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

/// Where on its server a tenant's data is, under its physical name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Placement {
    pub(crate) id: TenantId,
    pub(crate) isolation: Isolation,
    pub(crate) physical: Arc<str>,
}

// Here and not beside `Tenant`, whose floor knows no places.
impl Tenant {
    pub(crate) fn placement(&self) -> Placement {
        Placement { id: self.id, isolation: self.isolation, physical: Arc::clone(&self.physical) }
    }
}

/// What a physical connection is bound to for its whole life.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// One tenant's own database.
    Tenant(Placement),
    /// The shared tables of the installation.
    Shared,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(placement) => write!(f, "tenant {}", placement.id),
            Self::Shared => f.write_str("the shared tables"),
        }
    }
}

/// What a file of migrations is applied to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Shared,
    Tenant(Placement),
}

/// A physical connection of one of the engines.
pub(crate) enum Connection {
    Sqlite(Box<sqlite::SqliteLink>),
}

/// Stops what a connection is doing, from outside of it.
#[derive(Clone, Debug)]
pub(crate) enum Stopper {
    Sqlite(sqlite::Stop),
}

impl Stopper {
    pub(crate) fn stop(&self) {
        match self {
            Self::Sqlite(stop) => stop.stop(),
        }
    }
}

impl Connection {
    pub(crate) fn stopper(&self) -> Stopper {
        match self {
            Self::Sqlite(link) => Stopper::Sqlite(link.stopper()),
        }
    }
}

mod sealed {
    pub(crate) trait Sealed {}
}

/// One database server. Sealed: an engine lives in this folder and passes the conformance suite.
pub(crate) trait Engine: sealed::Sealed + Send + Sync + 'static {
    fn capabilities(&self) -> &'static Capabilities;

    /// Makes what a server needs before the first tenant; may be run again.
    fn prepare(&self) -> BoxFuture<'_, Result<()>>;

    /// The place whose connections reach a tenant's data.
    fn place(&self, placement: &Placement) -> Place;

    /// Opens a connection to a place and proves that it is that place.
    fn connect<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<Connection>>;

    /// A check at each checkout that costs no round trip: is the connection still what it was bound to?
    fn still_bound(&self, connection: &Connection) -> bool;

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

    /// The names of all tenant places that are there, to find orphans.
    fn tenant_places(&self) -> BoxFuture<'_, Result<Vec<String>>>;

    /// What was applied to a target, oldest first.
    fn ledger<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<Vec<Applied>>>;

    /// Applies one file and writes its ledger row, in one transaction where the engine can. Applied already: nothing.
    fn apply<'a>(&'a self, target: &'a Target, script: &'a Script) -> BoxFuture<'a, Result<()>>;

    /// Writes a file's ledger row without running it.
    fn stamp<'a>(&'a self, target: &'a Target, script: &'a Script) -> BoxFuture<'a, Result<()>>;

    /// Looks for what would break the isolation of one place; an empty list means nothing was found.
    fn audit<'a>(&'a self, placement: &'a Placement) -> BoxFuture<'a, Result<Vec<Finding>>>;

    /// What a buggy or hostile statement may try to reach `victim`.
    fn attacks(&self, victim: &Placement) -> Result<Attacks>;
}

/// What one canary tenant tries against another.
pub(crate) struct Attacks {
    /// Texts that must all be refused.
    pub(crate) refused: Vec<String>,
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
