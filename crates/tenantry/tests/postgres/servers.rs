//! One installation on several PostgreSQL servers: tenants of every isolation on each, and the shared tables at home on one.

use tenantry::{DoctorOptions, Isolation, NewServer, NewTenant, TenantDb};
use tenantry_testbed::Postgres;

use crate::support::{Installation, Kind, run, texts, user_add, users};

const ISOLATIONS: [Isolation; 3] = [Isolation::Row, Isolation::Schema, Isolation::Database];

/// A tenant of each isolation on each of the servers.
async fn tenants(place: &Installation) -> Vec<TenantDb> {
    let mut tenants = Vec::new();
    for server in ["local", "other"] {
        for isolation in ISOLATIONS {
            let key = format!("{isolation}-{server}");
            let new = NewTenant::new(&key).unwrap().server(server).isolation(isolation);
            place.tenancy.tenant_create(new).await.unwrap();
            tenants.push(place.tenancy.tenant(&key).await.unwrap());
        }
    }
    tenants
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_by_another_name_leaves_the_logins_of_the_former_one_no_right_to_a_table() {
    let place = Installation::on(Kind::PostgresSchema).await;
    let database = place.database.as_ref().unwrap();
    let rights = "SELECT count(*) FROM information_schema.role_table_grants
                   WHERE table_schema IN ('shared', 'tenant') AND grantee LIKE 'tn%\\_on\\_local\\_%'";
    assert_ne!(database.sql(rights).unwrap(), "0");
    place.tenancy.server_remove("local").await.unwrap();
    place.tenancy.server_add(NewServer::new("again", database.url())).await.unwrap();
    assert_eq!(database.sql(rights).unwrap(), "0");
    let report = place.tenancy.doctor(DoctorOptions::new()).await.unwrap();
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_on_two_servers_keep_their_rows_and_read_the_same_shared_tables() {
    let place = Installation::on(Kind::PostgresSchema).await;
    let second = Postgres::private(&[]).unwrap();
    second.sql("postgres", "CREATE DATABASE app").unwrap();
    place.tenancy.server_add(NewServer::new("other", second.url("app"))).await.unwrap();
    let tenants = tenants(&place).await;

    for db in &tenants {
        user_add(db, db.tenant().key.as_str()).await;
    }
    let shared = place.tenancy.shared().await.unwrap();
    let insert = sqlx::query("INSERT INTO plans (name) VALUES ('free')");
    insert.execute(shared.postgres().unwrap()).await.unwrap();
    for db in &tenants {
        let key = db.tenant().key.as_str();
        assert_eq!(users(db).await, [key], "{key}");
        assert_eq!(texts(db, "SELECT name FROM plans").await.unwrap(), ["free"], "{key}");
        let written = run(db, "INSERT INTO plans (name) VALUES ('mine')").await;
        assert!(written.is_err(), "{key} has written a shared table");
    }
    let report = place.tenancy.doctor(DoctorOptions::new()).await.unwrap();
    assert!(report.findings.is_empty(), "{:#?}", report.findings);

    let more = "CREATE TABLE countries (code text PRIMARY KEY); INSERT INTO countries VALUES ('IT');";
    let neighbour = place.neighbour_with(&[], &[("0002_countries.sql", more)]).await;
    for db in &tenants {
        let db = neighbour.tenant(db.tenant().key.as_str()).await.unwrap();
        assert_eq!(texts(&db, "SELECT code FROM countries").await.unwrap(), ["IT"], "{}", db.tenant().key);
    }
    let report = neighbour.doctor(DoctorOptions::new()).await.unwrap();
    assert!(report.findings.is_empty(), "{:#?}", report.findings);

    drop(second);
    let gone = users_of(&tenants[3]).await;
    assert!(gone.is_err(), "its server is gone: {gone:?}");
    assert_eq!(users(&tenants[0]).await, [tenants[0].tenant().key.as_str()], "the other server's tenants are served");
    let report = place.tenancy.doctor(DoctorOptions::new().read_only(true)).await.unwrap();
    assert!(report.findings.iter().any(|f| f.code == "server_unreadable" && f.what.contains("`other`")), "{report:#?}");
}

async fn users_of(db: &TenantDb) -> Result<Vec<String>, sqlx::Error> {
    texts(db, "SELECT username FROM users").await
}
