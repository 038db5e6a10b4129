//! An administrator who is no superuser, as hosted PostgreSQL gives its customers one.

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tenantry::{DoctorOptions, Isolation, MigrateOptions, Migrations, NewServer, NewTenant, TenantDb, Tenantry};
use tenantry_testbed::{Postgres, PrivatePostgres};

use crate::support::{self, SHARED, TENANT, number, open, user_add, users};

const ISOLATIONS: [Isolation; 3] = [Isolation::Row, Isolation::Schema, Isolation::Database];

/// No shared tables.
const NO_SHARED: &[(&str, &str)] = &[];

/// A change of the tables, of their rows, and one that cannot run in a transaction.
const NEXT: &[(&str, &str)] = &[
    ("0002_age.sql", "ALTER TABLE users ADD COLUMN age bigint NOT NULL DEFAULT 7"),
    ("0003_grow.data.sql", "UPDATE users SET age = age + 1"),
    ("0004_index.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY users_age ON users (tenant_id, age)"),
];

/// A server with a role that may do this, and the database `app` that it owns; and its URL.
fn server(attributes: &str) -> (PrivatePostgres, String) {
    let server = Postgres::private(&[]).unwrap();
    let make = format!("CREATE ROLE boss LOGIN {attributes} PASSWORD 'boss-password'; CREATE DATABASE app OWNER boss;");
    make.split_inclusive(';').for_each(|text| drop(server.sql("postgres", text).unwrap()));
    let url = server.tcp_url("app").replace("admin:admin-password@", "boss:boss-password@");
    (server, url)
}

async fn opened(dir: &tempfile::TempDir, tenant: &[(&str, &str)], shared: &[(&str, &str)]) -> Tenantry {
    let files = TENANT.iter().chain(tenant).copied();
    let migrations = Migrations::embedded(files, shared.iter().copied()).unwrap();
    open(dir.path().into(), |config| config, TENANT).await.migrations(migrations).open().await.unwrap()
}

async fn migrated(tenancy: &Tenantry) {
    let report = tenancy.migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap();
    assert_eq!(report.failed, 0, "{report:?}");
}

