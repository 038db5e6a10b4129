//! [`Directory`]: names to tenants, cached.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use moka::future::Cache;
use serde::{Deserialize, Serialize};

use super::refused::Refused;
use crate::{
    catalog::{Catalog, Name},
    error::{Error, ErrorKind, Result},
    tenant::Tenant,
};

/// How much the directory remembers, and how often it asks for names that do not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct DirectoryLimits {
    /// How many tenants stay in memory.
    pub cached_tenants: u64,
    /// How many unknown names stay in memory.
    pub cached_unknown: u64,
    /// How many unknown names a second may be looked up in the catalog; more are answered with 503.
    pub unknown_per_second: u32,
}

impl Default for DirectoryLimits {
    fn default() -> Self {
        Self { cached_tenants: 50_000, cached_unknown: 20_000, unknown_per_second: 500 }
    }
}

/// After what silence of the catalog a name is asked for again: well before its quarantine ends.
const OUT_OF_TOUCH: Duration = Duration::from_secs(5);

/// How long "there is no such tenant" may be said while the catalog is silent.
const SURE_OF_UNKNOWN: Duration = Duration::from_secs(3);

/// How many unknown names are looked up at the same time: less than the catalog has connections.
const UNKNOWN_AT_ONCE: usize = 2;

/// How long an unknown name waits for its turn.
const TURN: Duration = Duration::from_secs(1);

/// Looks names up: one query for any number of requests that ask at once, none while nothing has changed.
pub(crate) struct Directory {
    catalog: Catalog,
    found: Cache<Name, Arc<Tenant>>,
    /// Names that are not there, with the epoch at which they were not.
    unknown: Cache<Name, u64>,
    budget: Budget,
    turns: tokio::sync::Semaphore,
    asked_in_vain: Moment,
    pub(crate) refused: Refused,
}

impl Directory {
    pub(crate) fn new(catalog: Catalog, limits: DirectoryLimits) -> Self {
        Self {
            catalog,
            found: Cache::new(limits.cached_tenants),
            unknown: Cache::new(limits.cached_unknown),
            budget: Budget::new(limits.unknown_per_second),
            turns: tokio::sync::Semaphore::new(UNKNOWN_AT_ONCE),
            asked_in_vain: Moment::default(),
            refused: Refused::default(),
        }
    }

    /// The tenant of that name, whatever its state.
    ///
    /// # Errors
    /// `UnknownTenant`, `Throttled`, or `CatalogUnavailable` if the catalog is silent and the name is not known.
    pub(crate) async fn lookup(&self, name: &Name) -> Result<Arc<Tenant>> {
        self.catalog.freshness().check()?;
        let known = self.found.get(name).await;
        let was_known = known.is_some();
        if let Some(tenant) = known {
            if self.holds(name, &tenant) {
                return self.confirmed(name, tenant).await;
            }
            self.found.invalidate(name).await;
        } else if self.is_known_unknown(name).await {
            return Err(unknown(name));
        }
        let loaded = self.found.try_get_with_by_ref(name, self.load(name, was_known)).await;
        loaded.map_err(|shared| shared.shared())
    }

    /// A process that stood still may have slept through a rename, and the name may be another's by now: it asks before
    /// it serves from memory. Only a catalog that does not answer makes it serve all the same.
    async fn confirmed(&self, name: &Name, known: Arc<Tenant>) -> Result<Arc<Tenant>> {
        if self.catalog.freshness().silence() < OUT_OF_TOUCH || self.asked_in_vain.is_recent() {
            return Ok(known);
        }
        match self.catalog.tenant_find(name).await {
            Ok(Some(tenant)) => {
                let tenant = Arc::new(tenant);
                self.found.insert(name.clone(), Arc::clone(&tenant)).await;
                Ok(tenant)
            }
            Ok(None) => {
                self.found.invalidate(name).await;
                Err(unknown(name))
            }
            Err(_) => {
                self.asked_in_vain.now();
                Ok(known)
            }
        }
    }

    fn holds(&self, name: &Name, tenant: &Tenant) -> bool {
        let freshness = self.catalog.freshness();
        freshness.holds(name, tenant.mark) && freshness.holds(&Name::Id(tenant.id), tenant.mark)
    }

    async fn is_known_unknown(&self, name: &Name) -> bool {
        let freshness = self.catalog.freshness();
        let Some(mark) = self.unknown.get(name).await else { return false };
        freshness.holds(name, mark) && freshness.silence() < SURE_OF_UNKNOWN
    }

    /// A flood of unknown names must not keep out who exists: a name that the catalog is known to hold costs no budget
    /// and waits behind nobody else's.
    async fn load(&self, name: &Name, was_known: bool) -> Result<Arc<Tenant>> {
        let freshness = self.catalog.freshness();
        let exists = was_known || freshness.known().contains(name);
        let _turn = if exists { None } else { Some(self.turn_of_unknown().await?) };
        let mark = freshness.mark();
        match self.catalog.tenant_find(name).await? {
            Some(tenant) => {
                if !exists {
                    self.budget.give_back();
                }
                Ok(Arc::new(tenant))
            }
            None => {
                freshness.known().forget(name, || freshness.holds(name, mark));
                self.unknown.insert(name.clone(), mark).await;
                Err(unknown(name))
            }
        }
    }
}

impl Directory {
    /// A slow catalog is asked for few unknown names at once: the others of its connections are for who exists.
    async fn turn_of_unknown(&self) -> Result<tokio::sync::SemaphorePermit<'_>> {
        self.budget.take()?;
        match tokio::time::timeout(TURN, self.turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(too_many_unknown()),
        }
    }
}

fn too_many_unknown() -> Error {
    Error::new(ErrorKind::Throttled, "too many unknown names are asked for")
        .help("raise `identify.unknown_per_second` in tenantry.toml, or look who asks")
}

fn unknown(name: &Name) -> Error {
    Error::new(ErrorKind::UnknownTenant, format!("no tenant has {name}")).help("tenantry tenant list")
}

/// A second's worth of look-ups in vain, refilled all the time.
struct Budget {
    per_second: f64,
    left: Mutex<(f64, Instant)>,
}

impl Budget {
    fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second.max(1));
        Self { per_second, left: Mutex::new((per_second, Instant::now())) }
    }

    fn now<T>(&self, act: impl FnOnce(&mut f64) -> T) -> T {
        let mut left = self.left.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let passed = left.1.elapsed().as_secs_f64();
        *left = ((left.0 + passed * self.per_second).min(self.per_second), Instant::now());
        act(&mut left.0)
    }

    /// Taken before the look-up: a thousand at once cannot all find the same one left.
    fn take(&self) -> Result<()> {
        let taken = self.now(|left| {
            let enough = *left >= 1.0;
            *left -= if enough { 1.0 } else { 0.0 };
            enough
        });
        if taken {
            return Ok(());
        }
        Err(too_many_unknown())
    }

    fn give_back(&self) {
        self.now(|left| *left += 1.0);
    }
}

/// When something happened last.
#[derive(Default)]
struct Moment(Mutex<Option<Instant>>);

impl Moment {
    fn now(&self) {
        *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Instant::now());
    }

    fn is_recent(&self) -> bool {
        let moment = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        moment.is_some_and(|at| at.elapsed() < Duration::from_secs(1))
    }
}
