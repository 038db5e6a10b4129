//! What the SQL of apps means on PostgreSQL, in every isolation: beyond the list that all engines have in common.

use futures_util::TryStreamExt;
use sqlx::Row;
use tenantry::{Config, Error, TenantDb};

use crate::support::{Installation, Kind, TENANT, limits, number, run, texts, user_add, users};

on_every_postgres! {
    a_select_that_calls_a_writing_function_writes,
    a_view_that_writes_is_run_again_as_what_it_is,
    rows_are_streamed_and_typed_as_before_when_a_table_has_changed,
    a_locking_read_holds_its_rows_until_the_end,
    a_read_transaction_writes_nothing,
    tenants_whose_tables_differ_never_read_each_others_columns,
    a_tenant_whose_role_is_gone_reads_no_other_table,
    a_schema_that_is_closed_to_its_role_is_an_error,
    a_schema_that_is_gone_is_named_where_a_savepoint_is_the_first_to_meet_it,
    a_value_that_a_function_refuses_is_no_fault_of_the_scope,
    a_text_is_described_or_refused_with_what_to_do_instead,
}

/// One connection for all: each statement finds what the one before has left.
fn one_connection(config: Config) -> Config {
    limits(1, 1)(config)
}

async fn with_files(kind: Kind, more: &[(&str, &str)]) -> Installation {
    let files: Vec<_> = TENANT.iter().chain(more).copied().collect();
    Installation::on_with(kind, one_connection, &files).await
}

const WRITERS: &str = "
    CREATE FUNCTION user_new(name text) RETURNS bigint LANGUAGE sql
        AS $$ INSERT INTO users (username) VALUES (name) RETURNING id $$;
    CREATE VIEW made WITH (security_invoker = true) AS SELECT user_new('made') AS id;";

async fn a_select_that_calls_a_writing_function_writes(kind: Kind) {
    let place = with_files(kind, &[("0002_writers.sql", WRITERS)]).await;
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    for name in ["a", "b", "c"] {
        number(&acme, &format!("SELECT user_new('{name}')")).await.unwrap();
    }
    let streamed = sqlx::query("SELECT user_new('d')").fetch(acme.postgres().unwrap()).try_collect::<Vec<_>>().await;
    assert_eq!(streamed.unwrap().len(), 1);
    assert_eq!((users(&acme).await, users(&globex).await.len()), (["a", "b", "c", "d"].map(String::from).into(), 0));
    let twice = Error::from(number(&acme, "SELECT user_new('a')").await.unwrap_err());
    assert!(twice.is_duplicate(), "{twice:?}");
}

/// `query_as(..).fetch_all(..)` is a stream to an executor.
async fn rows_are_streamed_and_typed_as_before_when_a_table_has_changed(kind: Kind) {
    let place = with_files(kind, &[]).await;
    let acme = place.tenant("acme").await;
    user_add(&acme, "a").await;
    let columns = || async {
        let rows = sqlx::query("SELECT * FROM users").fetch(acme.postgres().unwrap());
        rows.try_collect::<Vec<_>>().await.unwrap()[0].len()
    };
    let typed = || sqlx::query_as::<_, AnyUser>("SELECT * FROM users ORDER BY id").fetch_all(acme.postgres().unwrap());
    let before = columns().await;
    assert_eq!(typed().await.unwrap(), [AnyUser("a".into())]);
    for (n, change) in
        ["ADD COLUMN note text", "ALTER COLUMN note TYPE varchar(9)", "DROP COLUMN note"].iter().enumerate()
    {
        place.change_tables(&acme, &format!("ALTER TABLE users {change}"));
        assert_eq!(columns().await, if n == 2 { before } else { before + 1 }, "{change}");
        assert_eq!(typed().await.unwrap(), [AnyUser("a".into())], "{change}");
    }
    let in_a_transaction = async || {
        let mut tx = acme.begin().await?;
        sqlx::query_as::<_, AnyUser>("SELECT * FROM users ORDER BY id").fetch_all(tx.postgres()?).await
    };
    in_a_transaction().await.unwrap();
    place.change_tables(&acme, "ALTER TABLE users ADD COLUMN note text");
    // There it cannot be run again; the next one must not meet the same.
    drop(in_a_transaction().await);
    assert_eq!(in_a_transaction().await.unwrap(), [AnyUser("a".into())]);
}

