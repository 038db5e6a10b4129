//! One-shot statements: each a transaction of its own, committed before it is answered.

use std::time::Instant;

use futures_util::TryStreamExt;
use sqlx::{Executor, Row};
use tenantry::{Error, Seconds, TenantDb};

use crate::support::{Installation, Kind, TENANT, number, run, user_add, users};

pub async fn a_write_is_durable_when_it_is_answered(place: Installation) {
    let acme = place.tenant("acme").await;
    user_add(&acme, "ann").await;
    // Another process reads it at once.
    let other = place.neighbour().await;
    assert_eq!(users(&other.tenant("acme").await.unwrap()).await, ["ann"]);
}

pub async fn a_returning_write_whose_commit_fails_is_not_answered_with_a_row(place: Installation) {
    let acme = place.tenant("acme").await;
    // The reference is checked at commit: a driver that stops at the first row would call this a success.
    let insert = "INSERT INTO orders (item_id, quantity) VALUES (99, 1) RETURNING id";
    let one = number(&acme, insert).await;
    assert!(Error::from(one.unwrap_err()).is_missing_reference());
    assert!(on!(acme, view => sqlx::query(insert).fetch_optional(view).await.map(drop)).is_err());
    assert!(on!(acme, view => sqlx::query(insert).fetch_all(view).await.map(drop)).is_err());
    assert!(on!(acme, view => sqlx::query(insert).execute(view).await.map(drop)).is_err());
    let streamed = on!(acme, view => sqlx::query(insert).fetch(view).try_for_each(|_| async { Ok(()) }).await);
    assert!(streamed.is_err());
    assert_eq!(number(&acme, "SELECT count(*) FROM orders").await.unwrap(), 0);
}

async fn run_all(db: &TenantDb, text: &'static str) -> Result<(), sqlx::Error> {
    on!(db, view => sqlx::raw_sql(text).execute(view).await.map(drop))
}

pub async fn several_statements_in_one_text_are_one_transaction(place: Installation) {
    let acme = place.tenant("acme").await;
    let text = "INSERT INTO users (username) VALUES ('a'); INSERT INTO users (username) VALUES ('a')";
    assert!(run_all(&acme, text).await.is_err());
    assert_eq!(users(&acme).await, Vec::<String>::new());
    let text = "INSERT INTO users (username) VALUES ('a'); INSERT INTO users (username) VALUES ('b')";
    run_all(&acme, text).await.unwrap();
    assert_eq!(users(&acme).await, ["a", "b"]);
}

pub async fn a_stream_gives_all_rows_and_a_dropped_one_rolls_back(place: Installation) {
    let acme = place.tenant("acme").await;
    for n in 0..200 {
        user_add(&acme, &format!("u{n}")).await;
    }
    let read = "SELECT id FROM users";
    let rows = on!(acme, view => sqlx::query(read).fetch(view).try_fold(0, |n, _| async move { Ok(n + 1) }).await);
    assert_eq!(rows.unwrap(), 200);
    let delete = "DELETE FROM users RETURNING id";
    on!(acme, view => {
        let mut rows = sqlx::query(delete).fetch(view);
        assert!(rows.try_next().await.unwrap().is_some());
    });
    assert_eq!(users(&acme).await.len(), 200);
    let rows = on!(acme, view => sqlx::query(delete).fetch(view).try_fold(0, |n, _| async move { Ok(n + 1) }).await);
    assert_eq!((rows.unwrap(), users(&acme).await.len()), (200, 0));
}

pub async fn a_transaction_cannot_be_steered_by_text(place: Installation) {
    let acme = place.tenant("acme").await;
    for text in ["BEGIN", "SELECT 1; COMMIT", "/* */ ROLLBACK", "SAVEPOINT a", "END", "BEGIN; SELECT 1/0"] {
        let error = Error::from(run_all(&acme, text).await.unwrap_err());
        assert!(error.is_refused() && error.help_text().is_some(), "{text}: {error:?}");
        let mut tx = acme.begin().await.unwrap();
        let refused = on!(tx, view => sqlx::raw_sql(text).execute(view).await.map(drop));
        let error = Error::from(refused.unwrap_err());
        assert!(error.is_refused(), "{text}: {error:?}");
        assert!(tx.commit().await.unwrap_err().is_transaction_failed());
    }
    for _ in 0..3 {
        assert_eq!(users(&acme).await, Vec::<String>::new());
    }
}

