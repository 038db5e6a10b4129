//! What a tenant's SQL may try on SQLite, and what it gets.

use std::{collections::BTreeSet, path::Path};

use sqlx::AssertSqlSafe;
use tenantry::Error;

use crate::support::{self, Installation, user_add, users};

fn all_files(dir: &Path) -> BTreeSet<std::path::PathBuf> {
    let mut files = BTreeSet::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(all_files(&path));
        }
        // The journal beside a file comes and goes.
        if !path.to_string_lossy().ends_with("-wal") && !path.to_string_lossy().ends_with("-shm") {
            files.insert(path);
        }
    }
    files
}

#[tokio::test]
async fn sqlite_refuses_every_way_out_of_the_tenants_file() {
    let place = Installation::new().await;
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    user_add(&globex, "canary").await;
    let victim = place.tenant_files().into_iter().find(|f| f.to_string_lossy().ends_with(".db")).unwrap();
    let dir = place.dir.path();
    let before = all_files(dir);
    let out = dir.join("stolen.db");
    let attacks = [
        format!("ATTACH '{}' AS other", victim.display()),
        format!("ATTACH 'file:{}?mode=ro' AS other", victim.display()),
        "ATTACH ':memory:' AS other".into(),
        "DETACH shared".into(),
        format!("VACUUM INTO '{}'", out.display()),
        "VACUUM".into(),
        format!("SELECT load_extension('{}')", victim.display()),
        format!("SELECT readfile('{}')", victim.display()),
        format!("SELECT writefile('{}', 'x')", out.display()),
        "SELECT edit('x')".into(),
        "SELECT fts3_tokenizer('simple')".into(),
        "PRAGMA writable_schema = 1".into(),
        "PRAGMA foreign_keys = off".into(),
        "PRAGMA journal_mode = delete".into(),
        "PRAGMA synchronous = off".into(),
        "PRAGMA query_only = 1".into(),
        "PRAGMA trusted_schema = on".into(),
        "PRAGMA locking_mode = exclusive".into(),
        format!("PRAGMA temp_store_directory = '{}'", dir.display()),
        "PRAGMA wal_checkpoint".into(),
        "PRAGMA user_version = 5".into(),
        "PRAGMA database_list".into(),
        "SELECT * FROM pragma_database_list".into(),
        "SELECT * FROM dbstat".into(),
        "SELECT * FROM sqlite_dbpage".into(),
        "UPDATE sqlite_master SET sql = 'x'".into(),
        "DELETE FROM sqlite_sequence".into(),
        "UPDATE _tenantry_place SET tenant_id = 'x'".into(),
        "DELETE FROM _TENANTRY_MIGRATIONS".into(),
        "CREATE TABLE z (a)".into(),
        "CREATE TEMP TABLE users (a)".into(),
        "CREATE TEMP VIEW users AS SELECT 1".into(),
        "CREATE TEMP TRIGGER t AFTER INSERT ON users BEGIN SELECT 1; END".into(),
        "CREATE VIRTUAL TABLE f USING fts5(a)".into(),
        "DROP TABLE users".into(),
        "ALTER TABLE users RENAME TO u".into(),
        "ANALYZE".into(),
        "REINDEX".into(),
        "INSERT INTO shared.plans (name) VALUES ('x')".into(),
    ];
    for attack in &attacks {
        for mode in ["alone", "behind a statement", "in a transaction"] {
            let text = if mode == "behind a statement" { format!("SELECT 1; {attack}") } else { attack.clone() };
            let result = if mode == "in a transaction" {
                let mut tx = acme.begin().await.unwrap();
                let result = sqlx::raw_sql(AssertSqlSafe(text)).execute(tx.sqlite().unwrap()).await;
                drop(tx.commit().await);
                result
            } else {
                sqlx::raw_sql(AssertSqlSafe(text)).execute(acme.sqlite().unwrap()).await
            };
            assert!(result.is_err(), "{attack} got through {mode}");
        }
    }
    assert_eq!(all_files(dir), before, "an attack made or removed a file");
    assert_eq!(users(&globex).await, ["canary"]);
    assert_eq!(users(&acme).await, Vec::<String>::new());
}

