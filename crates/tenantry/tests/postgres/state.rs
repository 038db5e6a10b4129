//! What one tenant's statements leave on a connection, and what the next tenant finds there: nothing.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tenantry::{Error, MigrateOptions, Migrations, TenantDb};

use crate::support::{
    self, Installation, Kind, TENANT, limits, number, run, run_raw, run_raw_in_tx, settled, soak, texts, user_add,
    users,
};

on_every_postgres! {
    clients_that_go_away_at_random_leave_no_row_and_no_scope,
    what_a_tenant_sets_is_refused_or_gone_for_the_next,
    a_limit_of_time_that_a_tenant_sets_never_hits_the_next,
    a_temporary_table_never_hides_a_table,
    a_block_that_failed_is_over_for_the_next,
    a_scope_survives_every_savepoint,
    a_procedure_that_ends_transactions_is_an_error,
    a_function_that_would_leave_something_is_not_migrated,
}

async fn tenants(place: &Installation, count: usize) -> Vec<TenantDb> {
    let mut tenants = Vec::new();
    for n in 0..count {
        let db = place.tenant(&format!("t{n}")).await;
        user_add(&db, &format!("canary-{n}")).await;
        tenants.push(db);
    }
    // Behind a closed wall nobody could look at what is prepared.
    place.sql_at(&tenants[0], "GRANT EXECUTE ON FUNCTION query_to_xml(text, boolean, boolean, text) TO PUBLIC");
    tenants
}

/// Marsaglia's xorshift.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// What a request does; what it wrote once it is acknowledged.
async fn request(db: &TenantDb, canary: &str, kind: u64, mark: &str) -> Result<bool, Error> {
    let mine = texts(db, "SELECT username FROM users").await?;
    assert_eq!(mine, [canary], "a foreign row");
    let insert = format!("INSERT INTO notes (text) VALUES ('{mark}')");
    match kind {
        0 => drop(run(db, &insert).await?),
        1 => run_raw_in_tx(db, &insert).await?,
        2 => {
            // What it sets is taken back behind it.
            run_raw(db, "SET timezone = 'Asia/Tokyo'; SET application_name = 'left over'").await?;
            return Ok(false);
        }
        _ => {
            number(db, "SELECT count(*) FROM users, pg_sleep(0.002)").await?;
            return Ok(false);
        }
    }
    Ok(true)
}

/// In microseconds: about as long as a request takes while the others are at it.
async fn patience(tenants: &[TenantDb]) -> u64 {
    let mut took = Duration::ZERO;
    // The first time connections are opened.
    for _ in 0..2 {
        let started = Instant::now();
        for (n, db) in tenants.iter().enumerate() {
            request(db, &format!("canary-{n}"), 1, "first").await.unwrap();
        }
        took = started.elapsed();
    }
    u64::try_from(took.as_micros()).unwrap() / 2
}