#[derive(Debug, PartialEq, Eq)]
struct AnyUser(String);

impl<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow> for AnyUser {
    fn from_row(row: &'r sqlx::postgres::PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self(row.try_get("username")?))
    }
}

async fn a_view_that_writes_is_run_again_as_what_it_is(kind: Kind) {
    let place = with_files(kind, &[("0002_writers.sql", WRITERS)]).await;
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    // By its words it only reads.
    number(&acme, "SELECT id FROM made").await.unwrap();
    number(&globex, "SELECT id FROM made").await.unwrap();
    assert_eq!((users(&acme).await, users(&globex).await), (vec!["made".into()], vec!["made".into()]));
    let twice = Error::from(number(&acme, "SELECT id FROM made").await.unwrap_err());
    assert!(twice.is_duplicate(), "{twice:?}");
}

async fn a_locking_read_holds_its_rows_until_the_end(kind: Kind) {
    let place = Installation::on(kind).await;
    let acme = place.tenant("acme").await;
    user_add(&acme, "ann").await;
    let lock = "SELECT id FROM users WHERE username = 'ann' FOR UPDATE";
    number(&acme, lock).await.unwrap();
    let mut tx = acme.begin().await.unwrap();
    sqlx::query(lock).fetch_one(tx.postgres().unwrap()).await.unwrap();
    for how in ["UPDATE", "NO KEY UPDATE", "SHARE", "KEY SHARE"] {
        let refused = number(&acme, &format!("SELECT id FROM users FOR {how} NOWAIT")).await;
        let refused = Error::from(refused.unwrap_err());
        assert!(refused.is_retryable() && refused.client_code() == "busy", "{how}: {refused:?}");
    }
    assert!(texts(&acme, "SELECT username FROM users FOR UPDATE SKIP LOCKED").await.unwrap().is_empty());
    tx.commit().await.unwrap();
    assert_eq!(texts(&acme, "SELECT username FROM users FOR UPDATE SKIP LOCKED").await.unwrap(), ["ann"]);
}

async fn a_read_transaction_writes_nothing(kind: Kind) {
    let place = Installation::on(kind).await;
    let acme = place.tenant("acme").await;
    let mut reading = acme.begin_read().await.unwrap();
    let insert = sqlx::query("INSERT INTO users (username) VALUES ('a')");
    assert!(insert.execute(reading.postgres().unwrap()).await.is_err());
    assert!(reading.commit().await.unwrap_err().is_transaction_failed());
    assert_eq!(users(&acme).await, Vec::<String>::new());
}

async fn tenants_whose_tables_differ_never_read_each_others_columns(kind: Kind) {
    let place = Installation::on_with(kind, one_connection, TENANT).await;
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    if kind == Kind::PostgresRow {
        return; // One set of tables for all.
    }
    run(&acme, "INSERT INTO notes (text) VALUES ('acme')").await.unwrap();
    run(&globex, "INSERT INTO notes (text) VALUES ('7')").await.unwrap();
    // By hand: a wave that has reached one of the two.
    place.change_tables(&globex, "ALTER TABLE notes ALTER text TYPE bigint USING text::bigint");
    for _ in 0..50 {
        for query in ["SELECT text FROM notes", "SELECT * FROM notes WHERE id > 0"] {
            let of_acme = sqlx::query(query).fetch_one(acme.postgres().unwrap()).await.unwrap();
            let of_globex = sqlx::query(query).fetch_one(globex.postgres().unwrap()).await.unwrap();
            assert_eq!((of_acme.get::<String, _>("text"), of_globex.get::<i64, _>("text")), ("acme".into(), 7));
        }
        // What an app binds is the same for both, so that for one of them it is wrong: an error, and nothing stored.
        let insert = "INSERT INTO notes (text) VALUES ($1)";
        sqlx::query(insert).bind("x").execute(acme.postgres().unwrap()).await.unwrap();
        assert!(sqlx::query(insert).bind("x").execute(globex.postgres().unwrap()).await.is_err());
    }
    assert_eq!(number(&acme, "SELECT count(*) FROM notes WHERE text = 'x'").await.unwrap(), 50);
    assert_eq!(number(&globex, "SELECT count(*) FROM notes").await.unwrap(), 1);
}

