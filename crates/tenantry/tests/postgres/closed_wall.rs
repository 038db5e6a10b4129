//! What the server itself refuses to a tenant's SQL, whatever its words: texts that never saw the lexer.

use futures_util::StreamExt;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use tenantry::{DoctorOptions, Error, MigrateOptions, Migrations, TenantDb};
use tenantry_testbed::Postgres;

use crate::support::{self, Installation, Kind, SHARED, TENANT, limits, number, run, texts, user_add, users};

/// What a tenant's SQL would need to leave its scope, behind the code with which the server refuses it: what `doctor` tries too.
/// `{id}` is another tenant, `{role}` its role.
const ATTEMPTS: &str = include_str!("../../src/engine/postgres/examination/escapes.txt");

/// The same by a table of the app's, which the canaries of `doctor` do not have.
const ATTEMPTS_BY_TABLE: &str = "42501 INSERT INTO users (username) SELECT set_config('role', 'none', true)
42501 SELECT username FROM users ORDER BY set_config('role', 'none', true)";

async fn two_tenants(place: &Installation) -> (TenantDb, TenantDb) {
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    user_add(&acme, "ann").await;
    user_add(&globex, "canary").await;
    (acme, globex)
}

/// Whose transaction it is, and what it reads, as `session` has it.
async fn whose(session: &mut PgConnection) -> Vec<String> {
    let text = "SELECT ARRAY[current_user, current_setting('search_path'), current_setting('tenantry.tenant')]::text[]
                       || ARRAY(SELECT username FROM users ORDER BY 1)";
    session.fetch_one(text).await.unwrap().get(0)
}

async fn the_server_keeps_a_tenants_sql_in_its_scope(kind: Kind) {
    let place = Installation::on(kind).await;
    let (acme, globex) = two_tenants(&place).await;
    let login = place.login(if kind == Kind::PostgresRow { "row" } else { "s0" });
    let mut raw = place.admin_at(&acme).await;
    raw.execute(AssertSqlSafe(format!("SET SESSION AUTHORIZATION {login}"))).await.unwrap();
    // As the scope does it.
    raw.execute(AssertSqlSafe(format!(
        "BEGIN; SELECT set_config('role', '{}', true), set_config('search_path', '{}, shared, pg_temp', true),
                       set_config('tenantry.tenant', '{}', true)",
        place.role_of(&acme),
        place.schema_of(&acme),
        acme.tenant().id
    )))
    .await
    .unwrap();
    let before = whose(&mut raw).await;
    assert_eq!((before[0].as_str(), before.last().unwrap().as_str()), (place.role_of(&acme).as_str(), "ann"));
    for (code, text) in ATTEMPTS.lines().chain(ATTEMPTS_BY_TABLE.lines()).map(|line| line.split_once(' ').unwrap()) {
        let text = text.replace("{id}", &globex.tenant().id.to_string()).replace("{role}", &place.role_of(&globex));
        raw.execute("SAVEPOINT attempt").await.unwrap();
        let refused = raw.execute(sqlx::raw_sql(AssertSqlSafe(text.clone()))).await.expect_err(&text);
        let told = refused.as_database_error().and_then(|e| e.code()).unwrap_or_default().into_owned();
        assert!(told == code, "{text}: {refused:?}");
        raw.execute("ROLLBACK TO attempt").await.unwrap();
        assert_eq!(whose(&mut raw).await, before, "{text}");
    }
}

#[tokio::test]
async fn postgres_row_the_server_keeps_a_tenants_sql_in_its_scope() {
    the_server_keeps_a_tenants_sql_in_its_scope(Kind::PostgresRow).await;
}

#[tokio::test]
async fn postgres_schema_the_server_keeps_a_tenants_sql_in_its_scope() {
    the_server_keeps_a_tenants_sql_in_its_scope(Kind::PostgresSchema).await;
}

