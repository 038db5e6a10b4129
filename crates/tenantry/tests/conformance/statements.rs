//! One-shot statements: each a transaction of its own, committed before it is answered.

use std::time::Instant;

use futures_util::TryStreamExt;
use sqlx::{Executor, Row};
use tenantry::{Error, MigrateOptions, Migrations, PoolLimits};

use crate::support::{self, Installation, SHARED, TENANT, user_add, users};

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
    let one = sqlx::query_scalar::<_, i64>(insert).fetch_one(acme.sqlite().unwrap()).await;
    assert!(Error::from(one.unwrap_err()).is_missing_reference());
    let optional = sqlx::query(insert).fetch_optional(acme.sqlite().unwrap()).await;
    assert!(optional.is_err());
    let all = sqlx::query(insert).fetch_all(acme.sqlite().unwrap()).await;
    assert!(all.is_err());
    let stored: i64 =
        sqlx::query_scalar("SELECT count(*) FROM orders").fetch_one(acme.sqlite().unwrap()).await.unwrap();
    assert_eq!(stored, 0);
}

pub async fn several_statements_in_one_text_are_one_transaction(place: Installation) {
    let acme = place.tenant("acme").await;
    let text = "INSERT INTO users (username) VALUES ('a'); INSERT INTO users (username) VALUES ('a')";
    assert!(sqlx::raw_sql(text).execute(acme.sqlite().unwrap()).await.is_err());
    assert_eq!(users(&acme).await, Vec::<String>::new());
    let text = "INSERT INTO users (username) VALUES ('a'); INSERT INTO users (username) VALUES ('b')";
    sqlx::raw_sql(text).execute(acme.sqlite().unwrap()).await.unwrap();
    assert_eq!(users(&acme).await, ["a", "b"]);
}

pub async fn a_stream_gives_all_rows_and_a_dropped_one_rolls_back(place: Installation) {
    let acme = place.tenant("acme").await;
    for n in 0..200 {
        user_add(&acme, &format!("u{n}")).await;
    }
    let rows: Vec<_> = sqlx::query("SELECT id FROM users").fetch(acme.sqlite().unwrap()).try_collect().await.unwrap();
    assert_eq!(rows.len(), 200);
    {
        let mut rows = sqlx::query("DELETE FROM users RETURNING id").fetch(acme.sqlite().unwrap());
        assert!(rows.try_next().await.unwrap().is_some());
    }
    assert_eq!(users(&acme).await.len(), 200);
    let rows: Vec<_> =
        sqlx::query("DELETE FROM users RETURNING id").fetch(acme.sqlite().unwrap()).try_collect().await.unwrap();
    assert_eq!((rows.len(), users(&acme).await.len()), (200, 0));
}

pub async fn a_transaction_cannot_be_steered_by_text(place: Installation) {
    let acme = place.tenant("acme").await;
    for text in ["BEGIN", "SELECT 1; COMMIT", "/* */ ROLLBACK", "SAVEPOINT a", "END", "BEGIN; SELECT 1/0"] {
        let error = Error::from(sqlx::raw_sql(text).execute(acme.sqlite().unwrap()).await.unwrap_err());
        assert!(error.is_refused() && error.help_text().is_some(), "{text}: {error:?}");
        let mut tx = acme.begin().await.unwrap();
        let error = Error::from(sqlx::raw_sql(text).execute(tx.sqlite().unwrap()).await.unwrap_err());
        assert!(error.is_refused(), "{text}: {error:?}");
        assert!(tx.commit().await.unwrap_err().is_transaction_failed());
    }
    for _ in 0..3 {
        assert_eq!(users(&acme).await, Vec::<String>::new());
    }
}

pub async fn a_prepared_statement_follows_a_migration(place: Installation) {
    let acme = place.tenant("acme").await;
    sqlx::query("INSERT INTO items (description, price) VALUES ('x', 5)")
        .execute(acme.sqlite().unwrap())
        .await
        .unwrap();
    let star = "SELECT * FROM items";
    let named = "SELECT price FROM items";
    let before = sqlx::query(star).fetch_one(acme.sqlite().unwrap()).await.unwrap();
    assert_eq!(before.get::<i64, _>("price"), 5);
    sqlx::query(named).fetch_one(acme.sqlite().unwrap()).await.unwrap();
    // Another process changes the columns under this one's prepared statements.
    let mut files = TENANT.to_vec();
    files.push((
        "0002_items.sql",
        "ALTER TABLE items DROP COLUMN description; ALTER TABLE items ADD COLUMN stock INTEGER NOT NULL DEFAULT 9",
    ));
    let migrations = Migrations::embedded(files, SHARED.to_vec()).unwrap();
    let other =
        support::open(place.dir.path().into(), |c| c, TENANT).await.migrations(migrations).open().await.unwrap();
    let report = other.migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap();
    assert_eq!((report.failed, report.targets.len()), (0, 1));
    let after = sqlx::query(star).fetch_one(acme.sqlite().unwrap()).await.unwrap();
    assert_eq!((after.get::<i64, _>("price"), after.get::<i64, _>("stock")), (5, 9));
    assert!(after.try_get::<String, _>("description").is_err());
    let price: i64 = sqlx::query_scalar(named).fetch_one(acme.sqlite().unwrap()).await.unwrap();
    assert_eq!(price, 5);
}

pub async fn a_failed_statement_leaves_the_next_borrower_alone(place: Installation) {
    let acme = place.tenant("acme").await;
    for _ in 0..20 {
        assert!(acme.sqlite().unwrap().execute("INSERT INTO users (username) VALUES (NULL)").await.is_err());
        assert!(acme.sqlite().unwrap().fetch_all("SELECT nothing").await.is_err());
        assert_eq!(users(&acme).await, Vec::<String>::new());
    }
}

pub async fn values_of_every_kind_come_back_as_they_went(place: Installation) {
    let acme = place.tenant("acme").await;
    let text = "it's \"quoted\"; -- no comment \u{0} \u{1F600}";
    sqlx::query("INSERT INTO notes (text) VALUES (?)").bind(text).execute(acme.sqlite().unwrap()).await.unwrap();
    let back: String = sqlx::query_scalar("SELECT text FROM notes").fetch_one(acme.sqlite().unwrap()).await.unwrap();
    assert_eq!(back, text);
    let (number, real, blob, nothing): (i64, f64, Vec<u8>, Option<i64>) = sqlx::query_as("SELECT ?, ?, ?, ?")
        .bind(i64::MIN)
        .bind(-0.5_f64)
        .bind(vec![0_u8, 255])
        .bind(None::<i64>)
        .fetch_one(acme.sqlite().unwrap())
        .await
        .unwrap();
    assert_eq!((number, real, blob, nothing), (i64::MIN, -0.5, vec![0, 255], None));
}

pub async fn a_statement_past_its_limit_is_stopped(_: Installation) {
    let short = |mut config: tenantry::Config| {
        config.pool = PoolLimits { statement_timeout: 0.2, ..config.pool };
        config
    };
    let place = Installation::with(short, TENANT).await;
    let acme = place.tenant("acme").await;
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let started = Instant::now();
    let error = sqlx::query(endless).fetch_all(acme.sqlite().unwrap()).await.unwrap_err();
    let error = Error::from(error);
    assert!(error.is_retryable() && error.code() == "too_slow", "{error:?}");
    assert!(started.elapsed().as_secs() < 5, "the limit of 0.2 s was not kept");
    user_add(&acme, "ann").await;
}
