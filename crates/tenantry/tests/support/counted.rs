//! Tenants on a server behind a proxy that the test holds.

#![allow(unreachable_pub, reason = "test binaries use it as a module of theirs")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use tenantry::{Config, NewServer, TenantDb};
use tenantry_testbed::{Postgres, Proxy};

use crate::support::{Installation, Kind, TENANT, user_add};

/// Two tenants whose connections go through the proxy; one connection, so that it is warm after the first use.
pub async fn counted(kind: Kind, wire: bool) -> (Installation, [TenantDb; 2], Proxy) {
    let database = Postgres::shared().unwrap().database().unwrap();
    let (proxy, url) = database.proxied().unwrap();
    let through = move |_| NewServer::new("local", url).connections(1);
    let change = |mut config: Config| {
        config.pool.wire = wire;
        config
    };
    let place = Installation::at(kind, Some(database), change, TENANT, through).await;
    let tenants = [place.tenant("acme").await, place.tenant("other").await];
    for db in &tenants {
        user_add(db, "ann").await;
    }
    (place, tenants, proxy)
}