async fn tenant(tenancy: &Tenantry, isolation: Isolation, name: &str) -> tenantry::Result<TenantDb> {
    let key = format!("{isolation}-{name}");
    tenancy.tenant_create(NewTenant::new(&key).unwrap().isolation(isolation)).await?;
    tenancy.tenant(&key).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_who_is_no_superuser_runs_every_isolation() {
    let (server, url) = server("CREATEROLE CREATEDB");
    let dir = tempfile::tempdir().unwrap();
    let tenancy = opened(&dir, &[], NO_SHARED).await;
    tenancy.server_add(NewServer::new("main", &url)).await.unwrap();
    migrated(&tenancy).await;
    for isolation in ISOLATIONS {
        let (acme, other) =
            (tenant(&tenancy, isolation, "acme").await.unwrap(), tenant(&tenancy, isolation, "other").await.unwrap());
        user_add(&acme, "ann").await;
        user_add(&other, "bob").await;
        assert_eq!(users(&acme).await, ["ann"], "{isolation}");
        assert_eq!(users(&other).await, ["bob"], "{isolation}");
    }
    let report = tenancy.doctor(DoctorOptions::new()).await.unwrap();
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
    let next = opened(&dir, NEXT, NO_SHARED).await;
    migrated(&next).await;
    for isolation in ISOLATIONS {
        let acme = next.tenant(&format!("{isolation}-acme")).await.unwrap();
        assert_eq!(number(&acme, "SELECT age FROM users").await.unwrap(), 8, "{isolation}");
    }
    let report = next.doctor(DoctorOptions::new()).await.unwrap();
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
    for isolation in ISOLATIONS {
        for name in ["acme", "other"] {
            let key = format!("{isolation}-{name}");
            next.tenant_delete(&key).await.unwrap();
            next.tenant_purge(&key).await.unwrap();
        }
    }
    let left = "SELECT (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'tn%\\_t\\_%')
                     + (SELECT count(*) FROM pg_database WHERE datname LIKE 'tn%\\_t\\_%')
                     + (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 't\\_%')
                     + (SELECT count(*) FROM tenant.users)";
    assert_eq!(server.sql("app", left).unwrap(), "0");
    next.server_remove("main").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_who_is_no_superuser_finds_rows_of_tenants_that_were_purged() {
    let (server, url) = server("CREATEROLE CREATEDB");
    let dir = tempfile::tempdir().unwrap();
    let tenancy = opened(&dir, &[], NO_SHARED).await;
    tenancy.server_add(NewServer::new("main", &url)).await.unwrap();
    migrated(&tenancy).await;
    let (acme, other) = (
        tenant(&tenancy, Isolation::Row, "acme").await.unwrap(),
        tenant(&tenancy, Isolation::Row, "other").await.unwrap(),
    );
    user_add(&other, "bob").await;
    tenancy.tenant_delete("row-acme").await.unwrap();
    tenancy.tenant_purge("row-acme").await.unwrap();
    let look = DoctorOptions::new().read_only(true);
    assert_eq!(tenancy.doctor(look).await.unwrap().findings, []);
    let id = acme.tenant().id;
    server.sql("app", &format!("INSERT INTO tenant.notes (tenant_id, text) VALUES ('{id}', 'planted')")).unwrap();
    let found = tenancy.doctor(look).await.unwrap().findings;
    assert!(found.len() == 1 && found[0].code == "orphan", "{found:#?}");
    let report = tenancy.doctor(look.repair(true)).await.unwrap();
    assert!(report.findings.is_empty() && !report.repaired.is_empty(), "{report:#?}");
    assert_eq!(server.sql("app", "SELECT count(*) FROM tenant.notes").unwrap(), "0");
    assert_eq!(users(&other).await, ["bob"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_who_is_no_superuser_stops_abandoned_statements() {
    let (server, url) = server("CREATEROLE CREATEDB");
    let dir = tempfile::tempdir().unwrap();
    let tenancy = opened(&dir, &[], NO_SHARED).await;
    tenancy.server_add(NewServer::new("main", &url)).await.unwrap();
    migrated(&tenancy).await;
    abandoned_statements_are_stopped(&server, &tenancy).await;
}

async fn abandoned_statements_are_stopped(server: &PrivatePostgres, tenancy: &Tenantry) {
    let mut raw = PgConnection::connect(&server.url("app")).await.unwrap();
    let busy = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%pg_sleep%'
                   AND pid <> pg_backend_pid()";
    for isolation in ISOLATIONS {
        let acme = tenant(tenancy, isolation, "acme").await.unwrap();
        let slow = number(&acme, "SELECT count(*) FROM pg_sleep(20)");
        assert!(tokio::time::timeout(Duration::from_millis(300), slow).await.is_err());
        let started = Instant::now();
        while sqlx::query_scalar::<_, i64>(AssertSqlSafe(busy)).fetch_one(&mut raw).await.unwrap() > 0 {
            assert!(started.elapsed() < Duration::from_secs(1), "{isolation}: the abandoned statement runs on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(users(&acme).await, Vec::<String>::new());
    }
    let stats = tenancy.stats().remove(0).pool;
    assert_eq!(stats.closed_unproven, 0, "each connection was proven clean: {stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_database_is_purged_while_its_apps_are_connected() {
    let (_server, url) = server("CREATEROLE CREATEDB");
    let dir = tempfile::tempdir().unwrap();
    let tenancy = opened(&dir, &[], NO_SHARED).await;
    tenancy.server_add(NewServer::new("main", &url)).await.unwrap();
    migrated(&tenancy).await;
    tenant(&tenancy, Isolation::Database, "acme").await.unwrap();
    // Another process, which does not know yet.
    let other = opened(&dir, &[], NO_SHARED).await;
    let acme = other.tenant("database-acme").await.unwrap();
    user_add(&acme, "ann").await;
    tenancy.tenant_delete("database-acme").await.unwrap();
    tenancy.tenant_purge("database-acme").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_who_may_too_little_is_told_what_to_type_before_anything_is_made() {
    let (server, url) = server("NOINHERIT");
    server.sql("postgres", "ALTER DATABASE app OWNER TO admin").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let tenancy = opened(&dir, &[], NO_SHARED).await;
    let refused = tenancy.server_add(NewServer::new("main", &url)).await.unwrap_err();
    // From 16 on a membership says for itself whether it is inherited.
    let lacks = if has_own_inheritance(&server) { "CREATEROLE" } else { "CREATEROLE, INHERIT" };
    assert_eq!(refused.to_string(), format!("the administrator `boss` lacks {lacks}, the ownership of the database"));
    let made = "SELECT (SELECT count(*) FROM pg_roles WHERE rolname LIKE 'tn%')
                     + (SELECT count(*) FROM pg_namespace WHERE nspname IN ('tenantry', 'tenant', 'shared'))";
    assert_eq!(server.sql("app", made).unwrap(), "0");
    type_it(&server, &refused);
    tenancy.server_add(NewServer::new("main", &url)).await.unwrap();
    migrated(&tenancy).await;
    tenant(&tenancy, Isolation::Row, "acme").await.unwrap();
    tenant(&tenancy, Isolation::Schema, "acme").await.unwrap();
    let refused = tenant(&tenancy, Isolation::Database, "acme").await.unwrap_err();
    assert_eq!(refused.to_string(), "the administrator `boss` lacks CREATEDB");
    let report = tenancy.doctor(DoctorOptions::new()).await.unwrap();
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
    assert!(report.checks.iter().any(|check| check.contains("`boss` lacks CREATEDB")), "{:#?}", report.checks);
    type_it(&server, &refused);
    tenant(&tenancy, Isolation::Database, "acme").await.unwrap();
}

fn has_own_inheritance(server: &PrivatePostgres) -> bool {
    server.version() >= 160_000
}

/// Does as an error's help says.
fn type_it(server: &PrivatePostgres, refused: &tenantry::Error) {
    let help = refused.help_text().unwrap();
    let statements = help.strip_prefix("as a superuser of that server:").expect(help);
    server.sql("app", statements).expect(help);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_own_login_can_be_stopped_by_an_administrator_who_is_no_superuser() {
    let (server, url) = server("CREATEROLE CREATEDB");
    server.sql("postgres", "CREATE ROLE app LOGIN NOINHERIT PASSWORD 'app-password'").unwrap();
    let app = url.replace("boss:boss-password@", "app:app-password@");
    let dir = tempfile::tempdir().unwrap();
    let tenancy = opened(&dir, &[], NO_SHARED).await;
    if has_own_inheritance(&server) {
        // Somebody else has made the login: an administrator has no right to it by itself.
        let refused = tenancy.server_add(NewServer::new("main", &url).app_url(&app)).await.unwrap_err();
        assert_eq!(refused.to_string(), "the administrator `boss` may not stop what the login `app` has begun");
        type_it(&server, &refused);
    }
    tenancy.server_add(NewServer::new("main", &url).app_url(app)).await.unwrap();
    migrated(&tenancy).await;
    abandoned_statements_are_stopped(&server, &tenancy).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operators_own_login_is_refused_where_it_may_do_more_than_it_should_and_audited_afterwards() {
    let server = Postgres::private(&[]).unwrap();
    server.sql("postgres", "CREATE DATABASE app").unwrap();
    server.sql("postgres", "CREATE ROLE app LOGIN NOINHERIT PASSWORD 'app-password'").unwrap();
    let (url, dir) = (server.tcp_url("app"), tempfile::tempdir().unwrap());
    let app = url.replace("admin:admin-password@", "app:app-password@");
    let tenancy = opened(&dir, &[], NO_SHARED).await;
    for more in ["SUPERUSER", "BYPASSRLS", "INHERIT", "CREATEROLE"] {
        server.sql("postgres", &format!("ALTER ROLE app {more}")).unwrap();
        let refused = tenancy.server_add(NewServer::new("main", &url).app_url(&app)).await.unwrap_err();
        assert!(refused.to_string().starts_with("the login `app` for "), "{more}: {refused}");
        assert!(tenancy.server_list().await.unwrap().is_empty(), "{more}: it starts with nothing");
        server.sql("postgres", &format!("ALTER ROLE app NO{more}")).unwrap();
    }
    tenancy.server_add(NewServer::new("main", &url).app_url(app)).await.unwrap();
    migrated(&tenancy).await;
    let examined = async || tenancy.doctor(DoctorOptions::new().read_only(true)).await.unwrap().findings;
    assert!(examined().await.is_empty());
    server.sql("postgres", "ALTER ROLE app BYPASSRLS").unwrap();
    let found = examined().await;
    assert!(found.iter().any(|f| f.code == "role_attribute" && f.what.contains("role app ")), "{found:#?}");
}

/// Types the statements that a text ends with, as a superuser.
fn prepare(server: &PrivatePostgres, told: &str) {
    let (_, statements) = told.split_once("say, once:\n").expect(told);
    server.sql("postgres", statements).expect(statements);
}

async fn plans(db: &TenantDb) -> Vec<String> {
    support::texts(db, "SELECT name FROM plans ORDER BY id").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_tables_reach_a_tenants_database_once_a_superuser_has_prepared_it() {
    let (server, url) = server("CREATEROLE CREATEDB");
    let dir = tempfile::tempdir().unwrap();
    let tenancy = opened(&dir, &[], NO_SHARED).await;
    tenancy.server_add(NewServer::new("main", &url)).await.unwrap();
    migrated(&tenancy).await;
    tenant(&tenancy, Isolation::Database, "early").await.unwrap();
    // Now there are some.
    let tenancy = opened(&dir, &[], SHARED).await;
    let report = tenancy.migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap();
    assert_eq!(report.failed, 1, "the tenant that has a database of its own: {report:?}");
    server.sql("app", "INSERT INTO shared.plans (name) VALUES ('free')").unwrap();
    for isolation in [Isolation::Row, Isolation::Schema] {
        assert_eq!(plans(&tenant(&tenancy, isolation, "acme").await.unwrap()).await, ["free"]);
    }
    let databases = "SELECT count(*) FROM pg_database";
    let before = server.sql("app", databases).unwrap();
    let refused = tenant(&tenancy, Isolation::Database, "acme").await.unwrap_err();
    assert_eq!(server.sql("app", databases).unwrap(), before, "nothing half made is left");
    assert!(refused.is_unsupported(), "{refused:?}");
    prepare(&server, refused.help_text().unwrap());
    let acme = tenant(&tenancy, Isolation::Database, "acme").await.unwrap();
    assert_eq!(plans(&acme).await, ["free"]);
    assert!(support::run(&acme, "INSERT INTO plans (name) VALUES ('mine')").await.is_err());
    let password = "SELECT count(*) FROM pg_user_mappings WHERE umoptions IS NOT NULL";
    assert_eq!(number(&acme, password).await.unwrap(), 0, "the reader's password is hidden from tenants");
    let report = tenancy.doctor(DoctorOptions::new()).await.unwrap();
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
    // The database from before the shared tables is told of by the migration.
    let again = MigrateOptions::new().retry_failed();
    let report = tenancy.migrations().up(&again, |_| ()).await.unwrap();
    prepare(&server, &report.targets[0].error.as_ref().unwrap().to_string());
    let report = tenancy.migrations().up(&again, |_| ()).await.unwrap();
    assert_eq!(report.failed, 0, "{report:?}");
    assert_eq!(plans(&tenancy.tenant("database-early").await.unwrap()).await, ["free"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_to_the_shared_tables_that_asks_for_no_password_is_refused_when_the_tenant_is_made() {
    let (server, url) = server("CREATEROLE CREATEDB");
    let dir = tempfile::tempdir().unwrap();
    let tenancy = opened(&dir, &[], SHARED).await;
    tenancy.server_add(NewServer::new("main", &url)).await.unwrap();
    migrated(&tenancy).await;
    let refused = tenant(&tenancy, Isolation::Database, "acme").await.unwrap_err();
    prepare(&server, refused.help_text().unwrap());
    let file = server.sql("postgres", "SHOW hba_file").unwrap();
    let trust = format!(
        "COPY (VALUES ('local all all trust'), ('host all all all trust')) TO '{file}'; SELECT pg_reload_conf()"
    );
    server.sql("postgres", &trust).unwrap();
    let refused = tenant(&tenancy, Isolation::Database, "acme").await.unwrap_err();
    assert!(refused.is_unsupported(), "{refused:?}");
    assert!(refused.help_text().unwrap().contains("pg_hba.conf has to ask the login"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalog_may_be_an_administrators_who_is_no_superuser() {
    let (_server, url) = server("CREATEROLE CREATEDB");
    let dir = tempfile::tempdir().unwrap();
    let in_catalog = |mut config: tenantry::Config| {
        config.catalog.url.clone_from(&url);
        config
    };
    let tenancy = open(dir.path().into(), in_catalog, TENANT).await.open().await.unwrap();
    tenancy.server_add(NewServer::new("main", &url)).await.unwrap();
    migrated(&tenancy).await;
    let acme = tenant(&tenancy, Isolation::Schema, "acme").await.unwrap();
    user_add(&acme, "ann").await;
    assert_eq!(users(&acme).await, ["ann"]);
}
