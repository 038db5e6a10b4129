//! What the database itself enforces, whoever asks, and what a text that tries the walls gets.

use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};
use tenantry::{Error, MigrateOptions, Migrations, TenantDb};

use crate::support::{
    self, Installation, Kind, TENANT, limits, number, run, run_raw, run_raw_in_tx, texts, user_add, users,
};

on_every_postgres! {
    texts_that_leave_the_scope_are_refused,
    an_attackers_text_lasts_nowhere_and_reaches_no_other_database,
    a_tenant_has_no_right_that_row_security_does_not_bind,
    a_tenants_statement_tells_nothing_of_rows_that_are_hidden_and_locks_no_table,
    a_large_object_is_no_way_to_another_tenant,
    a_tenant_reads_no_password,
    what_runs_in_a_condition_sees_no_foreign_value,
}

async fn two_tenants(place: &Installation) -> (TenantDb, TenantDb) {
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    user_add(&acme, "ann").await;
    user_add(&globex, "canary").await;
    (acme, globex)
}

/// A session of a restricted login, as it is before any scope is on it.
async fn session_of(place: &Installation, db: &TenantDb, login: &str) -> PgConnection {
    let mut raw = place.admin_at(db).await;
    raw.execute(AssertSqlSafe(format!("SET SESSION AUTHORIZATION {login}"))).await.unwrap();
    raw
}

fn code(error: &sqlx::Error) -> String {
    error.as_database_error().and_then(|e| e.code()).unwrap_or_default().into_owned()
}

/// Without a tenant nothing is read and nothing is written: in a fresh session, and in one that has had a tenant.
#[tokio::test]
async fn postgres_row_a_session_without_a_tenant_has_no_rows() {
    let place = Installation::on(Kind::PostgresRow).await;
    let (acme, _) = two_tenants(&place).await;
    let mut raw = session_of(&place, &acme, &place.role_of(&acme)).await;
    for session in ["fresh", "used"] {
        for text in [
            "SELECT * FROM tenant.users",
            "UPDATE tenant.users SET username = 'x' RETURNING 1",
            "DELETE FROM tenant.users RETURNING 1",
        ] {
            assert_eq!(raw.fetch_all(text).await.unwrap().len(), 0, "{session}: {text}");
        }
        let refused = raw.execute("INSERT INTO tenant.users (username) VALUES ('x')").await.unwrap_err();
        assert!(["42501", "23502"].contains(&code(&refused).as_str()), "{session}: {refused:?}");
        let named = format!("INSERT INTO tenant.users (tenant_id, username) VALUES ('{}', 'x')", acme.tenant().id);
        let refused = raw.execute(AssertSqlSafe(named)).await.unwrap_err();
        assert_eq!(code(&refused), "42501", "{session}: {refused:?}");
        let scope = format!("BEGIN; SET LOCAL tenantry.tenant = '{}'; COMMIT", acme.tenant().id);
        raw.execute(sqlx::raw_sql(AssertSqlSafe(scope))).await.unwrap();
        let after: Option<String> =
            raw.fetch_one("SELECT current_setting('tenantry.tenant', true)").await.unwrap().get(0);
        assert_eq!(after.as_deref(), Some(""), "what a transaction leaves of a setting is not NULL");
    }
}

/// The login of schema isolation has no right of its own: those of its tenants' roles it does not inherit.
#[tokio::test]
async fn postgres_schema_a_login_without_a_role_has_no_rights() {
    let place = Installation::on(Kind::PostgresSchema).await;
    let (acme, _) = two_tenants(&place).await;
    let mut raw = session_of(&place, &acme, &place.login("s0")).await;
    for text in ["SELECT * FROM {}.users", "DELETE FROM {}.users", "CREATE TABLE {}.mine (a int)"] {
        let text = text.replace("{}", &place.schema_of(&acme));
        let refused = raw.execute(AssertSqlSafe(text)).await.unwrap_err();
        assert_eq!(code(&refused), "42501", "{refused:?}");
    }
    for text in ["SELECT * FROM shared.plans", "CREATE TABLE public.mine (a int)", "CREATE TEMP TABLE mine (a int)"] {
        assert_eq!(code(&raw.execute(text).await.unwrap_err()), "42501", "{text}");
    }
}

