//! A fresh installation for each test: its own directory, catalog, key and server.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::path::PathBuf;

use tenantry::{CatalogConfig, Config, Migrations, NewServer, NewTenant, SecretKey, TenantDb, Tenantry, TenantryBuilder};

/// The tenant tables of the tests.
pub const TENANT: &[(&str, &str)] = &[(
    "0001_shop.sql",
    "CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT NOT NULL UNIQUE);
     CREATE TABLE items (id INTEGER PRIMARY KEY, description TEXT NOT NULL, price INTEGER NOT NULL CHECK (price >= 0));
     CREATE TABLE orders (
         id INTEGER PRIMARY KEY,
         item_id INTEGER NOT NULL REFERENCES items (id) DEFERRABLE INITIALLY DEFERRED,
         quantity INTEGER NOT NULL
     );
     CREATE TABLE notes (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL);",
)];

/// The shared tables of the tests.
pub const SHARED: &[(&str, &str)] =
    &[("0001_plans.sql", "CREATE TABLE plans (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);")];

/// A directory that goes away with the test, and what is in it.
pub struct Installation {
    pub dir: tempfile::TempDir,
    pub tenancy: Tenantry,
}

impl Installation {
    pub async fn new() -> Self {
        Self::with(|config| config, TENANT).await
    }

    pub async fn with(change: impl FnOnce(Config) -> Config, tenant: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let tenancy = open(dir.path().into(), change, tenant).await.open().await.unwrap();
        tenancy
            .server_add(NewServer::new("local", format!("sqlite://{}", dir.path().join("data").display())))
            .await
            .unwrap();
        let report = tenancy.migrations().up(&tenantry::MigrateOptions::new(), |_| ()).await.unwrap();
        assert_eq!(report.failed, 0, "{report:?}");
        Self { dir, tenancy }
    }

    /// Another process, as far as tenantry can tell: its own handle on the same installation.
    pub async fn neighbour(&self) -> Tenantry {
        open(self.dir.path().into(), |c| c, TENANT).await.open().await.unwrap()
    }

    pub async fn tenant(&self, key: &str) -> TenantDb {
        self.tenancy.tenant_create(NewTenant::new(key).unwrap()).await.unwrap();
        self.tenancy.tenant(key).await.unwrap()
    }

    pub fn tenant_files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> =
            std::fs::read_dir(self.dir.path().join("data/tenants")).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        files
    }
}

pub async fn open(dir: PathBuf, change: impl FnOnce(Config) -> Config, tenant: &[(&str, &str)]) -> TenantryBuilder {
    let key_file = dir.join("tenantry.key");
    SecretKey::create_if_missing(&key_file).unwrap();
    let url = format!("sqlite://{}", dir.join("catalog.db").display());
    let config = Config { catalog: CatalogConfig { url, key_file, ..Default::default() }, ..Default::default() };
    let migrations = Migrations::embedded(tenant.iter().copied(), SHARED.iter().copied()).unwrap();
    Tenantry::builder().config(change(config)).migrations(migrations)
}

/// Adds a user and gives the id.
pub async fn user_add(db: &TenantDb, name: &str) -> i64 {
    sqlx::query_scalar("INSERT INTO users (username) VALUES (?) RETURNING id")
        .bind(name)
        .fetch_one(db.sqlite().unwrap())
        .await
        .unwrap()
}

pub async fn users(db: &TenantDb) -> Vec<String> {
    sqlx::query_scalar("SELECT username FROM users ORDER BY id").fetch_all(db.sqlite().unwrap()).await.unwrap()
}
