//! What `tenantry::testing` gives to an app's own tests, on a server.

use tenantry::{Isolation, Migrations, TenantDb, testing::TwoTenants};
use tenantry_testbed::Postgres;

use crate::support::{Kind, SHARED, TENANT, users};

/// What is left of it on the server: its database, those of its tenants, and its roles.
async fn left(server: &Postgres, tenants: TwoTenants, remove: bool) -> String {
    let mut tx = tenants.a().begin().await.unwrap();
    let asked = "SELECT current_database()";
    let database: String = sqlx::query_scalar(asked).fetch_one(tx.postgres().unwrap()).await.unwrap();
    tx.rollback().await.unwrap();
    // Of a tenant's own database the name bears the mark; elsewhere the role does.
    let role = "SELECT current_user::text";
    let role: String = sqlx::query_scalar(role).fetch_one(tenants.a().postgres().unwrap()).await.unwrap();
    let mark: String = role.split('_').take(2).collect::<Vec<_>>().join("_");
    assert!(mark.starts_with("tn_"), "{role} bears no mark");
    if remove {
        tenants.remove().await.unwrap();
    } else {
        drop(tenants);
    }
    let count = format!(
        "SELECT (SELECT count(*) FROM pg_database WHERE starts_with(datname, '{mark}_') OR datname = '{database}')
              + (SELECT count(*) FROM pg_roles WHERE starts_with(rolname, '{mark}_'))"
    );
    server.sql("postgres", &count).unwrap()
}

async fn two_tenants_are_apart_and_leave_nothing_on_the_server(kind: Kind) {
    let server = Postgres::shared().unwrap();
    for remove in [true, false] {
        let migrations = Migrations::embedded(TENANT.iter().copied(), SHARED.iter().copied()).unwrap();
        let tenants = TwoTenants::on_server(&server.url("postgres"), kind.isolation(), migrations).await.unwrap();
        let add = async |db: TenantDb, canary: String| {
            sqlx::query("INSERT INTO users (username) VALUES ($1)").bind(canary).execute(db.postgres()?).await?;
            Ok(())
        };
        tenants.assert_apart(add, async |db| Ok(users(&db).await)).await.unwrap();
        assert_eq!(left(&server, tenants, remove).await, "0");
    }
}

on_every_postgres!(two_tenants_are_apart_and_leave_nothing_on_the_server);

#[tokio::test]
async fn a_server_that_does_not_answer_is_an_error() {
    let migrations = Migrations::embedded([], []).unwrap();
    let nobody = "postgres://admin:secret@127.0.0.1:1/app";
    assert!(TwoTenants::on_server(nobody, Isolation::Row, migrations).await.is_err());
}