/// In row isolation a row never changes hands.
#[tokio::test]
async fn postgres_row_a_row_is_not_written_for_another_tenant() {
    let place = Installation::on(Kind::PostgresRow).await;
    let (acme, globex) = two_tenants(&place).await;
    let (own, foreign) = (acme.tenant().id, globex.tenant().id);
    let merge = "MERGE INTO users u USING (VALUES ('canary')) v(name) ON u.username = v.name
                 WHEN MATCHED THEN UPDATE SET username = 'merged' WHEN NOT MATCHED THEN";
    for text in [
        format!("UPDATE users SET tenant_id = '{foreign}'"),
        format!("INSERT INTO users (tenant_id, username) VALUES ('{foreign}', 'x')"),
        format!("INSERT INTO users (tenant_id, username) SELECT '{foreign}', username || 'x' FROM users"),
        format!("{merge} INSERT (tenant_id, username) VALUES ('{foreign}', v.name)"),
        format!("INSERT INTO users (tenant_id, username) VALUES ('{foreign}', 'canary') ON CONFLICT DO NOTHING"),
        format!(
            "INSERT INTO users (username) VALUES ('ann') ON CONFLICT (tenant_id, username)
             DO UPDATE SET tenant_id = '{foreign}'"
        ),
        format!("WITH i AS (INSERT INTO users (tenant_id, username) VALUES ('{foreign}', 'x') RETURNING id) TABLE i"),
    ] {
        let error = Error::from(run(&acme, &text).await.unwrap_err());
        assert!(error.is_refused(), "{text}: {error:?}");
    }
    let named = format!("DELETE FROM users WHERE tenant_id = '{foreign}'");
    assert_eq!(run(&acme, &named).await.unwrap(), 0);
    run(&acme, &format!("{merge} INSERT (tenant_id, username) VALUES ('{own}', v.name)")).await.unwrap();
    assert_eq!(
        (users(&acme).await, users(&globex).await),
        (vec!["ann".into(), "canary".into()], vec!["canary".into()])
    );
}

/// Who would be shown a part of the rows is told so instead.
#[tokio::test]
async fn postgres_row_an_administrator_who_is_bound_gets_an_error_and_not_a_part() {
    let place = Installation::on(Kind::PostgresRow).await;
    let (acme, _) = two_tenants(&place).await;
    let mut raw = place.admin_at(&acme).await;
    let owner = format!("{}owner", place.mark());
    raw.execute(AssertSqlSafe(format!("SET row_security = off; SET ROLE {owner}"))).await.unwrap();
    let refused = raw.fetch_one("SELECT count(*) FROM tenant.users").await.unwrap_err();
    assert_eq!(code(&refused), "42501", "{refused:?}");
    // Nor does a migration see those of all, which it could write down for all.
    let looks = "DO $$ BEGIN IF (SELECT count(*) FROM users) <> 2 THEN RAISE 'only a part'; END IF; END $$";
    let files = [TENANT[1], ("0002_looks.sql", looks)];
    let migrations = Migrations::embedded(files, support::SHARED.to_vec()).unwrap();
    let opened = support::open(place.dir.path().into(), |c| c, TENANT).await.migrations(migrations);
    let report = opened.open().await.unwrap().migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap();
    let told = report.targets[0].error.as_ref().map(ToString::to_string).unwrap_or_default();
    assert!(report.failed == 1 && told.contains("rows of all tenants") && !told.contains("only a part"), "{report:?}");
}

