//! Many requests for few connections on PostgreSQL: nobody takes everything, nothing is lost, nothing goes on unseen.

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures_util::{FutureExt, StreamExt};
use sqlx::{AssertSqlSafe, PgConnection};
use tenantry::{Error, Isolation, NewTenant, PoolStats, Seconds, TenantDb, Tenantry};
use tenantry_testbed::Postgres;
use tokio::sync::Barrier;

use crate::support::{self, Installation, Kind, TENANT, limits, number, run, soak, texts, user_add, users};

on_every_postgres! {
    two_hundred_panics_lose_no_connection,
    who_takes_everything_waits_behind_himself,
    an_abandoned_query_is_gone_within_a_second,
    a_hundred_first_requests_open_no_more_than_a_tenants_share,
    a_suspended_tenant_runs_no_statement_any_more,
}

fn stats(place: &Installation) -> PoolStats {
    place.tenancy.stats().remove(0).pool
}

async fn two_hundred_panics_lose_no_connection(kind: Kind) {
    let place = Installation::on_with(kind, limits(2, 2), TENANT).await;
    let acme = place.tenant("acme").await;
    for n in 0..200 {
        let db = acme.clone();
        let task = tokio::spawn(async move {
            let mut tx = db.begin().await.unwrap();
            let insert = sqlx::query("INSERT INTO users (username) VALUES ('lost')");
            insert.execute(tx.postgres().unwrap()).await.unwrap();
            if n % 2 == 0 {
                drop(sqlx::query("nonsense").execute(tx.postgres().unwrap()).await);
            }
            std::panic::resume_unwind(Box::new("a handler's panic"));
        });
        assert!(task.await.unwrap_err().is_panic());
    }
    assert_eq!(users(&acme).await, Vec::<String>::new());
    let (one, two) = (acme.begin_read().await.unwrap(), acme.begin_read().await.unwrap());
    let now = stats(&place);
    assert!(now.open == 2 && now.closed_unproven == 0 && now.settled >= 200, "{now:?}");
    drop((one, two));
}

async fn who_takes_everything_waits_behind_himself(kind: Kind) {
    let place = Installation::on_with(kind, limits(4, 2), TENANT).await;
    let (greedy, modest) = (place.tenant("greedy").await, place.tenant("modest").await);
    let flood: Vec<_> = (0..200)
        .map(|_| {
            let db = greedy.clone();
            tokio::spawn(async move { number(&db, "SELECT count(*) FROM pg_sleep(0.2)").await })
        })
        .collect();
    // It has all that it may have.
    while stats(&place).waiting < 150 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut slowest = Duration::ZERO;
    for n in 0..20 {
        let started = Instant::now();
        user_add(&modest, &format!("u{n}")).await;
        slowest = slowest.max(started.elapsed());
    }
    let still_waiting = flood.iter().filter(|task| !task.is_finished()).count();
    assert!(still_waiting > 50 && slowest < Duration::from_secs(2), "{still_waiting} wait, {slowest:?}");
    for task in flood {
        task.abort();
    }
}

async fn running(raw: &mut PgConnection, mark: &str) -> i64 {
    let query = format!(
        "SELECT count(*) FROM pg_stat_activity
          WHERE application_name = 'tenantry app' AND state = 'active' AND query LIKE '%{mark}%'"
    );
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(raw).await.unwrap()
}

async fn an_abandoned_query_is_gone_within_a_second(kind: Kind) {
    let place = Installation::on_with(kind, limits(1, 1), TENANT).await;
    let acme = place.tenant("acme").await;
    user_add(&acme, "ann").await;
    let mut raw = place.admin_at(&acme).await;
    let mark = place.database.as_ref().unwrap().name().to_owned();
    for how in ["one shot", "in a transaction", "streamed"] {
        let slow = format!("SELECT count(*) /* {mark} */ FROM pg_sleep(30)");
        let query = async {
            if how == "in a transaction" {
                let mut tx = acme.begin().await.unwrap();
                drop(sqlx::query(AssertSqlSafe(slow)).execute(tx.postgres().unwrap()).await);
            } else if how == "streamed" {
                use futures_util::TryStreamExt;
                let rows = sqlx::query(AssertSqlSafe(slow)).fetch(acme.postgres().unwrap());
                drop(rows.try_collect::<Vec<_>>().await);
            } else {
                drop(run(&acme, &slow).await);
            }
        };
        assert!(tokio::time::timeout(Duration::from_millis(100), query).await.is_err());
        let started = Instant::now();
        assert_eq!(users(&acme).await, ["ann"], "{how}");
        assert!(started.elapsed() < Duration::from_secs(1), "{how}: the next checkout took {:?}", started.elapsed());
        assert_eq!(running(&mut raw, &mark).await, 0, "{how}: it runs on");
    }
    assert_eq!(stats(&place).closed_unproven, 0);
}