#[expect(clippy::print_stderr, reason = "the figures of a soak")]
async fn clients_that_go_away_at_random_leave_no_row_and_no_scope(kind: Kind) {
    // Where each tenant has connections of its own, nearly every request opens one and closes another's.
    let cuts = soak(if kind == Kind::PostgresDatabase { 240 } else { 800 }, 100_000);
    let place = Installation::on_with(kind, limits(4, 2), TENANT).await;
    let tenants = tenants(&place, 8).await;
    let acknowledged = Arc::new(Mutex::new(vec![Vec::<String>::new(); 8]));
    let patience = Arc::new(AtomicU64::new(patience(&tenants).await));
    let workers: Vec<_> = (0..8_u64)
        .map(|worker| {
            let (tenants, acknowledged) = (tenants.clone(), Arc::clone(&acknowledged));
            let mean = Arc::clone(&patience);
            tokio::spawn(async move {
                let mut state = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(worker + 1);
                let mut left = cuts / 8;
                for round in 0.. {
                    let n = usize::try_from(random(&mut state) % 8).unwrap();
                    let (mark, canary) = (format!("{worker}-{round}"), format!("canary-{n}"));
                    let now = mean.load(Ordering::Relaxed).max(64);
                    let patience = Duration::from_micros(random(&mut state) % now);
                    let request = request(&tenants[n], &canary, random(&mut state) % 4, &mark);
                    // On a busy machine everything takes longer: about half of the requests are to get their answer.
                    match tokio::time::timeout(patience, request).await {
                        Ok(answer) => {
                            mean.fetch_sub(now / 64, Ordering::Relaxed);
                            if answer.unwrap() {
                                acknowledged.lock().unwrap()[n].push(mark);
                            }
                        }
                        Err(_) => {
                            mean.fetch_add(now / 64, Ordering::Relaxed);
                            left -= 1;
                        }
                    }
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
    // Whoever waited for a connection and went away is taken off the list when one comes back.
    settled(&place).await;
    let stats = place.tenancy.stats().remove(0).pool;
    assert!(written > 50 && stats.settled > 50, "{written} acknowledged; who was cut off? {stats:?}");
    eprintln!("{kind:?}: {cuts} requests given up, {written} writes acknowledged, {stats:?}");
    for (db, acknowledged) in tenants.iter().zip(acknowledged) {
        let stored = texts(db, "SELECT text FROM notes").await.unwrap();
        let lost: Vec<_> = acknowledged.iter().filter(|mark| !stored.contains(mark)).collect();
        assert_eq!(lost, Vec::<&String>::new(), "acknowledged, and lost");
        finds_nothing(&place, db, "the storm").await;
    }
    assert!(stats.open <= 4 && stats.waiting == 0, "{stats:?}");
    no_transaction_is_open(&place).await;
}

/// As the server tells it; a connection may be on its way back still.
async fn no_transaction_is_open(place: &Installation) {
    let open = format!(
        "SELECT string_agg(state || ': ' || query, '; ') FROM pg_stat_activity
          WHERE starts_with(usename::text, '{}') AND state NOT IN ('idle', 'disabled')",
        place.mark()
    );
    let mut found = String::new();
    for _ in 0..100 {
        found = place.database.as_ref().unwrap().sql(&open).unwrap();
        if found.trim().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(found.trim(), "", "transactions are open");
}

/// What the connection of this tenant's next statement holds beyond its own scope.
async fn finds_nothing(place: &Installation, db: &TenantDb, behind: &str) {
    let found = "SELECT concat_ws(' ', 'set', name, setting) FROM pg_settings
                  WHERE source = 'session' AND name NOT IN ('search_path', 'role', 'transaction_isolation',
                        'transaction_read_only', 'transaction_deferrable', 'tenantry.tenant')
             UNION ALL SELECT 'zone ' || current_setting('timezone') WHERE current_setting('timezone') = 'Asia/Tokyo'
             UNION ALL SELECT 'cursor ' || name FROM pg_cursors WHERE name <> ''
             UNION ALL SELECT 'channel ' || pg_listening_channels()
             UNION ALL SELECT 'table ' || relname FROM pg_class
                        WHERE relpersistence = 't' AND pg_table_is_visible(oid) AND relkind IN ('r', 'v')";
    assert_eq!(texts(db, found).await.unwrap(), Vec::<String>::new(), "behind {behind}");
    let pid = texts(db, "SELECT pg_backend_pid()::text").await.unwrap().remove(0);
    let locks = format!("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = {pid}");
    assert_eq!(place.database.as_ref().unwrap().sql(&locks).unwrap().trim(), "0", "behind {behind}");
    let scope = "SELECT concat_ws(' ', translate(current_setting('search_path'), '\" ', ''),
                                  current_setting('role'), tenantry.tenant())";
    let role = if place.kind == Kind::PostgresDatabase { "none".into() } else { place.role_of(db) };
    let expected = format!("{},shared,pg_temp {role} {}", place.schema_of(db), db.tenant().id);
    assert_eq!(texts(db, scope).await.unwrap(), [expected], "behind {behind}");
    // It reads and writes, and in its time.
    assert_eq!(
        run(db, "UPDATE users SET username = username FROM pg_sleep(0.02)").await.unwrap(),
        1,
        "behind {behind}"
    );
    // The list of what is prepared is refused by its name.
    let prepared = "SELECT query_to_xml('SELECT name FROM pg_prepared_statements WHERE name !~ ''^(sqlx|tenantry)''',
                                        false, true, '')::text";
    let names = texts(db, prepared).await.unwrap();
    assert!(names.iter().all(|xml| !xml.contains("<name>")), "behind {behind}: {names:?}");
}

/// What a tenant's statement may leave on its connection.
const LEFT: &[&str] = &[
    "SET search_path = 'shared'",
    "SET SESSION search_path TO public",
    "SET ROLE none",
    "RESET ROLE",
    "SET timezone = 'Asia/Tokyo'",
    "SET TIME ZONE 'Asia/Tokyo'",
    "SET SESSION statement_timeout = '10ms'",
    "SET lock_timeout = 1",
    "SET default_transaction_read_only = on",
    "SET application_name = 'left'",
    "SET work_mem = '64kB'",
    "SET my.own = 'left'",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "SELECT set_config('timezone', 'Asia/Tokyo', false)",
    "SELECT set_config('statement_timeout', '10', false)",
    "WITH a AS (SELECT set_config('timezone', 'Asia/Tokyo', false)) SELECT * FROM a",
    "EXPLAIN ANALYZE SELECT set_config('timezone', 'Asia/Tokyo', false)",
    "UPDATE pg_settings SET setting = 'Asia/Tokyo' WHERE name = 'TimeZone'",
    "DO $$ BEGIN PERFORM set_config('timezone', 'Asia/Tokyo', false); END $$",
    "DO $$ BEGIN SET timezone = 'Asia/Tokyo'; PERFORM pg_advisory_lock(7); END $$",
    "SELECT pg_advisory_lock(42)",
    "SELECT pg_try_advisory_lock_shared(1, 2)",
    "DECLARE held CURSOR WITH HOLD FOR SELECT 1",
    "DECLARE plain CURSOR FOR SELECT 1",
    "CREATE TEMP TABLE left_over (a int)",
    "CREATE TEMP VIEW left_over AS SELECT 1",
    "CREATE TEMP SEQUENCE left_over",
    "SELECT 1 AS a INTO TEMP left_over",
    "PREPARE left_over AS SELECT 1",
    "LISTEN left_over",
    "LOAD 'auto_explain'",
    "SELECT 1; SET timezone = 'Asia/Tokyo'",
];

async fn what_a_tenant_sets_is_refused_or_gone_for_the_next(kind: Kind) {
    let place = Installation::on_with(kind, limits(1, 1), TENANT).await;
    let tenants = tenants(&place, 2).await;
    let mut same_backend = 0;
    for left in LEFT {
        for in_a_transaction in [false, true] {
            let before = number(&tenants[0], "SELECT pg_backend_pid()::bigint").await.unwrap();
            let result = match in_a_transaction {
                false => run_raw(&tenants[0], left).await,
                true => run_raw_in_tx(&tenants[0], left).await,
            };
            let behind = format!("{left} ({result:?})");
            let next = if kind == Kind::PostgresDatabase { &tenants[0] } else { &tenants[1] };
            // First: what is asked below closes the connection.
            same_backend += i64::from(number(next, "SELECT pg_backend_pid()::bigint").await.unwrap() == before);
            finds_nothing(&place, next, &behind).await;
        }
    }
    assert!(same_backend > 40, "only {same_backend} times on the connection on which it was left");
    // What a sequence gave last.
    user_add(&tenants[0], "next").await;
    for asked in ["SELECT lastval()", "SELECT currval('users_id_seq')"] {
        assert!(number(&tenants[1], asked).await.is_err(), "{asked}");
    }
}

/// The server's clock for a statement may run out when the statement has just ended: then it hits the next one.
async fn a_limit_of_time_that_a_tenant_sets_never_hits_the_next(kind: Kind) {
    let place = Installation::on_with(kind, limits(1, 1), TENANT).await;
    let tenants = tenants(&place, 2).await;
    let next = if kind == Kind::PostgresDatabase { &tenants[0] } else { &tenants[1] };
    for _ in 0..400 {
        // It may hit what sets it.
        drop(run_raw(&tenants[0], "SET statement_timeout = 1").await);
        assert_eq!(texts(next, "SELECT username FROM users").await.unwrap().len(), 1);
    }
}

async fn a_temporary_table_never_hides_a_table(kind: Kind) {
    let place = Installation::on_with(kind, limits(1, 1), TENANT).await;
    let tenants = tenants(&place, 2).await;
    for text in [
        "CREATE TEMP TABLE users AS SELECT 1::bigint AS id, 'hidden'::text AS username",
        "CREATE TEMPORARY VIEW users AS SELECT 1::bigint AS id, 'hidden'::text AS username",
        "SELECT 1::bigint AS id, 'hidden'::text AS username INTO TEMP users",
        "CREATE TABLE pg_temp.users (id bigint, username text)",
    ] {
        for db in &tenants {
            let error = Error::from(run_raw(db, text).await.unwrap_err());
            assert!(error.is_refused(), "{text}: {error:?}");
            assert!(run_raw_in_tx(db, text).await.is_err());
        }
        assert_eq!(users(&tenants[1]).await, ["canary-1"]);
    }
    // Even if it were there, names would not lead to it first.
    let path = texts(&tenants[0], "SELECT unnest(current_schemas(true))::text").await.unwrap();
    let place_of = |name: &str| path.iter().position(|schema| schema == name);
    assert!(place_of(&place.schema_of(&tenants[0])) < place_of("shared"), "{path:?}");
    assert!(path.iter().all(|schema| !schema.starts_with("pg_temp") && schema != "public"), "{path:?}");
}

async fn a_block_that_failed_is_over_for_the_next(kind: Kind) {
    let place = Installation::on_with(kind, limits(1, 1), TENANT).await;
    let tenants = tenants(&place, 2).await;
    for text in ["BEGIN; SELECT 1/0", "SELECT 1; SELECT 1/0", "SELECT 1/0; SELECT 1", "DO $$ BEGIN ROLLBACK; END $$"] {
        assert!(run_raw(&tenants[0], text).await.is_err(), "{text}");
        assert!(run_raw_in_tx(&tenants[0], text).await.is_err(), "{text}");
        assert!(run(&tenants[0], text).await.is_err(), "{text}");
        for _ in 0..3 {
            assert_eq!(users(&tenants[1]).await, ["canary-1"], "{text}");
        }
    }
}

async fn a_scope_survives_every_savepoint(kind: Kind) {
    let place = Installation::on_with(kind, limits(2, 1), TENANT).await;
    let tenants = tenants(&place, 2).await;
    let whose = "SELECT tenantry.tenant()::text || ' ' || current_schema() || ' ' || (SELECT min(username) FROM users)";
    let declared = format!("{} {} canary-0", tenants[0].tenant().id, place.schema_of(&tenants[0]));
    let mut tx = tenants[0].begin().await.unwrap();
    let inner = tx.begin().await.unwrap();
    // In between another tenant's transaction on another connection, and its own savepoint, both given up.
    let other = tenants[1].begin().await.unwrap();
    drop(other.begin().await.unwrap());
    drop(other);
    inner.rollback().await.unwrap();
    let now: String = sqlx::query_scalar(whose).fetch_one(tx.postgres().unwrap()).await.unwrap();
    assert_eq!(now, declared);
    let mut inner = tx.begin().await.unwrap();
    let local = "SET LOCAL timezone = 'Asia/Tokyo'";
    sqlx::query(local).execute(inner.postgres().unwrap()).await.unwrap();
    assert!(sqlx::query("SELECT nothing").execute(inner.postgres().unwrap()).await.is_err());
    inner.rollback().await.unwrap();
    let now: String = sqlx::query_scalar(whose).fetch_one(tx.postgres().unwrap()).await.unwrap();
    assert_eq!(now, declared);
    tx.commit().await.unwrap();
    finds_nothing(&place, &tenants[1], "savepoints").await;
}

async fn a_procedure_that_ends_transactions_is_an_error(kind: Kind) {
    let procedure = "CREATE PROCEDURE half(name text) LANGUAGE plpgsql AS $$ BEGIN
                         INSERT INTO users (username) VALUES (name);
                         COMMIT;
                         INSERT INTO users (username) VALUES (name || ' again');
                     END $$;";
    let place = Installation::on_with(kind, limits(1, 1), TENANT).await;
    let tenants = tenants(&place, 2).await;
    // In a file it is refused: somebody else has made it.
    place.change_tables(&tenants[0], procedure);
    for text in ["CALL half('a')", "DO $$ BEGIN CALL half('a'); END $$"] {
        assert!(run(&tenants[0], text).await.is_err(), "{text}");
        assert!(run_raw(&tenants[0], text).await.is_err(), "{text}");
        assert!(run_raw_in_tx(&tenants[0], text).await.is_err(), "{text}");
        assert_eq!(users(&tenants[0]).await, ["canary-0"], "behind its commit the scope would be gone");
        finds_nothing(&place, &tenants[1], text).await;
    }
}

/// What a function sets nobody sees in the text that calls it.
async fn a_function_that_would_leave_something_is_not_migrated(kind: Kind) {
    let place = Installation::on_with(kind, limits(1, 1), TENANT).await;
    place.tenant("acme").await;
    for body in ["SET timezone = 'UTC'", "PERFORM pg_advisory_lock(5)", "EXECUTE 'SET timezone = ''UTC'''"] {
        let file = format!("CREATE FUNCTION leaves() RETURNS void LANGUAGE plpgsql AS $$ BEGIN {body}; END $$;");
        let files = TENANT.iter().copied().chain([("0002_leaves.sql", file.as_str())]);
        let migrations = Migrations::embedded(files, support::SHARED.to_vec()).unwrap();
        let opened = support::open(place.dir.path().into(), |c| c, TENANT).await.migrations(migrations);
        let report = opened.open().await.unwrap().migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap();
        assert_eq!(report.failed, 1, "{body}: {report:?}");
    }
}