/// The login of row isolation reaches no row before it has taken its role on.
#[tokio::test]
async fn postgres_row_a_login_without_its_role_has_no_rights() {
    let place = Installation::on(Kind::PostgresRow).await;
    let (acme, _) = two_tenants(&place).await;
    assert_eq!(texts(&acme, "SELECT current_user::text").await.unwrap(), [place.role_of(&acme)]);
    let mut raw = place.admin_at(&acme).await;
    raw.execute(AssertSqlSafe(format!("SET SESSION AUTHORIZATION {}", place.login("row")))).await.unwrap();
    raw.execute(AssertSqlSafe(format!("SET tenantry.tenant = '{}'", acme.tenant().id))).await.unwrap();
    for text in ["SELECT * FROM tenant.users", "DELETE FROM tenant.users", "SELECT * FROM shared.plans"] {
        let refused = raw.execute(text).await.unwrap_err();
        assert_eq!(refused.as_database_error().unwrap().code().unwrap(), "42501", "{text}");
    }
}

#[tokio::test]
async fn doctor_finds_a_wall_that_was_opened_and_names_what_closes_it() {
    let place = Installation::on(Kind::PostgresRow).await;
    let acme = place.tenant("acme").await;
    let doctor = || place.tenancy.doctor(DoctorOptions::new().read_only(true));
    assert_eq!(doctor().await.unwrap().findings, []);
    for (number, (open, finds)) in [
        ("GRANT EXECUTE ON FUNCTION set_config TO PUBLIC", "open_wall"),
        ("GRANT EXECUTE ON FUNCTION ts_stat(text) TO PUBLIC", "open_wall"),
        ("GRANT USAGE ON LANGUAGE sql TO PUBLIC", "open_wall"),
        ("UPDATE pg_proc SET procost = 5 WHERE oid = 'uuid_eq'::regproc", "open_wall"),
        ("ALTER FUNCTION tenantry_wall.mine COST 1", "open_wall"),
        ("GRANT USAGE ON SCHEMA tenantry_wall TO {rows}", "open_wall"),
        ("ALTER FUNCTION tenantry.hide_first SECURITY INVOKER", "open_wall"),
        ("DROP FUNCTION tenantry.hide_first", "open_wall"),
        ("ALTER FUNCTION tenantry.told_statistics SECURITY INVOKER", "open_wall"),
        ("DROP FUNCTION tenantry.hide_statistics", "open_wall"),
        ("ALTER EVENT TRIGGER tenantry_statistics DISABLE", "open_wall"),
        ("DROP EVENT TRIGGER tenantry_statistics", "open_wall"),
        ("ALTER TABLE tenant.users ALTER COLUMN username SET STATISTICS 100", "statistics_kept"),
        // As a dump leaves it that is restored.
        ("DROP FUNCTION tenantry_wall.mine CASCADE", "open_wall"),
        ("ALTER EVENT TRIGGER tenantry_casts DISABLE", "open_wall"),
        ("GRANT USAGE ON LANGUAGE plpgsql TO {rows}", "open_wall"),
        ("GRANT EXECUTE ON FUNCTION set_config TO {rows}", "open_wall"),
        ("REVOKE EXECUTE ON FUNCTION set_config FROM {login}", "login_shut_out"),
        ("GRANT SELECT ON tenant.users TO {login}", "login_privilege"),
        ("GRANT USAGE ON SCHEMA tenant TO {login}", "login_privilege"),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(place.tenancy.server_wall("local").await.unwrap().is_closed());
        let open = open.replace("{rows}", &place.role_of(&acme)).replace("{login}", &place.login("row"));
        place.sql_at(&acme, &open);
        let found = doctor().await.unwrap().findings;
        let finding = found.iter().find(|f| f.code == finds).unwrap_or_else(|| panic!("{open}: {found:?}"));
        finding.repair.split("; ").for_each(|text| drop(place.sql_at(&acme, text)));
        assert_eq!(doctor().await.unwrap().findings, [], "{open}");
        user_add(&acme, &format!("ann {number}")).await;
    }
}

/// A file may call its own policies whatever it likes, where the engine has none.
#[tokio::test]
async fn postgres_row_the_wall_is_closed_again_past_a_policy_that_only_bears_the_engines_name() {
    let place = Installation::on(Kind::PostgresRow).await;
    let acme = place.tenant("acme").await;
    let owner = format!("{}shared_owner", place.mark().trim());
    place.sql_at(
        &acme,
        &format!(
            "SET ROLE {owner}; CREATE TABLE shared.mine (a int); CREATE POLICY \"!tenantry\" ON shared.mine USING (true); RESET ROLE"
        ),
    );
    // As a dump leaves it that is restored.
    place.sql_at(&acme, "DROP FUNCTION tenantry_wall.mine CASCADE");
    let report = place.tenancy.doctor(DoctorOptions::new().repair(true)).await.unwrap();
    assert!(place.tenancy.server_wall("local").await.unwrap().is_closed(), "{report:?}");
    let policies = "SELECT count(*) FROM pg_policy WHERE polname = '!tenantry_first'";
    assert_eq!(texts(&acme, &format!("SELECT ({policies})::text")).await.unwrap(), ["4"]);
}

