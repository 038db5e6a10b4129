//! Passwords on PostgreSQL: where they are, and where they never are.

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tenantry::{Isolation, Migrations, NewServer, NewTenant, Tenantry};
use tenantry_testbed::{Postgres, PrivatePostgres};

use crate::support::{SHARED, TENANT, open, user_add, users};

const ISOLATIONS: [Isolation; 3] = [Isolation::Row, Isolation::Schema, Isolation::Database];

async fn opened(dir: &tempfile::TempDir) -> Tenantry {
    let migrations = Migrations::embedded(TENANT.iter().copied(), SHARED.iter().copied()).unwrap();
    open(dir.path().into(), |config| config, TENANT).await.migrations(migrations).open().await.unwrap()
}

/// An app on that server with a tenant of each isolation.
async fn with_each_isolation(server: &PrivatePostgres) -> (Tenantry, tempfile::TempDir) {
    server.sql("postgres", "CREATE DATABASE app").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let tenancy = opened(&dir).await;
    tenancy.server_add(NewServer::new("main", server.url("app"))).await.unwrap();
    for isolation in ISOLATIONS {
        let new = NewTenant::new(&format!("in-{isolation}")).unwrap().isolation(isolation);
        tenancy.tenant_create(new).await.unwrap();
    }
    (tenancy, dir)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_servers_log_never_holds_a_password() {
    let server = Postgres::private(&[("log_statement", "all"), ("log_min_duration_statement", "0")]).unwrap();
    let (tenancy, _dir) = with_each_isolation(&server).await;
    for isolation in ISOLATIONS {
        user_add(&tenancy.tenant(&format!("in-{isolation}")).await.unwrap(), "ann").await;
    }
    let log = server.log();
    let told = log.matches("PASSWORD '").count();
    assert!(told >= 4, "logins were made while everything was logged: {told}");
    assert_eq!(
        told,
        log.matches("PASSWORD 'SCRAM-SHA-256$").count(),
        "only secrets that cannot be turned back are told"
    );
    // Nor does the setting by which a driver finds its way through the process reach the server.
    assert!(!log.contains("tenantry.wire"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_logins_password_opens_no_other() {
    let server = Postgres::private(&[]).unwrap();
    let (_tenancy, _dir) = with_each_isolation(&server).await;
    let secrets = "SELECT string_agg(split_part(rolpassword, '$', 3), ' ') FROM pg_authid
                    WHERE rolname LIKE 'tn%' AND rolcanlogin AND rolpassword IS NOT NULL";
    let secrets = server.sql("app", secrets).unwrap();
    let mut all: Vec<_> = secrets.split(' ').collect();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert!(count >= 5 && all.len() == count, "{count} logins");
    // The administrator's own opens nothing of theirs.
    let options: PgConnectOptions = server.url("app").parse().unwrap();
    for login in
        server.sql("app", "SELECT rolname FROM pg_roles WHERE rolname LIKE 'tn%' AND rolcanlogin").unwrap().lines()
    {
        assert!(PgConnection::connect_with(&options.clone().username(login)).await.is_err(), "{login}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_removed_is_added_again_under_another_name() {
    let server = Postgres::private(&[]).unwrap();
    server.sql("postgres", "CREATE DATABASE app").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let tenancy = opened(&dir).await;
    for name in ["first", "second"] {
        tenancy.server_add(NewServer::new(name, server.url("app"))).await.unwrap();
        let report = tenancy.migrations().up(&tenantry::MigrateOptions::new(), |_| ()).await.unwrap();
        assert_eq!(report.failed, 0, "{report:?}");
        for isolation in ISOLATIONS {
            let key = format!("{isolation}-{name}");
            tenancy.tenant_create(NewTenant::new(&key).unwrap().isolation(isolation)).await.unwrap();
            let db = tenancy.tenant(&key).await.unwrap();
            user_add(&db, "ann").await;
            assert_eq!(users(&db).await, ["ann"]);
        }
        for isolation in ISOLATIONS {
            let key = format!("{isolation}-{name}");
            tenancy.tenant_delete(&key).await.unwrap();
            tenancy.tenant_purge(&key).await.unwrap();
        }
        let findings = tenancy.doctor(tenantry::DoctorOptions::default()).await.unwrap().findings;
        assert!(findings.is_empty(), "{findings:?}");
        tenancy.server_remove(name).await.unwrap();
    }
}
