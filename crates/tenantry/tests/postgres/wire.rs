//! The wire between the driver and a server: what goes wrong on it, and what is large, slow or different on it.

use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::Row;
use tenantry::{Error, TenantDb};

use crate::{
    counted::counted,
    support::{Installation, Kind, TENANT, limits, number, run, run_raw, texts, user_add, users},
};

const KINDS: [Kind; 3] = [Kind::PostgresRow, Kind::PostgresSchema, Kind::PostgresDatabase];

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_sends_one_byte_at_a_time_is_understood() {
    for kind in KINDS {
        let (_place, tenants, proxy) = counted(kind, true).await;
        proxy.cuts_into(1);
        for db in tenants.iter().cycle().take(4) {
            assert_eq!(users(db).await, ["ann"]);
            run(db, "UPDATE users SET username = 'ann'").await.unwrap();
            assert!(run(db, "INSERT INTO users (username) VALUES ('ann')").await.is_err());
            let mut tx = db.begin().await.unwrap();
            let view = tx.postgres().unwrap();
            sqlx::query("INSERT INTO notes (text) VALUES ($1)").bind("x".repeat(20_000)).execute(view).await.unwrap();
            tx.rollback().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_holds_the_server_back() {
    let (_place, [db, _], proxy) = counted(Kind::PostgresRow, true).await;
    let before = proxy.bytes();
    let mut rows =
        sqlx::query("SELECT repeat('x', 10000) FROM generate_series(1, 10000)").fetch(db.postgres().unwrap());
    rows.try_next().await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    let came = proxy.bytes() - before;
    // Of 100 MB: what buffers of sockets take, and little more.
    assert!(came < 16 << 20, "{came} bytes came for a client that read one row");
    let rest: Vec<_> = rows.try_collect().await.unwrap();
    assert_eq!(rest.len(), 9_999);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_outcome_of_a_write_is_unknown_if_its_server_goes_before_it_answers() {
    for kind in KINDS {
        let (_place, [db, _], proxy) = counted(kind, true).await;
        let insert =
            |text| sqlx::query("INSERT INTO notes (text) VALUES ($1)").bind(text).execute(db.postgres().unwrap());
        insert("first").await.unwrap();
        proxy.loses_the_next_answer();
        let error = Error::from(insert("second").await.unwrap_err());
        assert!(error.is_outcome_unknown() && !error.is_retryable(), "{kind:?}: {error:?}");
        // The server had done it: nobody may say that it failed.
        assert_eq!(texts(&db, "SELECT text FROM notes ORDER BY id").await.unwrap(), ["first", "second"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_and_values_of_many_megabytes_go_through() {
    for kind in KINDS {
        let place = Installation::on(kind).await;
        let db = place.tenant("acme").await;
        let text = "0123456789abcdef".repeat(512 * 1024);
        let insert = sqlx::query_scalar("INSERT INTO notes (text) VALUES ($1) RETURNING text").bind(&text);
        let stored: String = insert.fetch_one(db.postgres().unwrap()).await.unwrap();
        assert!(stored == text, "{kind:?}");
        let mut tx = db.begin().await.unwrap();
        let read: Vec<String> =
            sqlx::query_scalar("SELECT text FROM notes").fetch_all(tx.postgres().unwrap()).await.unwrap();
        assert!(read == [text], "{kind:?}");
        tx.commit().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_with_different_tables_share_a_connection() {
    let place = Installation::on_with(Kind::PostgresSchema, limits(1, 1), TENANT).await;
    let (acme, other) = (place.tenant("acme").await, place.tenant("other").await);
    place.change_tables(&other, "ALTER TABLE items ADD COLUMN stock bigint NOT NULL DEFAULT 7");
    for db in [&acme, &other] {
        run(db, "INSERT INTO items (description, price) VALUES ('x', 5)").await.unwrap();
    }
    let star = "SELECT * FROM items";
    let change = "UPDATE items SET price = price + 1 RETURNING *";
    for round in 1..=3 {
        for (db, columns) in [(&acme, 4), (&other, 5)] {
            let view = db.postgres().unwrap();
            assert_eq!(sqlx::query(star).fetch_one(view).await.unwrap().len(), columns);
            let row = sqlx::query(change).fetch_one(db.postgres().unwrap()).await.unwrap();
            // Done once, whatever had to be prepared again for it.
            assert_eq!((row.len(), row.get::<i64, _>("price")), (columns, 5 + round));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_app_forgets_on_the_server_is_prepared_again() {
    let forget = |what: &str| format!("DO $$ BEGIN EXECUTE '{what}'; END $$");
    for kind in KINDS {
        let place = Installation::on_with(kind, limits(1, 1), TENANT).await;
        let (acme, other) = (place.tenant("acme").await, place.tenant("other").await);
        user_add(&acme, "ann").await;
        user_add(&other, "bob").await;
        for text in
            [forget("DEALLOCATE ALL"), "DEALLOCATE ALL".into(), "DISCARD ALL".into(), "PREPARE a AS SELECT 1".into()]
        {
            for (db, name) in [(&acme, "ann"), (&other, "bob")] {
                assert_eq!(users(db).await, [name]);
                // Some of them are refused; what is not must not reach the next one.
                drop(run_raw(db, &text).await);
                assert_eq!(users(db).await, [name], "{kind:?}: {text}");
            }
        }
    }
}

async fn scope_fails(db: &TenantDb) {
    let before = "SELECT count(*) FROM users";
    for _ in 0..3 {
        assert!(number(db, before).await.is_err());
        assert!(run(db, "INSERT INTO users (username) VALUES ('x')").await.is_err());
        let mut tx = db.begin().await.unwrap();
        assert!(sqlx::query("SELECT 1").fetch_one(tx.postgres().unwrap()).await.is_err());
        assert!(tx.commit().await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_does_not_run_if_its_scope_fails() {
    let place = Installation::on_with(Kind::PostgresSchema, limits(1, 1), TENANT).await;
    let (acme, other, third) = (place.tenant("acme").await, place.tenant("other").await, place.tenant("third").await);
    for db in [&acme, &other, &third] {
        user_add(db, "ann").await;
    }
    // The role is no member's any more; the schema is gone.
    let (role, login) = (place.role_of(&acme), place.login("s0"));
    place.sql_at(&acme, &format!("REVOKE {role} FROM {login}"));
    place.make_vanish(&other);
    scope_fails(&acme).await;
    scope_fails(&other).await;
    assert_eq!(users(&third).await, ["ann"]);
    place.sql_at(&acme, &format!("GRANT {role} TO {login}"));
    assert_eq!(users(&acme).await, ["ann"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_has_not_heard_of_a_tenant_makes_way_for_one_that_has() {
    let (place, [acme, _], proxy) = counted(Kind::PostgresSchema, true).await;
    let newcomer = place.tenant("newcomer").await;
    let (role, login) = (place.role_of(&newcomer), place.login("s0"));
    place.sql_at(&newcomer, &format!("REVOKE {role} FROM {login}"));
    // Warm, and as ignorant as one that has read its memberships too early.
    assert_eq!(users(&acme).await, ["ann"]);
    proxy.answers_only(1);
    let asked = tokio::spawn({
        let newcomer = newcomer.clone();
        async move { run(&newcomer, "INSERT INTO users (username) VALUES ('bob')").await }
    });
    // The next connection waits for the server's first words.
    while proxy.trips() <= 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    place.sql_at(&newcomer, &format!("GRANT {role} TO {login}"));
    proxy.answers_only(usize::MAX);
    asked.await.unwrap().unwrap();
    assert_eq!(users(&newcomer).await, ["bob"], "it was written once");
}

/// Nothing of tenantry's lets this happen: a superuser has made the functions, and they stand for what nobody has thought of.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_whose_server_reads_texts_otherwise_is_closed() {
    for kind in KINDS {
        let place = Installation::on_with(kind, limits(1, 1), TENANT).await;
        let acme = place.tenant("acme").await;
        user_add(&acme, "ann").await;
        for (n, setting) in ["'client_encoding', 'GBK'", "'standard_conforming_strings', 'off'"].iter().enumerate() {
            place.sql_at(
                &acme,
                &format!(
                    "CREATE FUNCTION shared.otherwise{n}() RETURNS text LANGUAGE sql SECURITY DEFINER
                       AS $$ SELECT set_config({setting}, false) $$;
                     GRANT EXECUTE ON FUNCTION shared.otherwise{n}() TO PUBLIC"
                ),
            );
            let (before, text) = (pid(&acme).await, format!("SELECT shared.otherwise{n}()"));
            let error = Error::from(texts(&acme, &text).await.unwrap_err());
            assert!(error.is_outcome_unknown(), "{kind:?}: {setting}: {error:?}");
            assert_eq!(users(&acme).await, ["ann"], "{kind:?}: {setting}");
            assert_ne!(pid(&acme).await, before, "{kind:?}: {setting}");
            let mut tx = acme.begin().await.unwrap();
            let told = sqlx::query(sqlx::AssertSqlSafe(text)).execute(tx.postgres().unwrap()).await;
            assert!(told.is_err(), "{kind:?}: {setting}");
            drop(tx);
            assert_eq!(users(&acme).await, ["ann"], "{kind:?}: {setting}");
        }
    }
}

async fn pid(db: &TenantDb) -> i64 {
    number(db, "SELECT pg_backend_pid()::bigint").await.unwrap()
}
