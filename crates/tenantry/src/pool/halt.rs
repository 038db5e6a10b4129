//! [`Hold`]: a lease as others can reach it. What a tenant runs that is not served any more is stopped, whoever waits for it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{engine::Stopper, id::TenantId};

/// After how long a statement is stopped again: the server may have heard of it before it had the statement, or the next
/// one of a transaction was on its way. Then twice as long, up to [`LONGEST`].
const AGAIN: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_millis(500);

/// After how long a connection that is still in use is ended instead.
const MOST: Duration = Duration::from_millis(1_200);

/// A lease of a tenant.
pub(super) struct Hold {
    tenant: TenantId,
    stopper: Stopper,
    halted: AtomicBool,
    released: AtomicBool,
    /// Held while the connection is being stopped: nobody else may have it meanwhile.
    stopping: tokio::sync::Mutex<()>,
    wake: tokio::sync::Notify,
}

impl Hold {
    /// Whether its tenant is not served any more: nothing more may be run on it, nor committed.
    pub(super) fn is_halted(&self) -> bool {
        self.halted.load(Ordering::Acquire)
    }

    /// Stops whatever runs on it until it is given back.
    pub(super) async fn stop(&self) {
        let (mut patience, since) = (AGAIN, Instant::now());
        loop {
            {
                let _stopping = self.stopping.lock().await;
                if self.released.load(Ordering::Acquire) {
                    return;
                }
                if since.elapsed() < MOST {
                    self.stopper.halt().await;
                } else {
                    self.stopper.end().await;
                }
            }
            // Given back or not: what comes next is decided under the lock.
            drop(tokio::time::timeout(patience, self.wake.notified()).await);
            patience = (patience * 2).min(LONGEST);
        }
    }

    /// Waits until nobody stops it any more; it must have been given back before.
    pub(super) async fn at_rest(&self) {
        drop(self.stopping.lock().await);
    }
}

/// The leases of each tenant.
#[derive(Default)]
pub(super) struct Holds(Mutex<HashMap<TenantId, Vec<Arc<Hold>>>>);

impl Holds {
    fn all(&self) -> MutexGuard<'_, HashMap<TenantId, Vec<Arc<Hold>>>> {
        // It is never left half changed: no code that may panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, tenant: TenantId, stopper: Stopper) -> Arc<Hold> {
        let hold = Arc::new(Hold {
            tenant,
            stopper,
            halted: AtomicBool::new(false),
            released: AtomicBool::new(false),
            stopping: tokio::sync::Mutex::default(),
            wake: tokio::sync::Notify::new(),
        });
        self.all().entry(tenant).or_default().push(Arc::clone(&hold));
        hold
    }

    /// From now on nobody begins to stop it. `true`: somebody does, see [`Hold::at_rest`].
    pub(super) fn remove(&self, hold: &Arc<Hold>) -> bool {
        let mut all = self.all();
        if let Some(of_tenant) = all.get_mut(&hold.tenant) {
            of_tenant.retain(|other| !Arc::ptr_eq(other, hold));
            if of_tenant.is_empty() {
                all.remove(&hold.tenant);
            }
        }
        drop(all);
        hold.released.store(true, Ordering::Release);
        hold.wake.notify_one();
        hold.is_halted()
    }

    pub(super) fn has(&self, tenant: TenantId) -> bool {
        self.all().contains_key(&tenant)
    }

    /// Those of a tenant that are to be stopped now; who was told before is not named again.
    pub(super) fn halt(&self, tenant: TenantId) -> Vec<Arc<Hold>> {
        let all = self.all();
        let of_tenant = all.get(&tenant).map_or(&[][..], Vec::as_slice);
        of_tenant.iter().filter(|hold| !hold.halted.swap(true, Ordering::AcqRel)).cloned().collect()
    }
}