#[tokio::test]
async fn sqlite_lets_an_app_do_what_apps_do() {
    let place = Installation::new().await;
    let acme = place.tenant("acme").await;
    for text in [
        "INSERT INTO users (username) VALUES ('a') ON CONFLICT (username) DO UPDATE SET username = 'b' RETURNING id",
        "REPLACE INTO users (id, username) VALUES (1, 'c')",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT * FROM r",
        "SELECT upper(username), json_extract('{\"a\":1}', '$.a'), date('now'), random() FROM users",
        "INSERT INTO notes (text) VALUES ('x')",
        "PRAGMA table_info(users)",
        "PRAGMA foreign_key_list('orders')",
        "PRAGMA user_version",
        "EXPLAIN QUERY PLAN SELECT * FROM users",
        "UPDATE users SET username = username || 'x' WHERE id IN (SELECT id FROM users)",
        "SELECT count(*) FROM users JOIN plans ON plans.id = users.id",
    ] {
        let rows = sqlx::query(text).fetch_all(acme.sqlite().unwrap()).await;
        assert!(rows.is_ok(), "{text}: {rows:?}");
    }
    let enforced: i64 = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(acme.sqlite().unwrap()).await.unwrap();
    assert_eq!(enforced, 1);
}

#[tokio::test]
async fn sqlite_refuses_a_value_that_is_too_large_before_it_takes_the_memory() {
    let place = Installation::new().await;
    let acme = place.tenant("acme").await;
    for text in [
        "SELECT length(zeroblob(1000000000))",
        "SELECT length(randomblob(900000000))",
        "SELECT length(hex(zeroblob(200000000)))",
    ] {
        assert!(sqlx::query(text).fetch_one(acme.sqlite().unwrap()).await.is_err(), "{text}");
    }
    let long = format!("SELECT '{}'", "x".repeat(5 << 20));
    assert!(sqlx::query(AssertSqlSafe(long)).fetch_one(acme.sqlite().unwrap()).await.is_err());
    user_add(&acme, "ann").await;
}

#[tokio::test]
async fn sqlite_a_migration_cannot_reach_beyond_its_own_file() {
    let place = Installation::new().await;
    let victim = place.dir.path().join("catalog.db");
    for (text, fits) in [
        (format!("ATTACH '{}' AS c; DROP TABLE c.tenants", victim.display()), false),
        ("COMMIT; CREATE TABLE half (a)".into(), false),
        ("DELETE FROM _tenantry_migrations".into(), false),
        ("DROP TABLE _tenantry_place".into(), false),
        ("ALTER TABLE _tenantry_place RENAME TO x".into(), false),
        ("ALTER TABLE items RENAME TO _tenantry_items".into(), false),
        ("CREATE TABLE _Tenantry_x (a int)".into(), false),
        ("CREATE VIEW _tenantry_x AS SELECT 1".into(), false),
        ("CREATE UNIQUE INDEX i ON _tenantry_place (tenant_id)".into(), false),
        ("CREATE TRIGGER t AFTER UPDATE ON _TENANTRY_place BEGIN SELECT 1; END".into(), false),
        ("CREATE TRIGGER t AFTER INSERT ON _tenantry_migrations BEGIN DELETE FROM items; END".into(), false),
        (format!("SELECT load_extension('{}')", victim.display()), false),
        (
            "CREATE TABLE more (a INTEGER); INSERT INTO more VALUES (1); CREATE VIEW v AS SELECT a FROM more;\
          CREATE TRIGGER t AFTER INSERT ON more BEGIN DELETE FROM more WHERE a = 2; END"
                .into(),
            true,
        ),
    ] {
        let files = [support::TENANT[0], ("0002_next.sql", text.as_str())];
        let migrations = tenantry::Migrations::embedded(files, support::SHARED.to_vec()).unwrap();
        let other = Installation::new().await;
        other.tenant("acme").await;
        let opened = support::open(other.dir.path().into(), |c| c, support::TENANT).await.migrations(migrations);
        let tenancy = opened.open().await.unwrap();
        let report = tenancy.migrations().up(&tenantry::MigrateOptions::new(), |_| ()).await.unwrap();
        assert_eq!(report.failed == 0, fits, "{text}: {report:?}");
        let made = tenancy.tenant_create(tenantry::NewTenant::new("later").unwrap()).await;
        assert_eq!(made.is_ok(), fits, "{text}");
        // Nothing of a refused file is left, in an old tenant or a new one.
        let tables = "SELECT count(*) FROM sqlite_master WHERE name IN ('half', 'x')";
        let acme = other.tenancy.tenant("acme").await.unwrap();
        let left: i64 = sqlx::query_scalar(tables).fetch_one(acme.sqlite().unwrap()).await.unwrap();
        assert_eq!(left, 0, "{text}");
    }
}

