//! What a file of migrations on PostgreSQL leaves as it was: whose the rows are, what they refer to, and what others have built.

use std::time::Duration;

use sqlx::Executor;
use tenantry::{DoctorOptions, MigrateOptions, Migrations, TenantDb};

use crate::support::{Installation, Kind, SHARED, TENANT, number, open, run, texts, user_add, users};

type File<'a> = (&'a str, &'a str);

fn leaked(files: &[File<'_>]) -> Vec<(&'static str, &'static str)> {
    let leak = |text: &str| -> &'static str { text.to_owned().leak() };
    files.iter().map(|(name, sql)| (leak(name), leak(sql))).collect()
}

/// What is said of the next release of the app, with these files more; nothing if it is applied.
async fn next(place: &Installation, tenant: &[File<'_>], shared: &[File<'_>]) -> String {
    let migrations = Migrations::embedded(
        TENANT.iter().copied().chain(leaked(tenant)),
        SHARED.iter().copied().chain(leaked(shared)),
    );
    let opened = open(place.dir.path().into(), |config| config, TENANT).await.migrations(migrations.unwrap());
    let report = opened.open().await.unwrap().migrations().up(&MigrateOptions::new(), |_| ()).await;
    match report {
        Ok(report) => report.targets.iter().filter_map(|target| Some(target.error.as_ref()?.to_string())).collect(),
        Err(error) => error.to_string(),
    }
}

async fn two(place: &Installation) -> (TenantDb, TenantDb) {
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    user_add(&acme, "ann").await;
    user_add(&globex, "bob").await;
    (acme, globex)
}

/// Row security is forced while a file runs: what it computes for each row has no rows to compute it from.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_on_postgres_writes_no_tenants_values_into_the_rows_of_others() {
    let place = Installation::on(Kind::PostgresRow).await;
    let (_, globex) = two(&place).await;
    let all = "CREATE FUNCTION all_names(t text DEFAULT '') RETURNS text LANGUAGE sql STABLE AS
                 $$ SELECT string_agg(username, ',') FROM users $$;";
    let mut files: Vec<(String, String)> = Vec::new();
    for (number, deed) in [
        "ALTER TABLE users ADD COLUMN seen text DEFAULT all_names()",
        "ALTER TABLE users ADD COLUMN seen text; ALTER TABLE users ALTER COLUMN seen TYPE text USING all_names()",
        "ALTER FUNCTION all_names(text) IMMUTABLE;
         ALTER TABLE users ADD COLUMN seen text GENERATED ALWAYS AS (all_names(username)) STORED;
         CREATE OR REPLACE FUNCTION all_names(t text DEFAULT '') RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT t $$",
    ]
    .into_iter()
    .enumerate()
    {
        files.push((format!("000{}_next.sql", number + 2), format!("{all} {deed}; ALTER TABLE users RENAME COLUMN seen TO seen{number}; DROP FUNCTION IF EXISTS all_names CASCADE")));
        let more: Vec<File<'_>> = files.iter().map(|(name, sql)| (name.as_str(), sql.as_str())).collect();
        let told = next(&place, &more, &[]).await;
        let rows = "SELECT coalesce(u::text, '') FROM users u";
        let seen = texts(&globex, rows).await.unwrap().join(" ");
        assert!(!seen.contains("ann"), "{deed}: {seen} ({told})");
        if !told.is_empty() {
            files.pop();
        }
    }
    let block = "DO $$ BEGIN EXECUTE format('COMMENT ON TABLE users IS %L', (SELECT string_agg(username, ',') FROM users)); END $$";
    files.push(("0009_next.sql".into(), block.into()));
    let more: Vec<File<'_>> = files.iter().map(|(name, sql)| (name.as_str(), sql.as_str())).collect();
    assert!(next(&place, &more, &[]).await.contains("rows of all tenants"));
}

