//! The queries of the macros on a tenant's handle and in a transaction, in every isolation of PostgreSQL.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use tenantry::{Config, Isolation, MigrateOptions, Migrations, NewServer, NewTenant, SecretKey, TenantDb, Tenantry};
use tenantry_testbed::{Postgres, TestDatabase};
use typed::{Book, Condition, book_add, books, language, lend, loans, reader_of};

/// The app with tenants that share one connection.
struct Library {
    tenants: Vec<TenantDb>,
    _database: TestDatabase,
    _dir: tempfile::TempDir,
}

async fn library(isolation: Isolation) -> Library {
    let database = Postgres::shared().unwrap().database().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let key_file = dir.path().join("tenantry.key");
    SecretKey::create_if_missing(&key_file).unwrap();
    let url = format!("sqlite://{}", dir.path().join("catalog.db").display());
    let mut config = Config::default();
    (config.catalog.url, config.catalog.key_file) = (url, key_file);
    (config.pool.connections, config.pool.per_tenant) = (3, 1);
    let tenant = [("0001_books.sql", include_str!("../migrations/tenant/0001_books.sql"))];
    let shared = [("0001_languages.sql", include_str!("../migrations/shared/0001_languages.sql"))];
    let migrations = Migrations::embedded(tenant, shared).unwrap();
    let tenancy = Tenantry::builder().config(config).migrations(migrations).open().await.unwrap();
    tenancy.server_add(NewServer::new("main", database.url()).connections(3)).await.unwrap();
    let report = tenancy.migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap();
    assert_eq!(report.failed, 0, "{report:?}");
    database.sql("INSERT INTO shared.languages VALUES ('de', 'German')").unwrap();
    let mut tenants = Vec::new();
    for key in ["town", "village"] {
        tenancy.tenant_create(NewTenant::new(key).unwrap().isolation(isolation)).await.unwrap();
        tenants.push(tenancy.tenant(key).await.unwrap());
    }
    Library { tenants, _database: database, _dir: dir }
}

async fn checked_queries_are_the_tenants_own(isolation: Isolation) {
    let library = library(isolation).await;
    for (round, db) in (0..10).flat_map(|round| library.tenants.iter().map(move |db| (round, db))) {
        let (title, pages) = (format!("{} {round}", db.tenant().key), (round % 2 == 0).then_some(round));
        let id = book_add(db, &title, None, pages).await.unwrap();
        let all = books(db).await.unwrap();
        assert_eq!(all.len(), usize::try_from(round).unwrap() + 1);
        let new = Book { id, title: title.clone(), subtitle: None, pages, condition: Condition::New };
        assert_eq!(all.last(), Some(&new));
        assert_eq!(reader_of(db, &title).await.unwrap(), None);
        let mut tx = db.begin().await.unwrap();
        assert_eq!(lend(&mut tx, &title, "ann", Condition::Worn).await.unwrap().condition, Condition::Worn);
        assert_eq!(loans(&mut tx).await.unwrap(), i64::from(round) + 1);
        tx.commit().await.unwrap();
        assert_eq!(reader_of(db, &title).await.unwrap().as_deref(), Some("ann"));
        let mut undone = db.begin().await.unwrap();
        lend(&mut undone, &title, "bob", Condition::New).await.unwrap();
        undone.rollback().await.unwrap();
        assert_eq!(books(db).await.unwrap().last().unwrap().condition, Condition::Worn);
        assert_eq!(language(db, "de").await.unwrap().as_deref(), Some("German"));
        assert_eq!(language(db, "xx").await.unwrap(), None);
    }
    let taken = tenantry::Error::from(book_add(&library.tenants[0], "town 0", None, None).await.unwrap_err());
    assert!(taken.is_duplicate(), "{taken:?}");
    book_add(&library.tenants[1], "town 0", Some("a neighbour's title is free"), None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn in_row_isolation() {
    checked_queries_are_the_tenants_own(Isolation::Row).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_schema_isolation() {
    checked_queries_are_the_tenants_own(Isolation::Schema).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_database_isolation() {
    checked_queries_are_the_tenants_own(Isolation::Database).await;
}