async fn texts_that_leave_the_scope_are_refused(kind: Kind) {
    let place = Installation::on_with(kind, limits(1, 1), TENANT).await;
    let (acme, globex) = two_tenants(&place).await;
    let (other, role, id) = (place.schema_of(&globex), place.role_of(&globex), globex.tenant().id);
    for text in [
        "RESET ROLE".into(),
        "RESET SESSION AUTHORIZATION".into(),
        "RESET ALL".into(),
        "DISCARD ALL".into(),
        format!("SET ROLE {role}"),
        format!("SET ROLE = {role}"),
        format!("SET LOCAL ROLE {role}"),
        format!("SET SESSION ROLE TO {role}"),
        format!("set /* x */ \"role\" to {role}"),
        format!("SET U&\"rol\\0065\" TO {role}"),
        "SET ROLE NONE".into(),
        format!("SET SESSION AUTHORIZATION {role}"),
        format!("SET LOCAL SESSION AUTHORIZATION '{role}'"),
        format!("SET tenantry.tenant = '{id}'"),
        format!("SET LOCAL \"Tenantry\".\"TENANT\" TO '{id}'"),
        "RESET tenantry.tenant".into(),
        format!("SET search_path = {other}"),
        format!("SET LOCAL SCHEMA '{other}'"),
        "SET row_security = off".into(),
        "SET standard_conforming_strings = off".into(),
        format!("SELECT 1; SET ROLE {role}"),
        "SET SESSION AUTHORIZATION DEFAULT".into(),
        "COMMIT AND CHAIN".into(),
        "ROLLBACK AND CHAIN".into(),
        "END /* x */ AND CHAIN".into(),
        "ABORT AND CHAIN".into(),
        "SELECT 1; COMMIT AND CHAIN; SELECT username FROM users".into(),
        "SELECT 1; ROLLBACK; SELECT username FROM users".into(),
        "DROP OWNED BY CURRENT_USER".into(),
        format!("DROP /**/ OWNED BY {role} CASCADE"),
        format!("REASSIGN OWNED BY {role} TO CURRENT_USER"),
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC".into(),
    ] {
        for tried in [run(&acme, &text).await.map(drop), run_raw(&acme, &text).await, run_raw_in_tx(&acme, &text).await]
        {
            let error = Error::from(tried.expect_err(&text));
            assert!(error.is_refused() && error.help_text().is_some(), "{text}: {error:?}");
        }
        assert_eq!(users(&acme).await, ["ann"], "{text}");
        assert_eq!(users(&globex).await, ["canary"], "{text}");
    }
}

/// SQL of an attacker's choosing: in database isolation it reaches nobody. In the others it may set what a scope sets,
/// which SECURITY.md says, but never what outlives it.
async fn an_attackers_text_lasts_nowhere_and_reaches_no_other_database(kind: Kind) {
    let place = Installation::on_with(kind, limits(1, 1), TENANT).await;
    let (acme, globex) = two_tenants(&place).await;
    let (other, role, id) = (place.schema_of(&globex), place.role_of(&globex), globex.tenant().id);
    let database = place.database_of(&globex);
    let read = format!("SELECT username FROM {other}.users");
    for text in [
        format!("SELECT set_config('tenantry.tenant', '{id}', false); {read}"),
        format!("SELECT set_config('role', '{role}', false); {read}"),
        format!("DO $$ BEGIN EXECUTE 'SET ROLE {role}'; END $$; {read}"),
        format!("DO $$ BEGIN EXECUTE 'SET SESSION AUTHORIZATION {role}'; END $$; {read}"),
        format!("SELECT set_config('search_path', '{other}', false); SELECT username FROM users"),
        format!("SELECT query_to_xml('{read}', true, false, '')"),
        format!("SELECT username FROM {database}.{other}.users"),
        format!("SELECT * FROM dblink('dbname={database}', '{read}') AS t(username text)"),
        "CREATE EXTENSION dblink".into(),
        format!("CREATE FOREIGN TABLE stolen (username text) SERVER tenantry_home OPTIONS (schema_name '{other}')"),
        "CREATE SERVER mine FOREIGN DATA WRAPPER postgres_fdw".into(),
        "ALTER SERVER tenantry_home OPTIONS (SET dbname 'postgres')".into(),
        "IMPORT FOREIGN SCHEMA tenant FROM SERVER tenantry_home INTO shared".into(),
        "SELECT pg_read_file('postgresql.conf')".into(),
        "COPY (SELECT 1) TO PROGRAM 'true'".into(),
        "SELECT lo_import('/etc/hostname')".into(),
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user".into(),
        format!("GRANT {role} TO CURRENT_USER"),
        format!("ALTER ROLE {role} SUPERUSER"),
        "CREATE ROLE mine".into(),
        format!("DROP DATABASE {database}"),
    ] {
        for in_a_transaction in [false, true] {
            let tried = match in_a_transaction {
                false => run_raw(&acme, &text).await,
                true => run_raw_in_tx(&acme, &text).await,
            };
            if kind == Kind::PostgresDatabase {
                let seen = seen(&acme).await;
                assert!(!seen.contains(&"canary".to_owned()), "{text} ({tried:?}): {seen:?}");
            }
            assert_eq!(users(&acme).await, ["ann"], "behind {text} ({tried:?})");
            assert_eq!(users(&globex).await, ["canary"], "behind {text} ({tried:?})");
        }
    }
}