pub async fn a_prepared_statement_follows_a_migration(place: Installation) {
    let acme = place.tenant("acme").await;
    run(&acme, "INSERT INTO items (description, price) VALUES ('x', 5)").await.unwrap();
    let star = "SELECT * FROM items";
    let named = "SELECT price FROM items";
    let before: i64 = on!(acme, view => sqlx::query(star).fetch_one(view).await.unwrap().get("price"));
    assert_eq!((before, number(&acme, named).await.unwrap()), (5, 5));
    // Another process changes the columns under this one's prepared statements.
    let changed = "ALTER TABLE items DROP COLUMN description; \
                   ALTER TABLE items ADD COLUMN stock BIGINT NOT NULL DEFAULT 9";
    place.neighbour_with(&[("0002_items.sql", changed)], &[]).await;
    on!(acme, view => {
        let after = sqlx::query(star).fetch_one(view).await.unwrap();
        assert_eq!((after.get::<i64, _>("price"), after.get::<i64, _>("stock")), (5, 9));
        assert!(after.try_get::<String, _>("description").is_err());
    });
    assert_eq!(number(&acme, named).await.unwrap(), 5);
}

pub async fn a_failed_statement_leaves_the_next_borrower_alone(place: Installation) {
    let acme = place.tenant("acme").await;
    for _ in 0..20 {
        assert!(on!(acme, view => view.execute("INSERT INTO users (username) VALUES (NULL)").await.is_err()));
        assert!(on!(acme, view => view.fetch_all("SELECT nothing").await.is_err()));
        assert!(run(&acme, "INSERT INTO users (username) VALUES (NULL)").await.is_err());
        assert_eq!(users(&acme).await, Vec::<String>::new());
    }
}

async fn note(db: &TenantDb, text: String) -> Result<(), sqlx::Error> {
    on!(db, view => sqlx::query("INSERT INTO notes (text) VALUES ($1)").bind(text).execute(view).await.map(drop))
}

pub async fn values_of_every_kind_come_back_as_they_went(place: Installation) {
    let acme = place.tenant("acme").await;
    let stored_nul = if place.kind == Kind::SqliteDatabase { "\u{0}" } else { "" };
    let text = format!("it's \"quoted\"; -- no comment \\ $1 {stored_nul} \u{1F600}");
    note(&acme, text.clone()).await.unwrap();
    let back: String = on!(acme, view => sqlx::query_scalar("SELECT text FROM notes").fetch_one(view).await.unwrap());
    assert_eq!(back, text);
    let (number, real, blob, nothing): (i64, f64, Vec<u8>, Option<i64>) = on!(acme, view => {
        let query = sqlx::query_as("SELECT $1, $2, $3, $4").bind(i64::MIN).bind(-0.5_f64);
        query.bind(vec![0_u8, 255]).bind(None::<i64>).fetch_one(view).await.unwrap()
    });
    assert_eq!((number, real, blob, nothing), (i64::MIN, -0.5, vec![0, 255], None));
}

pub async fn a_value_that_the_engine_cannot_store_is_an_error_of_its_statement(place: Installation) {
    let acme = place.tenant("acme").await;
    for _ in 0..3 {
        let unstorable = if place.kind == Kind::SqliteDatabase { "x".repeat(257 << 20) } else { "a\u{0}b".to_owned() };
        assert!(note(&acme, unstorable).await.is_err());
        note(&acme, "stored".into()).await.unwrap();
    }
    assert_eq!(number(&acme, "SELECT count(*) FROM notes").await.unwrap(), 3);
}

pub async fn a_statement_past_its_limit_is_stopped(place: Installation) {
    let short = |mut config: tenantry::Config| {
        config.pool.statement_timeout = Seconds::new(0.2).unwrap();
        config
    };
    let place = Installation::on_with(place.kind, short, TENANT).await;
    let acme = place.tenant("acme").await;
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT (i + 1) % 1000 FROM n) SELECT count(*) FROM n";
    let started = Instant::now();
    let error = Error::from(run(&acme, endless).await.unwrap_err());
    assert!(error.is_retryable() && error.client_code() == "too_slow", "{error:?}");
    assert!(started.elapsed().as_secs() < 5, "the limit of 0.2 s was not kept");
    user_add(&acme, "ann").await;
}
