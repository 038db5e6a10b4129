//! The program on PostgreSQL, as an operator types it.

use std::{
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tenantry_testbed::{PgBouncer, Postgres};

use crate::support::{Site, USERS};

const ISOLATIONS: [&str; 3] = ["row", "schema", "database"];

/// With a tenant of each isolation, whose key is its name.
fn with_all_isolations() -> Site {
    let site = Site::on_postgres();
    for isolation in ISOLATIONS {
        site.ok(&["tenant", "create", isolation, "--isolation", isolation]);
    }
    site
}

fn rows(site: &Site, key: &str, sql: &str) -> Value {
    site.json(&["sql", key, "-c", sql])["statements"][0]["rows"].clone()
}

#[test]
fn a_server_takes_the_place_of_the_unused_one_that_init_has_made() {
    let site = Site::new();
    let database = Postgres::shared().unwrap().database().unwrap();
    let ran = site.exits(0, &["server", "add", "main", &database.url(), "--capacity", "9", "--connections", "7"]);
    assert_eq!(
        (ran.out.as_str(), ran.err.as_str()),
        (
            "server `main` is added\n",
            "server `local` on sqlite, which nobody used, is removed: it gave way to this one\n"
        )
    );
    assert_eq!(
        site.ok(&["server", "list"]),
        "NAME  ENGINE    WALL    POOLER  TENANTS  CAPACITY  CONNECTIONS  SHARED TABLES\n\
         main  postgres  closed  -       0        9         7            version 0\n"
    );
    site.ok(&["tenant", "create", "acme"]);
    assert_eq!(site.json(&["tenant", "show", "acme"])["isolation"], "schema");
    // From here on it is not empty.
    site.exits(1, &["server", "add", "files", "sqlite://files"]).says_only_on_stderr("an engine of another kind");
    assert!(site.ok(&["doctor"]).ends_with("nothing was found\n"));
}

#[test]
fn what_a_tenant_runs_is_stopped_when_another_process_suspends_it() {
    let site = Site::on_postgres();
    for isolation in ["row", "schema", "database"] {
        site.ok(&["tenant", "create", isolation, "--isolation", isolation]);
        let mut sleeper = site.command(&["sql", isolation, "-c", "SELECT pg_sleep(61.25)"]);
        let running = thread::spawn(move || (sleeper.output().unwrap(), Instant::now()));
        while site.database().sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(61.25)%'").unwrap()
            != "2"
        {
            thread::sleep(Duration::from_millis(50));
        }
        site.ok(&["tenant", "suspend", isolation]);
        let told = Instant::now();
        let (ran, ended) = running.join().unwrap();
        let error = String::from_utf8(ran.stderr).unwrap();
        assert!(ran.status.code() == Some(1) && error.contains("is suspended"), "{error}");
        assert!(ended.saturating_duration_since(told) < Duration::from_millis(2_500), "{isolation}");
    }
}

#[test]
fn a_server_that_is_used_gives_way_to_nobody() {
    let site = Site::with_tenants(&["acme"]);
    let database = Postgres::shared().unwrap().database().unwrap();
    site.exits(1, &["server", "add", "main", &database.url()]).says_only_on_stderr("an engine of another kind");
    assert_eq!(site.json(&["server", "list"])[0]["name"], "local");
    let other = Site::new();
    other.write("migrations/shared/0001_plans.sql", "CREATE TABLE plans (name TEXT);");
    other.ok(&["migrate", "up"]);
    other.exits(1, &["server", "add", "main", &database.url()]).says_only_on_stderr("an engine of another kind");
    assert_eq!(database.sql("SELECT to_regnamespace('tenantry') IS NULL").unwrap(), "t");
}

#[test]
fn a_server_that_cannot_be_used_is_refused_and_changes_nothing() {
    let (site, database) = (Site::new(), Postgres::shared().unwrap().database().unwrap());
    let good = database.tcp_url();
    for (url, why) in [
        (good.replace("admin-password", "geheim"), "password authentication failed"),
        (good.replace(database.name(), "nosuchdatabase"), "does not exist"),
        (good.replace("127.0.0.1", "127.0.0.1:1/x?port=1&y="), "help: "),
        ("postgres://admin:geheim@127.0.0.1:99999/x".into(), "the admin URL cannot be read"),
    ] {
        let ran = site.exits(1, &["server", "add", "main", &url]);
        ran.says_only_on_stderr(why);
        assert!(!ran.err.contains("geheim"), "{ran:?}");
    }
    site.exits(1, &["server", "add", "main", &good, "--app-url", "postgres://nobody:x@127.0.0.1/x"])
        .says_only_on_stderr("has no login `nobody`");
    assert_eq!(site.json(&["server", "list"])[0]["name"], "local");
    site.ok(&["server", "add", "main", &good]);
    site.exits(1, &["server", "add", "twin", &good]).says_only_on_stderr("server `main` is this place already");
    let other = Site::new();
    other.exits(1, &["server", "add", "main", &good]).says_only_on_stderr("belongs to another installation");
}

#[test]
fn tenants_are_created_in_three_isolations_and_the_doctor_finds_nothing() {
    let site = with_all_isolations();
    let list = site.json(&["tenant", "list"]);
    let isolations: Vec<_> = list.as_array().unwrap().iter().map(|t| t["isolation"].as_str().unwrap()).collect();
    assert_eq!(isolations, ["database", "row", "schema"]);
    assert_eq!(site.places(), ["database", "owner", "role", "role", "schema"]);
    for key in ISOLATIONS {
        assert_eq!(rows(&site, key, "INSERT INTO users (username) VALUES (current_user) RETURNING 1"), json!([[1]]));
        assert_eq!(rows(&site, key, "SELECT count(*), count(DISTINCT tenant_id) FROM users"), json!([[2, 1]]));
        let sheet = site.ok(&["tenant", "show", key]);
        assert!(sheet.contains(&format!("isolation  {key}\n")) && sheet.contains("version    2\n"), "{sheet}");
    }
    let said = site.ok(&["doctor"]);
    assert!(said.contains("places: audited 3 tenants and their servers"), "{said}");
    for isolation in ISOLATIONS {
        assert!(said.contains(&format!("between two tenants of {isolation} isolation on server `main`")), "{said}");
    }
    assert!(said.ends_with("nothing was found\n"), "{said}");
    assert_eq!(site.places(), ["database", "owner", "role", "role", "schema"]);
}

#[test]
fn a_hole_is_found_with_its_repair_and_exit_code_4() {
    let site = with_all_isolations();
    site.database().sql("ALTER TABLE tenant.users DISABLE ROW LEVEL SECURITY").unwrap();
    let ran = site.exits(4, &["doctor", "--read-only"]);
    assert!(ran.out.contains("\nfinding[rls_off]: ") && ran.out.contains("ENABLE ROW LEVEL SECURITY"), "{ran:?}");
    site.database().sql("ALTER TABLE tenant.users ENABLE ROW LEVEL SECURITY").unwrap();
    site.ok(&["doctor"]);
}

#[test]
fn a_csv_file_gives_each_tenant_its_isolation() {
    let site = Site::on_postgres();
    site.write(
        "t.csv",
        "key,isolation,domain\na,row,\nb,schema,b.example\nc,database,\nd,,\ne,cell,\nf,row,\ng,database,\nh,schema,\n",
    );
    let ran = site.exits(3, &["tenant", "create", "--from", "t.csv", "--parallel", "8"]);
    assert!(ran.out.ends_with("\n7 tenants created, 0 skipped, 1 failed\n"), "{ran:?}");
    let list = site.json(&["tenant", "list"]);
    let found = list.as_array().unwrap().iter().map(|t| (t["key"].as_str().unwrap(), t["isolation"].as_str().unwrap()));
    assert_eq!(
        found.collect::<Vec<_>>(),
        [
            ("a", "row"),
            ("b", "schema"),
            ("c", "database"),
            ("d", "schema"),
            ("f", "row"),
            ("g", "database"),
            ("h", "schema")
        ]
    );
    for key in ["a", "b", "c", "d", "f", "g", "h"] {
        assert_eq!(rows(&site, key, "SELECT username FROM users"), json!([["first"]]), "{key}");
    }
    site.ok(&["doctor", "--read-only"]);
}

#[test]
fn a_fleet_of_all_isolations_is_planned_migrated_and_verified() {
    let site = with_all_isolations();
    site.write("migrations/shared/0001_plans.sql", "CREATE TABLE plans (name text PRIMARY KEY);");
    site.write("migrations/tenant/0003_city.sql", "ALTER TABLE users ADD COLUMN city text;");
    site.write("migrations/tenant/0004_city.data.sql", "UPDATE users SET city = 'Wien';");
    let plan = site.ok(&["migrate", "plan"]);
    assert!(plan.contains("1 plans") && plan.contains("3 city") && plan.contains("4 city"), "{plan}");
    let ran = site.exits(0, &["migrate", "up", "--wave", "50%,100%"]);
    assert!(ran.out.contains(" 0 failed, ") && ran.out.ends_with(" 0 not tried\n"), "{ran:?}");
    for key in ISOLATIONS {
        assert_eq!(rows(&site, key, "SELECT username, city FROM users"), json!([["first", "Wien"]]), "{key}");
        assert_eq!(rows(&site, key, "SELECT count(*) FROM shared.plans"), json!([[0]]), "{key}");
        assert_eq!(site.json(&["tenant", "show", key])["version"], 4, "{key}");
    }
    let again = site.ok(&["migrate", "up"]);
    assert!(again.starts_with("nothing to do: "), "{again}");
    let status = site.ok(&["migrate", "status"]);
    assert!(status.contains("tenants on postgres      4        3        up to date"), "{status}");
    assert_eq!(site.ok(&["migrate", "verify"]), "every history fits its files, and nothing is pending\n");
    site.ok(&["doctor"]);
}

#[test]
fn a_file_that_is_not_safe_for_common_tables_is_refused_with_its_line_and_what_to_write() {
    let site = Site::on_postgres();
    site.ok(&["tenant", "create", "acme", "--isolation", "row"]);
    site.write("migrations/tenant/0003_carts.sql", "-- Carts.\n\nCREATE TABLE carts (id bigint PRIMARY KEY);\n");
    let ran = site.exits(3, &["migrate", "up"]);
    assert!(ran.out.contains("0003_carts.sql:3") && ran.out.contains("tenant_id"), "{ran:?}");
    assert!(ran.err.contains("help: fix the cause"), "{ran:?}");
    assert!(!ran.out.contains(" at line "), "{ran:?}");
    assert_eq!(site.database().sql("SELECT to_regclass('tenant.carts') IS NULL").unwrap(), "t");
    assert_eq!(rows(&site, "acme", "SELECT count(*) FROM users"), json!([[1]]));
    let status = site.ok(&["migrate", "status"]);
    assert!(status.contains("0003_carts.sql:3"), "{status}");
}

#[test]
fn values_of_every_common_type_are_shown_exactly() {
    let site = Site::on_postgres();
    site.ok(&["tenant", "create", "acme", "--isolation", "schema"]);
    let sql = "SELECT 9223372036854775807 AS big, 12.50::numeric AS money, 'NaN'::numeric AS nan, 0.1::float8 AS tenth, \
               1e300::float8 AS huge, true AS yes, NULL::int AS none, 'NULL' AS word, '\\x00ff'::bytea AS bytes, \
               '01890a5d-ac96-774b-bcce-b302099a8057'::uuid AS id, '{\"a\": [1, null]}'::jsonb AS doc, \
               '2026-02-03 04:05:06.789+00'::timestamptz AS moment, '2026-02-03'::date AS day, \
               ARRAY[1, NULL, 3] AS list, '1 day 02:03'::interval AS span, 'ü' AS text";
    assert_eq!(
        rows(&site, "acme", sql)[0],
        json!([
            9_223_372_036_854_775_807_i64, 12.50, "NaN", 0.1, 1e300, true, null, "NULL", { "hex": "00ff" },
            "01890a5d-ac96-774b-bcce-b302099a8057", { "a": [1, null] }, "2026-02-03 04:05:06.789+00", "2026-02-03",
            "{1,NULL,3}", "1 day 02:03:00", "ü"
        ])
    );
    // As a number in the text, with its last digit.
    assert!(site.ok(&["sql", "acme", "--json", "-c", sql]).contains(",12.50,"));
    let shown = site.ok(&["sql", "acme", "-c", sql]);
    for cell in ["12.50", "1e+300", "true", "'NULL'", "x'00ff'", "{\"a\": [1, null]}", "{1,NULL,3}", "1 day 02:03:00"] {
        assert!(shown.contains(cell), "{cell}: {shown}");
    }
    site.ok(&["sql", "acme", "-c", "SELECT username FROM users"]);
}

#[test]
fn a_text_of_several_statements_is_done_as_a_whole_where_the_tenant_has_a_role_of_its_own() {
    let site = with_all_isolations();
    for key in ["schema", "database"] {
        let out = site.ok(&["sql", key, "-c", "INSERT INTO users (username) VALUES ('a'); SELECT count(*) FROM users"]);
        assert_eq!(out, "no rows; 1 row changed\n\ncount\n2\n(1 row)\n");
        let twice = "INSERT INTO users (username) VALUES ('b'); INSERT INTO users (username) VALUES ('a')";
        site.exits(1, &["sql", key, "-c", twice]).says_only_on_stderr("error: a unique value is taken");
        assert_eq!(rows(&site, key, "SELECT count(*) FROM users"), json!([[2]]));
    }
    for text in
        ["SELECT 1; SELECT 2", "DO $$ BEGIN PERFORM 1; END $$", "SELECT set_config('tenantry.tenant', '', false)"]
    {
        site.exits(1, &["sql", "row", "-c", text]).says_only_on_stderr(
            "in row isolation only one plain statement at a time runs here\nhelp: send one SELECT",
        );
    }
    assert_eq!(site.ok(&["sql", "row"]), "");
}

#[test]
fn what_would_leave_the_tenant_is_refused_in_every_isolation() {
    let site = with_all_isolations();
    for key in ISOLATIONS {
        for sql in [
            "SET ROLE admin",
            "RESET ROLE",
            "SET search_path = public",
            "SET tenantry.tenant = ''",
            "BEGIN",
            "COMMIT",
            "CREATE TABLE mine (a int)",
            "DROP TABLE users",
            "TRUNCATE users",
            "ALTER TABLE users DISABLE ROW LEVEL SECURITY",
            "SELECT * FROM tenantry.migrations",
            "COPY users TO PROGRAM 'true'",
            "CREATE TEMP TABLE t (a int)",
            "INSERT INTO users (tenant_id, username) VALUES (gen_random_uuid(), 'x') RETURNING tenant_id = 'x'",
        ] {
            let ran = site.exits(1, &["sql", key, "-c", sql]);
            assert_eq!(ran.out, "", "{key}: {sql}");
            assert_eq!(ran.err.matches("error: ").count(), 1, "{key}: {sql}: {ran:?}");
        }
        assert_eq!(rows(&site, key, "SELECT username FROM users"), json!([["first"]]), "{key}");
    }
    site.exits(1, &["sql", "schema", "-c", "SELEC 1"]).says_only_on_stderr(
        "error: the database refused the statement\n  --> error returned from database: syntax error at or near \"SELEC\"\n",
    );
    site.ok(&["doctor"]);
}

#[test]
fn a_tenant_is_deleted_brought_back_and_purged_in_every_isolation() {
    let site = with_all_isolations();
    site.ok(&["tenant", "create", "stays", "--isolation", "row"]);
    for key in ISOLATIONS {
        site.ok(&["tenant", "delete", key, "--yes"]);
        site.exits(1, &["sql", key, "-c", "SELECT 1"]);
        site.ok(&["tenant", "undelete", key]);
        assert_eq!(rows(&site, key, "SELECT username FROM users"), json!([["first"]]));
        site.ok(&["tenant", "delete", key, "--yes"]);
        site.ok(&["tenant", "purge", key, "--yes"]);
    }
    assert_eq!(site.places(), Vec::<String>::new());
    assert_eq!(site.database().sql("SELECT count(*) FROM tenant.users").unwrap(), "1");
    assert_eq!(rows(&site, "stays", "SELECT username FROM users"), json!([["first"]]));
    site.ok(&["doctor"]);
}

#[test]
fn the_catalog_may_be_on_postgres_too() {
    let site = Site::empty();
    let (catalog, tenants) =
        (Postgres::shared().unwrap().database().unwrap(), Postgres::shared().unwrap().database().unwrap());
    let run = |args: &[&str]| {
        let mut command = site.command(args);
        command.env("TENANTRY_CATALOG_URL", catalog.tcp_url());
        let ran = site.finish(command);
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
        ran.out
    };
    assert!(run(&["init"]).contains("the catalog of tenants"));
    assert!(!site.path("catalog.db").exists());
    run(&["server", "add", "main", &tenants.tcp_url()]);
    site.write("migrations/tenant/0001_users.sql", USERS);
    run(&["tenant", "create", "acme", "--domain", "acme.example"]);
    assert!(run(&["tenant", "list"]).contains("\nacme  active  schema"));
    assert!(run(&["domain", "list"]).contains("acme.example"));
    assert!(run(&["doctor"]).ends_with("nothing was found\n"));
    assert_eq!(catalog.sql("SELECT count(*) FROM tenantry_catalog.tenants").unwrap(), "1");
}

#[test]
fn behind_a_pooler_plain_statements_run_and_the_list_says_so() {
    let site = Site::new();
    let server = Postgres::shared().unwrap();
    let database = server.database().unwrap();
    let bouncer = PgBouncer::before(&server, database.name(), &[]).unwrap();
    let login = format!("app_{}", database.name());
    database.sql(&format!("CREATE ROLE {login} LOGIN NOINHERIT PASSWORD 'pooled-password'")).unwrap();
    let app_url = bouncer.url(&login, "pooled-password", database.name());
    site.ok(&["server", "add", "main", &database.tcp_url(), "--pooler", "--app-url", &app_url]);
    assert!(site.ok(&["server", "list"]).contains("\nmain  postgres  closed  yes     0 "));
    site.write("migrations/tenant/0001_users.sql", USERS);
    for isolation in ISOLATIONS {
        site.ok(&["tenant", "create", isolation, "--isolation", isolation]);
        site.ok(&["sql", isolation, "-c", "INSERT INTO users (username) VALUES ('ann')"]);
        assert_eq!(rows(&site, isolation, "SELECT username FROM users"), json!([["ann"]]));
    }
    site.exits(1, &["sql", "schema", "-c", "SELECT 1; SELECT 2"]).says_only_on_stderr("behind a pooler");
    site.ok(&["doctor"]);
    drop(site);
    // The operator's own login stays when the installation goes.
    drop(database);
    server.sql("postgres", &format!("DROP ROLE {login}")).unwrap();
}