/// A table is read through its parent, and looked at by whatever its own statement calls.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_on_postgres_takes_no_wall_down_for_a_while() {
    let place = Installation::on(Kind::PostgresRow).await;
    let (_, globex) = two(&place).await;
    let read = |from: &str| {
        format!(
            "CREATE FUNCTION all_names() RETURNS text LANGUAGE sql STABLE AS $$ SELECT string_agg(username, ',') FROM {from} $$;
             ALTER TABLE notes ADD COLUMN seen text DEFAULT all_names(); ALTER TABLE notes ALTER COLUMN seen DROP DEFAULT;
             DROP FUNCTION all_names()"
        )
    };
    for (deed, told) in [
        (format!("DROP POLICY \"!tenantry\" ON users; {}", read("users")), "takes down the wall"),
        (format!("ALTER POLICY \"!tenantry\" ON users USING (true); {}", read("users")), "takes down the wall"),
        (format!("ALTER TABLE users DISABLE ROW LEVEL SECURITY; {}", read("users")), "takes down the wall"),
        (format!("ALTER TABLE users NO FORCE ROW LEVEL SECURITY; {}", read("users")), "takes down the wall"),
        (
            format!(
                "CREATE TABLE above (tenant_id uuid, id bigint, username text); ALTER TABLE users INHERIT above; {};
                 ALTER TABLE users NO INHERIT above; DROP TABLE above",
                read("above")
            ),
            "takes down the wall",
        ),
        (
            format!(
                "CREATE TABLE above (LIKE users) PARTITION BY LIST (tenant_id); ALTER TABLE above ATTACH PARTITION users DEFAULT; {};
                 ALTER TABLE above DETACH PARTITION users; DROP TABLE above",
                read("above")
            ),
            "takes down the wall",
        ),
        (
            format!(
                "CREATE TABLE stash (username text);
                 CREATE FUNCTION spy(t text) RETURNS boolean LANGUAGE plpgsql AS
                   $$ BEGIN INSERT INTO stash VALUES (t); RETURN true; END $$;
                 ALTER TABLE users ADD CONSTRAINT spying CHECK (spy(username)); {};
                 ALTER TABLE users DROP CONSTRAINT spying; DROP FUNCTION spy(text); DROP TABLE stash",
                read("stash")
            ),
            "changes no data",
        ),
    ] {
        let said = next(&place, &[("0002_next.sql", &deed)], &[]).await;
        // Newer servers refuse a partition with an identity column by themselves.
        let is_refused = said.contains(told) || said.contains("contains an identity column");
        assert!(is_refused && said.contains("0002_next.sql"), "{deed}: {said}");
        assert!(texts(&globex, "SELECT seen FROM notes").await.is_err(), "{deed}");
    }
    // A table becomes a partition of one that has a wall.
    let parent = "CREATE TABLE all_notes (LIKE notes INCLUDING DEFAULTS, PRIMARY KEY (tenant_id, id)) PARTITION BY LIST (tenant_id)";
    let attach =
        "ALTER TABLE notes ALTER COLUMN id DROP IDENTITY; ALTER TABLE all_notes ATTACH PARTITION notes DEFAULT";
    assert_eq!(next(&place, &[("0002_next.sql", parent)], &[]).await, "");
    assert_eq!(next(&place, &[("0002_next.sql", parent), ("0003_next.sql", attach)], &[]).await, "");
}

/// What a file makes, hands the rows of all tenants to and drops again is in no schema when the file ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_on_postgres_lets_no_code_look_at_the_rows_and_vanish() {
    let place = Installation::on(Kind::PostgresRow).await;
    let (_, globex) = two(&place).await;
    assert_eq!(next(&place, &[("0002_seen.sql", "CREATE SEQUENCE seen")], &[]).await, "");
    let look =
        "ALTER TABLE users ADD CONSTRAINT spying CHECK (spy(username)); ALTER TABLE users DROP CONSTRAINT spying;";
    let plain = |body: &str| {
        format!(
            "CREATE FUNCTION spy(t text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN true; END $$;
             {look} DROP FUNCTION spy(text)"
        )
    };
    let mut asked = 0;
    for (deed, told) in [
        (plain("PERFORM setval('seen', ascii(t))"), "setval"),
        (plain("EXECUTE format('COMMENT ON TABLE users IS %L', t)"), "EXECUTE"),
        (plain("COMMENT ON TABLE users IS 'seen'"), "COMMENT"),
        (plain("PERFORM pg_notify('seen', t)"), "pg_notify"),
        (plain("IF t > '' THEN ALTER SEQUENCE seen RESTART 7; END IF"), "ALTER"),
        (
            format!(
                "CREATE FUNCTION spy(t text) RETURNS boolean BEGIN ATOMIC SELECT setval('seen', ascii(t)) > 0; END;
                 {look} DROP FUNCTION spy(text)"
            ),
            "setval",
        ),
        (
            format!(
                "DO $$ BEGIN CREATE FUNCTION spy(t text) RETURNS boolean LANGUAGE sql AS 'SELECT setval(''seen'', ascii(t)) > 0'; END $$;
                 {look} DROP FUNCTION spy(text)"
            ),
            "setval",
        ),
        (
            "CREATE DOMAIN spied AS text CHECK (setval('seen', ascii(VALUE)) > 0);
             ALTER TABLE users ALTER COLUMN username TYPE spied; ALTER TABLE users ALTER COLUMN username TYPE text;
             DROP DOMAIN spied"
                .into(),
            "setval",
        ),
        ("ALTER TABLE notes ALTER COLUMN id TYPE bigint USING setval('seen', id + 76)".into(), "setval"),
        // IMMUTABLE is proven before the next statement may compute it.
        (
            "CREATE FUNCTION told(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN t; END $$;
                 CREATE INDEX told ON users (tenant_id, told(username)); DROP INDEX told; DROP FUNCTION told(text)"
                .into(),
            "nobody can tell",
        ),
        (
            "CREATE TYPE wrap AS (v text);
             CREATE FUNCTION wrapped(t text) RETURNS wrap LANGUAGE sql AS 'SELECT ROW(t)::wrap';
             CREATE CAST (text AS wrap) WITH FUNCTION wrapped(text) AS ASSIGNMENT; DROP CAST (text AS wrap);
             DROP FUNCTION wrapped(text); DROP TYPE wrap"
                .into(),
            "a cast by a function",
        ),
        ("ALTER TABLE notes ALTER COLUMN id TYPE bigint USING pg_catalog . \"setval\" ('seen', id + 76)".into(), "setval"),
    ] {
        let said = next(&place, &[("0002_seen.sql", "CREATE SEQUENCE seen"), ("0003_next.sql", &deed)], &[]).await;
        assert!(said.contains(told) && said.contains("0003_next.sql"), "{deed}: {said}");
        asked += 1;
        assert_eq!(number(&globex, "SELECT nextval('seen')").await.unwrap(), asked, "{deed}");
    }
    // A sequence is set on by a file all the same.
    let on = "ALTER SEQUENCE seen RESTART 7; SELECT setval('seen', 9)";
    assert_eq!(next(&place, &[("0002_seen.sql", "CREATE SEQUENCE seen"), ("0003_next.sql", on)], &[]).await, "");
    assert_eq!(number(&globex, "SELECT nextval('seen')").await.unwrap(), 10);
}

