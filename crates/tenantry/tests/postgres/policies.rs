//! Policies that an app writes itself, in row isolation on PostgreSQL: they are evaluated on the tenant's own rows only.

use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};
use tenantry::{Error, MigrateOptions, TenantDb};

use crate::support::{self, Installation, Kind, TENANT, number, run, texts, user_add};

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

/// A session with the rights of a tenant's that may set what the engine lets no statement set.
async fn session_of(place: &Installation, db: &TenantDb) -> PgConnection {
    let mut raw = place.admin_at(db).await;
    let (role, id) = (place.role_of(db), db.tenant().id);
    let scope = format!("SET SESSION AUTHORIZATION {role}; SET tenantry.tenant = '{id}'; SET search_path = tenant");
    raw.execute(AssertSqlSafe(scope)).await.unwrap();
    raw
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
    let mut raw = session_of(&place, &globex).await;
    let rows = raw.fetch_all("EXPLAIN SELECT publish_at FROM articles").await.unwrap();
    let plan = rows.iter().map(|row| row.get::<String, _>(0)).collect::<Vec<_>>().join("\n");
    assert!(plan.contains("articles_pkey") && !plan.contains("Seq Scan"), "{plan}");
}

/// A sub-select is run when the first row has passed what stands before it: its error would tell what rows of others hold.
#[tokio::test]
async fn no_condition_is_looked_at_before_the_rows_of_others_are_hidden() {
    let place = Installation::on(Kind::PostgresRow).await;
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    user_add(&acme, "ann").await;
    let fails = "(SELECT 1 / (count(*) - 1) = 1 FROM generate_series(1, 1))";
    // Conditions on a UNION ALL are handed down to its branches, in front of these.
    let both = "SELECT * FROM users UNION ALL SELECT * FROM users";
    let sampled = "SELECT * FROM users TABLESAMPLE system (100) UNION ALL SELECT * FROM users TABLESAMPLE system (100)";
    let conditions = [
        "username = 'ann' AND username <> (SELECT (1 / (count(*) - 1))::text FROM generate_series(1, 1))".to_owned(),
        format!("CASE WHEN username = 'ann' THEN {fails} ELSE false END"),
        format!("username >= 'ann' AND username <= 'ann' AND CASE WHEN id IS NULL THEN false ELSE {fails} END"),
        format!("('{{\"ann\": 1}}'::jsonb)[username] IS NOT NULL AND CASE WHEN id IS NULL THEN false ELSE {fails} END"),
        format!("CASE WHEN ('{{\"ann\": 1}}'::jsonb)[username] IS NOT NULL THEN {fails} ELSE false END"),
        format!("CASE WHEN tenant_id = '{}' THEN {fails} ELSE false END", acme.tenant().id),
        format!("tenant_id = '{}' AND CASE WHEN username = 'ann' THEN {fails} ELSE false END", acme.tenant().id),
        format!(
            "tenant_id > '00000000-0000-0000-0000-000000000000' AND CASE WHEN id IS NULL THEN false ELSE {fails} END"
        ),
    ];
    let mut raw = session_of(&place, &globex).await;
    for change in ["SELECT 1", "CREATE INDEX by_name ON users (username)"] {
        place.change_tables(&globex, change);
        for condition in &conditions {
            for text in [
                format!("SELECT 1 FROM users WHERE {condition}"),
                format!("SELECT 1 FROM users TABLESAMPLE system (100) WHERE {condition}"),
                format!("SELECT 1 FROM ({both}) users WHERE {condition}"),
                format!("SELECT 1 FROM ({sampled}) users WHERE {condition}"),
                format!("SELECT 1 FROM (VALUES (1)) v (n) LEFT JOIN users ON {condition}"),
                format!("UPDATE users SET username = username WHERE {condition}"),
                format!("DELETE FROM users WHERE {condition}"),
            ] {
                run(&globex, &text).await.unwrap_or_else(|error| panic!("{change}: {text}: {error}"));
                let plain = format!(
                    "BEGIN; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; {text}; ROLLBACK"
                );
                let done = raw.execute(sqlx::raw_sql(AssertSqlSafe(plain))).await;
                done.unwrap_or_else(|error| panic!("{change}: {text}: {error}"));
            }
            // Of its own rows everything may be told.
            if !condition.contains("tenant_id") {
                assert!(run(&acme, &format!("SELECT 1 FROM users WHERE {condition}")).await.is_err(), "{condition}");
            }
        }
    }
    // The policy costs less than nothing by a function that the server lets no statement name.
    let cheap =
        format!("CASE WHEN tenantry_wall.mine((SELECT true), true) AND username = 'ann' THEN {fails} ELSE false END");
    let named = run(&globex, &format!("SELECT 1 FROM users TABLESAMPLE system (100) WHERE {cheap}")).await.unwrap_err();
    assert!(named.to_string().contains("permission denied for schema tenantry_wall"), "{named}");
    // What everything costs is a setting that an operator may have made.
    for (cost, condition) in
        ["0x1p-1070", "0"].into_iter().flat_map(|cost| conditions.iter().map(move |one| (cost, one)))
    {
        for rows in
            ["users", "users TABLESAMPLE system (100)", &format!("({both}) users"), &format!("({sampled}) users")]
        {
            let select = format!("SELECT 1 FROM {rows} WHERE {condition}");
            let text = format!("BEGIN; SET LOCAL cpu_operator_cost = '{cost}'; {select}; ROLLBACK");
            let done = raw.execute(sqlx::raw_sql(AssertSqlSafe(&*text))).await;
            done.unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }
    let locks = run(&globex, "SELECT count(*) FROM pg_locks").await.unwrap_err();
    assert!(locks.to_string().contains("cannot be sent as text"), "{locks}");
}

/// A bitmap scan that has too many pages to remember their rows checks the conditions of its indexes on all rows of a page, before
/// the policies do: how long that takes tells what is in those of others.
#[tokio::test(flavor = "multi_thread")]
async fn no_statement_is_planned_so_that_a_page_is_looked_at_before_the_rows_of_others_are_hidden() {
    const REPORT: &str = "CREATE FUNCTION report() RETURNS text LANGUAGE sql STABLE SET work_mem = '64MB'
                          AS $$ SELECT current_setting('work_mem') $$";
    let files: Vec<_> = TENANT.iter().copied().chain([("0002_report.sql", REPORT)]).collect();
    let place = Installation::on_with(Kind::PostgresRow, |config| config, &files).await;
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    let id = globex.tenant().id;
    let fill = "INSERT INTO users (tenant_id, username) SELECT";
    let all = format!(
        "{fill} '{}', 'a' || n FROM generate_series(1, 5000) n; {fill} '{id}', 'g' || n FROM generate_series(1, 5000) n",
        acme.tenant().id
    );
    place.change_tables(&globex, &format!("{all}; ANALYZE users"));
    let explain = "EXPLAIN SELECT 1 FROM users WHERE id = 7 OR (tenant_id, username) >= ('00000000-0000-0000-0000-000000000000', 'g4998')
                   OR id = ANY ('{8,9}')";
    let plan = |rows: Vec<String>| rows.join("\n");
    let mut raw = session_of(&place, &globex).await;
    raw.execute("SET enable_seqscan = off; SET enable_indexscan = off").await.unwrap();
    let planned = raw.fetch_all(explain).await.unwrap();
    let without = plan(planned.iter().map(|row| row.get::<String, _>(0)).collect());
    assert!(without.contains("Bitmap"), "the statement has to be one that could be planned so: {without}");
    let mut raw = session_of(&place, &globex).await;
    raw.execute("SET enable_bitmapscan = off").await.unwrap();
    let planned = raw.fetch_all(explain).await.unwrap();
    let planned = plan(planned.iter().map(|row| row.get::<String, _>(0)).collect());
    assert!(!planned.contains("Bitmap"), "{planned}");
    assert_eq!(texts(&globex, "SELECT current_setting('enable_bitmapscan')").await.unwrap(), ["off"]);
    // By what the planner expects a statement would tell single values of others.
    let error = Error::from(run(&globex, explain).await.unwrap_err());
    assert!(error.is_refused() && error.to_string().contains("what the planner knows"), "{error}");
    for setting in [
        "SET LOCAL work_mem = 64",
        "SET enable_bitmapscan = on",
        "SET \"Enable_SeqScan\" TO off",
        "SELECT 1; SET SESSION seq_page_cost = 1e300",
        "SET LOCAL gin_fuzzy_search_limit = 1",
    ] {
        let error = Error::from(support::run_raw(&globex, setting).await.unwrap_err());
        assert!(
            error.is_refused() && error.to_string().contains("steers how statements are planned"),
            "{setting}: {error}"
        );
        let mut tx = globex.begin().await.unwrap();
        assert!(tx.postgres().unwrap().execute(sqlx::raw_sql(setting)).await.is_err(), "{setting}");
    }
    for setting in ["set_config('enable_bitmapscan', 'on', true)", "set_config('work_mem', '64', false)"] {
        let error = run(&globex, &format!("SELECT {setting}")).await.unwrap_err();
        assert!(error.to_string().contains("permission denied for function set_config"), "{error}");
    }
    // What the error says to do instead.
    assert_eq!(texts(&globex, "SELECT report()").await.unwrap(), ["64MB"]);
}

/// What is made of that function would be looked at before the rows of others are hidden.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_lets_no_file_name_what_puts_the_policy_in_front() {
    let place = Installation::on(Kind::PostgresRow).await;
    let _ = place.tenant("acme").await;
    for file in [
        "CREATE VIEW v WITH (security_invoker = true) AS SELECT id FROM users WHERE tenantry_wall.mine(true, username = 'ann')",
        "CREATE OPERATOR && (LEFTARG = boolean, RIGHTARG = boolean, FUNCTION = tenantry_wall.mine)",
        "CREATE POLICY p ON users AS RESTRICTIVE USING (tenantry_wall.mine(username = 'ann', true))",
        "DO $$ BEGIN EXECUTE 'CREATE AGGREGATE a (boolean) (SFUNC = tenantry_wall.mine, STYPE = boolean)'; END $$",
        "DO $$ BEGIN EXECUTE 'ALTER FUNCTION tenantry_wall.mine COST 1'; END $$",
    ] {
        let files: Vec<_> = TENANT.iter().copied().chain([("0002_next.sql", file)]).collect();
        let next = support::open(place.dir.path().into(), |config| config, &files).await.open().await.unwrap();
        let report = next.migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap();
        let refused = report.targets[0].error.as_ref().unwrap_or_else(|| panic!("{file}: {report:?}")).to_string();
        assert!(refused.contains("permission denied for schema tenantry_wall"), "{file}: {refused}");
    }
}