async fn a_hundred_first_requests_open_no_more_than_a_tenants_share(kind: Kind) {
    let place = Installation::on_with(kind, limits(16, 3), TENANT).await;
    place.tenant("acme").await;
    let cold = support::open(place.dir.path().into(), limits(16, 3), TENANT).await.open().await.unwrap();
    let barrier = Arc::new(Barrier::new(100));
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (cold, barrier) = (cold.clone(), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                let db = cold.tenant("acme").await.unwrap();
                number(&db, "SELECT count(*) FROM users").await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let stats = cold.stats().remove(0).pool;
    assert!(stats.opened <= 3 && cold.stats().len() == 1, "{stats:?}");
}

async fn a_suspended_tenant_runs_no_statement_any_more(kind: Kind) {
    let place = Installation::on_with(kind, limits(8, 3), TENANT).await;
    let acme = place.tenant("acme").await;
    let elsewhere = place.neighbour().await;
    let over_there = elsewhere.tenant("acme").await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = [("here", acme.clone()), ("there", over_there)]
        .into_iter()
        .flat_map(|(process, db)| [(process, db.clone()), (process, db)])
        .map(|(process, db)| {
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let insert = format!("INSERT INTO notes (text) VALUES ('{process} ' || clock_timestamp())");
                    if let Err(error) = run(&db, &insert).await {
                        assert!(Error::from(error).is_suspended());
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
            })
        })
        .collect();
    // Both are at work.
    while number(&acme, "SELECT count(DISTINCT split_part(text, ' ', 1)) FROM notes").await.unwrap() < 2 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    place.tenancy.tenant_suspend("acme").await.unwrap();
    let suspended: String = place.sql_at(&acme, "SELECT clock_timestamp()");
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    place.tenancy.tenant_resume("acme").await.unwrap();
    for (process, seconds) in [("here", 0.2), ("there", 2.0)] {
        let late = format!(
            "SELECT text FROM notes WHERE starts_with(text, '{process}')
                AND substr(text, length('{process}') + 2)::timestamptz > '{suspended}'::timestamptz + interval '{seconds} s'"
        );
        let resumed = place.tenancy.tenant("acme").await.unwrap();
        assert_eq!(texts(&resumed, &late).await.unwrap(), Vec::<String>::new());
    }
}

/// Every fourth of the tenants.
async fn tenants_new(tenancy: Tenantry, maker: usize) -> Vec<(usize, TenantDb)> {
    let mut tenants = Vec::new();
    for n in (maker..soak(500, 1_000)).step_by(4) {
        let kind = if n % 100 == maker { Kind::PostgresSchema } else { Kind::PostgresRow };
        let new = NewTenant::new(&format!("t{n}")).unwrap().isolation(kind.isolation());
        tenancy.tenant_create(new).await.unwrap();
        tenants.push((n, tenancy.tenant(&format!("t{n}")).await.unwrap()));
    }
    tenants
}

/// Hundreds of tenants of row and schema isolation in turn, on a server that takes forty connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_hundreds_of_tenants_never_exceed_max_connections() {
    let server =
        Arc::new(Postgres::private(&[("max_connections", "40"), ("superuser_reserved_connections", "3")]).unwrap());
    let database = server.database().unwrap();
    let patient = |config| {
        let mut config = limits(20, 8)(config);
        config.pool.acquire_timeout = Seconds::new(30.0).unwrap();
        config
    };
    let place = Installation::at(Kind::PostgresRow, Some(database), patient, TENANT, |server| server).await;
    let making: Vec<_> = (0..4).map(|maker| tokio::spawn(tenants_new(place.tenancy.clone(), maker))).collect();
    let mut tenants = Vec::new();
    for maker in making {
        tenants.extend(maker.await.unwrap());
    }
    tenants.sort_by_key(|(n, _)| *n);
    let tenants: Arc<Vec<TenantDb>> = Arc::new(tenants.into_iter().map(|(_, db)| db).collect());
    let workers: Vec<_> = (0..64)
        .map(|worker| {
            let tenants = Arc::clone(&tenants);
            tokio::spawn(async move {
                for n in (worker..tenants.len()).step_by(64) {
                    user_add(&tenants[n], &format!("canary-{n}")).await;
                    assert_eq!(users(&tenants[n]).await, [format!("canary-{n}")]);
                }
            })
        })
        .collect();
    let mut raw = place.admin_at(&tenants[0]).await;
    let mut most = 0_i64;
    while workers.iter().any(|worker| !worker.is_finished()) {
        let open = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
        most = most.max(sqlx::query_scalar(open).fetch_one(&mut raw).await.unwrap());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for worker in workers {
        worker.await.unwrap();
    }
    // With the engine's own, and this test's.
    assert!((10..=37).contains(&most), "{most} connections at once");
    assert!(!server.log().contains("too many clients"), "{}", server.log());
    assert!(stats(&place).timed_out == 0 && stats(&place).open <= 20, "{:?}", stats(&place));
}

