//! Row and schema isolation behind PgBouncer in transaction mode, which gives each transaction whatever connection is free.

#![expect(unreachable_pub, reason = "behaviours are those of the conformance suite")]

// The same behaviours as everywhere, as far as a pooler lets one have them.
#[allow(dead_code, reason = "what needs more than plain statements is refused behind a pooler")]
#[path = "../conformance/isolation.rs"]
mod isolation;
#[allow(dead_code, reason = "what needs more than plain statements is refused behind a pooler")]
#[path = "../conformance/orm.rs"]
mod orm;
#[allow(dead_code, reason = "what needs more than plain statements is refused behind a pooler")]
#[path = "../conformance/statements.rs"]
mod statements;
#[allow(dead_code, reason = "a COMMIT that was sent is not stopped behind a pooler")]
#[path = "../conformance/suspension.rs"]
mod suspension;
#[allow(dead_code, reason = "what needs more than plain statements is refused behind a pooler")]
#[path = "../conformance/transactions.rs"]
mod transactions;

use std::{
    ops::Deref,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Executor, SqlSafeStr};
use tenantry::{Error, TenantDb};
use tenantry_testbed::{PgBouncer, Postgres, Proxy};

use crate::support::{
    APP_PASSWORD, Installation, Kind, NewWay, limits, number, run, run_raw, settled, soak, texts, user_add, users,
};

/// An installation whose apps come through a pooler. It goes first, and its connections with it.
struct Pooled {
    place: Option<Installation>,
    bouncer: PgBouncer,
}

impl Pooled {
    async fn new(kind: Kind, connections: usize, per_tenant: usize) -> Self {
        let server = Postgres::shared().unwrap();
        let database = server.database().unwrap();
        let bouncer = PgBouncer::before(&server, database.name(), &[("default_pool_size", "3")]).unwrap();
        let way =
            |login: &str, database: &str| NewWay { url: bouncer.url(login, APP_PASSWORD, database), pooler: true };
        let place = Installation::by_another_way(kind, database, limits(connections, per_tenant), way).await;
        Self { place: Some(place), bouncer }
    }

    /// For a behaviour that takes the installation; the pooler goes behind it.
    fn into_parts(mut self) -> (Installation, PgBouncer) {
        (self.place.take().unwrap(), self.bouncer)
    }
}

impl Deref for Pooled {
    type Target = Installation;

    fn deref(&self) -> &Installation {
        self.place.as_ref().unwrap()
    }
}

macro_rules! behaviours {
    ($kind:ident $($module:ident: $($behaviour:ident),+;)+) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                let (place, bouncer) = super::Pooled::new(crate::support::Kind::$kind, 16, 8).await.into_parts();
                super::$module::$behaviour(place).await;
                drop(bouncer);
            }
        )+)+
    };
}

