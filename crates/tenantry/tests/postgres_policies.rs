//! Policies that an app writes itself, in row isolation on PostgreSQL: they are evaluated on the tenant's own rows only.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use sqlx::{AssertSqlSafe, Executor, Row};
use support::{Installation, Kind, TENANT, number, run, texts};
use tenantry::TenantDb;

const ARTICLES: &str = "
    CREATE TABLE articles (
        tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint NOT NULL, publish_at text NOT NULL,
        PRIMARY KEY (tenant_id, id));
    CREATE POLICY published ON articles AS RESTRICTIVE FOR SELECT USING (publish_at::date <= current_date);";

async fn two_tenants() -> (Installation, TenantDb, TenantDb) {
    let files: Vec<_> = TENANT.iter().copied().chain([("0002_articles.sql", ARTICLES)]).collect();
    let place = Installation::on_with(Kind::PostgresRow, |config| config, &files).await;
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    run(&acme, "INSERT INTO articles (id, publish_at) VALUES (1, 'draft: merger')").await.unwrap();
    run(&globex, "INSERT INTO articles (id, publish_at) VALUES (1, '2020-01-01')").await.unwrap();
    (place, acme, globex)
}

#[tokio::test]
async fn a_policy_of_the_app_never_sees_another_tenants_row() {
    let (_place, acme, globex) = two_tenants().await;
    assert_eq!(texts(&globex, "SELECT publish_at FROM articles").await.unwrap(), ["2020-01-01"]);
    assert_eq!(number(&globex, "SELECT count(*) FROM articles WHERE id = 1").await.unwrap(), 1);
    let own = texts(&acme, "SELECT publish_at FROM articles").await.unwrap_err();
    assert!(own.to_string().contains("draft: merger"), "the tenant's own value may be in its own error: {own}");
}

#[tokio::test]
async fn the_index_on_tenant_id_is_used_under_a_policy_of_the_app() {
    let (place, _, globex) = two_tenants().await;
    let of_others = "INSERT INTO articles SELECT gen_random_uuid(), n, 'draft' FROM generate_series(1, 3000) n";
    place.change_tables(&globex, &format!("{of_others}; ANALYZE articles"));
    let mut raw = place.admin_at(&globex).await;
    let (role, id) = (place.role_of(&globex), globex.tenant().id);
    let scope = format!("SET SESSION AUTHORIZATION {role}; SET tenantry.tenant = '{id}'; SET search_path = tenant");
    raw.execute(AssertSqlSafe(scope)).await.unwrap();
    let rows = raw.fetch_all("EXPLAIN SELECT publish_at FROM articles").await.unwrap();
    let plan = rows.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>().join("\n");
    assert!(plan.contains("articles_pkey") && !plan.contains("Seq Scan"), "{plan}");
}
