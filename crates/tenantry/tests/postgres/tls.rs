//! Encrypted ways to PostgreSQL, up to `verify-full`, for the server and for the catalog.

use tenantry::{Config, NewServer, NewTenant, Tenantry};
use tenantry_testbed::{LOCALHOST, Postgres, PrivatePostgres};

use crate::support::{Kind, TENANT, open, user_add, users};

/// A server whose certificate names these hosts, with a database.
fn server(names: &[&str]) -> (PrivatePostgres, String) {
    let server = Postgres::private_with_tls(names, &[]).unwrap();
    server.sql("postgres", "CREATE DATABASE app").unwrap();
    let ca = server.ca_file().unwrap().display().to_string();
    let url = format!("{}?sslmode=verify-full&sslrootcert={ca}", server.tcp_url("app"));
    (server, url)
}

async fn installation(dir: &tempfile::TempDir, catalog: Option<String>) -> tenantry::Result<Tenantry> {
    let change = |mut config: Config| {
        if let Some(url) = catalog {
            config.catalog.url = url;
        }
        config
    };
    open(dir.path().into(), change, TENANT).await.open().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_connection_to_postgres_verifies_the_server_to_the_full() {
    let (server, url) = server(LOCALHOST);
    let dir = tempfile::tempdir().unwrap();
    let tenancy = installation(&dir, Some(url.clone())).await.unwrap();
    tenancy.server_add(NewServer::new("main", &url)).await.unwrap();
    tenancy.migrations().up(&tenantry::MigrateOptions::new(), |_| ()).await.unwrap();
    for kind in [Kind::PostgresRow, Kind::PostgresSchema, Kind::PostgresDatabase] {
        let key = format!("{}-tenant", kind.isolation());
        tenancy.tenant_create(NewTenant::new(&key).unwrap().isolation(kind.isolation())).await.unwrap();
        let db = tenancy.tenant(&key).await.unwrap();
        user_add(&db, "ann").await;
        assert_eq!(users(&db).await, ["ann"]);
    }
    let plain = server
        .sql(
            "app",
            "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE NOT ssl AND client_port > 0",
        )
        .unwrap();
    assert_eq!(plain.trim(), "0", "no connection over TCP goes without TLS");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_own_database_is_reached_by_the_administrators_way_with_its_certificates() {
    let (server, admin) = server(LOCALHOST);
    server.sql("app", "CREATE ROLE app LOGIN NOINHERIT PASSWORD 'app-password'").unwrap();
    // The app's way trusts whoever answers, as to a pooler on the same machine.
    let address = admin.split_once('?').unwrap().0.split_once('@').unwrap().1;
    let app = format!("postgres://app:app-password@{address}");
    let dir = tempfile::tempdir().unwrap();
    let tenancy = installation(&dir, None).await.unwrap();
    tenancy.server_add(NewServer::new("main", &admin).app_url(app)).await.unwrap();
    for kind in [Kind::PostgresRow, Kind::PostgresDatabase] {
        let key = format!("{}-tenant", kind.isolation());
        tenancy.tenant_create(NewTenant::new(&key).unwrap().isolation(kind.isolation())).await.unwrap();
        let db = tenancy.tenant(&key).await.unwrap();
        user_add(&db, "ann").await;
        assert_eq!(users(&db).await, ["ann"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_server_of_another_name_or_another_authority_is_refused() {
    let (_named, wrong_name) = server(&["db.example.test"]);
    let (_other, other) = server(LOCALHOST);
    let (_good, good) = server(LOCALHOST);
    // The authority of one server with the address of another.
    let ca = other.split_once("sslrootcert=").unwrap().1;
    let wrong_authority = format!("{}sslrootcert={ca}", good.split_once("sslrootcert=").unwrap().0);
    for url in [wrong_name, wrong_authority] {
        let dir = tempfile::tempdir().unwrap();
        assert!(installation(&dir, Some(url.clone())).await.is_err());
        let tenancy = installation(&dir, None).await.unwrap();
        let refused = tenancy.server_add(NewServer::new("main", &url)).await.unwrap_err();
        let shown = format!("{refused} {}", refused.help_text().unwrap_or_default());
        assert!(!shown.contains("admin-password"), "{shown}");
    }
}