/// A shared file runs with no right on tenants' tables, whatever they are made of.
#[tokio::test(flavor = "multi_thread")]
async fn a_shared_file_on_postgres_runs_nothing_on_the_rows_of_tenants() {
    let place = Installation::on(Kind::PostgresRow).await;
    let (_, globex) = two(&place).await;
    let shared: File<'_> = (
        "0002_same.sql",
        "CREATE DOMAIN email AS text;
         CREATE FUNCTION same(a text, b text) RETURNS boolean LANGUAGE sql IMMUTABLE SET search_path = shared AS 'SELECT a = b';
         CREATE FUNCTION other(a text, b text) RETURNS boolean LANGUAGE sql IMMUTABLE SET search_path = shared AS 'SELECT a <> b'",
    );
    assert_eq!(next(&place, &[], &[shared]).await, "");
    let told = next(&place, &[("0002_next.sql", "ALTER TABLE users ADD COLUMN mail shared.email")], &[shared]).await;
    assert!(told.contains("a shared domain"), "{told}");
    for by in [
        "CREATE DOMAIN mail AS shared.email; ALTER TABLE users ADD COLUMN mail mail",
        "CREATE TYPE card AS (name text, mails shared.email[]); ALTER TABLE users ADD COLUMN card card",
        "CREATE TYPE mails AS RANGE (subtype = shared.email); ALTER TABLE users ADD COLUMN mails mails",
    ] {
        let told = next(&place, &[("0002_next.sql", by)], &[shared]).await;
        assert!(told.contains("a shared domain"), "{by}: {told}");
    }
    let built: File<'_> = (
        "0002_next.sql",
        "CREATE OPERATOR ==== (FUNCTION = shared.same, LEFTARG = text, RIGHTARG = text, NEGATOR = !===);
         CREATE OPERATOR !=== (FUNCTION = shared.other, LEFTARG = text, RIGHTARG = text, NEGATOR = ====);
         ALTER TABLE users ADD CHECK (NOT (username ==== 'x'))",
    );
    assert_eq!(next(&place, &[built], &[shared]).await, "");
    let spy = "CREATE OR REPLACE FUNCTION other(a text, b text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS
                 $$ BEGIN RETURN (SELECT count(*) > 0 FROM tenant.users); END $$";
    let told = next(&place, &[built], &[shared, ("0003_next.sql", spy)]).await;
    assert!(told.contains("0003_next.sql") && told.contains("NEGATOR"), "{told}");
    // What it puts back before it ends the server has run: here where a shared row that tenants refer to is deleted.
    let put_back = "
        CREATE FUNCTION spy() RETURNS boolean LANGUAGE plpgsql AS
          $$ BEGIN RETURN (SELECT count(*) > 0 FROM tenant.users); END $$;
        CREATE OR REPLACE FUNCTION same(a text, b text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE SET search_path = shared AS
          $$ BEGIN RETURN shared.spy(); END $$;
        DELETE FROM plans;
        CREATE OR REPLACE FUNCTION same(a text, b text) RETURNS boolean LANGUAGE sql IMMUTABLE SET search_path = shared AS 'SELECT a = b'";
    let told = next(&place, &[built], &[shared, ("0003_next.sql", put_back)]).await;
    assert!(told.contains("0003_next.sql") && told.contains("comes too late"), "{told}");
    assert_eq!(users(&globex).await, ["bob"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_on_postgres_gives_no_row_to_another_tenant() {
    let place = Installation::on(Kind::PostgresRow).await;
    let (acme, globex) = two(&place).await;
    let id = globex.tenant().id;
    for deed in [
        format!(
            "ALTER TABLE notes DROP CONSTRAINT notes_pkey; DROP POLICY \"!tenantry\" ON notes;
             ALTER TABLE notes ALTER COLUMN tenant_id TYPE uuid USING '{id}'::uuid"
        ),
        format!(
            "ALTER TABLE notes DROP CONSTRAINT notes_pkey;
             ALTER TABLE notes ADD COLUMN other uuid NOT NULL DEFAULT '{id}'; ALTER TABLE notes RENAME COLUMN tenant_id TO former;
             ALTER TABLE notes RENAME COLUMN other TO tenant_id; ALTER TABLE notes ALTER COLUMN tenant_id SET DEFAULT tenantry.tenant()"
        ),
    ] {
        run(&acme, "INSERT INTO notes (text) VALUES ('of acme')").await.unwrap();
        let told = next(&place, &[("0002_next.sql", &deed)], &[]).await;
        let is_told = told.contains("gives rows to other tenants") || told.contains("takes down the wall");
        assert!(told.contains("0002_next.sql") && is_told, "{deed}: {told}");
        assert_eq!(number(&globex, "SELECT count(*) FROM notes").await.unwrap(), 0);
    }
    // Nor does it answer for the server what the engine has asked once, and asks again.
    let answers = format!(
        "DO $$ DECLARE known record; BEGIN
           FOR known IN SELECT name FROM pg_prepared_statements WHERE statement LIKE '%attnum, a.ctid%' LOOP
             EXECUTE 'DEALLOCATE ' || known.name;
             EXECUTE 'PREPARE ' || known.name || '(text) AS SELECT 1::bigint, 1::smallint, ''x''::text, 1::bigint WHERE false';
           END LOOP;
         END $$;
         ALTER TABLE notes DROP CONSTRAINT notes_pkey;
         ALTER TABLE notes ADD COLUMN other uuid NOT NULL DEFAULT '{id}'; ALTER TABLE notes RENAME COLUMN tenant_id TO former;
         ALTER TABLE notes RENAME COLUMN other TO tenant_id; ALTER TABLE notes ALTER COLUMN tenant_id SET DEFAULT tenantry.tenant()"
    );
    let told = next(&place, &[("0002_next.sql", &answers)], &[]).await;
    assert!(told.contains("gives rows to other tenants"), "{told}");
    // What changes the column without its values may be done.
    let kept =
        "ALTER TABLE notes ALTER COLUMN tenant_id DROP DEFAULT, ALTER COLUMN tenant_id SET DEFAULT tenantry.tenant();
                ALTER TABLE notes ADD COLUMN kind text DEFAULT 'plain'";
    assert_eq!(next(&place, &[("0002_next.sql", kept)], &[]).await, "");
    assert_eq!(number(&acme, "SELECT count(*) FROM notes WHERE kind = 'plain'").await.unwrap(), 2);
}

const TREES: &str = "
    CREATE TABLE trees (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint NOT NULL, kind int NOT NULL,
        PRIMARY KEY (tenant_id, id, kind)) PARTITION BY LIST (kind);
    CREATE TABLE trees_1 PARTITION OF trees FOR VALUES IN (1);
    CREATE TABLE trees_2 PARTITION OF trees FOR VALUES IN (2);
    CREATE TABLE leaves (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint NOT NULL, tree bigint, kind int,
        PRIMARY KEY (tenant_id, id));";

/// The server's own check sees no rows while row security is forced.
#[tokio::test(flavor = "multi_thread")]
async fn a_reference_that_a_file_on_postgres_makes_holds_for_the_rows_that_are_there() {
    let place = Installation::on(Kind::PostgresRow).await;
    let (acme, globex) = two(&place).await;
    let trees = ("0002_trees.sql", TREES);
    assert_eq!(next(&place, &[trees], &[]).await, "");
    run(&globex, "INSERT INTO trees (id, kind) VALUES (1, 1), (1, 2)").await.unwrap();
    run(&globex, "INSERT INTO leaves (id, tree, kind) VALUES (1, 1, 1)").await.unwrap();
    run(&acme, "INSERT INTO leaves (id, tree, kind) VALUES (1, 1, 1)").await.unwrap();
    let refer = "ALTER TABLE leaves ADD CONSTRAINT leaf FOREIGN KEY (tenant_id, tree, kind) REFERENCES trees (tenant_id, id, kind)";
    let block = format!("DO $$ BEGIN {refer}; EXCEPTION WHEN duplicate_object THEN NULL; END $$");
    for file in [refer, &block] {
        let told = next(&place, &[trees, ("0003_next.sql", file)], &[]).await;
        assert!(told.contains("do not fit the foreign key `leaf`") && told.contains("0003_next.sql"), "{told}");
    }
    let later = format!("{refer} NOT VALID");
    let later = ("0003_next.sql", later.as_str());
    assert_eq!(next(&place, &[trees, later], &[]).await, "");
    let validate = ("0004_next.sql", "ALTER TABLE leaves VALIDATE CONSTRAINT leaf");
    let told = next(&place, &[trees, later, validate], &[]).await;
    assert!(told.contains("do not fit the foreign key `leaf`") && told.contains("0004_next.sql"), "{told}");
    run(&acme, "DELETE FROM leaves").await.unwrap();
    assert_eq!(next(&place, &[trees, later, validate], &[]).await, "");
    // A partition to whose rows others refer stays.
    let detach = ("0005_next.sql", "ALTER TABLE trees DETACH PARTITION trees_1");
    let told = next(&place, &[trees, later, validate, detach], &[]).await;
    assert!(told.contains("do not fit the foreign key `leaf`"), "{told}");
    let detach = ("0005_next.sql", "ALTER TABLE trees DETACH PARTITION trees_2");
    assert_eq!(next(&place, &[trees, later, validate, detach], &[]).await, "");
    assert_eq!(number(&globex, "SELECT count(*) FROM leaves JOIN trees USING (id, kind)").await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_file_on_postgres_drops_nothing_of_tenants_by_cascade() {
    for kind in [Kind::PostgresRow, Kind::PostgresSchema] {
        let place = Installation::on(kind).await;
        let (acme, _) = two(&place).await;
        let shared = ("0002_moods.sql", "CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE TYPE many AS ENUM ('few', 'all');
            CREATE FUNCTION is_nice(t text) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT true'; CREATE TABLE spare (id bigint PRIMARY KEY);
            CREATE VIEW spares WITH (security_invoker = true) AS SELECT id FROM spare");
        let built = (
            "0002_built.sql",
            "ALTER TABLE users ADD COLUMN mood shared.mood DEFAULT 'glad'; ALTER TABLE users ADD COLUMN many shared.many[];
            CREATE POLICY nice ON users AS RESTRICTIVE FOR SELECT USING (shared.is_nice(username))",
        );
        assert_eq!(next(&place, &[], &[shared]).await, "");
        assert_eq!(next(&place, &[built], &[shared]).await, "");
        for deed in [
            "DROP TYPE mood CASCADE",
            "DROP FUNCTION is_nice(text) CASCADE",
            "DO $$ BEGIN EXECUTE 'DROP TYPE mood CAS' || 'CADE'; END $$",
            "DROP TYPE many CASCADE",
        ] {
            let told = next(&place, &[built], &[shared, ("0003_next.sql", deed)]).await;
            assert!(
                told.contains("by CASCADE, what tenants") && told.contains("0003_next.sql"),
                "{kind:?}: {deed}: {told}"
            );
        }
        assert_eq!(texts(&acme, "SELECT mood::text FROM users").await.unwrap(), ["glad"]);
        assert_eq!(next(&place, &[built], &[shared, ("0003_next.sql", "DROP TABLE spare CASCADE")]).await, "");
    }
}

/// The planner folds what an index asks for, as whoever asks.
#[tokio::test(flavor = "multi_thread")]
async fn no_administrators_session_on_postgres_runs_what_the_apps_tables_call() {
    let policy = "CREATE POLICY seen ON items AS RESTRICTIVE USING (price > -1);";
    let files: Vec<_> = TENANT.iter().copied().chain([("0002_policy.sql", policy)]).collect();
    let place = Installation::on_with(Kind::PostgresRow, |config| config, &files).await;
    let (acme, globex) = two(&place).await;
    place.database.as_ref().unwrap().sql(
        "CREATE FUNCTION tenant.spy() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
             IF current_setting('is_superuser') = 'on' THEN RAISE EXCEPTION 'the spy is a superuser'; END IF;
             RETURN true; END $$;
         CREATE FUNCTION tenant.fold() RETURNS boolean LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT true; END;
         CREATE INDEX spied ON tenant.items (tenant_id, id) WHERE tenant.fold();
         CREATE OR REPLACE FUNCTION tenant.fold() RETURNS boolean LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT tenant.spy(); END;
         DO $$ BEGIN EXECUTE format('ALTER FUNCTION tenant.fold OWNER TO %1$I; ALTER FUNCTION tenant.spy OWNER TO %1$I',
             (SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'tenant')); END $$",
    ).unwrap();
    let report = place.tenancy.doctor(DoctorOptions::new()).await.unwrap();
    assert!(report.findings.iter().any(|finding| finding.code == "immutable_depends"), "{report:#?}");
    assert!(report.findings.iter().all(|finding| finding.code != "not_examined"), "the spy was met: {report:#?}");
    place.tenancy.tenant_delete("acme").await.unwrap();
    place.tenancy.tenant_purge("acme").await.unwrap();
    drop(acme);
    assert_eq!(users(&globex).await, ["bob"]);
}

/// What was accepted at home reaches tenants' own databases, whatever became of it.
#[tokio::test(flavor = "multi_thread")]
async fn shared_functions_that_change_on_postgres_are_shown_in_tenants_own_databases_as_they_are() {
    let place = Installation::on(Kind::PostgresDatabase).await;
    let acme = place.tenant("acme").await;
    let mut files = Vec::new();
    for (number, (deed, answer)) in [
        ("CREATE FUNCTION price_of(p int) RETURNS int LANGUAGE sql STABLE AS 'SELECT p'", "7"),
        (
            "DROP FUNCTION price_of(int); CREATE FUNCTION price_of(price int) RETURNS numeric LANGUAGE sql STABLE AS 'SELECT price / 2.0'",
            "3.5000000000000000",
        ),
        (
            "CREATE FUNCTION base() RETURNS int LANGUAGE sql STABLE AS 'SELECT 40';
             DROP FUNCTION price_of(int);
             CREATE FUNCTION price_of(price int, more int DEFAULT 1) RETURNS int LANGUAGE sql STABLE AS 'SELECT price + more'",
            "8",
        ),
        (
            "CREATE FUNCTION later() RETURNS int LANGUAGE sql STABLE AS 'SELECT 2';
             CREATE OR REPLACE FUNCTION price_of(price int, more int DEFAULT shared.later()) RETURNS int LANGUAGE sql STABLE AS
               'SELECT price + more'",
            "9",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        files.push((format!("000{}_next.sql", number + 2), deed));
        let shared: Vec<File<'_>> = files.iter().map(|(name, sql)| (name.as_str(), *sql)).collect();
        assert_eq!(next(&place, &[], &shared).await, "", "{deed}");
        assert_eq!(texts(&acme, "SELECT price_of(7)::text").await.unwrap(), [answer], "{deed}");
    }
    files.push(("0006_next.sql".into(), "DROP FUNCTION price_of(int, int), later(), base()"));
    let shared: Vec<File<'_>> = files.iter().map(|(name, sql)| (name.as_str(), *sql)).collect();
    assert_eq!(next(&place, &[], &shared).await, "");
    assert!(texts(&acme, "SELECT price_of(7)::text").await.is_err());
    assert_eq!(
        texts(&acme, "SELECT proname::text FROM pg_proc WHERE pronamespace = 'shared'::regnamespace").await.unwrap(),
        [""; 0]
    );
}

/// Neither is verified by what the other has not committed yet.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_shared_and_of_tenants_tables_on_postgres_wait_for_each_other() {
    let place = Installation::on(Kind::PostgresSchema).await;
    let (acme, _) = two(&place).await;
    let mut other = place.admin_at(&acme).await;
    let key = "hashtextextended('tenantry apart ' || current_database(), 0)";
    let shared: File<'_> = ("0002_shared.sql", "CREATE TABLE spare (id bigint PRIMARY KEY)");
    let tenant: File<'_> = ("0002_next.sql", "ALTER TABLE users ADD COLUMN spare bigint");
    for (held, files) in
        [("pg_advisory_lock", (&[tenant][..], &[][..])), ("pg_advisory_lock_shared", (&[tenant][..], &[shared][..]))]
    {
        other.execute(sqlx::AssertSqlSafe(format!("SELECT {held}({key})"))).await.unwrap();
        let work = next(&place, files.0, files.1);
        tokio::pin!(work);
        assert!(tokio::time::timeout(Duration::from_millis(800), &mut work).await.is_err(), "{held}: it waits");
        other.execute("SELECT pg_advisory_unlock_all()").await.unwrap();
        assert_eq!(work.await, "", "{held}");
    }
    run(&acme, "UPDATE users SET spare = 1").await.unwrap();
}

/// What is kept as a text finds the app's functions by the path of whoever calls.
#[tokio::test(flavor = "multi_thread")]
async fn a_folded_function_on_postgres_calls_none_of_an_extensions_whose_body_is_a_text() {
    let place = Installation::on(Kind::PostgresRow).await;
    two(&place).await;
    let earth: File<'_> = (
        "0002_earth.sql",
        "CREATE EXTENSION cube SCHEMA shared; CREATE EXTENSION earthdistance SCHEMA shared VERSION '1.1'",
    );
    assert_eq!(next(&place, &[], &[earth]).await, "");
    let near =
        "CREATE FUNCTION near(a float8) RETURNS boolean LANGUAGE sql IMMUTABLE SET search_path = tenant, shared AS
                  $$ SELECT shared.ll_to_earth(a, 1.0::float8) IS NOT NULL $$";
    let told = next(&place, &[("0002_next.sql", near)], &[earth]).await;
    assert!(told.contains("it calls shared.ll_to_earth"), "{told}");
    for deed in [
        "CREATE DOMAIN far AS float8 CHECK (shared.ll_to_earth(VALUE, 1.0::float8) IS NOT NULL)",
        "CREATE TYPE span AS RANGE (SUBTYPE = shared.earth, SUBTYPE_DIFF = shared.earth_distance)",
        "CREATE STATISTICS far ON id, ((shared.ll_to_earth(2.0, 1.0))::text) FROM users",
        "CREATE INDEX far ON users (tenant_id, (shared.ll_to_earth(id::float8, 1.0)::text))",
        "ALTER TABLE users ADD CONSTRAINT far CHECK (shared.ll_to_earth(2.0, 1.0) IS NOT NULL)",
    ] {
        let told = next(&place, &[("0002_next.sql", deed)], &[earth]).await;
        // Newer servers build an index by a path in which the text of the function finds nothing.
        let is_refused = told.contains("shared.") || told.contains("type \"earth\" does not exist");
        assert!(is_refused && told.contains("0002_next.sql"), "{deed}: {told}");
    }
    // The check of a reference to a shared table plans a query of it, as its owner and by the path of a tenant's file.
    for deed in [
        "CREATE TABLE far (id int PRIMARY KEY, at float8, CONSTRAINT near CHECK (ll_to_earth(at, 1.0) IS NOT NULL))",
        "CREATE TABLE far (id int PRIMARY KEY, at float8); CREATE STATISTICS far_st ON (ll_to_earth(at, 1.0)::text) FROM far",
    ] {
        let told = next(&place, &[], &[earth, ("0003_far.sql", deed)]).await;
        assert!(told.contains("0003_far.sql") && told.contains("ll_to_earth"), "{deed}: {told}");
    }
    let size = "CREATE FUNCTION size(a float8) RETURNS float8 LANGUAGE sql IMMUTABLE AS
                  $$ SELECT shared.cube_size(shared.cube(a, a + 1)) $$";
    assert_eq!(next(&place, &[("0002_next.sql", size)], &[earth]).await, "");
}

/// What is made, used and put back within one block is there behind no statement.
#[tokio::test(flavor = "multi_thread")]
async fn no_block_of_a_shared_file_changes_what_tenants_tables_call() {
    let place = Installation::on(Kind::PostgresRow).await;
    two(&place).await;
    let shared: &[File<'_>] = &[(
        "0002_plans.sql",
        "CREATE TABLE kinds (id int PRIMARY KEY); INSERT INTO kinds VALUES (1), (2); CREATE TABLE seen (v text);
         CREATE FUNCTION fits(a text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT a <> '' $$;",
    )];
    let block = ("0004_block.sql", "DO $do$ BEGIN
             CREATE FUNCTION shared.spy() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
                 IF current_user::text LIKE '%rows_owner' THEN EXECUTE format('SET LOCAL my.v = %L', (SELECT string_agg(username, ',') FROM tenant.users)); END IF;
                 RETURN true; END $$;
             CREATE OR REPLACE FUNCTION shared.fits(a text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN shared.spy(); END $$;
             DELETE FROM shared.kinds WHERE id = 2;
             INSERT INTO shared.seen VALUES (coalesce(current_setting('my.v', true), ''));
             CREATE OR REPLACE FUNCTION shared.fits(a text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT a <> '' $$;
             DROP FUNCTION shared.spy(); END $do$;");
    let tenant: &[File<'_>] = &[(
        "0003_orders.sql",
        "CREATE TABLE bought (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint NOT NULL,
             kind int REFERENCES shared.kinds (id), PRIMARY KEY (tenant_id, id));
         CREATE INDEX bought_kind ON bought (tenant_id, kind) WHERE shared.fits('x');",
    )];
    assert_eq!(next(&place, tenant, shared).await, "");
    let with_block: Vec<File<'_>> = shared.iter().copied().chain([block]).collect();
    let told = next(&place, tenant, &with_block).await;
    assert!(told.contains("no block runs while index tenant.bought_kind calls function shared.fits(text)"), "{told}");
    // A block is no fault by itself.
    let plain = shared.iter().copied().chain([("0004_block.sql", "DO $$ BEGIN PERFORM 1; END $$")]);
    let tenant = (
        "0003_orders.sql",
        "CREATE VIEW fitting WITH (security_invoker = true) AS SELECT id FROM users WHERE shared.fits(username)",
    );
    let other = Installation::on(Kind::PostgresRow).await;
    assert_eq!(next(&other, &[tenant], &plain.collect::<Vec<_>>()).await, "");
}

/// The server calls an operator's partner in its place: where their functions are of another kind, a tenant's file would be refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_shared_function_stays_immutable_that_an_operator_of_a_tenants_has_a_partner_for() {
    let place = Installation::on(Kind::PostgresSchema).await;
    two(&place).await;
    let function = |name: &str, kind: &str| {
        format!(
            "CREATE OR REPLACE FUNCTION {name}(a int, b int) RETURNS boolean LANGUAGE sql {kind} AS $$ SELECT a < b $$;"
        )
    };
    let both = function("f1", "IMMUTABLE") + &function("f2", "IMMUTABLE");
    let tenant = (
        "0003_operators.sql",
        "CREATE OPERATOR <~~> (LEFTARG = int, RIGHTARG = int, FUNCTION = shared.f1, COMMUTATOR = OPERATOR(>~~<));
         CREATE OPERATOR >~~< (LEFTARG = int, RIGHTARG = int, FUNCTION = shared.f2, COMMUTATOR = OPERATOR(<~~>));",
    );
    let first = ("0002_functions.sql", both.as_str());
    assert_eq!(next(&place, &[tenant], &[first]).await, "");
    let stable = function("f2", "STABLE");
    let told = next(&place, &[tenant], &[first, ("0004_stable.sql", &stable)]).await;
    assert!(told.contains("0004_stable.sql") && told.contains("COMMUTATOR"), "{told}");
}

/// All owners are members of the role that may write functions: each of them would reach what it owns.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_file_makes_belongs_to_anybody_but_its_targets_owner() {
    let place = Installation::on(Kind::PostgresRow).await;
    two(&place).await;
    let file = "CREATE DOMAIN d1 AS text; CREATE TABLE dd (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint, d d1, PRIMARY KEY (tenant_id, id));
         DO $d$ DECLARE a text := replace(current_user, 'rows_owner', 'authors'); BEGIN
             EXECUTE format('GRANT CREATE ON SCHEMA tenant TO %I', a); EXECUTE format('ALTER DOMAIN d1 OWNER TO %I', a);
             EXECUTE format('REVOKE CREATE ON SCHEMA tenant FROM %I', a); END $d$;";
    let told = next(&place, &[("0002_given.sql", file)], &[]).await;
    assert!(told.contains("authors"), "{told}");
}

/// PL/pgSQL keeps the types of a function's variables with the session, whichever tenant has called it first.
#[tokio::test(flavor = "multi_thread")]
async fn a_shared_function_goes_on_for_others_when_the_tenant_that_called_it_first_is_purged() {
    let place = Installation::on(Kind::PostgresSchema).await;
    let (acme, globex) = two(&place).await;
    let shared = "CREATE DOMAIN own_text AS text;
         CREATE FUNCTION known(a text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE x own_text; BEGIN x := a; RETURN x; END $$;";
    let tenant = ("0003_own.sql", "CREATE DOMAIN own_text AS text CHECK (length(VALUE) < 100);");
    assert_eq!(next(&place, &[tenant], &[("0002_known.sql", shared)]).await, "");
    let call = "SELECT shared.known('x')";
    for _ in 0..20 {
        assert_eq!(texts(&acme, call).await.unwrap(), ["x"]);
    }
    place.tenancy.tenant_delete("acme").await.unwrap();
    place.tenancy.tenant_purge("acme").await.unwrap();
    for _ in 0..20 {
        assert_eq!(texts(&globex, call).await.unwrap(), ["x"]);
    }
}