/// Where the administrator is no superuser the wall is open until one has closed it, and everything works before and after.
#[tokio::test(flavor = "multi_thread")]
async fn a_superuser_closes_the_wall_by_what_is_told() {
    let server = Postgres::private(&[]).unwrap();
    let role = "CREATE ROLE boss LOGIN CREATEROLE CREATEDB PASSWORD 'boss-password'";
    server.sql("postgres", role).unwrap();
    server.sql("postgres", "CREATE DATABASE app OWNER boss").unwrap();
    let url = server.tcp_url("app").replace("admin:admin-password@", "boss:boss-password@");
    let dir = tempfile::tempdir().unwrap();
    let tenancy = support::open(dir.path().into(), |c| c, TENANT).await.open().await.unwrap();
    tenancy.server_add(tenantry::NewServer::new("main", &url)).await.unwrap();
    assert_eq!(tenancy.migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap().failed, 0);
    let new = |key: &str, isolation| tenantry::NewTenant::new(key).unwrap().isolation(isolation);
    for (key, isolation) in [("row", tenantry::Isolation::Row), ("schema", tenantry::Isolation::Schema)] {
        tenancy.tenant_create(new(key, isolation)).await.unwrap();
        user_add(&tenancy.tenant(key).await.unwrap(), "ann").await;
    }
    let wall = tenancy.server_wall("main").await.unwrap();
    assert_eq!(wall.missing.len(), 7, "{wall:?}");
    let report = tenancy.doctor(DoctorOptions::new()).await.unwrap();
    assert_eq!(report.findings, []);
    assert!(report.checks.iter().any(|check| check.contains("open wall")), "{:?}", report.checks);
    for text in wall.close.split("; ") {
        server.sql("app", text).unwrap();
    }
    assert!(tenancy.server_wall("main").await.unwrap().is_closed());
    for key in ["row", "schema"] {
        assert_eq!(users(&tenancy.tenant(key).await.unwrap()).await, ["ann"]);
    }
    tenancy.tenant_create(new("later", tenantry::Isolation::Schema)).await.unwrap();
    user_add(&tenancy.tenant("later").await.unwrap(), "bob").await;
    let report = tenancy.doctor(DoctorOptions::new()).await.unwrap();
    assert_eq!(report.findings, []);
}

/// An installation as older versions made it: the login has the rights on the rows, and no role.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_installation_is_served_until_a_migration_takes_the_logins_rights() {
    let place = Installation::on(Kind::PostgresRow).await;
    let (acme, _) = two_tenants(&place).await;
    let (rows, login) = (place.role_of(&acme), place.login("row"));
    for text in [
        format!("DROP OWNED BY {rows}"),
        format!("DROP ROLE {rows}"),
        format!("GRANT USAGE ON SCHEMA tenant, shared TO {login}"),
        format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA tenant TO {login}"),
        format!("GRANT SELECT ON ALL TABLES IN SCHEMA shared TO {login}"),
    ] {
        place.sql_at(&acme, &text);
    }
    let old = place.neighbour().await;
    let (acme, globex) = (old.tenant("acme").await.unwrap(), old.tenant("globex").await.unwrap());
    user_add(&acme, "bob").await;
    assert_eq!((users(&acme).await, users(&globex).await), (vec!["ann".into(), "bob".into()], vec!["canary".into()]));
    assert_eq!(texts(&acme, "SELECT current_user::text").await.unwrap(), std::slice::from_ref(&login));
    let found = old.doctor(DoctorOptions::new().read_only(true)).await.unwrap().findings;
    assert!(found.iter().any(|f| f.code == "old_layout"), "{found:?}");
    let files: Vec<_> = TENANT.iter().copied().chain([("0002_more.sql", "ALTER TABLE users ADD age int")]).collect();
    let migrations = Migrations::embedded(files, SHARED.to_vec()).unwrap();
    let new = support::open(place.dir.path().into(), |c| c, TENANT).await.migrations(migrations).open().await.unwrap();
    let report = new.migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap();
    assert_eq!(report.failed, 0, "{report:?}");
    let acme = new.tenant("acme").await.unwrap();
    assert_eq!(users(&acme).await, ["ann", "bob"]);
    assert_eq!(texts(&acme, "SELECT current_user::text").await.unwrap(), [rows]);
    assert_eq!(new.doctor(DoctorOptions::new().read_only(true)).await.unwrap().findings, []);
    let mut raw = place.admin_at(&acme).await;
    raw.execute(AssertSqlSafe(format!("SET SESSION AUTHORIZATION {login}"))).await.unwrap();
    assert!(raw.execute("SELECT * FROM tenant.users").await.is_err(), "the login has rights of its own");
    raw.close().await.unwrap();
}