/// All that a tenant can read of users, wherever they are.
async fn seen(db: &TenantDb) -> Vec<String> {
    let tables = "SELECT format('SELECT username FROM %I.%I', schemaname, tablename) FROM pg_tables
                   WHERE tablename = 'users' AND has_table_privilege(format('%I.%I', schemaname, tablename), 'SELECT')";
    let mut seen = Vec::new();
    for query in texts(db, tables).await.unwrap() {
        seen.extend(texts(db, &query).await.unwrap_or_default());
    }
    seen
}

async fn a_tenant_has_no_right_that_row_security_does_not_bind(kind: Kind) {
    let place = Installation::on(kind).await;
    let (acme, globex) = two_tenants(&place).await;
    let rights = "SELECT relname || ' ' || right_to FROM pg_class,
                         unnest(ARRAY['TRUNCATE', 'REFERENCES', 'TRIGGER']) right_to
                   WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace
                     AND has_table_privilege(oid, right_to)";
    assert_eq!(texts(&acme, rights).await.unwrap(), Vec::<String>::new());
    for text in
        ["TRUNCATE users", "TRUNCATE users, items, orders, notes CASCADE", "LOCK users IN ACCESS EXCLUSIVE MODE"]
    {
        let tried = run(&acme, text).await.map_err(Error::from);
        // A lock on a table makes those wait whose rows are in it: in row isolation all tenants.
        match text.starts_with("LOCK") && kind != Kind::PostgresRow {
            true => assert!(tried.is_ok(), "{text}: {tried:?}"),
            false => assert!(tried.unwrap_err().is_refused(), "{text}"),
        }
    }
    assert_eq!((users(&acme).await, users(&globex).await), (vec!["ann".into()], vec!["canary".into()]));
}

async fn a_tenants_statement_tells_nothing_of_rows_that_are_hidden_and_locks_no_table(kind: Kind) {
    let place = Installation::on(kind).await;
    let (acme, _) = two_tenants(&place).await;
    let work = "EXPLAIN (ANALYZE, COSTS OFF) SELECT 1 FROM users WHERE username = 'canary'";
    let told = run(&acme, work).await.map_err(Error::from);
    match kind {
        Kind::PostgresRow => assert!(told.unwrap_err().is_refused()),
        _ => assert!(told.is_ok(), "{told:?}"),
    }
    for text in [
        "SELECT pg_stat_get_xact_tuples_returned('users'::regclass)",
        "SELECT idx_tup_read FROM pg_stat_user_indexes",
        "CREATE TRIGGER late BEFORE INSERT ON users EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "CREATE RULE late AS ON INSERT TO plans DO ALSO NOTHING",
        "COMMENT ON COLUMN users.username IS 'x'",
        "EXPLAIN (VERBOSE) CREATE TABLE y AS EXECUTE sqlx_s_1",
    ] {
        let (one, raw) = (run(&acme, text).await.map(drop), run_raw(&acme, text).await);
        for tried in [one, raw] {
            // What is a tenant's own it may lock, and is refused by the server behind that.
            let error = Error::from(tried.unwrap_err());
            let says = |part: &str| error.help_text().is_some_and(|help| help.contains(part));
            let by_words = says("tenantry migrate new") || says("the driver prepares it") || says("share the login");
            assert!(by_words || kind == Kind::PostgresDatabase, "{text}: {error:?}");
        }
    }
}

