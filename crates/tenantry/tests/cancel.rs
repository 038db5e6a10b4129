//! Every await point can be the last one: each public future is dropped at its 1st, 2nd, ... n-th poll, and the next
//! borrower has to be clean and its acknowledged write durable.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::TryStreamExt;
use sea_orm::ConnectionTrait;
use sqlx::{ConnectOptions, Row, sqlite::SqliteConnectOptions};
use support::{Installation, TENANT, user_add};
use tenantry::{Config, MigrateOptions, NewTenant, PoolLimits, TenantDb, Tenantry};

type Boxed<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Polls a future `left` times, then drops it. `true`: it had ended before that.
struct CutOff<'a> {
    future: Option<Boxed<'a>>,
    left: usize,
}

impl Future for CutOff<'_> {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<bool> {
        if self.left == 0 {
            self.future = None;
            return Poll::Ready(false);
        }
        self.left -= 1;
        let future = self.future.as_mut().expect("polled after its end");
        future.as_mut().poll(cx).map(|()| true)
    }
}

/// One connection for a tenant: the next borrower gets what the last one left.
async fn installation() -> Installation {
    let one = |config: Config| Config { pool: PoolLimits { per_tenant: 1, ..config.pool }, ..config };
    Installation::with(one, TENANT).await
}

/// What every next borrower must find.
async fn the_next_borrower_is_clean(place: &Installation, db: &TenantDb, name: &str) {
    let sees_only_stored: i64 =
        sqlx::query_scalar("SELECT count(*) FROM users").fetch_one(db.sqlite().unwrap()).await.unwrap();
    let id = user_add(db, name).await;
    // By a connection of nobody: acknowledged means stored, and no transaction of another holds it back.
    let file = place.tenant_files().into_iter().find(|f| f.extension().is_some_and(|e| e == "db")).unwrap();
    let mut raw =
        SqliteConnectOptions::new().filename(file).busy_timeout(Duration::from_millis(200)).connect().await.unwrap();
    let found = sqlx::query("SELECT id, (SELECT count(*) FROM users) FROM users WHERE username = ?").bind(name);
    let found = found.fetch_one(&mut raw).await.expect("an acknowledged write is stored");
    assert_eq!((found.get::<i64, _>(0), found.get::<i64, _>(1)), (id, sees_only_stored + 1));
    // Nobody holds a lock.
    sqlx::raw_sql("BEGIN IMMEDIATE; ROLLBACK").execute(&mut raw).await.expect("no transaction was left open");
    let stats = place.tenancy.stats();
    assert!(stats.iter().all(|(_, s)| s.open <= 1), "{stats:?}");
}

/// Drops `make`'s future at every poll until it ends by itself.
async fn grid(name: &str, make: impl for<'a> Fn(&'a Tenantry, &'a TenantDb, usize) -> Boxed<'a>) {
    let place = installation().await;
    let db = place.tenant("acme").await;
    for polls in 1.. {
        assert!(polls < 2_000, "{name} does not end");
        let future = Some(make(&place.tenancy, &db, polls));
        let ended = CutOff { future, left: polls }.await;
        the_next_borrower_is_clean(&place, &db, &format!("{name} {polls}")).await;
        if ended {
            // It did end while it was watched: the grid has covered all of it.
            break;
        }
    }
}

