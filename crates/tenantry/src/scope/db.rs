//! [`Db`]: what a pool is to a database, to one tenant.

use std::{fmt, sync::Arc};

use super::{
    ServerHandle,
    statements::{ENTRIES, nothing_done},
    subject::{Gate, SharedScope, Subject, TenantScope},
    tx::Tx,
};
use crate::{
    catalog::Catalog,
    engine::{Begin, Connection, Driver, EngineKind, Place, Scope, is_of_place, was_stopped},
    error::{Error, ErrorKind, Result},
    id::TenantId,
    pool::Lease,
    tenant::Tenant,
};

/// One tenant's data: every statement on it reads and writes this tenant only.
pub type TenantDb = Db<TenantScope>;

/// The shared tables, and nothing of any tenant.
pub type SharedDb = Db<SharedScope>;

/// A handle that is bound to one tenant ([`TenantDb`]) or to the shared tables ([`SharedDb`]) for its whole life.
///
/// Cheap to clone, and a value: move it into `tokio::spawn` and the task keeps its tenant. A statement on it is a
/// transaction of its own, committed before the answer is given; a future or stream that is dropped before it has ended
/// rolls back, or its outcome is unknown. For sqlx take the typed view, for SeaORM it is a connection itself:
///
/// ```no_run
/// # async fn example(db: tenantry::TenantDb) -> Result<(), Box<dyn std::error::Error>> {
/// let names: Vec<String> = sqlx::query_scalar("SELECT username FROM users").fetch_all(db.sqlite()?).await?;
/// let mut tx = db.begin().await?;
/// sqlx::query("UPDATE users SET username = ? WHERE id = ?").bind("ann").bind(1).execute(tx.sqlite()?).await?;
/// tx.commit().await?;
/// # Ok(())
/// # }
/// ```
pub struct Db<S: Subject> {
    inner: Arc<Inner<S>>,
}

struct Inner<S> {
    subject: S,
    server: Arc<ServerHandle>,
    place: Place,
    scope: Scope,
    /// For whom a connection is leased: whoever asks for many waits behind himself.
    party: Option<TenantId>,
}

impl<S: Subject> Clone for Db<S> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<S: Subject> fmt::Debug for Db<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Db").field(&self.inner.subject).finish()
    }
}

impl Db<TenantScope> {
    pub(crate) fn new(tenant: Arc<Tenant>, server: Arc<ServerHandle>, catalog: Catalog) -> Result<Self> {
        tenant.check_served()?;
        let placement = tenant.placement();
        let (place, scope) = (server.engine.place(&placement), server.engine.scope(Some(&placement))?);
        let party = Some(tenant.id);
        let subject = TenantScope::new(tenant, catalog);
        Ok(Self { inner: Arc::new(Inner { subject, server, place, scope, party }) })
    }

    /// The tenant, as it was when this handle was made.
    #[must_use]
    pub fn tenant(&self) -> &Tenant {
        self.inner.subject.tenant()
    }

    /// Refuses a text that nobody should type as this tenant. In row isolation only one plain statement is let through:
    /// there the tenant is a setting of the session, which functions and blocks could change. Elsewhere the tenant's own
    /// role, login or file is the wall.
    ///
    /// # Errors
    /// With what to send instead.
    pub fn guard(&self, sql: &str) -> Result<()> {
        self.kind().guard(self.tenant().isolation, sql)
    }
}

impl Db<SharedScope> {
    pub(crate) fn shared(server: Arc<ServerHandle>) -> Result<Self> {
        let scope = server.engine.scope(None)?;
        let inner = Inner { subject: SharedScope, server, place: Place::Shared, scope, party: None };
        Ok(Self { inner: Arc::new(inner) })
    }
}

impl<S: Subject> Db<S> {
    /// Begins a transaction that may write. On SQLite it takes the write lock at once.
    ///
    /// Dropped without [`Tx::commit`] it rolls back.
    ///
    /// # Errors
    /// If the tenant is not served any more, or no connection became free in time.
    pub async fn begin(&self) -> Result<Tx<S>> {
        self.begin_as(Begin::WRITE).await
    }

    /// Begins a transaction that reads one snapshot.
    ///
    /// # Errors
    /// As [`Db::begin`].
    pub async fn begin_read(&self) -> Result<Tx<S>> {
        self.begin_as(Begin::SNAPSHOT).await
    }

