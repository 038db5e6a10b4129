//! The catalog: tenants, domains, servers, operations, audit, and the epoch that tells other processes of a change.
//!
//! Each change of state, with its audit entry and the new epoch, is one transaction.

use std::{sync::Arc, time::Duration};

use crate::{
    error::{Error, ErrorKind, Result},
    id::TenantId,
    secret::SecretKey,
};

mod audit;
mod clock;
mod domains;
mod entity;
mod freshness;
mod journal;
mod known;
mod lifecycle;
mod migrated;
mod name;
mod quarantine;
mod schema;
mod servers;
mod store;
mod tenants;

pub use audit::AuditEntry;
pub use domains::Domain;
pub(crate) use freshness::Freshness;
pub(crate) use journal::{End, Nothing, Operation, OperationKind, Record, Step, cancelled};
pub use journal::{OperationFilter, OperationStatus};
pub(crate) use lifecycle::Reserved;
pub(crate) use name::Name;
pub(crate) use servers::ServerEntry;
pub use servers::{NewServer, Server};
pub(crate) use tenants::NewTenant;
pub use tenants::TenantFilter;

use store::Store;
pub(crate) use store::{DEFAULT_URL, file_of};

/// Something that changed, as other processes hear of it.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) epoch: u64,
    /// Whose connections from before it are of no use any more.
    pub(crate) outdates: Option<TenantId>,
    pub(crate) names: Vec<Name>,
    /// It may concern every name there is.
    pub(crate) is_of_all: bool,
}

/// The central database. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Catalog(Arc<Inner>);

struct Inner {
    store: Store,
    /// Whose catalog this is: the names of what several installations have in common carry it.
    installation: TenantId,
    key: Arc<SecretKey>,
    freshness: Freshness,
    /// Who acts, as the audit names it.
    actor: String,
}

impl Catalog {
    /// Opens the catalog at `url` and brings its own schema to the newest version.
    pub(crate) async fn open(url: &str, key: SecretKey, actor: String, max_stale: Duration) -> Result<Self> {
        let store = Store::connect(url).await?;
        let (installation, epoch) = schema::migrate(&store, &key).await?;
        let freshness = Freshness::new(epoch, max_stale);
        Ok(Self(Arc::new(Inner { store, installation, key: Arc::new(key), freshness, actor })))
    }

    pub(crate) fn installation(&self) -> TenantId {
        self.0.installation
    }

    /// What seals and opens secrets that the catalog stores.
    pub(crate) fn key(&self) -> &Arc<SecretKey> {
        &self.0.key
    }

    pub(crate) fn freshness(&self) -> &Freshness {
        &self.0.freshness
    }

    /// Reads what was changed since the last call, by this process too.
    pub(crate) async fn changes_read(&self) -> Result<Vec<Change>> {
        self.0.store.check_in_place()?;
        let mut all = Vec::new();
        loop {
            let known = self.0.freshness.heard_to();
            let (changes, is_last) = audit::changes_since(self.0.store.read(), known).await?;
            for change in &changes {
                self.0.freshness.apply(change);
                self.0.freshness.heard(change.epoch);
            }
            all.extend(changes);
            if is_last {
                // Only now: as long as there is more to hear, nothing is up to date.
                self.0.freshness.heard_now();
                return Ok(all);
            }
        }
    }
}

/// A statement that the catalog's database may have refused for a reason of its own, which is no outage: a trigger, a rule.
fn refused(cause: sea_orm::DbErr) -> Error {
    let read = Error::from(cause);
    match read.kind() {
        ErrorKind::Database | ErrorKind::RuleViolated | ErrorKind::MissingReference | ErrorKind::Duplicate => {
            Error::new(ErrorKind::Internal, "the catalog's database refused a statement").caused_by(read)
        }
        _ => Error::new(ErrorKind::CatalogUnavailable, "the catalog's database failed").caused_by(read),
    }
}

/// A fault of the catalog itself: for requests it means "unavailable", whatever it was.
fn unavailable(cause: sea_orm::DbErr) -> Error {
    Error::new(ErrorKind::CatalogUnavailable, "the catalog's database failed").caused_by(cause)
}
