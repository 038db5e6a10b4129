//! [`Engine`]: one database server, as the floors above know it.

use std::sync::Arc;

use super::{
    Attacks, BoxFuture, CanaryTables, Capabilities, Connection, EngineKind, Finding, Ledger, Outcome, Patience, Place,
    Placement, Scope, Script, Target, Wall,
};
use crate::error::Result;

pub(super) mod sealed {
    pub(crate) trait Sealed {}
}

/// One database server. Sealed: an engine lives in this folder and passes the conformance suite.
pub(crate) trait Engine: Connections + Places + Migration + Examination {
    /// Its line in the list of engines.
    fn kind(&self) -> EngineKind;

    fn capabilities(&self) -> &'static Capabilities {
        self.kind().capabilities()
    }

    /// Makes what a server needs before the first tenant; may be run again. Tells how many connections one process
    /// should open at most, where the server itself has a limit.
    fn prepare(&self) -> BoxFuture<'_, Result<Option<u32>>>;
}

/// The way to its connections.
pub(crate) trait Connections: sealed::Sealed + Send + Sync + 'static {
    /// The place whose connections reach a tenant's data.
    fn place(&self, placement: &Placement) -> Place;

    /// What is put on a connection for each transaction of a tenant; of the shared tables: `None`.
    fn scope(&self, placement: Option<&Placement>) -> Result<Scope>;

    /// Opens a connection to a place and proves that it is that place.
    fn connect<'a>(&'a self, place: &'a Place) -> BoxFuture<'a, Result<Connection>>;
}

/// The places of its tenants, and of the shared tables that they see.
pub(crate) trait Places: sealed::Sealed + Send + Sync + 'static {
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

    /// The form of the shared tables as other databases show them now; `None` where nothing else shows them.
    fn shared_form(&self) -> BoxFuture<'_, Result<Option<String>>>;

    /// Brings what a tenant's own place, or without one the server's common database, shows of the shared tables to
    /// their newest form.
    fn shared_refresh<'a>(&'a self, placement: Option<&'a Placement>) -> BoxFuture<'a, Result<()>>;
}

/// Files of migrations, and what is written down of them.
pub(crate) trait Migration: sealed::Sealed + Send + Sync + 'static {
    /// What was applied to a target.
    fn ledger<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<Ledger>>;

    /// Applies one file and writes its ledger row, in one transaction where the engine can. Applied already: nothing.
    fn apply<'a>(&'a self, target: &'a Target, script: &'a Script, patience: Patience) -> BoxFuture<'a, Result<()>>;

    /// Brings what a program of an older version has made to the form of this one; nothing where it has that already. May be
    /// run again.
    fn renew<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<()>>;

    /// Writes a file's ledger row without running it.
    fn stamp<'a>(&'a self, target: &'a Target, script: &'a Script) -> BoxFuture<'a, Result<()>>;
}

/// What an operator is told of its walls.
pub(crate) trait Examination: sealed::Sealed + Send + Sync + 'static {
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
