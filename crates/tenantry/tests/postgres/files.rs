//! A file of migrations on PostgreSQL reaches its own target and nothing else, because the server refuses the rest.

use std::collections::BTreeSet;

use sqlx::{Connection, Executor};
use tenantry::{DoctorOptions, FleetReport, Isolation, MigrateOptions, Migrations, NewTenant, TenantDb, Tenantry};

use crate::support::{Installation, Kind, SHARED, TENANT, open, run, user_add, users};

/// An installation with tenants of every isolation on one server, and what they are called.
struct Mixed {
    place: Installation,
    tenants: Vec<TenantDb>,
}

const MEMBERS: [(&str, Isolation); 4] =
    [("r1", Isolation::Row), ("r2", Isolation::Row), ("s1", Isolation::Schema), ("s2", Isolation::Schema)];

impl Mixed {
    async fn new() -> Self {
        let place = Installation::on(Kind::PostgresRow).await;
        let mut tenants = Vec::new();
        for (key, isolation) in MEMBERS {
            place.tenancy.tenant_create(NewTenant::new(key).unwrap().isolation(isolation)).await.unwrap();
            let db = place.tenancy.tenant(key).await.unwrap();
            user_add(&db, &format!("user of {key}")).await;
            tenants.push(db);
        }
        Self { place, tenants }
    }

    fn sql(&self, text: &str) -> String {
        self.place.database.as_ref().unwrap().sql(text).unwrap()
    }

    fn schema_of(&self, key: &str) -> String {
        let db = self.tenants.iter().find(|db| db.tenant().key.as_str() == key).unwrap();
        match db.tenant().isolation {
            Isolation::Schema => format!("t_{}", db.tenant().id.as_uuid().as_simple()),
            _ => "tenant".into(),
        }
    }

    async fn release(&self, tenant: &[(&str, &str)], shared: &[(&str, &str)]) -> Tenantry {
        let tenant = TENANT.iter().chain(tenant).copied();
        let migrations = Migrations::embedded(tenant, SHARED.iter().chain(shared).copied()).unwrap();
        open(self.place.dir.path().into(), |c| c, TENANT).await.migrations(migrations).open().await.unwrap()
    }

    /// Everything by which tenants are kept apart, as the server has it.
    fn walls(&self) -> BTreeSet<String> {
        walls(&self.place, |text| self.sql(text))
    }

    /// Every tenant still has its row, and no other's.
    async fn is_whole(&self) {
        for db in &self.tenants {
            assert_eq!(users(db).await, [format!("user of {}", db.tenant().key)]);
        }
    }
}

fn walls(place: &Installation, sql: impl Fn(&str) -> String) -> BTreeSet<String> {
    // That a tenant was purged is written down for ever, a canary's end too.
    // In what order rights were given says nothing.
    let text = ["c.relacl", "proacl", "nspacl", "defaclacl"].into_iter().fold(WALLS.to_owned(), |text, acl| {
        text.replace(
            &format!("{{sorted {acl}}}"),
            &format!("(SELECT array_agg(a::text ORDER BY a::text) FROM unnest({acl}) a)"),
        )
    });
    // Nor does it whether an owner's rights are written down.
    let owners = "coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", c.relowner))";
    let text = text.replace("unnest(c.relacl)", &format!("unnest({owners})"));
    sql(&text.replace("{mark}", &place.mark()))
        .lines()
        .filter(|l| !l.ends_with(" -1 gone"))
        .map(str::to_owned)
        .collect()
}

fn require_same(before: &BTreeSet<String>, after: &BTreeSet<String>, why: &str) {
    let changed: Vec<_> = before.symmetric_difference(after).collect();
    assert!(changed.is_empty(), "{why}: {changed:#?}");
}

const WALLS: &str = "
SELECT line FROM (
  SELECT concat_ws(' ', c.oid::regclass, c.relkind, c.relowner::regrole, {sorted c.relacl}, c.relrowsecurity, c.relforcerowsecurity,
                   c.relhasrules, c.relhastriggers) AS line
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
  UNION ALL SELECT concat_ws(' ', polrelid::regclass, polname, polpermissive, polroles, polqual, polwithcheck) FROM pg_policy
  UNION ALL SELECT concat_ws(' ', oid::regprocedure, proowner::regrole, {sorted proacl}, prosecdef, provolatile, md5(prosrc))
    FROM pg_proc WHERE pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
  UNION ALL SELECT concat_ws(' ', stxname, stxowner::regrole) FROM pg_statistic_ext
  UNION ALL SELECT concat_ws(' ', oid::regtype, typowner::regrole) FROM pg_type
   WHERE typnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace, 'pg_toast'::regnamespace)
  UNION ALL SELECT concat_ws(' ', nspname, nspowner::regrole, {sorted nspacl}) FROM pg_namespace WHERE nspname !~ '^pg_'
  UNION ALL SELECT concat_ws(' ', defaclrole::regrole, defaclnamespace, defaclobjtype, {sorted defaclacl}) FROM pg_default_acl
  UNION ALL SELECT concat_ws(' ', roleid::regrole, member::regrole, admin_option) FROM pg_auth_members
   WHERE starts_with(pg_get_userbyid(member), '{mark}') OR starts_with(pg_get_userbyid(roleid), '{mark}')
  UNION ALL SELECT concat_ws(' ', setrole::regrole, setdatabase, setconfig) FROM pg_db_role_setting
   WHERE starts_with(pg_get_userbyid(setrole), '{mark}')
  UNION ALL SELECT concat_ws(' ', target, version, kind) FROM tenantry.migrations
  UNION ALL SELECT owner::text FROM tenantry.place) wall(line)";

fn only(key: &str) -> MigrateOptions {
    MigrateOptions::new().only(key).unwrap()
}