macro_rules! grid {
    ($($(#[$doc:meta])* $test:ident: |$tenancy:pat_param, $db:pat_param, $n:pat_param| $body:block)*) => {
        $(
            $(#[$doc])*
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                grid(stringify!($test), |$tenancy, $db, $n| Box::pin(async move { $body })).await;
            }
        )*
    };
}

grid! {
    sqlite_a_dropped_read_leaves_nothing_behind: |_, db, _| {
        drop(sqlx::query("SELECT id FROM users").fetch_all(db.sqlite().unwrap()).await);
    }
    sqlite_a_dropped_read_of_all_columns_leaves_nothing_behind: |_, db, _| {
        drop(sqlx::query("SELECT * FROM users").fetch_one(db.sqlite().unwrap()).await);
    }
    sqlite_a_dropped_write_leaves_nothing_behind: |_, db, n| {
        let insert = sqlx::query("INSERT INTO notes (text) VALUES (?)").bind(n.to_string());
        drop(insert.execute(db.sqlite().unwrap()).await);
    }
    sqlite_a_dropped_returning_write_leaves_nothing_behind: |_, db, n| {
        let insert = sqlx::query("INSERT INTO notes (text) VALUES (?) RETURNING id").bind(n.to_string());
        drop(insert.fetch_one(db.sqlite().unwrap()).await);
    }
    sqlite_a_dropped_failing_write_leaves_nothing_behind: |_, db, _| {
        drop(sqlx::query("INSERT INTO users (username) VALUES (NULL)").execute(db.sqlite().unwrap()).await);
    }
    sqlite_a_dropped_stream_leaves_nothing_behind: |_, db, _| {
        let mut rows = sqlx::query("UPDATE users SET username = username RETURNING id").fetch(db.sqlite().unwrap());
        while let Ok(Some(_)) = rows.try_next().await {}
    }
    sqlite_a_dropped_transaction_leaves_nothing_behind: |_, db, n| {
        let Ok(mut tx) = db.begin().await else { return };
        let insert = sqlx::query("INSERT INTO notes (text) VALUES (?)").bind(n.to_string());
        drop(insert.execute(tx.sqlite().unwrap()).await);
        drop(tx.commit().await);
    }
    sqlite_a_dropped_rollback_leaves_nothing_behind: |_, db, _| {
        let Ok(mut tx) = db.begin().await else { return };
        drop(sqlx::query("DELETE FROM users").execute(tx.sqlite().unwrap()).await);
        drop(tx.rollback().await);
    }
    sqlite_a_dropped_savepoint_leaves_nothing_behind: |_, db, n| {
        let Ok(mut tx) = db.begin().await else { return };
        if let Ok(mut inner) = tx.begin().await {
            let insert = sqlx::query("INSERT INTO notes (text) VALUES (?)").bind(n.to_string());
            drop(insert.execute(inner.sqlite().unwrap()).await);
            drop(inner.commit().await);
        }
        drop(sqlx::query("SELECT 1").execute(tx.sqlite().unwrap()).await);
        drop(tx.commit().await);
    }
    sqlite_a_dropped_statement_of_an_orm_leaves_nothing_behind: |_, db, n| {
        let text = format!("INSERT INTO notes (text) VALUES ('{n}')");
        drop(db.execute_unprepared(&text).await);
    }
    sqlite_a_dropped_lookup_leaves_nothing_behind: |tenancy, _, _| {
        drop(tenancy.tenant("acme").await);
        drop(tenancy.tenant("nobody").await);
    }
    sqlite_a_dropped_migration_leaves_nothing_behind: |tenancy, _, _| {
        let (fleet, options) = (tenancy.migrations(), MigrateOptions::new());
        drop(fleet.up(&options, |_| ()).await);
    }
    sqlite_a_dropped_visit_of_all_leaves_nothing_behind: |tenancy, _, _| {
        let all = tenantry::TenantFilter::all();
        let visits = tenancy.each(all, 2, async |db| {
            Ok(sqlx::query("SELECT 1").fetch_all(db.sqlite()?).await?.len())
        });
        drop(visits.await);
    }
}

/// A statement that would run for ever, dropped: it is stopped, and its connection is soon free again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_an_abandoned_statement_is_stopped_within_a_second() {
    let place = installation().await;
    let db = place.tenant("acme").await;
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    for round in 0..5 {
        let query = sqlx::query(endless).fetch_all(db.sqlite().unwrap());
        assert!(tokio::time::timeout(Duration::from_millis(50), query).await.is_err());
        let name = format!("u{round}");
        let next = tokio::time::timeout(Duration::from_secs(1), user_add(&db, &name));
        next.await.expect("the connection is free within a second");
    }
    let (_, stats) = place.tenancy.stats().remove(0);
    assert!(stats.settled >= 5 && stats.closed_unproven == 0, "{stats:?}");
}

/// Operations on tenants run to their end: a caller that goes away leaves either nothing or all of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_a_dropped_operation_ends_all_the_same() {
    let place = Installation::new().await;
    let tenancy = &place.tenancy;
    for polls in 1..200 {
        let key = format!("t{polls}");
        let make = || async {
            let new = NewTenant::new(&key).unwrap().domain(&format!("{key}.example.com")).unwrap();
            drop(tenancy.tenant_create(new).await);
            drop(tenancy.tenant_suspend(&key).await);
            drop(tenancy.tenant_resume(&key).await);
            drop(tenancy.tenant_delete(&key).await);
            drop(tenancy.tenant_undelete(&key).await);
            drop(tenancy.tenant_delete(&key).await);
            drop(tenancy.tenant_purge(&key).await);
        };
        let ended = CutOff { future: Some(Box::pin(make())), left: polls }.await;
        settle(tenancy, &key).await;
        if ended {
            assert!(tenancy.tenant_find(&key).await.unwrap_err().is_unknown_tenant());
            break;
        }
    }
    let report = tenancy.doctor(tenantry::DoctorOptions::new()).await.unwrap();
    assert_eq!(report.findings, [], "{report:?}");
}

/// Waits until what was begun has ended, and looks that the tenant is whole or not there.
async fn settle(tenancy: &Tenantry, key: &str) {
    for _ in 0..500 {
        match tenancy.tenant_find(key).await {
            Err(error) => return assert!(error.is_unknown_tenant()),
            Ok(tenant) if tenant.state.is_served() => {
                // `suspend` may be on its way; a tenant that is served works.
                if let Ok(db) = tenancy.tenant(key).await {
                    let count = sqlx::query("SELECT count(*) FROM users").fetch_all(db.sqlite().unwrap()).await;
                    assert!(count.is_ok() || tenantry::Error::from(count.unwrap_err()).http_status() < 500);
                }
                return;
            }
            Ok(tenant) if ["suspended", "deleted"].contains(&tenant.state.as_str()) => return,
            Ok(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
    unreachable!("the operation on {key} does not end");
}