/// Creates them, four at a time, and serves each.
async fn come(place: &Installation, tenants: Range<usize>) {
    let create = |n| place.tenancy.tenant_create(NewTenant::new(&format!("t{n}")).unwrap());
    futures_util::stream::iter(tenants.clone())
        .for_each_concurrent(4, |n| create(n).map(|tenant| drop(tenant.unwrap())))
        .await;
    for n in tenants {
        let db = place.tenancy.tenant(&format!("t{n}")).await.unwrap();
        user_add(&db, &format!("canary-{n}")).await;
        assert_eq!(users(&db).await, [format!("canary-{n}")]);
    }
}

async fn go(place: &Installation, tenants: Range<usize>) {
    let tenancy = &place.tenancy;
    let purge = |n: usize| async move {
        let key = format!("t{n}");
        tenancy.tenant_delete(&key).await.unwrap();
        tenancy.tenant_purge(&key).await.unwrap();
    };
    futures_util::stream::iter(tenants).for_each_concurrent(4, purge).await;
}

/// A login has at most five hundred tenants at a time, but others come for those that go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_a_connection_that_has_served_six_hundred_schemas_is_closed_and_nobody_notices() {
    let place = Installation::on_with(Kind::PostgresSchema, limits(1, 1), TENANT).await;
    come(&place, 0..450).await;
    go(&place, 0..150).await;
    come(&place, 450..599).await;
    assert_eq!((stats(&place).opened, stats(&place).worn), (1, 0), "{:?}", stats(&place));
    come(&place, 599..605).await;
    assert_eq!((stats(&place).opened, stats(&place).worn), (2, 1), "{:?}", stats(&place));
    for n in [150, 449, 604] {
        let db = place.tenancy.tenant(&format!("t{n}")).await.unwrap();
        assert_eq!(users(&db).await, [format!("canary-{n}")]);
    }
}

async fn at_once(db: &TenantDb, count: usize) {
    let queries = (0..count).map(|_| number(db, "SELECT count(*) FROM pg_sleep(0.01)"));
    for answer in futures_util::future::join_all(queries).await {
        answer.unwrap();
    }
}

/// Rows are one place and schemas another; none of the four connections is ever unused for long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_a_place_that_is_short_of_connections_gets_those_that_another_can_spare() {
    let place = Installation::on_with(Kind::PostgresRow, limits(4, 4), TENANT).await;
    let now_and_then = place.tenant("acme").await;
    place.tenancy.tenant_create(NewTenant::new("globex").unwrap().isolation(Isolation::Schema)).await.unwrap();
    let all_the_time = place.tenancy.tenant("globex").await.unwrap();
    at_once(&now_and_then, 4).await;
    let mut raw = place.admin_at(&now_and_then).await;
    let stop = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..8)
        .map(|_| {
            let (db, stop) = (all_the_time.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    at_once(&db, 1).await;
                }
            })
        })
        .collect();
    let open = "SELECT concat_ws(', ', count(*) FILTER (WHERE usename LIKE '%\\_row'),
                                       count(*) FILTER (WHERE usename LIKE '%\\_s0'))
                  FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'tenantry app'";
    let started = Instant::now();
    loop {
        at_once(&now_and_then, 4).await;
        let open: String = sqlx::query_scalar(open).fetch_one(&mut raw).await.unwrap();
        if open == "1, 3" {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "connections of rows and schemas: {open}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for client in load {
        client.await.unwrap();
    }
    assert!(stats(&place).evicted < 30, "they do not change hands all the time: {:?}", stats(&place));
}