fn first_error(report: &FleetReport) -> String {
    report.targets.iter().find_map(|t| Some(t.error.as_ref()?.to_string())).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_on_postgres_does_nothing_to_another_targets_objects() {
    let mixed = Mixed::new().await;
    let (other, mark) = (mixed.schema_of("s2"), mixed.place.mark());
    let before = mixed.walls();
    let verbs = [
        "DROP TABLE {}.users CASCADE",
        "ALTER TABLE {}.users DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE {}.users ADD COLUMN x int",
        "CREATE POLICY p ON {}.users USING (true)",
        "CREATE TABLE {}.planted (id int)",
        "CREATE INDEX planted ON {}.users (username)",
        "CREATE TRIGGER t BEFORE INSERT ON {}.users FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "GRANT SELECT ON {}.users TO PUBLIC",
        "ALTER TABLE {}.users SET SCHEMA shared",
        "DROP SCHEMA {} CASCADE",
        "ALTER TABLE {}.users OWNER TO CURRENT_USER",
        "TRUNCATE {}.users CASCADE",
        "LOCK TABLE {}.users",
        "UPDATE {}.users SET username = 'x'",
    ];
    let mut attempts: Vec<String> = Vec::new();
    for schema in ["tenant", &other] {
        for verb in verbs {
            let verb = verb.replace("{}", schema);
            attempts.push(format!("DO $do$ BEGIN EXECUTE $text${verb}$text$; END $do$"));
            attempts.push(verb);
        }
    }
    attempts.extend(
        [
            "DROP TABLE shared.plans CASCADE",
            "INSERT INTO shared.plans (name) VALUES ('x')",
            "ALTER TABLE shared.plans ADD COLUMN x int",
            "DELETE FROM tenantry.migrations",
            "INSERT INTO tenantry.work SELECT session_user, 'rows', 9, 'schema', '', ''",
            "UPDATE tenantry.place SET owner = gen_random_uuid()",
            "CREATE OR REPLACE FUNCTION tenantry.tenant() RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid'",
        ]
        .map(|text| format!("DO $do$ BEGIN EXECUTE $text${text}$text$; END $do$")),
    );
    attempts.push(format!(
        "DO $$ BEGIN EXECUTE 'SET ROLE {mark}rows_owner'; ALTER TABLE tenant.users DISABLE ROW LEVEL SECURITY; END $$"
    ));
    for file in attempts {
        let next = mixed.release(&[("0002_next.sql", &file)], &[]).await;
        let report = next.migrations().up(&only("s1"), |_| ()).await.unwrap();
        assert_eq!(report.failed, 1, "{file}: {report:?}");
        assert!(first_error(&report).contains("0002_next.sql"), "{file}: {report:?}");
        require_same(&before, &mixed.walls(), &file);
    }
    mixed.is_whole().await;
}

/// By these a block would become somebody else, or reach what an owner of several targets has.
fn escapes(mixed: &Mixed) -> Vec<String> {
    let (other, mark) = (mixed.schema_of("s2"), mixed.place.mark());
    let id = other.trim_start_matches("t_");
    let at = "ALTER TABLE tenant.users DISABLE ROW LEVEL SECURITY";
    let at_other = format!("DROP TABLE {other}.users CASCADE");
    vec![
        format!("DO $$ BEGIN RESET ROLE; {at}; END $$"),
        format!("DO $$ BEGIN EXECUTE 'RESET ROLE'; {at}; END $$"),
        format!("DO $$ BEGIN SET LOCAL ROLE NONE; {at_other}; END $$"),
        "DO $$ BEGIN RESET ROLE; DELETE FROM tenantry.migrations; END $$".into(),
        format!("DO $$ BEGIN SET ROLE {mark}o_{id}; {at_other}; END $$"),
        format!("DO $$ BEGIN RESET ROLE; SET ROLE {mark}o_{id}; {at_other}; END $$"),
        format!("DO $$ BEGIN SET ROLE {mark}owner; {at}; END $$"),
        format!("DO $$ BEGIN SET ROLE {mark}shared_owner; DROP TABLE shared.plans CASCADE; END $$"),
        format!("DO $$ BEGIN SET SESSION AUTHORIZATION DEFAULT; {at}; END $$"),
        format!("DO $$ BEGIN PERFORM set_config('role', 'none', true); {at}; END $$"),
        format!("DO $$ BEGIN PERFORM set_config('session_authorization', 'admin', true); {at}; END $$"),
        "DO $$ BEGIN PERFORM set_config('search_path', 'tenant', false); ALTER TABLE users DISABLE ROW LEVEL SECURITY; END $$"
            .into(),
        "DO $$ BEGIN PERFORM set_config('search_path', 'tenant', false); CREATE TABLE leak (a int); END $$".into(),
        format!("DO $$ BEGIN RESET ROLE; ALTER TABLE users OWNER TO {mark}rows_owner; END $$"),
        format!("DO $$ BEGIN ALTER TABLE users OWNER TO {mark}rows_owner; END $$"),
        format!("DO $$ BEGIN EXECUTE 'DROP OWNED BY {mark}owner CASCADE'; {at}; END $$"),
        format!("DO $$ BEGIN EXECUTE 'DROP OWNED BY {mark}rows_owner CASCADE'; END $$"),
        format!("DO $$ BEGIN EXECUTE 'REASSIGN OWNED BY {mark}rows_owner TO CURRENT_USER'; END $$"),
        "DO $$ BEGIN RESET ROLE; CREATE ROLE planted SUPERUSER; END $$".into(),
        format!("DO $$ BEGIN RESET ROLE; GRANT {mark}rows_owner TO {mark}on_local_row; END $$"),
        "DO $$ BEGIN RESET ROLE; COPY (SELECT 1) TO PROGRAM 'true'; END $$".into(),
        "DO $$ BEGIN RESET ROLE; CREATE TEMP TABLE users AS SELECT 1; END $$".into(),
        "DO $$ BEGIN RESET ROLE; PERFORM tenantry.applied(99); PERFORM * FROM tenantry.migrations; END $$".into(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_in_a_file_on_postgres_cannot_become_anybody_else() {
    let mixed = Mixed::new().await;
    let before = mixed.walls();
    for file in escapes(&mixed) {
        for name in ["0002_next.sql", "0002_next.data.sql"] {
            let next = mixed.release(&[(name, &file)], &[]).await;
            let report = next.migrations().up(&only("s1"), |_| ()).await.unwrap();
            assert_eq!(report.failed, 1, "{name}: {file}: {report:?}");
            require_same(&before, &mixed.walls(), &format!("{name}: {file}"));
        }
    }
    mixed.is_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_created_on_postgres_reaches_no_more_with_its_files_than_one_that_is_migrated() {
    let mixed = Mixed::new().await;
    let before = mixed.walls();
    for (key, file) in ["s3", "s4", "s5"].into_iter().zip([
        "ALTER TABLE tenant.users DISABLE ROW LEVEL SECURITY",
        "DO $$ BEGIN RESET ROLE; ALTER TABLE tenant.users DISABLE ROW LEVEL SECURITY; END $$",
        "DO $$ BEGIN PERFORM set_config('search_path', 'tenant', false); CREATE TABLE leak (a int); END $$",
    ]) {
        let next = mixed.release(&[("0002_next.sql", file)], &[]).await;
        let new = NewTenant::new(key).unwrap().isolation(Isolation::Schema);
        let error = next.tenant_create(new).await.unwrap_err();
        assert!(error.is_migration() && error.to_string().contains("0002_next.sql:1"), "{error}");
        require_same(&before, &mixed.walls(), &format!("{file}: what was begun is undone"));
        // Its canaries are tenants that are made with the same files.
        let report = next.doctor(DoctorOptions::new()).await.unwrap();
        assert!(!report.findings.is_empty());
        require_same(&before, &mixed.walls(), &format!("{file}: doctor changes nothing"));
    }
    mixed.is_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_for_a_tenants_own_database_on_postgres_reaches_nothing_but_its_tables() {
    let place = Installation::on(Kind::PostgresDatabase).await;
    let acme = place.tenant("acme").await;
    user_add(&acme, "ann").await;
    let before = walls(&place, |text| place.sql_at(&acme, text));
    for file in [
        "DO $$ BEGIN RESET ROLE; DELETE FROM tenantry.migrations; END $$",
        "DO $$ BEGIN RESET ROLE; UPDATE tenantry.place SET owner = gen_random_uuid(); END $$",
        "DO $$ BEGIN RESET ROLE; CREATE ROLE planted SUPERUSER; END $$",
        "DO $$ BEGIN RESET ROLE; DROP TABLE users CASCADE; END $$",
        "CREATE OR REPLACE FUNCTION tenantry.tenant() RETURNS uuid LANGUAGE sql AS 'SELECT NULL::uuid'",
        "DROP FOREIGN TABLE shared.plans",
    ] {
        let migrations =
            Migrations::embedded(TENANT.iter().copied().chain([("0002_next.sql", file)]), SHARED.iter().copied());
        let next =
            open(place.dir.path().into(), |c| c, TENANT).await.migrations(migrations.unwrap()).open().await.unwrap();
        let report = next.migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap();
        assert_eq!(report.failed, 1, "{file}: {report:?}");
        require_same(&before, &walls(&place, |text| place.sql_at(&acme, text)), file);
    }
    assert_eq!(users(&acme).await, ["ann"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_a_member_of_an_owner_on_postgres_once_a_run_has_ended() {
    let mixed = Mixed::new().await;
    let next = mixed.release(&[("0002_age.sql", "ALTER TABLE users ADD COLUMN age int")], &[]).await;
    assert_eq!(next.migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap().failed, 0);
    let slots = format!("SELECT oid FROM pg_roles WHERE rolname ~ '^{}on_local_m[0-9]+$'", mixed.place.mark());
    assert_ne!(mixed.sql(&format!("SELECT count(*) FROM ({slots}) s")), "0");
    assert_eq!(mixed.sql(&format!("SELECT count(*) FROM pg_auth_members WHERE member IN ({slots})")), "0");
    let rights = format!(
        "SELECT count(*) FROM pg_shdepend WHERE refobjid IN ({slots}) AND NOT (classid = 'pg_database'::regclass AND deptype = 'a')"
    );
    assert_eq!(mixed.sql(&rights), "0", "a slot has the right to connect and nothing else");
}

/// A session that was there when the login could sign in.
async fn left_behind(mixed: &Mixed, slot: &str, url: &str) -> sqlx::PgConnection {
    mixed.sql(&format!("ALTER ROLE {slot} LOGIN CONNECTION LIMIT -1"));
    let left = sqlx::PgConnection::connect(url).await.unwrap();
    mixed.sql(&format!("ALTER ROLE {slot} NOLOGIN CONNECTION LIMIT 1"));
    left
}

/// What has drifted in tenants' tables is no fault of a file of the shared ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_shared_file_on_postgres_is_applied_whatever_has_drifted_in_the_tables_of_tenants() {
    let mixed = Mixed::new().await;
    mixed.sql("GRANT SELECT ON tenant.users TO pg_monitor; ALTER TABLE tenant.items OWNER TO CURRENT_USER");
    let next = mixed.release(&[], &[("0002_next.sql", "CREATE TABLE more (id bigint PRIMARY KEY)")]).await;
    let report = next.migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap();
    assert_eq!(report.failed, 0, "{report:?}");
    mixed.sql("REVOKE SELECT ON tenant.users FROM pg_monitor");
    mixed.is_whole().await;
}

/// Whatever a file does, nobody else has a session of its login while that is a member of the owner.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_files_on_postgres_run_by_has_one_session() {
    let mixed = Mixed::new().await;
    let slot = format!("{}on_local_m0", mixed.place.mark());
    let database = mixed.place.database.as_ref().unwrap();
    let url = database.tcp_url().replace("admin:admin-password@", &format!("{slot}:known@"));
    // The first sets the password, the second works for a while, the third ends its own session.
    for file in [
        "DO $$ BEGIN RESET ROLE; EXECUTE format('ALTER ROLE CURRENT_USER PASSWORD %L', 'known'); END $$",
        "SELECT pg_sleep(1)",
        "SELECT pg_sleep(0.3), pg_terminate_backend(pg_backend_pid())",
    ] {
        let next = mixed.release(&[("0002_next.sql", file)], &[]).await;
        let run = tokio::spawn(async move { next.migrations().up(&only("s1"), |_| ()).await });
        while !run.is_finished() {
            // Signed in between two steps of a run it may become nobody, and is gone before the next.
            if let Ok(mut thief) = sqlx::PgConnection::connect(&url).await {
                let owner =
                    format!("SET ROLE {}o_{}", mixed.place.mark(), mixed.schema_of("s1").trim_start_matches("t_"));
                assert!(thief.execute(sqlx::AssertSqlSafe(owner)).await.is_err(), "{file}");
            }
        }
        drop(run.await.unwrap());
        assert!(sqlx::PgConnection::connect(&url).await.is_err(), "{file}");
        mixed.sql("DELETE FROM tenantry.migrations WHERE version = 2");
    }
    mixed.is_whole().await;
}

/// Functions of the app's by the names of the server's, as an older version may have let them in. The engine's own statements
/// never find them.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_engine_says_on_postgres_finds_no_function_of_the_apps() {
    let mixed = Mixed::new().await;
    for schema in ["tenant", &mixed.schema_of("s1"), &mixed.schema_of("s2"), "shared"] {
        for (name, arguments) in [
            ("format", "text, text, name"),
            ("format", "text, name, text"),
            ("format", "text, name"),
            ("hashtextextended", "text, integer"),
            ("quote_ident", "name"),
            ("coalesced", "name"),
            ("starts_with", "name, name"),
            ("count", "name"),
            ("current_setting", "name, boolean"),
        ] {
            mixed.sql(&format!(
                "CREATE FUNCTION {schema}.{name}({arguments}) RETURNS text LANGUAGE plpgsql AS
                   $$ BEGIN RAISE EXCEPTION 'shadow'; END $$"
            ));
        }
        for (left, right) in [("text", "name"), ("name", "text"), ("name", "name")] {
            mixed.sql(&format!(
                "CREATE FUNCTION {schema}.joined_{left}_{right}({left}, {right}) RETURNS text LANGUAGE plpgsql AS
                   $$ BEGIN RAISE EXCEPTION 'shadow'; END $$;
                 CREATE OPERATOR {schema}.|| (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = {schema}.joined_{left}_{right})"
            ));
        }
        let owner = mixed.sql(&format!("SELECT nspowner::regrole FROM pg_namespace WHERE nspname = '{schema}'"));
        mixed.sql(&format!(
            "DO $$ DECLARE what text; BEGIN
                 FOR what IN SELECT 'FUNCTION ' || oid::regprocedure FROM pg_proc WHERE pronamespace = '{schema}'::regnamespace
                      UNION ALL SELECT format('OPERATOR {schema}.%s (%s, %s)', oprname, oprleft::regtype, oprright::regtype)
                                  FROM pg_operator WHERE oprnamespace = '{schema}'::regnamespace LOOP
                     EXECUTE 'ALTER ' || what || ' OWNER TO {}';
                 END LOOP; END $$",
            owner.trim()
        ));
    }
    for (tenant, shared) in [
        (vec![("0002_next.sql", "ALTER TABLE users ADD COLUMN age bigint; DO $$ BEGIN NULL; END $$")], vec![]),
        (
            vec![("0002_next.sql", "-- no-transaction\nCREATE INDEX CONCURRENTLY i ON users (tenant_id, username)")],
            vec![],
        ),
        (vec![], vec![("0002_next.sql", "CREATE TABLE more (id bigint PRIMARY KEY)")]),
        (vec![], vec![("0002_next.sql", "CREATE EXTENSION citext")]),
        (vec![("0002_next.data.sql", "UPDATE users SET username = username")], vec![]),
    ] {
        let next = mixed.release(&tenant, &shared).await;
        let report = next.migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap();
        let told = format!("{report:?}");
        assert!(!told.contains("shadow"), "{told}");
        let is_data = tenant.iter().any(|(name, _)| name.contains("data"));
        assert!(is_data || told.contains("the name of something of the server's"), "{told}");
    }
    let report = mixed.place.tenancy.doctor(DoctorOptions::new().read_only(true)).await.unwrap();
    let told = format!("{report:?}");
    assert!(!told.contains("shadow") && told.contains("name_of_server"), "{told}");
    mixed.is_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_runner_was_granted_on_postgres_is_gone_before_the_slots_next_use() {
    let mixed = Mixed::new().await;
    let (slot, mark) = (format!("{}on_local_m0", mixed.place.mark()), mixed.place.mark());
    let id = mixed.schema_of("s2").trim_start_matches("t_").to_owned();
    mixed.sql(&format!("GRANT {mark}o_{id}, {mark}rows_owner TO {slot}"));
    // A session that the runner has left behind, in a transaction.
    mixed.sql(&format!("ALTER ROLE {slot} PASSWORD 'left-behind'"));
    let url = mixed
        .place
        .database
        .as_ref()
        .unwrap()
        .tcp_url()
        .replace("admin:admin-password@", &format!("{slot}:left-behind@"));
    let mut left = left_behind(&mixed, &slot, &url).await;
    left.execute("BEGIN; SELECT pg_sleep(0)").await.unwrap();
    let file = format!("DO $$ BEGIN SET ROLE {mark}o_{id}; DROP TABLE {}.users CASCADE; END $$", mixed.schema_of("s2"));
    let next = mixed.release(&[("0002_next.sql", &file)], &[]).await;
    let report = next.migrations().up(&only("s1"), |_| ()).await.unwrap();
    assert!(first_error(&report).contains("permission denied to set role"), "{report:?}");
    left.execute("SELECT 1").await.expect_err("its session was ended");
    let members = format!(
        "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = '{slot}'"
    );
    assert_eq!(mixed.sql(&members), "0");
    mixed.is_whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_extensions_on_postgres_holds_nothing_else_and_no_other_form() {
    let place = Installation::on(Kind::PostgresRow).await;
    place.tenant("acme").await;
    let refused = [
        "CREATE EXTENSION citext; CREATE TABLE words (word citext)",
        "CREATE EXTENSION citext SCHEMA tenant",
        "CREATE EXTENSION citext SCHEMA public",
        "DROP EXTENSION IF EXISTS citext CASCADE",
        "ALTER EXTENSION plpgsql ADD FUNCTION tenantry.tenant()",
        "ALTER EXTENSION plpgsql SET SCHEMA shared",
        "ALTER EXTENSION citext OWNER TO CURRENT_USER",
        "DO $$ BEGIN CREATE EXTENSION citext; END $$",
        // They tell one tenant of row isolation what the others do.
        "CREATE EXTENSION pgrowlocks",
        "CREATE EXTENSION pg_stat_statements",
        // They run a text that they are given, or read the server's files.
        "CREATE EXTENSION xml2",
        "CREATE EXTENSION refint",
        "CREATE EXTENSION file_fdw",
    ];
    let now = || walls(&place, |text| place.database.as_ref().unwrap().sql(text).unwrap());
    let before = now();
    for file in refused {
        let shared = SHARED.iter().copied().chain([("0002_next.sql", file)]);
        let migrations = Migrations::embedded(TENANT.iter().copied(), shared).unwrap();
        let next = open(place.dir.path().into(), |c| c, TENANT).await.migrations(migrations).open().await.unwrap();
        let report = next.migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap();
        assert_eq!(report.failed, 1, "{file}: {report:?}");
        assert!(first_error(&report).contains("0002_next.sql:"), "{file}: {report:?}");
        require_same(&before, &now(), file);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_gone_on_postgres_is_told_as_such() {
    for kind in [Kind::PostgresRow, Kind::PostgresDatabase] {
        let place = Installation::on(kind).await;
        let acme = place.tenant("acme").await;
        let files = TENANT.iter().copied().chain([("0002_age.sql", "ALTER TABLE users ADD COLUMN age int")]);
        let migrations = Migrations::embedded(files, SHARED.iter().copied()).unwrap();
        let next = open(place.dir.path().into(), |c| c, TENANT).await.migrations(migrations).open().await.unwrap();
        place.sql_at(&acme, "ALTER SCHEMA tenant RENAME TO gone");
        let report = next.migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap();
        assert!(first_error(&report).contains("the schema `tenant` is gone"), "{kind:?}: {report:?}");
        assert_eq!(place.sql_at(&acme, "SELECT count(*) FROM pg_class WHERE relname = 'age'"), "0");
    }
}

/// As a version has made it in which one owner had everything.
fn make_old(mixed: &Mixed) {
    let mark = mixed.place.mark();
    for schema in ["tenant", &mixed.schema_of("s1"), &mixed.schema_of("s2")] {
        let text = format!(
            "DO $do$ DECLARE t text; BEGIN
                 FOR t IN SELECT format('ALTER %s {schema}.%I OWNER TO {mark}owner',
                                        CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, relname)
                            FROM pg_class c WHERE relnamespace = '{schema}'::regnamespace AND relkind IN ('r', 'p', 'v', 'S')
                             AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND objsubid = 0 AND deptype = 'i'
                                                AND refclassid = 'pg_class'::regclass) LOOP
                     EXECUTE t;
                 END LOOP;
                 FOR t IN SELECT format('ALTER ROUTINE %s OWNER TO {mark}owner', oid::regprocedure)
                            FROM pg_proc WHERE pronamespace = '{schema}'::regnamespace LOOP
                     EXECUTE t;
                 END LOOP;
                 FOR t IN SELECT format('ALTER TYPE %s OWNER TO {mark}owner', oid::regtype)
                            FROM pg_type WHERE typnamespace = '{schema}'::regnamespace AND typtype IN ('d', 'e') LOOP
                     EXECUTE t;
                 END LOOP;
                 FOR t IN SELECT format('ALTER STATISTICS {schema}.%I OWNER TO {mark}owner', stxname)
                            FROM pg_statistic_ext WHERE stxnamespace = '{schema}'::regnamespace LOOP
                     EXECUTE t;
                 END LOOP;
                 ALTER SCHEMA {schema} OWNER TO {mark}owner;
             END $do$"
        );
        mixed.sql(&text);
    }
    // Nor did it have what comes with the owners.
    mixed.sql(&format!(
        "DROP FUNCTION tenantry.missing, tenantry.applied; DROP TABLE tenantry.work;
         DROP OWNED BY {mark}rows_owner, {mark}authors; DROP ROLE {mark}rows_owner"
    ));
    for key in ["s1", "s2"] {
        let (schema, id) = (mixed.schema_of(key), mixed.schema_of(key).trim_start_matches("t_").to_owned());
        mixed.sql(&format!(
            "DROP OWNED BY {mark}o_{id}; DROP ROLE {mark}o_{id};
             ALTER DEFAULT PRIVILEGES FOR ROLE {mark}owner IN SCHEMA {schema} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {mark}{schema};
             ALTER DEFAULT PRIVILEGES FOR ROLE {mark}owner IN SCHEMA {schema} GRANT USAGE ON SEQUENCES TO {mark}{schema}"
        ));
    }
    mixed.sql(&format!("DROP ROLE {mark}authors"));
}

const THINGS: (&str, &str) = (
    "0002_things.sql",
    "CREATE TYPE mood AS ENUM ('glad', 'sad');
     CREATE DOMAIN short AS text CHECK (length(VALUE) < 9);
     CREATE FUNCTION twice(n bigint) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT 2 * n';
     CREATE VIEW names WITH (security_invoker = true) AS SELECT username FROM users;
     CREATE SEQUENCE tickets;
     CREATE TABLE parts (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint NOT NULL) PARTITION BY LIST (id);
     CREATE TABLE parts_rest PARTITION OF parts DEFAULT;
     CREATE FUNCTION adds(n numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT n + 1';
     CREATE AGGREGATE ones(*) (SFUNC = adds, STYPE = numeric, INITCOND = '0');
     CREATE STATISTICS both_columns ON id, username FROM users;",
);

#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_version_made_on_postgres_is_served_and_gets_its_own_owners_by_migrate_up() {
    let mixed = Mixed::new().await;
    let things = mixed.release(&[THINGS], &[]).await;
    assert_eq!(things.migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap().failed, 0);
    let new = mixed.walls();
    make_old(&mixed);
    let next = mixed.release(&[THINGS], &[]).await;
    assert_ne!(mixed.walls(), new, "it was made old");
    mixed.is_whole().await;
    let report = next.doctor(DoctorOptions::new()).await.unwrap();
    let old: Vec<_> = report.findings.iter().filter(|f| f.code == "old_owner").collect();
    assert_eq!((old.len(), report.findings.len()), (3, 3), "{report:#?}");
    assert!(old.iter().all(|f| f.repair == "tenantry migrate up"));
    // Nothing but `migrate up` changes owners, and until then a file has nothing to do with the old ones.
    next.tenant_create(NewTenant::new("s3").unwrap().isolation(Isolation::Schema)).await.unwrap();
    next.tenant_create(NewTenant::new("r3").unwrap().isolation(Isolation::Row)).await.unwrap();
    let report = next.migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap();
    assert_eq!((report.failed, report.targets.len()), (0, 3), "{report:?}");
    for key in ["s3", "r3"] {
        next.tenant_delete(key).await.unwrap();
        next.tenant_purge(key).await.unwrap();
    }
    require_same(&new, &mixed.walls(), "it is as if it had been made so");
    let report = next.migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap();
    assert_eq!(report.targets.len(), 0, "there is nothing left to do");
    mixed.is_whole().await;
    run(&mixed.tenants[2], "INSERT INTO users (username) VALUES ('later')").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_file_sets_for_its_own_login_on_postgres_is_gone_before_the_slots_next_use() {
    let mixed = Mixed::new().await;
    let poison = "DO $$ BEGIN RESET ROLE;
        EXECUTE format('ALTER ROLE %I SET check_function_bodies = off', session_user);
        EXECUTE format('ALTER ROLE %I IN DATABASE %I SET default_transaction_read_only = on', session_user, current_database());
    END $$";
    let next = mixed.release(&[("0002_next.sql", poison)], &[]).await;
    next.migrations().up(&only("s1"), |_| ()).await.unwrap();
    let next = mixed.release(&[("0002_next.sql", "ALTER TABLE users ADD COLUMN age int")], &[]).await;
    let report = next.migrations().up(&only("s2"), |_| ()).await.unwrap();
    assert_eq!(report.failed, 0, "{report:?}");
    let settings = format!(
        "SELECT count(*) FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole WHERE r.rolname LIKE '{}%'",
        mixed.place.mark()
    );
    assert_eq!(mixed.sql(&settings), "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_the_schema_on_postgres_changes_no_row_that_was_there_by_whatever_statement() {
    let mixed = Mixed::new().await;
    let wipe = "CREATE FUNCTION wipe() RETURNS int LANGUAGE sql AS 'DELETE FROM users; SELECT 1';";
    for file in [
        "ALTER TABLE users ADD COLUMN z int; EXPLAIN ANALYZE DELETE FROM users".into(),
        format!("{wipe} ALTER TABLE users ADD COLUMN z int; VALUES (wipe()); DROP FUNCTION wipe()"),
        format!("{wipe} (SELECT wipe()); DROP FUNCTION wipe()"),
        format!(
            "{wipe} CREATE TABLE t AS SELECT tenantry.tenant() AS tenant_id, wipe(); DROP TABLE t; DROP FUNCTION wipe()"
        ),
        format!(
            "{wipe} ALTER TABLE items ADD COLUMN z int DEFAULT wipe(); ALTER TABLE items DROP COLUMN z; DROP FUNCTION wipe()"
        ),
    ] {
        for options in [MigrateOptions::new(), only("s1")] {
            let next = mixed.release(&[("0002_next.sql", &file)], &[]).await;
            // Of an empty table nothing is rewritten, so that its default is not called for any row.
            next.migrations().up(&options, |_| ()).await.unwrap();
            mixed.is_whole().await;
            if mixed.sql("SELECT count(*) FROM tenantry.migrations WHERE version = 2") != "0" {
                mixed.sql("DELETE FROM tenantry.migrations WHERE version = 2");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shared_file_without_a_transaction_on_postgres_leaves_nothing_that_is_refused() {
    let mixed = Mixed::new().await;
    let before = mixed.walls();
    let file = "-- no-transaction\nGRANT INSERT ON plans TO PUBLIC";
    let next = mixed.release(&[], &[("0002_next.sql", file)]).await;
    let report = next.migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap();
    assert_eq!(report.failed, 1, "{report:?}");
    require_same(&before, &mixed.walls(), file);
}

/// What a file has left to be run at the commit would run behind the last look at what it made.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_on_postgres_leaves_nothing_to_run_at_its_commit() {
    let mixed = Mixed::new().await;
    let held =
        "CREATE FUNCTION late() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'at the commit'; END $$;
                DO $$ BEGIN EXECUTE 'DECLARE c CURSOR WITH HOLD FOR SELECT late()'; END $$";
    let next = mixed.release(&[("0002_next.sql", held)], &[]).await;
    let report = next.migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap();
    assert_eq!(report.failed, 0, "{report:?}");
    mixed.is_whole().await;
}

/// The server checks a reference as the owner of the table that is referred to, a cast of the author's included.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_on_postgres_changes_no_shared_table_by_code_that_runs_as_its_owner() {
    let mixed = Mixed::new().await;
    // What the references in the files find.
    mixed.sql("INSERT INTO shared.plans (id, name) VALUES (1, 'free')");
    for deed in [
        "GRANT INSERT ON shared.plans TO PUBLIC",
        "INSERT INTO shared.plans (name) VALUES (''planted'')",
        "CREATE FUNCTION shared.planted() RETURNS int LANGUAGE sql AS ''SELECT 1''",
        "ALTER TABLE shared.plans ALTER name DROP NOT NULL",
        "COMMENT ON TABLE shared.plans IS NULL; TRUNCATE shared.plans CASCADE",
    ] {
        let file = format!(
            "CREATE TYPE boxed AS (a text);
             CREATE FUNCTION esc(w boxed) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN EXECUTE '{deed}'; RETURN 1; END $$;
             CREATE CAST (boxed AS bigint) WITH FUNCTION esc(boxed) AS IMPLICIT;
             CREATE TABLE lk AS SELECT tenantry.tenant() AS tenant_id, row('x')::boxed AS w;
             DO $$ BEGIN EXECUTE 'REVOKE ALL ON lk FROM ' || quote_ident(current_user); END $$;
             ALTER TABLE lk ADD CONSTRAINT lkf FOREIGN KEY (w) REFERENCES shared.plans (id);
             ALTER TABLE lk DROP CONSTRAINT lkf;
             DROP TABLE lk; DROP CAST (boxed AS bigint); DROP FUNCTION esc(boxed); DROP TYPE boxed"
        );
        let (before, rows) = (mixed.walls(), mixed.sql("SELECT count(*) FROM shared.plans"));
        for options in [MigrateOptions::new(), only("s1")] {
            let next = mixed.release(&[("0002_next.sql", &file)], &[]).await;
            let report = next.migrations().up(&options, |_| ()).await.unwrap();
            assert!(report.failed > 0, "{deed}: {report:?}");
            require_same(&before, &mixed.walls(), deed);
            assert_eq!(mixed.sql("SELECT count(*) FROM shared.plans"), rows, "{deed}");
        }
    }
}

/// A trigger that is deferred once more is past the look at the rows that the file has changed.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_the_schema_on_postgres_changes_no_row_by_what_it_defers() {
    let mixed = Mixed::new().await;
    let twice = "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           UPDATE users SET username = 'spoilt'; RETURN NULL; END $$;
         CREATE TABLE late (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint NOT NULL, PRIMARY KEY (tenant_id, id));
         CREATE CONSTRAINT TRIGGER late AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED
           FOR EACH ROW EXECUTE FUNCTION spoil();
         CREATE TABLE first (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint NOT NULL, PRIMARY KEY (tenant_id, id));
         CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN SET CONSTRAINTS ALL DEFERRED;
           INSERT INTO late (tenant_id, id) VALUES (NEW.tenant_id, NEW.id); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER again AFTER INSERT ON first DEFERRABLE INITIALLY DEFERRED
           FOR EACH ROW EXECUTE FUNCTION again();";
    for insert in [
        "INSERT INTO late (tenant_id, id) SELECT gen_random_uuid(), 1",
        "DO $$ BEGIN EXECUTE 'INSERT INTO late (tenant_id, id) SELECT gen_random_uuid(), 1'; END $$",
        "CREATE FUNCTION plant() RETURNS bigint LANGUAGE sql AS
           'INSERT INTO late (tenant_id, id) SELECT gen_random_uuid(), 1 RETURNING id';
         CREATE TABLE t AS SELECT tenantry.tenant() AS tenant_id, plant(); DROP TABLE t; DROP FUNCTION plant()",
        "CREATE FUNCTION plant() RETURNS bigint LANGUAGE sql AS
           'INSERT INTO first (tenant_id, id) SELECT gen_random_uuid(), 1 RETURNING id';
         CREATE TABLE t AS SELECT tenantry.tenant() AS tenant_id, plant(); DROP TABLE t; DROP FUNCTION plant()",
    ] {
        for options in [MigrateOptions::new(), only("s1")] {
            let next = mixed.release(&[("0002_next.sql", &format!("{twice} {insert}"))], &[]).await;
            let report = next.migrations().up(&options, |_| ()).await.unwrap();
            assert!(report.failed > 0, "{insert}: {report:?}");
            mixed.is_whole().await;
        }
    }
}

/// In such an encoding a backslash is the second half of a letter, so the server finds an end of a text where we find none.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_on_postgres_hides_no_statement_in_another_encoding() {
    for (file, before) in [
        ("0002_next.data.sql", "SET LOCAL client_encoding = 'GBK'"),
        ("0002_next.sql", "DO $$ BEGIN SET LOCAL client_encoding = 'GBK'; END $$"),
    ] {
        let mixed = Mixed::new().await;
        let whole = mixed.walls();
        let text = format!("{before}; SELECT E'\u{4e01}\\'; COMMIT; CREATE TABLE leak (a int); --'");
        let next = mixed.release(&[(file, &text)], &[]).await;
        let report = next.migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap();
        assert!(report.failed > 0, "{file}: {report:?}");
        require_same(&whole, &mixed.walls(), file);
        mixed.is_whole().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_file_without_a_transaction_on_postgres_leaves_no_index() {
    let place = Installation::on(Kind::PostgresRow).await;
    let acme = place.tenant("acme").await;
    let up = async |text: &'static str, options: MigrateOptions| {
        let files = TENANT.iter().copied().chain([("0002_next.sql", text)]);
        let migrations = Migrations::embedded(files, SHARED.to_vec()).unwrap();
        let next = open(place.dir.path().into(), |c| c, TENANT).await.migrations(migrations).open().await.unwrap();
        next.migrations().up(&options, |_| ()).await.unwrap()
    };
    let made = || place.sql_at(&acme, "SELECT count(*) FROM pg_indexes WHERE indexname = 'u_name'");
    let report =
        up("-- no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY u_name ON users (username)", MigrateOptions::new())
            .await;
    assert!(report.failed > 0 && first_error(&report).contains("led by tenant_id"), "{report:?}");
    assert_eq!(made(), "0");
    // A function may have the column's name.
    let called = "CREATE FUNCTION tenant_id(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT t'";
    for (file, why) in [
        ("CREATE UNIQUE INDEX CONCURRENTLY u_name ON users (tenant_id(username))", "led by tenant_id"),
        ("CREATE UNIQUE INDEX CONCURRENTLY u_name ON users (\"tenant_id\" (username), tenant_id)", "led by tenant_id"),
        // What was built before the file failed has been looked at by nobody.
        ("CREATE INDEX CONCURRENTLY u_name ON users (username); DROP INDEX CONCURRENTLY nowhere", "nowhere"),
        // An attribute named `add` of a type named `value` is none of the values of an enum.
        (
            "CREATE INDEX CONCURRENTLY u_name ON users (username); ALTER TYPE users_row DROP ATTRIBUTE a CASCADE, ADD ATTRIBUTE add value",
            "taken back",
        ),
    ] {
        let file = format!("-- no-transaction\n{file}");
        let files = TENANT.iter().copied().chain([("0002_next.sql", called), ("0003_next.sql", &*file)]);
        let migrations = Migrations::embedded(files, SHARED.to_vec()).unwrap();
        let next = open(place.dir.path().into(), |c| c, TENANT).await.migrations(migrations).open().await.unwrap();
        let report = next.migrations().up(&MigrateOptions::new().retry_failed(), |_| ()).await.unwrap();
        assert!(report.failed > 0 && causes(&report).contains(why), "{file}: {report:?}");
        assert_eq!(made(), "0", "{file}: what was built is gone again");
    }
    // Whatever is wrong, and whoever has done it.
    place.sql_at(&acme, "GRANT SELECT ON tenant.users TO pg_monitor");
    let file = "-- no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY u_name ON users (tenant_id, lower(username))";
    let files = TENANT.iter().copied().chain([("0002_next.sql", called), ("0003_next.sql", file)]);
    let migrations = Migrations::embedded(files, SHARED.to_vec()).unwrap();
    let next = open(place.dir.path().into(), |c| c, TENANT).await.migrations(migrations).open().await.unwrap();
    let report = next.migrations().up(&MigrateOptions::new().retry_failed(), |_| ()).await.unwrap();
    assert!(report.failed > 0 && first_error(&report).contains("pg_monitor"), "{report:?}");
    assert_eq!(made(), "0", "what was built is gone again");
}

fn causes(report: &FleetReport) -> String {
    format!("{report:?}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unique_index_that_is_led_by_the_tenant_on_postgres_is_built_without_a_transaction() {
    let place = Installation::on(Kind::PostgresRow).await;
    let acme = place.tenant("acme").await;
    let led = "-- no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY u_name ON users (tenant_id, lower(username))";
    let files = TENANT.iter().copied().chain([("0002_next.sql", led)]);
    let migrations = Migrations::embedded(files, SHARED.to_vec()).unwrap();
    let next = open(place.dir.path().into(), |c| c, TENANT).await.migrations(migrations).open().await.unwrap();
    let report = next.migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap();
    let made = place.sql_at(&acme, "SELECT count(*) FROM pg_indexes WHERE indexname = 'u_name'");
    assert_eq!((report.failed, made.as_str()), (0, "1"), "what is advised works: {report:?}");
}

/// Whoever signs in as the slot by a password that a file has set is out before the next file runs there.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_a_file_on_postgres_sets_for_its_login_is_worth_nothing() {
    let mixed = Mixed::new().await;
    let poison = "DO $$ BEGIN RESET ROLE; EXECUTE format('ALTER ROLE %I PASSWORD ''known''', session_user); END $$";
    let next = mixed.release(&[("0002_next.sql", poison)], &[]).await;
    next.migrations().up(&only("s1"), |_| ()).await.unwrap();
    let database = mixed.place.database.as_ref().unwrap();
    let url = database.tcp_url().replace("admin:admin-password@", &format!("{}on_local_m0:known@", mixed.place.mark()));
    let slot = format!("{}on_local_m0", mixed.place.mark());
    assert!(sqlx::PgConnection::connect(&url).await.is_err(), "nobody signs in but for a run");
    // A version before this one let them, or somebody was there at the moment of a run.
    let mut thief = left_behind(&mixed, &slot, &url).await;
    let next = mixed.release(&[("0002_next.sql", "ALTER TABLE users ADD COLUMN age int")], &[]).await;
    let report = next.migrations().up(&only("s2"), |_| ()).await.unwrap();
    assert_eq!(report.failed, 0, "{report:?}");
    assert!(thief.execute("SELECT 1").await.is_err(), "the session was ended");
    assert!(sqlx::PgConnection::connect(&url).await.is_err(), "and the password is none any more");
}

/// The server checks a reference to a shared table as the owner of that, and calls a cast of the file's own for it.
#[tokio::test(flavor = "multi_thread")]
async fn no_cast_that_a_file_makes_is_there_for_the_next_statement() {
    let file = "CREATE TYPE code_t AS ENUM ('a', 'b');
         CREATE FUNCTION number_of(a code_t) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT 1 $$;
         CREATE CAST (code_t AS int) WITH FUNCTION number_of(code_t) AS IMPLICIT;
         DROP CAST (code_t AS int);";
    for kind in [Kind::PostgresRow, Kind::PostgresSchema, Kind::PostgresDatabase] {
        let place = Installation::on(kind).await;
        place.tenant("acme").await;
        let migrations =
            Migrations::embedded(TENANT.iter().copied().chain([("0002_cast.sql", file)]), SHARED.iter().copied());
        let next =
            open(place.dir.path().into(), |c| c, TENANT).await.migrations(migrations.unwrap()).open().await.unwrap();
        let report = next.migrations().up(&MigrateOptions::new(), |_| ()).await.unwrap();
        assert!(first_error(&report).contains("by a function"), "{kind:?}: {report:?}");
    }
}
