//! Connections under one budget: fair, bounded, and never handed on unclean.

use std::{sync::Arc, time::Duration};

use tenantry::{Config, PoolStats, Seconds};
use tokio::sync::Barrier;

use crate::support::{self, Installation, TENANT, user_add, users};

async fn limited(connections: usize, per_tenant: usize, acquire_timeout: f64) -> Installation {
    let limits = |config: Config| {
        let mut config = support::limits(connections, per_tenant)(config);
        config.pool.acquire_timeout = Seconds::new(acquire_timeout).unwrap();
        config
    };
    Installation::with(limits, TENANT).await
}

fn stats(place: &Installation) -> PoolStats {
    place.tenancy.stats().remove(0).pool
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_the_budget_is_never_exceeded_and_the_longest_unused_goes_first() {
    let place = limited(4, 4, 5.0).await;
    let mut tenants = Vec::new();
    for n in 0..20 {
        tenants.push(place.tenant(&format!("t{n}")).await);
    }
    for round in 0..3 {
        for (n, db) in tenants.iter().enumerate() {
            user_add(db, &format!("{round}-{n}")).await;
            assert!(stats(&place).open <= 4);
        }
    }
    assert!(stats(&place).evicted >= 50, "{:?}", stats(&place));
    // The last four are still open.
    let opened = stats(&place).opened;
    for db in tenants.iter().skip(16) {
        assert_eq!(users(db).await.len(), 3);
    }
    assert_eq!(stats(&place).opened, opened);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_a_hundred_first_requests_open_no_more_than_a_tenants_share() {
    let place = limited(16, 3, 5.0).await;
    let acme = place.tenant("acme").await;
    place.tenancy.shutdown(Duration::from_secs(5)).await;
    let cold = support::open(
        place.dir.path().into(),
        |mut config| {
            config.pool.per_tenant = 3;
            config
        },
        TENANT,
    )
    .await;
    let cold = cold.open().await.unwrap();
    let barrier = Arc::new(Barrier::new(100));
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (cold, barrier) = (cold.clone(), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                let db = cold.tenant("acme").await.unwrap();
                sqlx::query("SELECT 1").fetch_all(db.sqlite().unwrap()).await.unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let stats = cold.stats().remove(0).pool;
    assert!(stats.opened <= 3 && cold.stats().len() == 1, "{stats:?}");
    drop(acme);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_who_takes_everything_waits_behind_himself() {
    let place = limited(4, 2, 30.0).await;
    let (greedy, modest) = (place.tenant("greedy").await, place.tenant("modest").await);
    let slow =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000) SELECT count(*) FROM n";
    let flood: Vec<_> = (0..60)
        .map(|_| {
            let db = greedy.clone();
            tokio::spawn(async move { sqlx::query(slow).fetch_all(db.sqlite().unwrap()).await.map(drop) })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    for _ in 0..20 {
        users(&modest).await;
    }
    let still_waiting = flood.iter().filter(|t| !t.is_finished()).count();
    assert!(still_waiting > 20, "20 requests of the other waited for {} of 60 slow ones", 60 - still_waiting);
    for task in flood {
        task.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_a_thousand_panics_lose_no_connection() {
    let place = limited(2, 2, 5.0).await;
    let acme = place.tenant("acme").await;
    for n in 0..1_000 {
        let db = acme.clone();
        let task = tokio::spawn(async move {
            let mut tx = db.begin().await.unwrap();
            sqlx::query("INSERT INTO users (username) VALUES ('lost')").execute(tx.sqlite().unwrap()).await.unwrap();
            if n % 2 == 0 {
                drop(sqlx::query("nonsense").execute(tx.sqlite().unwrap()).await);
            }
            std::panic::resume_unwind(Box::new("a handler's panic"));
        });
        assert!(task.await.unwrap_err().is_panic());
    }
    assert_eq!(users(&acme).await, Vec::<String>::new());
    let (one, two) = (acme.begin_read().await.unwrap(), acme.begin_read().await.unwrap());
    let now = stats(&place);
    assert!(now.open == 2 && now.closed_unproven == 0, "{now:?}");
    drop((one, two));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_clients_that_go_away_at_random_never_leave_a_row_to_another() {
    let place = limited(4, 2, 10.0).await;
    let mut tenants = Vec::new();
    for n in 0..8 {
        let db = place.tenant(&format!("t{n}")).await;
        user_add(&db, &format!("canary-{n}")).await;
        tenants.push(db);
    }
    let acknowledged = Arc::new(std::sync::Mutex::new(vec![0_i64; 8]));
    let workers: Vec<_> = (0..8_u64)
        .map(|worker| {
            let (tenants, acknowledged) = (tenants.clone(), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                let mut random = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(worker + 1);
                for _ in 0..250 {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    let n = usize::try_from(random % 8).unwrap();
                    let db = tenants[n].clone();
                    let work = async move {
                        let names = sqlx::query_scalar::<_, String>("SELECT username FROM users")
                            .fetch_all(db.sqlite()?)
                            .await?;
                        assert_eq!(names, [format!("canary-{n}")]);
                        let mut tx = db.begin().await?;
                        sqlx::query("INSERT INTO notes (text) VALUES ('x')").execute(tx.sqlite()?).await?;
                        tx.commit().await
                    };
                    let patience = Duration::from_micros(random >> 32 & 0xFFF);
                    if let Ok(done) = tokio::time::timeout(patience, work).await {
                        done.unwrap();
                        acknowledged.lock().unwrap()[n] += 1;
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    for (n, db) in tenants.iter().enumerate() {
        let stored: i64 =
            sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(db.sqlite().unwrap()).await.unwrap();
        let acknowledged = acknowledged.lock().unwrap()[n];
        assert!(stored >= acknowledged, "tenant {n}: {acknowledged} acknowledged, {stored} stored");
        assert_eq!(users(db).await, [format!("canary-{n}")]);
    }
    assert!(stats(&place).open <= 4 && stats(&place).waiting == 0);
    assert!(stats(&place).settled > 0, "nobody was cut off: the test tests nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_a_file_that_is_gone_is_not_written_through_an_old_handle() {
    let place = Installation::new().await;
    let acme = place.tenant("acme").await;
    user_add(&acme, "ann").await;
    let file = place.tenant_files().into_iter().find(|f| f.to_string_lossy().ends_with(".db")).unwrap();
    std::fs::remove_file(&file).unwrap();
    let late = sqlx::query("INSERT INTO users (username) VALUES ('late')").execute(acme.sqlite().unwrap()).await;
    assert!(late.is_err(), "a write into an unlinked file was acknowledged");
    assert!(stats(&place).closed_unproven >= 1);
    assert!(!file.exists(), "and no empty file was made in its place");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_a_purge_waits_for_other_processes_and_fails_if_they_hold_on() {
    let place = Installation::new().await;
    place.tenant("acme").await;
    let file = place.tenant_files().into_iter().find(|f| f.to_string_lossy().ends_with(".db")).unwrap();
    // A process that knows nothing of tenantry has the file open.
    let stranger = sqlx::sqlite::SqliteConnectOptions::new().filename(&file);
    let mut stranger: sqlx::SqliteConnection = sqlx::ConnectOptions::connect(&stranger).await.unwrap();
    sqlx::query("SELECT count(*) FROM users").fetch_one(&mut stranger).await.unwrap();
    place.tenancy.tenant_delete("acme").await.unwrap();
    let purging = {
        let tenancy = place.tenancy.clone();
        tokio::spawn(async move { tenancy.tenant_purge("acme").await })
    };
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!purging.is_finished() && file.exists());
    // Its last write is acknowledged, and so it is not lost under its feet.
    sqlx::query("INSERT INTO users (username) VALUES ('late')").execute(&mut stranger).await.unwrap();
    sqlx::Connection::close(stranger).await.unwrap();
    purging.await.expect("no panic").unwrap();
    assert_eq!(place.tenant_files().len(), 0);
}