/// A table of the shared ones has the name of one of the tenants'.
async fn with_a_table_of_the_same_name(kind: Kind) -> (Installation, TenantDb) {
    let place = Installation::on(kind).await;
    let acme = place.tenant("acme").await;
    user_add(&acme, "ann").await;
    let users = "CREATE TABLE users (id bigint PRIMARY KEY, username text NOT NULL)";
    let wider = place.neighbour_with(&[], &[("0002_users.sql", users)]).await;
    let shared = wider.shared().await.unwrap();
    let insert = sqlx::query("INSERT INTO users VALUES (1, 'another table')");
    insert.execute(shared.postgres().unwrap()).await.unwrap();
    assert_eq!(texts(&acme, "SELECT username FROM users").await.unwrap(), ["ann"]);
    (place, acme)
}

async fn reads_nothing(db: &TenantDb) {
    for _ in 0..3 {
        for text in ["SELECT username FROM users", "SELECT username FROM users FOR UPDATE"] {
            let read = texts(db, text).await;
            assert!(read.is_err(), "{text}: {read:?}");
        }
    }
}

async fn a_tenant_whose_role_is_gone_reads_no_other_table(kind: Kind) {
    let (place, acme) = with_a_table_of_the_same_name(kind).await;
    let role = place.role_of(&acme);
    place.sql_at(&acme, &format!("DROP OWNED BY {role} CASCADE"));
    place.database.as_ref().unwrap().sql(&format!("REVOKE ALL ON SCHEMA tenant, shared FROM {role}")).unwrap();
    if kind != Kind::PostgresRow {
        place.database.as_ref().unwrap().sql(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}")).unwrap();
    }
    reads_nothing(&acme).await;
}

async fn a_schema_that_is_closed_to_its_role_is_an_error(kind: Kind) {
    let (place, acme) = with_a_table_of_the_same_name(kind).await;
    if kind == Kind::PostgresDatabase {
        return; // It is nobody's way to another tenant: the shared tables are all that is there besides.
    }
    let (role, schema) = (place.role_of(&acme), place.schema_of(&acme));
    place.sql_at(&acme, &format!("REVOKE ALL ON SCHEMA {schema} FROM {role}"));
    reads_nothing(&acme).await;
}

async fn a_schema_that_is_gone_is_named_where_a_savepoint_is_the_first_to_meet_it(kind: Kind) {
    let place = with_files(kind, &[]).await;
    let acme = place.tenant("acme").await;
    assert!(users(&acme).await.is_empty());
    if kind == Kind::PostgresDatabase {
        return; // There is no scope to enter.
    }
    place.make_vanish(&acme);
    let tx = acme.begin().await.unwrap();
    let error = tx.begin().await.unwrap_err();
    assert!(error.to_string().contains("the tenant's schema is gone"), "{error:?}");
}

async fn a_value_that_a_function_refuses_is_no_fault_of_the_scope(kind: Kind) {
    let place = with_files(kind, &[]).await;
    let acme = place.tenant("acme").await;
    let error = Error::from(texts(&acme, "SELECT generate_series(1, 9, 0)::text").await.unwrap_err());
    assert_eq!(error.to_string(), "a value does not fit its column");
}

async fn a_text_is_described_or_refused_with_what_to_do_instead(kind: Kind) {
    let place = with_files(kind, &[]).await;
    let acme = place.tenant("acme").await;
    let text = || sqlx::SqlSafeStr::into_sql_str("SELECT username FROM users");
    let is_described_or_refused = |outcome: Result<sqlx::Describe<sqlx::Postgres>, sqlx::Error>| match outcome {
        Ok(described) => assert_eq!(sqlx::Column::name(&described.columns[0]), "username"),
        Err(error) => {
            let error = Error::from(error);
            assert!(error.is_unsupported() && kind != Kind::PostgresDatabase, "{error:?}");
            assert!(error.help_text().unwrap().contains("wire = false"), "{error:?}");
        }
    };
    is_described_or_refused(sqlx::Executor::describe(acme.postgres().unwrap(), text()).await);
    // Also behind a transaction's first statement, and before it.
    for first in [None, Some("SELECT 1")] {
        let mut tx = acme.begin().await.unwrap();
        if let Some(first) = first {
            sqlx::query(first).execute(tx.postgres().unwrap()).await.unwrap();
        }
        is_described_or_refused(sqlx::Executor::describe(tx.postgres().unwrap(), text()).await);
    }
    assert!(users(&acme).await.is_empty(), "the connection is of use as before");
}