    pub(crate) async fn begin_as(&self, begin: Begin) -> Result<Tx<S>> {
        let mut tries = 1..ENTRIES;
        loop {
            let mut lease = self.lease().await?;
            let connection = self.connection(&mut lease)?;
            match connection.begin(self.scope(), begin).await {
                Ok(()) => return Ok(Tx::new(self.clone(), lease)),
                Err(error) if connection.is_out_of_date(&error) && tries.next().is_some() => lease.discard(),
                Err(error) => {
                    let error = connection.not_entered(error);
                    return Err(nothing_done(self.told(&lease, error).await).into());
                }
            }
        }
    }

    /// The engine on which the data lies, as in its URLs: `sqlite` or `postgres`.
    #[must_use]
    pub fn engine(&self) -> &'static str {
        self.kind().name()
    }

    pub(crate) fn kind(&self) -> EngineKind {
        self.inner.server.engine.kind()
    }

    pub(super) fn require<D: Driver>(&self) -> Result<()> {
        if self.kind() == D::KIND {
            return Ok(());
        }
        let engine = self.engine();
        Err(Error::new(ErrorKind::WrongEngine, format!("the data of {} lies on {engine}", self.inner.place))
            .help(format!("call `db.{engine}()`")))
    }

    pub(super) fn subject(&self) -> &S {
        &self.inner.subject
    }

    pub(super) fn scope(&self) -> &Scope {
        &self.inner.scope
    }

    /// A connection at this handle's place. The gate stands before and behind the wait: what was suspended while a
    /// request waited runs no statement.
    pub(crate) async fn lease(&self) -> Result<Lease> {
        self.gate().await?;
        let lease = match self.inner.server.pool.acquire(&self.inner.place, self.inner.party).await {
            Ok(lease) => lease,
            Err(error) => return Err(self.explained(error.into()).await.into()),
        };
        self.gate().await?;
        Ok(lease)
    }

    pub(super) async fn gate(&self) -> Result<()> {
        decided(self.inner.subject.gate()).await
    }

    /// Nothing more is run or committed on a lease whose tenant was not served any more while it was out.
    pub(super) fn require_served(&self, lease: &Lease) -> impl Future<Output = Result<()>> + Send + use<'_, S> {
        let is_halted = lease.is_halted();
        async move { if is_halted { Err(self.halted().await) } else { Ok(()) } }
    }

    /// What an error means on that lease: the tenant's statements are stopped when it is not served any more.
    pub(super) fn told(
        &self,
        lease: &Lease,
        error: sqlx::Error,
    ) -> impl Future<Output = sqlx::Error> + Send + use<'_, S> {
        let is_halted = lease.is_halted();
        async move {
            if is_halted && was_stopped(&error) {
                self.halted().await.caused_by(error).into()
            } else {
                self.explained(error).await
            }
        }
    }

    /// A tenant that was purged by another process has no place any more, and nothing is written for it: until this process hears
    /// of that, the server's refusal is all there is.
    pub(super) async fn explained(&self, error: sqlx::Error) -> sqlx::Error {
        if !is_of_place(&error) {
            return error;
        }
        match decided(self.inner.subject.gate_now()).await {
            Err(why) if !why.is_catalog_unavailable() => why.caused_by(error).into(),
            Ok(()) | Err(_) => error,
        }
    }

    async fn halted(&self) -> Error {
        let again =
            || Error::new(ErrorKind::NotReady, "the tenant was not served for a moment: what it ran was stopped");
        self.gate().await.map_or_else(|why| why, |()| again())
    }

    /// The connection inside of a lease, with the time limit of one statement set.
    pub(crate) fn connection<'l>(&self, lease: &'l mut Lease) -> Result<&'l mut Connection> {
        let limit = self.inner.server.pool.limits().statement_timeout.duration();
        match lease.connection() {
            Some(connection) => {
                connection.limit(limit);
                Ok(connection)
            }
            None => Err(Error::new(ErrorKind::Internal, "a lease without a connection")),
        }
    }
}

async fn decided(gate: Gate<'_>) -> Result<()> {
    match gate {
        Gate::Decided(decision) => decision,
        Gate::Ask(asking) => asking.await,
    }
}