/// How a file ends for the only tenant, and what is said of it.
async fn applied(
    place: &Installation,
    files: &[(&'static str, &'static str)],
    options: MigrateOptions,
) -> Result<(), String> {
    let all: Vec<_> = TENANT.iter().chain(files).copied().collect();
    let migrations = Migrations::embedded(all, SHARED.to_vec()).unwrap();
    let app = support::open(place.dir.path().into(), |c| c, TENANT).await.migrations(migrations).open().await.unwrap();
    let report = app.migrations().up(&options, |_| ()).await.unwrap();
    if report.failed == 0 { Ok(()) } else { Err(format!("{report:?}")) }
}

/// Tenants may not use the languages, and a data file runs as its tenant.
async fn a_block_in_a_data_file_is_told_to_be_a_function(kind: Kind) {
    let place = Installation::on(kind).await;
    let acme = place.tenant("acme").await;
    let block = ("0002_note.data.sql", "DO $$ BEGIN INSERT INTO notes (text) VALUES ('x'); END $$");
    let told = applied(&place, &[block], MigrateOptions::new()).await.unwrap_err();
    assert!(
        told.contains("a data file runs no block") && told.contains("make a function in a file of the schema"),
        "{told}"
    );
    let function = "CREATE FUNCTION note() RETURNS void LANGUAGE plpgsql AS
                    $$ BEGIN INSERT INTO notes (text) VALUES ('x'); END $$";
    let files = [("0002_note.sql", function), ("0003_note.data.sql", "SELECT note()")];
    applied(&place, &files, MigrateOptions::new().retry_failed()).await.unwrap();
    assert_eq!(texts(&acme, "SELECT text FROM notes").await.unwrap(), ["x"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_row_a_block_in_a_data_file_is_told_to_be_a_function() {
    a_block_in_a_data_file_is_told_to_be_a_function(Kind::PostgresRow).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_schema_a_block_in_a_data_file_is_told_to_be_a_function() {
    a_block_in_a_data_file_is_told_to_be_a_function(Kind::PostgresSchema).await;
}

/// Whatever was done behind an answer is over: a connection is back, or closed.
async fn at_rest(place: &Installation) {
    while place.tenancy.stats().iter().any(|of| of.pool.idle != of.pool.open) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

async fn pid(db: &TenantDb) -> i64 {
    number(db, "SELECT pg_backend_pid()::bigint").await.unwrap()
}

/// `DISCARD ALL` leaves the seed of `random()`: the next tenant would draw the numbers that the last one has chosen.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_whose_seed_was_set_serves_nobody_else() {
    for kind in [Kind::PostgresRow, Kind::PostgresSchema] {
        let place = Installation::on_with(kind, limits(1, 1), TENANT).await;
        let (acme, globex) = two_tenants(&place).await;
        for text in ["SELECT setseed(0.42)", "SET seed = 0.42", "SELECT 1; SET LOCAL seed TO 0.42"] {
            let before = pid(&globex).await;
            assert_eq!(pid(&acme).await, before, "there is one connection");
            support::run_raw(&acme, text).await.unwrap();
            at_rest(&place).await;
            assert_ne!(pid(&globex).await, before, "{kind:?}: {text}");
        }
        let before = pid(&globex).await;
        run(&acme, "SET LOCAL lock_timeout = '1s'").await.unwrap();
        at_rest(&place).await;
        assert_eq!(pid(&globex).await, before, "what a reset takes back closes no connection");
    }
}

/// What an extension keeps in its session is known of none but those that are listed.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_may_hold_an_extensions_state_serves_nobody_else() {
    let place = Installation::on_with(Kind::PostgresRow, limits(1, 1), TENANT).await;
    let (acme, globex) = two_tenants(&place).await;
    for (extension, keeps) in [("pgcrypto", false), ("dblink", true)] {
        place.sql_at(&acme, &format!("CREATE EXTENSION {extension} SCHEMA shared"));
        // Learnt with the next reset, and with the next connection.
        run(&acme, "SET LOCAL lock_timeout = '1s'").await.unwrap();
        at_rest(&place).await;
        for text in
            ["SELECT shared.dblink_get_connections()::text", "INSERT INTO users (username) VALUES (gen_random_uuid())"]
        {
            let before = pid(&globex).await;
            assert_eq!(pid(&acme).await, before);
            drop(run(&acme, text).await);
            at_rest(&place).await;
            if keeps {
                assert_ne!(pid(&globex).await, before, "{extension}: {text}");
            } else if text.starts_with("INSERT") {
                assert_eq!(pid(&globex).await, before, "{extension}: {text}");
            }
        }
        // What reads only, by functions of the server's, leaves nothing.
        let before = pid(&globex).await;
        assert_eq!(users(&globex).await, ["canary"]);
        assert_eq!(pid(&acme).await, before, "{extension}");
    }
}

/// An extension of contrib's that is on no list, and what it takes to keep a connection beside it.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_beside_an_extension_that_the_settings_call_stateless_is_kept() {
    for (stateless, is_kept) in [(vec![], false), (vec!["tcn".parse().unwrap()], true)] {
        let change = |config: tenantry::Config| {
            let mut config = limits(1, 1)(config);
            config.tenants.stateless_extensions = stateless;
            config
        };
        let place = Installation::on_with(Kind::PostgresRow, change, TENANT).await;
        let (acme, globex) = two_tenants(&place).await;
        place.sql_at(&acme, "CREATE EXTENSION tcn SCHEMA shared");
        run(&acme, "SET LOCAL lock_timeout = '1s'").await.unwrap();
        at_rest(&place).await;
        let before = pid(&globex).await;
        run(&acme, "INSERT INTO users (username) VALUES (gen_random_uuid())").await.unwrap();
        at_rest(&place).await;
        assert_eq!(pid(&globex).await == before, is_kept);
        // What it says of one extension holds for no other.
        place.sql_at(&acme, "CREATE EXTENSION refint SCHEMA shared");
        run(&acme, "SET LOCAL lock_timeout = '1s'").await.unwrap();
        at_rest(&place).await;
        let before = pid(&globex).await;
        run(&acme, "INSERT INTO users (username) VALUES (gen_random_uuid())").await.unwrap();
        at_rest(&place).await;
        assert_ne!(pid(&globex).await, before);
    }
}

/// A connection of dblink's outlives every reset: the server's session has to end with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_one_tenant_has_opened_by_dblink_is_not_there_for_the_next() {
    for kind in [Kind::PostgresRow, Kind::PostgresSchema] {
        let place = Installation::on_with(kind, limits(1, 1), TENANT).await;
        let (acme, globex) = two_tenants(&place).await;
        // Behind the engine's back too, whatever it would refuse in a file.
        place.sql_at(&acme, "CREATE EXTENSION dblink SCHEMA shared");
        run(&acme, "SET LOCAL lock_timeout = '1s'").await.unwrap();
        at_rest(&place).await;
        let before = pid(&globex).await;
        assert_eq!(pid(&acme).await, before, "there is one connection");
        let url = Postgres::shared().unwrap().tcp_url("postgres");
        let open = format!("SELECT shared.dblink_connect('c', '{url}')");
        assert_eq!(texts(&acme, &open).await.unwrap(), ["OK"]);
        at_rest(&place).await;
        let use_it = "SELECT a::text FROM shared.dblink('c', 'SELECT 1') AS t(a int)";
        let known = "SELECT coalesce(shared.dblink_get_connections()::text, 'none')";
        assert_eq!(texts(&globex, known).await.unwrap(), ["none"], "{kind:?}");
        // Without a connection of that name it is read as where to connect to.
        let error = texts(&globex, use_it).await.unwrap_err().to_string();
        // PostgreSQL 16 and newer speak of GSSAPI too.
        let known =
            ["password is required", "password or GSSAPI delegated credentials required", "could not establish"];
        assert!(known.iter().any(|text| error.contains(text)), "{error}");
        assert_ne!(pid(&globex).await, before);
        // Within one transaction it is there: the wall is around tenants, not around statements.
        let mut tx = acme.begin().await.unwrap();
        sqlx::query(AssertSqlSafe(open.as_str())).execute(tx.postgres().unwrap()).await.unwrap();
        let row: String = sqlx::query_scalar(use_it).fetch_one(tx.postgres().unwrap()).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(row, "1");
    }
}

/// A transaction that is left idle is ended by the server, and what comes next is told so.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_idle_for_too_long_is_ended() {
    for kind in [Kind::PostgresRow, Kind::PostgresSchema] {
        let place = Installation::on(kind).await;
        let (acme, _) = two_tenants(&place).await;
        let limit = texts(&acme, "SELECT current_setting('idle_in_transaction_session_timeout')").await.unwrap();
        assert_eq!(limit, ["1min"]);
        let mut tx = acme.begin().await.unwrap();
        let shorter = "SET LOCAL idle_in_transaction_session_timeout = '100ms'";
        sqlx::query(shorter).execute(tx.postgres().unwrap()).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(400)).await;
        let ended = sqlx::query("SELECT 1").execute(tx.postgres().unwrap()).await.unwrap_err();
        drop(tx);
        assert_eq!(users(&acme).await, ["ann"]);
        assert_idle(&Error::from(ended));
    }
}