#[tokio::test]
async fn sqlite_data_files_change_data_and_nothing_else() {
    for (text, fits) in [("INSERT INTO users (username) VALUES ('seeded')", true), ("CREATE TABLE sneaky (a)", false)] {
        let place = Installation::new().await;
        let acme = place.tenant("acme").await;
        let files = [support::TENANT[0], ("0002_fill.data.sql", text)];
        let migrations = tenantry::Migrations::embedded(files, support::SHARED.to_vec()).unwrap();
        let tenancy = support::open(place.dir.path().into(), |c| c, support::TENANT)
            .await
            .migrations(migrations)
            .open()
            .await
            .unwrap();
        let report = tenancy.migrations().up(&tenantry::MigrateOptions::new(), |_| ()).await.unwrap();
        assert_eq!(report.failed == 0, fits, "{report:?}");
        let expected: &[&str] = if fits { &["seeded"] } else { &[] };
        assert_eq!(users(&acme).await, expected);
    }
}

#[tokio::test]
async fn sqlite_a_hostile_file_runs_no_function_of_its_own() {
    let place = Installation::new().await;
    let acme = place.tenant("acme").await;
    user_add(&acme, "ann").await;
    drop(acme);
    place.tenancy.shutdown(std::time::Duration::from_secs(5)).await;
    // An uploaded or restored file, with a trigger and a view that call what they must not.
    let file = place.tenant_files().into_iter().find(|f| f.to_string_lossy().ends_with(".db")).unwrap();
    let mut raw =
        sqlx::ConnectOptions::connect(&sqlx::sqlite::SqliteConnectOptions::new().filename(&file)).await.unwrap();
    let seed = "CREATE TRIGGER evil AFTER INSERT ON users BEGIN SELECT load_extension('x'); END;
                CREATE VIEW bad AS SELECT fts3_tokenizer('simple') AS t";
    sqlx::raw_sql(seed).execute(&mut raw).await.unwrap();
    sqlx::Connection::close(raw).await.unwrap();
    let other = place.neighbour().await;
    let acme = other.tenant("acme").await.unwrap();
    let write = sqlx::query("INSERT INTO users (username) VALUES ('b')").execute(acme.sqlite().unwrap()).await;
    assert!(write.is_err());
    assert!(sqlx::query("SELECT t FROM bad").fetch_all(acme.sqlite().unwrap()).await.is_err());
    assert_eq!(users(&acme).await, ["ann"]);
}

#[tokio::test]
async fn sqlite_a_file_of_another_tenant_is_not_opened() {
    let place = Installation::new().await;
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    user_add(&globex, "canary").await;
    place.tenancy.shutdown(std::time::Duration::from_secs(5)).await;
    let file = |db: &tenantry::TenantDb| {
        place.dir.path().join(format!("data/tenants/t_{}.db", db.tenant().id.as_uuid().as_simple()))
    };
    // A restore that went to the wrong place.
    std::fs::copy(file(&globex), file(&acme)).unwrap();
    let other = place.neighbour().await;
    let acme = other.tenant("acme").await.unwrap();
    let error =
        Error::from(sqlx::query("SELECT username FROM users").fetch_all(acme.sqlite().unwrap()).await.unwrap_err());
    assert_eq!(error.http_status(), 500);
    assert!(error.to_string().contains("another's"), "{error:?}");
}

#[tokio::test]
async fn sqlite_a_link_in_a_tenants_place_is_refused() {
    let place = Installation::new().await;
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    user_add(&globex, "canary").await;
    user_add(&acme, "ann").await;
    let file = |db: &tenantry::TenantDb| {
        place.dir.path().join(format!("data/tenants/t_{}.db", db.tenant().id.as_uuid().as_simple()))
    };
    // Under an open connection, and before one is opened.
    let moved = place.dir.path().join("moved.db");
    std::fs::rename(file(&acme), &moved).unwrap();
    std::os::unix::fs::symlink(&moved, file(&acme)).unwrap();
    for db in [acme.clone(), place.neighbour().await.tenant("acme").await.unwrap()] {
        assert!(sqlx::query("SELECT 1").fetch_all(db.sqlite().unwrap()).await.is_err());
    }
    std::fs::remove_file(file(&acme)).unwrap();
    std::fs::rename(&moved, file(&acme)).unwrap();
    assert_eq!(users(&acme).await, ["ann"]);
    // A folder that became a link makes no tenant.
    let folder = place.dir.path().join("data/tenants");
    std::fs::rename(&folder, place.dir.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink(place.dir.path().join("elsewhere"), &folder).unwrap();
    let made = place.tenancy.tenant_create(tenantry::NewTenant::new("late").unwrap()).await;
    assert!(made.is_err());
    assert_eq!(
        std::fs::read_dir(place.dir.path().join("elsewhere"))
            .unwrap()
            .filter(|e| { e.as_ref().unwrap().path().extension().is_some_and(|e| e == "db") })
            .count(),
        2
    );
}
