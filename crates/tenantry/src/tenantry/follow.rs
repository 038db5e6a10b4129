//! What a program that serves does beside its requests: it follows what other processes change, and cleans up.

use std::{collections::HashSet, sync::Weak, time::Duration};

use super::{Core, Tenantry};
use crate::{catalog::Name, error::ErrorKind, id::TenantId};

/// How often this process looks for changes of others: well within the 2 s in which a suspension has to bite.
const LOOK: Duration = Duration::from_millis(500);

/// How many looks pass between two that clean up.
const LOOKS_PER_CLEANING: u32 = 10;

/// Follows changes of other processes, and cleans up, for as long as anybody holds the handle.
pub(super) async fn follow(core: Weak<Core>) {
    let mut changed = HashSet::new();
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for look in 0_u32.. {
        ticks.tick().await;
        let Some(core) = core.upgrade() else { return };
        let tenantry = Tenantry(core);
        tenantry.follow_once(&mut changed).await;
        if look % LOOKS_PER_CLEANING == 0 {
            tokio::spawn(async move { tenantry.clean_up().await });
        }
    }
}

impl Tenantry {
    /// `changed`: tenants of which it is not known yet whether they are still served.
    async fn follow_once(&self, changed: &mut HashSet<TenantId>) {
        match self.0.catalog.changes_read().await {
            Ok(changes) => {
                for tenant in changes.iter().filter_map(|c| c.outdates) {
                    for server in self.0.servers.all_open() {
                        server.pool.retire_tenant(tenant);
                    }
                    changed.insert(tenant);
                }
            }
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "the catalog does not answer"),
        }
        for tenant in changed.clone() {
            if self.halt_unserved(tenant).await {
                changed.remove(&tenant);
            }
        }
    }

    /// Stops what a tenant runs that is not served any more. `false`: the catalog did not say whether it is.
    async fn halt_unserved(&self, tenant: TenantId) -> bool {
        let serving: Vec<_> = self.0.servers.all_open().into_iter().filter(|s| s.pool.serves(tenant)).collect();
        if serving.is_empty() {
            return true;
        }
        match self.0.catalog.tenant_get(&Name::Id(tenant)).await {
            Ok(tenant) if tenant.state.is_served() => true,
            Err(error) if error.kind() == ErrorKind::CatalogUnavailable => false,
            Ok(_) | Err(_) => {
                serving.iter().for_each(|server| server.pool.halt(tenant));
                true
            }
        }
    }

    async fn clean_up(&self) {
        for server in self.0.servers.all_open() {
            server.pool.sweep();
        }
        if let Err(error) = self.recover().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "left-overs could not be looked for");
        }
    }
}