/// What an app hears whose transaction was ended: that nothing of it is stored, and which setting it is about.
#[track_caller]
fn assert_idle(error: &Error) {
    assert!(!error.is_outcome_unknown() && error.is_transaction_failed() && error.is_retryable(), "{error:?}");
    assert_eq!((error.http_status(), error.code()), (503, "idle_transaction"));
    assert_eq!(error.client_code(), "too_slow");
    assert!(error.to_string().contains("nothing of it is stored"), "{error}");
    assert!(error.help_text().is_some_and(|help| help.contains("idle_in_transaction")), "{error:?}");
}

/// Whatever comes next, by whatever way, hears why its transaction is gone.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_goes_on_with_a_transaction_that_was_ended_hears_why() {
    for (kind, wire) in [
        (Kind::PostgresRow, true),
        (Kind::PostgresRow, false),
        (Kind::PostgresSchema, true),
        (Kind::PostgresSchema, false),
        (Kind::PostgresDatabase, true),
        (Kind::PostgresDatabase, false),
    ] {
        let change = |mut config: tenantry::Config| {
            config.pool.wire = wire;
            config.pool.idle_in_transaction = tenantry::Seconds::new(0.3).unwrap();
            config
        };
        let place = Installation::on_with(kind, change, TENANT).await;
        let (acme, _) = two_tenants(&place).await;
        let begin = async || {
            let mut tx = acme.begin().await.unwrap();
            let add = sqlx::query("INSERT INTO notes (text) VALUES ('never')");
            add.execute(tx.postgres().unwrap()).await.unwrap();
            tx
        };
        let (to_commit, mut to_read, mut to_stream, to_nest) =
            (begin().await, begin().await, begin().await, begin().await);
        let idle = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL
                    AND application_name = 'tenantry app'";
        while place.sql_at(&acme, idle).trim() != "0" {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        // The app's clock began to count a little later than the server's.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert_idle(&to_commit.commit().await.unwrap_err());
        let read = sqlx::query("SELECT 1").fetch_all(to_read.postgres().unwrap()).await;
        assert_idle(&Error::from(read.unwrap_err()));
        let late = to_read.commit().await.unwrap_err();
        assert!(late.is_transaction_failed() && !late.is_outcome_unknown(), "{late:?}");
        let streamed = sqlx::query("SELECT 1").fetch(to_stream.postgres().unwrap()).next().await;
        assert_idle(&Error::from(streamed.expect("an item").unwrap_err()));
        drop(to_stream);
        assert_idle(&to_nest.begin().await.unwrap_err());
        drop(to_nest);
        assert!(texts(&acme, "SELECT text FROM notes").await.unwrap().is_empty());
        at_rest(&place).await;
        assert_eq!(users(&acme).await, ["ann"], "{kind:?}, {wire}");
    }
}