macro_rules! behind_a_pooler {
    ($module:ident: $kind:ident) => {
        mod $module {
            behaviours! {
                $kind
                isolation:
                    a_tenant_reads_and_writes_its_own_rows_only,
                    a_unique_value_of_a_neighbour_is_free,
                    an_upsert_meets_rows_of_its_own_tenant_only,
                    a_reference_to_a_neighbours_row_is_a_missing_reference,
                    nested_work_on_two_tenants_never_mixes,
                    many_tenants_on_few_connections_never_meet,
                    shared_tables_are_read_by_all_and_written_by_none_of_the_tenants,
                    an_app_cannot_change_the_schema,
                    a_place_that_has_vanished_is_an_error_and_never_another_table;
                statements:
                    a_returning_write_whose_commit_fails_is_not_answered_with_a_row,
                    a_stream_gives_all_rows_and_a_dropped_one_rolls_back,
                    a_prepared_statement_follows_a_migration,
                    a_value_that_the_engine_cannot_store_is_an_error_of_its_statement;
                transactions:
                    a_commit_keeps_and_a_rollback_or_a_drop_does_not,
                    a_transaction_in_which_something_failed_is_not_committed,
                    a_failure_behind_a_savepoint_is_forgiven_when_that_is_rolled_back,
                    a_dropped_savepoint_rolls_back_before_the_next_statement,
                    a_read_transaction_sees_one_snapshot,
                    a_savepoint_for_a_caller_who_went_away_is_taken_for_no_other,
                    random_nesting_ends_as_the_model_says;
                suspension:
                    a_write_that_waits_is_stopped_when_its_tenant_is_suspended,
                    a_transaction_that_waits_is_stopped_when_its_tenant_is_suspended,
                    a_write_that_nobody_waits_for_is_stopped_when_its_tenant_is_suspended,
                    a_long_read_is_stopped_when_its_tenant_is_suspended_here,
                    a_suspension_never_hits_another_tenant_on_the_same_connections;
                orm:
                    entities_work_on_a_handle_and_in_a_transaction,
                    a_stream_of_models_gives_all_rows;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn clients_that_go_away_at_random_leave_no_row_and_no_scope() {
                super::clients_that_go_away_at_random_leave_no_row_and_no_scope(crate::support::Kind::$kind).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn no_statement_is_another_clients() {
                super::no_statement_is_another_clients(crate::support::Kind::$kind).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn what_a_pooler_could_not_take_back_is_refused() {
                super::what_a_pooler_could_not_take_back_is_refused(crate::support::Kind::$kind).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_statement_past_its_limit_and_an_abandoned_one_are_stopped() {
                super::a_statement_past_its_limit_and_an_abandoned_one_are_stopped(crate::support::Kind::$kind).await;
            }
        }
    };
}

behind_a_pooler!(postgres_row: PostgresRow);
behind_a_pooler!(postgres_schema: PostgresSchema);

async fn what_a_pooler_could_not_take_back_is_refused(kind: Kind) {
    let place = Pooled::new(kind, 4, 2).await;
    let acme = place.tenant("acme").await;
    for text in [
        "SET timezone = 'Asia/Tokyo'",
        "SELECT set_config('timezone', 'Asia/Tokyo', false)",
        "SELECT pg_advisory_lock(1)",
        "DO $$ BEGIN PERFORM pg_advisory_lock(1); END $$",
        "SELECT 1; SELECT 2",
    ] {
        let error = Error::from(run_raw(&acme, text).await.unwrap_err());
        assert!(error.is_refused() && error.help_text().is_some(), "{text}: {error:?}");
    }
    let copy = "COPY (SELECT set_config('timezone', 'Asia/Tokyo', false)) TO STDOUT";
    let pieces: tenantry::Result<Vec<_>> = acme.postgres().unwrap().copy_out(copy).try_collect().await;
    assert!(pieces.unwrap_err().is_refused());
    let prepared = acme.postgres().unwrap().prepare(AssertSqlSafe("SELECT 1").into_sql_str()).await;
    assert!(Error::from(prepared.map(drop).unwrap_err()).is_refused());
    user_add(&acme, "ann").await;
    assert_eq!(users(&acme).await, ["ann"]);
}

/// As docs/postgres.md says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_statement_behind_a_pooler_costs_four_round_trips() {
    for kind in [Kind::PostgresRow, Kind::PostgresSchema] {
        let server = Postgres::shared().unwrap();
        let database = server.database().unwrap();
        let bouncer = PgBouncer::before(&server, database.name(), &[]).unwrap();
        let proxy = Proxy::before(bouncer.port()).unwrap();
        let [way_in, counted] = [bouncer.port(), proxy.port()].map(|port| format!(":{port}/"));
        let way = |login: &str, database: &str| NewWay {
            url: bouncer.url(login, APP_PASSWORD, database).replace(&way_in, &counted),
            pooler: true,
        };
        let place = Installation::by_another_way(kind, database, limits(1, 1), way).await;
        let acme = place.tenant("acme").await;
        for round in 0..3 {
            for what in ["read", "write", "transaction"] {
                let before = proxy.trips();
                match what {
                    "read" => drop(users(&acme).await),
                    "write" => drop(run(&acme, "UPDATE users SET username = username").await.unwrap()),
                    _ => {
                        let mut tx = acme.begin().await.unwrap();
                        let read = sqlx::query("SELECT username FROM users");
                        read.fetch_all(tx.postgres().unwrap()).await.unwrap();
                        tx.commit().await.unwrap();
                    }
                }
                // A read is answered before its transaction is ended.
                settled(&place).await;
                // In a transaction a text stands behind a savepoint the first time.
                assert!(round == 0 || proxy.trips() - before == 4, "{kind:?}, {what}: {}", proxy.trips() - before);
            }
        }
        proxy.answers_only(3);
        let read = tokio::time::timeout(Duration::from_secs(20), users(&acme)).await;
        assert!(read.is_ok(), "{kind:?}: a read waits for the end of its transaction");
        proxy.answers_only(usize::MAX);
        drop(place);
    }
}

/// The driver counts the statements that it prepares by name, from one on each connection; the pooler mixes these.
async fn no_statement_is_another_clients(kind: Kind) {
    let place = Pooled::new(kind, 6, 6).await;
    let acme = place.tenant("acme").await;
    let workers: Vec<_> = (0..12_i64)
        .map(|worker| {
            let db = acme.clone();
            tokio::spawn(async move {
                for round in 0..40 {
                    let n = worker * 100 + round % 5;
                    let query = format!("SELECT {n} + $1 AS of_{worker}");
                    let kept = Executor::prepare(
                        db.postgres().unwrap(),
                        SqlSafeStr::into_sql_str(AssertSqlSafe(query.clone())),
                    );
                    assert!(Error::from(kept.await.map(drop).unwrap_err()).is_refused());
                    let sum = sqlx::query_scalar::<_, i64>(AssertSqlSafe(query)).bind(1_i64);
                    assert_eq!(sum.fetch_one(db.postgres().unwrap()).await.unwrap(), n + 1);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
}

async fn a_statement_past_its_limit_and_an_abandoned_one_are_stopped(kind: Kind) {
    let place = Pooled::new(kind, 2, 2).await;
    let acme = place.tenant("acme").await;
    let mut raw = place.admin_at(&acme).await;
    let busy = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND state = 'active' AND query LIKE '%pg_sleep%'
            AND pid <> pg_backend_pid()",
        place.database_of(&acme)
    );
    let mut waits = Vec::new();
    for _ in 0..3 {
        let slow = number(&acme, "SELECT count(*) FROM pg_sleep(20)");
        assert!(tokio::time::timeout(Duration::from_millis(200), slow).await.is_err());
        let started = Instant::now();
        loop {
            let query = sqlx::query_scalar::<_, i64>(AssertSqlSafe(busy.clone()));
            if query.fetch_one(&mut raw).await.unwrap() == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        waits.push(started.elapsed());
        assert_eq!(users(&acme).await, Vec::<String>::new());
    }
    waits.sort();
    // The machine of a test may have other things to do for a while: no one of three says anything about the engine.
    let (median, longest) = (waits[1], waits[2]);
    assert!(
        median < Duration::from_secs(1) && longest < Duration::from_secs(5),
        "the abandoned statement runs on: {waits:?}"
    );
    let limit = texts(&acme, "SELECT current_setting('statement_timeout')").await.unwrap();
    assert_eq!(limit, ["30s"], "it comes with each transaction");
}

async fn clients_that_go_away_at_random_leave_no_row_and_no_scope(kind: Kind) {
    let place = Pooled::new(kind, 4, 2).await;
    let mut tenants = Vec::new();
    for n in 0..8 {
        let db = place.tenant(&format!("t{n}")).await;
        user_add(&db, &format!("canary-{n}")).await;
        tenants.push(db);
    }
    let acknowledged = Arc::new(Mutex::new(vec![Vec::<String>::new(); 8]));
    let workers: Vec<_> = (0..8_u64)
        .map(|worker| {
            let (tenants, acknowledged) = (tenants.clone(), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                let mut state = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(worker + 1);
                let mut left = soak(60, 12_500);
                for round in 0.. {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    let n = usize::try_from(state % 8).unwrap();
                    let (mark, canary) = (format!("{worker}-{round}"), format!("canary-{n}"));
                    // Some are waited for, however slow the machine is.
                    let most = if state >> 61 == 0 { 10_000_000 } else { 40_000 };
                    let patience = Duration::from_micros((state >> 16) % most);
                    let request = request(&tenants[n], &canary, &mark, state >> 40 & 1 == 0);
                    if let Ok(done) = tokio::time::timeout(patience, request).await {
                        done.unwrap();
                        acknowledged.lock().unwrap()[n].push(mark);
                        continue;
                    }
                    left -= 1;
                    if left == 0 {
                        return;
                    }
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let acknowledged = acknowledged.lock().unwrap().clone();
    let written: usize = acknowledged.iter().map(Vec::len).sum();
    let stats = place.tenancy.stats().remove(0).pool;
    assert!(written > 20 && stats.settled > 20, "{written} acknowledged; who was cut off? {stats:?}");
    for (n, (db, acknowledged)) in tenants.iter().zip(acknowledged).enumerate() {
        assert_eq!(users(db).await, [format!("canary-{n}")]);
        let stored = texts(db, "SELECT text FROM notes").await.unwrap();
        let lost: Vec<_> = acknowledged.iter().filter(|mark| !stored.contains(mark)).collect();
        assert_eq!(lost, Vec::<&String>::new(), "acknowledged, and lost");
    }
    nothing_is_left_on_the_servers_side(&place).await;
}

async fn request(db: &TenantDb, canary: &str, mark: &str, in_a_transaction: bool) -> Result<(), Error> {
    assert_eq!(texts(db, "SELECT username FROM users").await?, [canary], "a foreign row");
    let insert = format!("INSERT INTO notes (text) VALUES ('{mark}')");
    if in_a_transaction {
        let mut tx = db.begin().await?;
        sqlx::query(AssertSqlSafe(insert)).execute(tx.postgres()?).await?;
        return tx.commit().await;
    }
    run(db, &insert).await?;
    Ok(())
}

/// The pooler's own connections, as whoever asks it gets them: no scope, no transaction.
async fn nothing_is_left_on_the_servers_side(place: &Pooled) {
    let login = format!("{}_app", place.database.as_ref().unwrap().name());
    let url = place.bouncer.url(&login, APP_PASSWORD, place.database.as_ref().unwrap().name());
    let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
    let mut raw: sqlx::PgConnection =
        sqlx::ConnectOptions::connect(&options.statement_cache_capacity(0)).await.unwrap();
    let left = "SELECT concat_ws('|', current_setting('role'), current_setting('search_path'), \
                 coalesce(current_setting('tenantry.tenant', true), ''), \
                 (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'))";
    let mut backends = std::collections::BTreeSet::new();
    for _ in 0..30 {
        let row = Executor::fetch_one(&mut raw, sqlx::raw_sql(left)).await.unwrap();
        assert_eq!(sqlx::Row::get::<String, _>(&row, 0), "none|\"$user\", public||0");
        let row = Executor::fetch_one(&mut raw, sqlx::raw_sql("SELECT pg_backend_pid()")).await.unwrap();
        backends.insert(sqlx::Row::get::<i32, _>(&row, 0));
    }
    assert!(!backends.is_empty() && backends.len() <= 3, "{backends:?}");
}