async fn a_large_object_is_no_way_to_another_tenant(kind: Kind) {
    let place = Installation::on(kind).await;
    let (acme, _) = two_tenants(&place).await;
    for text in ["SELECT lo_from_bytea(0, 'canary')", "SELECT lo_create(7)", "SELECT lo_creat(-1)", "SELECT lo_get(7)"]
    {
        assert!(Error::from(run(&acme, text).await.unwrap_err()).is_refused(), "{text}");
        // Behind a text in which it cannot be seen the server itself refuses it.
        let hidden = format!(
            "DO $$ BEGIN EXECUTE replace('{}', 'xx', 'lo'); END $$",
            text.replace("lo_", "xx_").replace('\'', "''")
        );
        assert!(Error::from(run_raw(&acme, &hidden).await.unwrap_err()).is_refused(), "{hidden}");
    }
}

async fn a_tenant_reads_no_password(kind: Kind) {
    let place = Installation::on(kind).await;
    let (acme, _) = two_tenants(&place).await;
    for text in [
        "SELECT rolpassword FROM pg_authid",
        "SELECT passwd FROM pg_shadow",
        "SELECT umoptions::text FROM pg_user_mapping",
        "SELECT * FROM tenantry.migrations",
        "SELECT * FROM tenantry.place",
    ] {
        assert!(Error::from(run(&acme, text).await.unwrap_err()).is_refused(), "{text}");
    }
    let options = "SELECT count(*) FROM pg_user_mappings WHERE umoptions IS NOT NULL";
    assert_eq!(number(&acme, options).await.unwrap(), 0);
    let others = texts(&acme, "SELECT query FROM pg_stat_activity").await;
    assert!(Error::from(others.unwrap_err()).is_refused(), "statements of others");
}

async fn what_runs_in_a_condition_sees_no_foreign_value(kind: Kind) {
    let spy = "CREATE FUNCTION spy(value text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN
                   IF value <> '17' THEN RAISE EXCEPTION 'the spy saw %', value; END IF;
                   RETURN true;
               END $$;";
    let files: Vec<_> = TENANT.iter().copied().chain([("0002_spy.sql", spy)]).collect();
    let place = Installation::on_with(kind, |config| config, &files).await;
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    user_add(&acme, "17").await;
    user_add(&globex, "canary").await;
    run(&globex, "INSERT INTO items (description, price) VALUES ('x', 42)").await.unwrap();
    // Each would fail at the first foreign value.
    for text in [
        "SELECT id FROM users WHERE spy(username)",
        "SELECT id FROM users WHERE username::int = 17",
        "SELECT id FROM items WHERE 1 / (price - 42) > 0",
        "UPDATE users SET username = username WHERE spy(username) AND username::int = 17",
        "SELECT u.id FROM users u JOIN users v ON spy(v.username) AND v.username::int = u.username::int",
        "SELECT count(*) FROM (SELECT username::int FROM users ORDER BY spy(username)) x",
        "DELETE FROM users WHERE NOT spy(username)",
    ] {
        for _ in 0..3 {
            let done = run(&acme, text).await;
            assert!(done.is_ok(), "{text}: {done:?}");
        }
    }
    assert!(run(&globex, "SELECT id FROM users WHERE spy(username)").await.is_err(), "the spy sees what is there");
}
