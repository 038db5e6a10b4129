//! The pool's limits on every engine: who waits in vain is told which one it was, and what nobody uses is given back.

use std::time::{Duration, Instant};

use tenantry::{Config, Error, PoolLimits, Seconds};

use crate::support::{Installation, Kind, TENANT, number, users};

on_every_postgres! {
    a_request_that_waits_in_vain_is_told_which_limit_was_reached,
    connections_that_nobody_uses_are_closed,
}
on_every_postgres! { @ sqlite_database: SqliteDatabase;
    a_request_that_waits_in_vain_is_told_which_limit_was_reached,
    connections_that_nobody_uses_are_closed
}

async fn limited(kind: Kind, limits: PoolLimits) -> Installation {
    let limited = |mut config: Config| {
        config.pool = limits;
        config
    };
    Installation::on_with(kind, limited, TENANT).await
}

async fn a_request_that_waits_in_vain_is_told_which_limit_was_reached(kind: Kind) {
    let mut limits = PoolLimits::default();
    (limits.connections, limits.per_tenant) = (2, 1);
    limits.acquire_timeout = Seconds::new(2.0).unwrap();
    let place = limited(kind, limits).await;
    let [acme, globex, third] = [place.tenant("acme").await, place.tenant("globex").await, place.tenant("third").await];
    let held = acme.begin_read().await.unwrap();
    let error = Error::from(number(&acme, "SELECT 1").await.unwrap_err());
    assert!(error.is_pool_timeout() && error.is_retryable(), "{error:?}");
    assert!(error.to_string().contains("`pool.per_tenant` = 1") && error.help_text().is_some(), "{error}");
    let also_held = globex.begin_read().await.unwrap();
    let error = Error::from(number(&third, "SELECT 1").await.unwrap_err());
    assert!(error.to_string().contains("`pool.connections` = 2"), "{error}");
    assert_eq!(error.client_text(), "the service is busy; try again soon");
    drop((held, also_held));
    users(&third).await;
}

async fn connections_that_nobody_uses_are_closed(kind: Kind) {
    let mut limits = PoolLimits::default();
    (limits.connections, limits.idle_timeout) = (4, Seconds::new(0.2).unwrap());
    let place = limited(kind, limits).await;
    let acme = place.tenant("acme").await;
    users(&acme).await;
    let stats = place.tenancy.stats().remove(0).pool;
    assert!(stats.opened > 0, "{stats:?}");
    let open = || place.tenancy.stats().iter().map(|of| of.pool.open).sum::<usize>();
    let since = Instant::now();
    while open() > 0 {
        // It is looked for every five seconds.
        assert!(since.elapsed() < Duration::from_secs(30), "{:?}", place.tenancy.stats());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    users(&acme).await;
}