/// A reference locks the shared row that it refers to, and the mark of it (`xmax`) stays after the commit.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_learns_from_a_shared_table_which_rows_others_refer_to() {
    for kind in [Kind::PostgresRow, Kind::PostgresSchema] {
        let place = Installation::on(kind).await;
        let (acme, globex) = two_tenants(&place).await;
        let subscribed = match kind {
            Kind::PostgresRow => {
                "CREATE TABLE subs (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint, plan_id bigint REFERENCES shared.plans (id),
                 PRIMARY KEY (tenant_id, id))"
            }
            _ => "CREATE TABLE subs (id bigint PRIMARY KEY, plan_id bigint REFERENCES shared.plans (id))",
        };
        let grown = "ALTER TABLE plans ADD COLUMN price bigint";
        let tenancy = place.neighbour_with(&[("0002_subs.sql", subscribed)], &[("0002_price.sql", grown)]).await;
        let shared = tenancy.shared().await.unwrap();
        sqlx::query("INSERT INTO plans (id, name, price) VALUES (1, 'free', 0), (2, 'dear', 9)")
            .execute(shared.postgres().unwrap())
            .await
            .unwrap();
        run(&acme, "INSERT INTO subs (id, plan_id) VALUES (1, 2)").await.unwrap();
        for told in [
            "SELECT id::text FROM plans WHERE xmax = 0",
            "SELECT id::text FROM shared.plans WHERE \"xmax\"::text <> '0'",
            "SELECT ctid::text FROM plans",
        ] {
            let error = texts(&globex, told).await.unwrap_err().to_string();
            assert!(error.contains("permission denied for table plans"), "{kind:?}: {told}: {error}");
        }
        // Everything else of it is read as before, what a later file has added too.
        let row = texts(&globex, "SELECT to_jsonb(p)::text FROM plans p WHERE price > 0").await.unwrap();
        assert_eq!(row, [r#"{"id": 2, "name": "dear", "price": 9}"#]);
        assert_eq!(number(&globex, "SELECT count(*) FROM (SELECT * FROM shared.plans) p").await.unwrap(), 2);
        // Of its own rows a tenant may know what an upsert did.
        let upsert = "INSERT INTO users (username) VALUES ('eve') RETURNING (xmax = 0)::text";
        assert_eq!(texts(&globex, upsert).await.unwrap(), ["true"]);
        // But not what is counted for all of the server where two have locked one.
        for counted in ["SELECT xmax::text FROM users", "SELECT relminmxid::text FROM pg_class"] {
            let error = Error::from(texts(&globex, counted).await.unwrap_err());
            assert!(error.is_refused() && error.help_text().is_some(), "{counted}: {error}");
        }
        // What an older version has given is found, and taken back by what is printed.
        place.sql_at(&acme, &format!("GRANT SELECT ON shared.plans TO {}", reader_of(&place, &acme)));
        assert!(texts(&globex, "SELECT (xmax = 0)::text FROM plans WHERE id = 2").await.is_ok());
        let report = tenancy.doctor(DoctorOptions::new().read_only(true)).await.unwrap();
        for found in report.findings.iter().filter(|finding| finding.code == "shared_system_columns") {
            place.sql_at(&acme, &found.repair);
        }
        assert!(texts(&globex, "SELECT id::text FROM plans WHERE xmax = 0").await.is_err());
        assert_eq!(number(&globex, "SELECT count(*) FROM plans WHERE price = 9").await.unwrap(), 1);
    }
}

/// As whom tenants' statements read the shared tables.
fn reader_of(place: &Installation, db: &TenantDb) -> String {
    let role = "SELECT string_agg(DISTINCT grantee, ',') FROM information_schema.column_privileges
                 WHERE table_schema = 'shared' AND table_name = 'plans' AND privilege_type = 'SELECT' AND grantee ~ '(_rows|_reader)$'
                   AND NOT has_table_privilege(grantee, 'shared.plans', 'SELECT')";
    place.sql_at(db, role).trim().to_owned()
}
