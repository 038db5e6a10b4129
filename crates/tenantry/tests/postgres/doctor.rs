//! `doctor` on PostgreSQL: every hole that somebody has made since is found, with a repair that closes it.

use tenantry::{DoctorOptions, DoctorReport};

use crate::support::{Installation, Kind, user_add, users};

async fn examined(place: &Installation) -> DoctorReport {
    place.tenancy.doctor(DoctorOptions::new().read_only(true)).await.unwrap()
}

fn codes(report: &DoctorReport) -> Vec<&str> {
    report.findings.iter().map(|finding| finding.code).collect()
}

/// Makes a hole in a database, and gives what doctor says of it.
async fn with_hole(place: &Installation, database: &str, hole: &str, code: &str) -> DoctorReport {
    let server = place.database.as_ref().unwrap().server();
    server.sql(database, hole).expect(hole);
    let report = examined(place).await;
    assert!(codes(&report).contains(&code), "{hole}: {report:#?}");
    assert!(report.findings.iter().all(|finding| !finding.repair.is_empty()), "{report:#?}");
    report
}

/// The first repair that is a statement closes the hole again.
async fn repaired(place: &Installation, database: &str, report: &DoctorReport, code: &str) {
    let server = place.database.as_ref().unwrap().server();
    let repair = &report.findings.iter().find(|finding| finding.code == code).unwrap().repair;
    server.sql(database, repair).expect(repair);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_installation_on_postgres_has_no_finding_and_its_canaries_do_not_bleed() {
    for kind in [Kind::PostgresRow, Kind::PostgresSchema, Kind::PostgresDatabase] {
        let place = Installation::on(kind).await;
        let acme = place.tenant("acme").await;
        user_add(&acme, "ann").await;
        let report = place.tenancy.doctor(DoctorOptions::new()).await.unwrap();
        assert!(report.findings.is_empty(), "{kind:?}: {:#?}", report.findings);
        assert!(report.checks.iter().filter(|check| check.starts_with("canaries")).count() == 3, "{report:#?}");
        let left = place.database.as_ref().unwrap().sql(
            "SELECT count(*) FROM pg_class WHERE relname LIKE 'tenantry_canary%'
             UNION ALL SELECT count(*) FROM pg_namespace WHERE nspname LIKE 't\\_%' AND length(nspname) = 34",
        );
        let expected = if kind == Kind::PostgresSchema { "0\n1" } else { "0\n0" };
        assert_eq!(left.unwrap().trim(), expected, "{kind:?}: nothing of the canaries is left");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn holes_in_the_rows_of_postgres_are_found_and_their_repairs_close_them() {
    let place = Installation::on(Kind::PostgresRow).await;
    place.tenant("acme").await;
    let database = place.database.as_ref().unwrap().name().to_owned();
    for (hole, code) in [
        ("ALTER TABLE tenant.users DISABLE ROW LEVEL SECURITY", "rls_off"),
        ("ALTER TABLE tenant.users NO FORCE ROW LEVEL SECURITY", "rls_off"),
        ("ALTER TABLE tenant.users OWNER TO CURRENT_USER", "wrong_owner"),
        ("ALTER POLICY \"!tenantry\" ON tenant.users USING (true)", "policy_altered"),
        (
            "CREATE POLICY tenantry_isolation ON tenant.users AS RESTRICTIVE TO PUBLIC USING (tenant_id = (SELECT \
             nullif(current_setting('tenantry.tenant', true), ''))::uuid)",
            "policy_former",
        ),
        ("DROP POLICY \"!tenantry_first\" ON tenant.users", "policy_altered"),
        ("ALTER POLICY \"!tenantry_first\" ON tenant.users USING (true)", "policy_altered"),
        ("CREATE POLICY \"!app\" ON tenant.users AS RESTRICTIVE USING (username::int > 0)", "policy_order"),
        ("ALTER FUNCTION tenantry.may_write() RESET ALL", "tenant_function"),
        (
            "CREATE OR REPLACE FUNCTION tenantry.may_write() RETURNS boolean LANGUAGE sql STABLE AS 'SELECT true'",
            "tenant_function",
        ),
    ] {
        let report = with_hole(&place, &database, hole, code).await;
        repaired(&place, &database, &report, code).await;
        let after = examined(&place).await;
        assert!(after.findings.is_empty(), "{hole}: {:#?}", after.findings);
    }
    for (hole, code, undo) in [
        (
            "DROP POLICY \"!tenantry\" ON tenant.users",
            "policy_altered",
            "CREATE POLICY \"!tenantry\" ON tenant.users AS RESTRICTIVE TO PUBLIC USING (tenant_id = (SELECT \
             nullif(current_setting('tenantry.tenant', true), '')::uuid)) WITH CHECK (tenant_id = (SELECT \
             nullif(current_setting('tenantry.tenant', true), ''))::uuid AND (SELECT tenantry.may_write()))",
        ),
        (
            "CREATE VIEW tenant.all_users AS SELECT * FROM tenant.users",
            "view_not_invoker",
            "DROP VIEW tenant.all_users",
        ),
        (
            "CREATE FUNCTION tenant.peek() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM tenant.users'",
            "security_definer",
            "DROP FUNCTION tenant.peek()",
        ),
        (
            "DO $$ BEGIN EXECUTE format('GRANT TRUNCATE ON tenant.users TO %I',
                 (SELECT rolname FROM pg_roles WHERE has_schema_privilege(oid, 'tenant', 'USAGE') AND rolname LIKE 'tn\\_%\\_rows' LIMIT 1)); END $$",
            "excess_privilege",
            "DO $$ BEGIN EXECUTE format('REVOKE TRUNCATE ON tenant.users FROM %I',
                 (SELECT rolname FROM pg_roles WHERE has_schema_privilege(oid, 'tenant', 'USAGE') AND rolname LIKE 'tn\\_%\\_rows' LIMIT 1)); END $$",
        ),
    ] {
        with_hole(&place, &database, hole, code).await;
        place.database.as_ref().unwrap().sql(undo).unwrap();
    }
    let after = examined(&place).await;
    assert!(after.findings.is_empty(), "{:#?}", after.findings);
}

/// What a superuser makes as the owner of the tables, so that nothing else is wrong with it.
fn as_owner_of(table: &str, statement: &str) -> String {
    format!(
        "DO $as$ DECLARE owner text := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = '{table}'::regclass); BEGIN
             EXECUTE format('GRANT EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) TO %I', owner);
             EXECUTE format('SET LOCAL ROLE %I', owner);
             EXECUTE $it${statement}$it$;
             RESET ROLE;
             EXECUTE format('REVOKE EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) FROM %I', owner);
         END $as$"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn functions_and_rights_that_open_the_wall_on_postgres_are_found_and_their_repairs_close_them() {
    let place = Installation::on(Kind::PostgresRow).await;
    place.tenant("acme").await;
    let database = place.database.as_ref().unwrap().name().to_owned();
    let before = examined(&place).await;
    assert!(before.findings.is_empty(), "{:#?}", before.findings);
    for (table, statement, code) in [
        (
            "tenant.users",
            "CREATE FUNCTION tenant.n() RETURNS bigint LANGUAGE sql IMMUTABLE RETURN (SELECT count(*) FROM /* x */ tenant.users)",
            "immutable_reads",
        ),
        (
            "tenant.users",
            "CREATE FUNCTION tenant.same(t text DEFAULT 'AS $function$', u text[] DEFAULT '{}') RETURNS text LANGUAGE sql STRICT
               IMMUTABLE AS 'SELECT lower($1) || u[1] -- and so on'",
            "immutable_unbound",
        ),
        (
            "shared.plans",
            "CREATE FUNCTION shared.z() RETURNS void LANGUAGE plpgsql AS 'BEGIN SET TIME ZONE 1; END'",
            "function_scope",
        ),
        (
            "tenant.users",
            "CREATE FUNCTION tenant.l() RETURNS bigint LANGUAGE sql AS 'SELECT lastval()'",
            "function_scope",
        ),
        (
            "tenant.users",
            "CREATE FUNCTION tenant.e(t text) RETURNS void LANGUAGE plpgsql AS 'BEGIN EXECUTE t; END'",
            "dynamic_sql",
        ),
        (
            "tenant.users",
            "CREATE AGGREGATE tenant.pick(text, boolean) (SFUNC = pg_catalog.set_config, STYPE = text)",
            "expression_scope",
        ),
        (
            "tenant.users",
            "ALTER TABLE tenant.users ADD COLUMN plan bigint REFERENCES shared.plans (id) ON DELETE CASCADE",
            "foreign_key_from_shared",
        ),
    ] {
        let report = with_hole(&place, &database, &as_owner_of(table, statement), code).await;
        repaired(&place, &database, &report, code).await;
        let after = examined(&place).await;
        assert!(!codes(&after).contains(&code), "{statement}: {:#?}", after.findings);
        if code.starts_with("immutable_") {
            assert!(after.findings.is_empty(), "{statement}: {:#?}", after.findings);
        }
    }
    let hole = "CREATE EXTENSION isn SCHEMA shared;
                CREATE FUNCTION shared.sd2() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM tenant.users';
                ALTER EXTENSION isn ADD FUNCTION shared.sd2()";
    let report = with_hole(&place, &database, hole, "extension_member").await;
    repaired(&place, &database, &report, "extension_member").await;
    assert!(codes(&examined(&place).await).contains(&"security_definer"), "now it is a function like any other");
}

/// What a superuser may have done behind tenantry's back, all at once.
const HOLES: &[&str] = &[
    "ALTER TABLE tenant.users DISABLE ROW LEVEL SECURITY",
    "ALTER TABLE tenant.items OWNER TO CURRENT_USER",
    "DROP POLICY \"!tenantry\" ON tenant.orders",
    "CREATE POLICY \"!app\" ON tenant.notes AS RESTRICTIVE USING (text::int > 0)",
    "GRANT INSERT ON shared.plans TO PUBLIC",
    "GRANT SELECT ON tenant.users TO PUBLIC",
    "GRANT EXECUTE ON FUNCTION set_config TO PUBLIC",
    "GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC",
    "ALTER FUNCTION tenantry.may_write() RESET ALL",
    "CREATE FUNCTION public.all_users() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM tenant.users'",
    "CREATE EXTENSION isn SCHEMA shared",
    "CREATE EXTENSION pg_stat_statements SCHEMA public",
    "CREATE FUNCTION shared.sd2() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM tenant.users'",
    "CREATE FUNCTION pg_catalog.sd3() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM tenant.users'",
    "GRANT SELECT ON pg_catalog.pg_statistic TO PUBLIC",
    "GRANT SELECT (rolpassword) ON pg_catalog.pg_authid TO PUBLIC",
    "GRANT EXECUTE ON FUNCTION pg_catalog.pg_read_file(text) TO PUBLIC",
    "GRANT ALL ON ALL TABLES IN SCHEMA tenantry TO PUBLIC",
    "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET tenantry.tenant = %L', current_database(), 'x'); END $$",
    "ALTER ROLE {mark}rows LOGIN",
    "GRANT EXECUTE ON FUNCTION set_config(text, text, boolean) TO {mark}on_local_reader",
    "GRANT {mark}t_x TO {mark}on_local_row",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_puts_back_what_tenantry_had_made_and_drops_nothing_of_the_apps() {
    let place = Installation::on(Kind::PostgresRow).await;
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    user_add(&acme, "ann").await;
    user_add(&globex, "bob").await;
    let mark = place.mark();
    place.sql_at(&acme, &format!("CREATE ROLE {mark}t_x; GRANT {mark}on_local_reader TO {mark}t_x"));
    for hole in HOLES {
        place.sql_at(&acme, &hole.replace("{mark}", &mark));
    }
    let report = place.tenancy.doctor(DoctorOptions::new().read_only(true).repair(true)).await.unwrap();
    assert_eq!(codes(&report), ["stranger"], "what the test itself has made: {report:#?}");
    assert!(report.repaired.len() >= HOLES.len() - 1, "{report:#?}");
    assert_eq!(users(&acme).await, ["ann"]);
    let kept = "SELECT count(*) FROM pg_proc WHERE proname IN ('all_users', 'sd2', 'sd3')
                UNION ALL SELECT count(*) FROM pg_policy WHERE polname = 'p_app'";
    assert_eq!(place.sql_at(&acme, kept), "3\n1");
    place.sql_at(&acme, &format!("DROP FUNCTION pg_catalog.sd3(); DROP ROLE {mark}t_x"));
    let report = place.tenancy.doctor(DoctorOptions::new()).await.unwrap();
    assert!(report.findings.is_empty(), "{report:#?}");
}

/// Where no wall holds, whoever looks must not be the one who does the harm.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_canaries_try_changes_nothing_where_the_walls_are_open() {
    let place = Installation::on(Kind::PostgresRow).await;
    let acme = place.tenant("acme").await;
    user_add(&acme, "ann").await;
    place.sql_at(&acme, "GRANT ALL ON ALL TABLES IN SCHEMA tenantry TO PUBLIC; GRANT ALL ON SCHEMA tenantry TO PUBLIC");
    let look =
        "SELECT p.ctid || p::text FROM tenantry.place p UNION ALL SELECT target || version FROM tenantry.migrations
                 WHERE version >= 0 ORDER BY 1";
    let before = place.sql_at(&acme, look);
    let report = place.tenancy.doctor(DoctorOptions::new()).await.unwrap();
    let codes = codes(&report);
    assert!(codes.contains(&"ledger_opened") && codes.contains(&"canary_bled"), "{report:#?}");
    assert_eq!(place.sql_at(&acme, look), before);
}

/// A migration may call its objects like the server's own, and may quote them as it likes.
#[tokio::test(flavor = "multi_thread")]
async fn a_repair_changes_nothing_of_the_servers_whatever_the_apps_objects_are_called() {
    let place = Installation::on(Kind::PostgresRow).await;
    let acme = place.tenant("acme").await;
    let owner = place.owner_of(&acme);
    for hole in [
        "CREATE FUNCTION tenant.pg_read_file(text) RETURNS text LANGUAGE sql SECURITY DEFINER AS $$ SELECT 'mine'::text $$",
        "CREATE FUNCTION tenant.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT 'mine'::text $$",
        "CREATE TABLE tenant.pg_class (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint, PRIMARY KEY (tenant_id, id))",
        "CREATE TABLE tenant.\"x; ALTER ROLE admin NOLOGIN; --\" (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint,
             PRIMARY KEY (tenant_id, id))",
        "GRANT SELECT ON tenant.pg_class TO PUBLIC",
    ] {
        place.sql_at(&acme, hole);
    }
    let look = "SELECT proname || proowner || prosecdef || coalesce(proacl::text, '') FROM pg_proc
                 WHERE pronamespace = 'pg_catalog'::regnamespace AND proname IN ('pg_read_file', 'set_config')
                UNION ALL SELECT relname || relowner || relrowsecurity || relacl::text FROM pg_class
                 WHERE oid = 'pg_catalog.pg_class'::regclass
                UNION ALL SELECT rolname || rolcanlogin FROM pg_roles WHERE rolname = 'admin' ORDER BY 1";
    let before = place.sql_at(&acme, look);
    let report = place.tenancy.doctor(DoctorOptions::new().read_only(true).repair(true)).await.unwrap();
    assert_eq!(place.sql_at(&acme, look), before, "{report:#?}");
    let mended = "SELECT count(*) FROM pg_class c WHERE relnamespace = 'tenant'::regnamespace AND relname LIKE 'x;%'
                    AND relrowsecurity AND relforcerowsecurity AND pg_get_userbyid(relowner) = ";
    assert_eq!(place.sql_at(&acme, &format!("{mended}'{owner}'")), "1", "{report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_its_maker_can_undo_is_named_and_left_alone_by_a_repair() {
    let place = Installation::on(Kind::PostgresRow).await;
    let acme = place.tenant("acme").await;
    for (hole, code, undo) in [
        ("CREATE TABLE tenant.leak (a int)", "tenant_column", "DROP TABLE tenant.leak"),
        ("CREATE EXTENSION dblink SCHEMA shared", "extension_member", "DROP EXTENSION dblink"),
        ("CREATE EXTENSION lo SCHEMA shared", "extension_refused", "DROP EXTENSION lo"),
        (
            "CREATE VIEW tenant.all_users AS SELECT * FROM tenant.users",
            "view_not_invoker",
            "DROP VIEW tenant.all_users",
        ),
        (
            "CREATE FUNCTION tenant.s() RETURNS void LANGUAGE sql AS 'SELECT setseed(0.5)'",
            "function_scope",
            "DROP FUNCTION tenant.s()",
        ),
        (
            "CREATE FUNCTION tenant.q() RETURNS text LANGUAGE sql AS 'SELECT query FROM pg_stat_activity LIMIT 1'",
            "function_scope",
            "DROP FUNCTION tenant.q()",
        ),
    ] {
        place.sql_at(&acme, hole);
        let report = place.tenancy.doctor(DoctorOptions::new().read_only(true).repair(true)).await.unwrap();
        assert!(codes(&report).contains(&code), "{hole}: {report:#?}");
        place.sql_at(&acme, undo);
        let after = examined(&place).await;
        assert!(after.findings.is_empty(), "{hole}: {after:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_with_its_owners_rights_outside_of_the_tenants_schemas_is_found() {
    let place = Installation::on(Kind::PostgresRow).await;
    place.tenant("acme").await;
    let database = place.database.as_ref().unwrap().name().to_owned();
    let hole = "CREATE FUNCTION public.all_users() RETURNS bigint LANGUAGE sql SECURITY DEFINER
                AS 'SELECT count(*) FROM tenant.users'";
    let report = with_hole(&place, &database, hole, "outside_definer").await;
    repaired(&place, &database, &report, "outside_definer").await;
    assert_eq!(codes(&examined(&place).await), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_superuser_has_opened_beside_the_tenants_schemas_is_found() {
    let place = Installation::on(Kind::PostgresRow).await;
    let acme = place.tenant("acme").await;
    let database = place.database.as_ref().unwrap().name().to_owned();
    let rows = place.role_of(&acme);
    let connect = format!("GRANT CONNECT ON DATABASE {database} TO PUBLIC");
    let clone = format!(
        "CREATE FUNCTION public.sc(text, text, boolean) RETURNS text LANGUAGE internal AS 'set_config_by_name';
         REVOKE ALL ON FUNCTION public.sc FROM PUBLIC; GRANT EXECUTE ON FUNCTION public.sc TO {rows}"
    );
    let parameter = format!("GRANT SET ON PARAMETER session_replication_role TO {rows}");
    let owned = format!("ALTER TABLE public.copy OWNER TO {rows}");
    let toast = format!(
        "GRANT SELECT ON {} TO PUBLIC",
        place.sql_at(&acme, "SELECT reltoastrelid::regclass FROM pg_class WHERE oid = 'tenant.users'::regclass").trim()
    );
    let text = format!("GRANT EXECUTE ON FUNCTION query_to_xml_and_xmlschema(text, boolean, boolean, text) TO {rows}");
    for (hole, code) in [
        ("CREATE FUNCTION public.run(t text) RETURNS void LANGUAGE plpgsql AS 'BEGIN EXECUTE t; END'", "outside_code"),
        ("CREATE FUNCTION public.peek(t text) RETURNS boolean LANGUAGE sql LEAKPROOF AS 'SELECT true'", "outside_code"),
        (&clone, "outside_code"),
        (
            "CREATE TABLE public.copy AS SELECT * FROM tenant.users; GRANT SELECT ON public.copy TO PUBLIC",
            "outside_relation",
        ),
        (
            "CREATE SCHEMA rep; GRANT USAGE ON SCHEMA rep TO PUBLIC; CREATE VIEW rep.st AS SELECT stavalues1::text FROM pg_statistic;
             GRANT SELECT ON rep.st TO PUBLIC",
            "outside_relation",
        ),
        ("GRANT SELECT (username) ON public.copy TO PUBLIC", "outside_relation"),
        (&owned, "outside_relation"),
        (&toast, "outside_relation"),
        ("GRANT CREATE ON SCHEMA rep TO PUBLIC", "may_create"),
        ("REVOKE USAGE ON SCHEMA shared FROM PUBLIC", "shared_closed"),
        (
            "CREATE EXTENSION postgres_fdw SCHEMA rep; CREATE SERVER loop FOREIGN DATA WRAPPER postgres_fdw;
             GRANT USAGE ON FOREIGN SERVER loop TO PUBLIC",
            "outside_server",
        ),
        (&text, "catalog_opened"),
        (
            "CREATE FUNCTION public.stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER audit BEFORE INSERT ON tenantry.work FOR EACH ROW EXECUTE FUNCTION public.stamp()",
            "ledger_opened",
        ),
        ("ALTER TABLE tenantry.work OWNER TO {rows_owner}", "ledger_opened"),
        (
            "CREATE FUNCTION public.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
             CREATE EVENT TRIGGER innocent ON ddl_command_end EXECUTE FUNCTION public.on_ddl();
             CREATE FUNCTION tenant.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
             ALTER FUNCTION tenant.on_ddl() OWNER TO {rows_owner};
             CREATE EVENT TRIGGER on_ddl ON ddl_command_end EXECUTE FUNCTION tenant.on_ddl()",
            "event_trigger",
        ),
        (
            "CREATE OR REPLACE FUNCTION tenantry.tenant() RETURNS uuid LANGUAGE plpgsql STABLE AS
             $$ BEGIN RETURN nullif(current_setting('tenantry.tenant', true), '')::uuid; END $$",
            "tenant_function",
        ),
        ("CREATE FUNCTION tenantry.run() RETURNS int LANGUAGE sql AS 'SELECT 1'", "outside_code"),
        (
            "CREATE AGGREGATE public.sc(text, boolean) (SFUNC = set_config, STYPE = text, INITCOND = 'role')",
            "outside_code",
        ),
        ("GRANT EXECUTE ON FUNCTION lo_get(oid) TO PUBLIC", "large_objects_opened"),
        (&parameter, "parameter_opened"),
        ("ALTER FUNCTION pg_catalog.int8div(bigint, bigint) LEAKPROOF", "server_function"),
        ("ALTER FUNCTION pg_catalog.int4eq(int, int) COST 0.0001", "server_function"),
        ("ALTER FUNCTION pg_catalog.version() SECURITY DEFINER", "server_function"),
        ("ALTER FUNCTION pg_catalog.version() SET work_mem = '1MB'", "server_function"),
        (
            "DO $$ BEGIN EXECUTE 'ALTER FUNCTION pg_catalog.version() OWNER TO ' || quote_ident('{rows_owner}'); END $$",
            "server_function",
        ),
        ("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET track_counts = off', current_database()); END $$", "role_setting"),
        (
            "CREATE FUNCTION public.ided(boolean) RETURNS uuid LANGUAGE sql AS 'SELECT gen_random_uuid()';
             CREATE CAST (boolean AS uuid) WITH FUNCTION public.ided(boolean) AS ASSIGNMENT",
            "outside_cast",
        ),
        ("ALTER FUNCTION tenantry.missing() RESET search_path", "slot_function"),
        (
            "CREATE OR REPLACE FUNCTION tenantry.missing() RETURNS SETOF bigint LANGUAGE sql STABLE SECURITY DEFINER
             SET search_path = pg_catalog, pg_temp AS 'SELECT id FROM tenant.users'",
            "slot_function",
        ),
        (&connect, "may_connect"),
    ] {
        let hole = &hole.replace("{rows_owner}", &rows.replace("_rows", "_rows_owner"));
        let report = with_hole(&place, &database, hole, code).await;
        repaired(&place, &database, &report, code).await;
        assert!(!codes(&examined(&place).await).contains(&code), "{hole}");
    }
    assert_eq!(codes(&examined(&place).await), [""; 0]);
}

/// The role of a tenant of schema isolation is a role that nobody signs in as: a repair for a login of its own would stop the tenant.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_role_that_may_sign_in_is_found_and_its_repair_leaves_the_tenant_served() {
    let place = Installation::on(Kind::PostgresSchema).await;
    let acme = place.tenant("acme").await;
    let server = place.database.as_ref().unwrap().server();
    server.sql("postgres", &format!("ALTER ROLE {} LOGIN PASSWORD 'x'", place.role_of(&acme))).unwrap();
    let report = examined(&place).await;
    assert_eq!(codes(&report), ["role_attribute"], "{report:#?}");
    let repaired = place.tenancy.doctor(DoctorOptions::new().read_only(true).repair(true)).await.unwrap();
    assert!(!repaired.repaired.is_empty(), "{repaired:#?}");
    assert_eq!(codes(&examined(&place).await), [""; 0]);
    user_add(&acme, "ann").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_drifted_is_reported_although_the_canaries_cannot_be_tried_with_it() {
    let place = Installation::on(Kind::PostgresRow).await;
    let server = place.database.as_ref().unwrap().server();
    let login = place.login("row");
    server.sql("postgres", &format!("ALTER ROLE {login} BYPASSRLS")).unwrap();
    let report = place.tenancy.doctor(DoctorOptions::new()).await.unwrap();
    let codes = codes(&report);
    assert!(codes.contains(&"role_attribute") && codes.contains(&"canary_failed"), "{report:#?}");
    server.sql("postgres", &format!("ALTER ROLE {login} NOBYPASSRLS")).unwrap();
    let report = place.tenancy.doctor(DoctorOptions::new()).await.unwrap();
    assert!(report.findings.is_empty(), "{report:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_database_on_postgres_that_was_opened_to_others_is_found() {
    let place = Installation::on(Kind::PostgresDatabase).await;
    let acme = place.tenant("acme").await;
    let own = place.database.as_ref().unwrap().sql(
        "SELECT datname FROM pg_database d WHERE datname LIKE 'tn\\_%\\_t\\_%' AND datdba = 10 ORDER BY oid DESC LIMIT 1",
    );
    let own = own.unwrap().trim().to_owned();
    let main = place.database.as_ref().unwrap().name().to_owned();
    let before = examined(&place).await;
    assert!(before.findings.is_empty(), "{:#?}", before.findings);
    let definer =
        "CREATE FUNCTION shared.whoami() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT current_user::text'";
    place.sql_at(&acme, definer);
    let report = examined(&place).await;
    assert!(codes(&report).contains(&"outside_definer"), "{report:#?}");
    place.sql_at(&acme, "DROP FUNCTION shared.whoami()");
    let hole = format!("GRANT CONNECT ON DATABASE {own} TO PUBLIC");
    let server = place.database.as_ref().unwrap().server();
    server.sql(&main, &hole).unwrap();
    let report = examined(&place).await;
    assert!(!report.findings.is_empty(), "everybody may connect");
    server.sql(&main, &format!("REVOKE ALL ON DATABASE {own} FROM PUBLIC")).unwrap();
    assert!(examined(&place).await.findings.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orphan_on_postgres_is_removed_and_a_strangers_place_is_left_alone() {
    for kind in [Kind::PostgresSchema, Kind::PostgresDatabase] {
        let place = Installation::on(kind).await;
        let acme = place.tenant("acme").await;
        let id = acme.tenant().id.as_uuid().as_simple().to_string();
        place.tenancy.tenant_delete("acme").await.unwrap();
        place.tenancy.tenant_purge("acme").await.unwrap();
        // What a restored server brings back.
        let database = place.database.as_ref().unwrap();
        database.sql(&format!("CREATE SCHEMA t_{id}; CREATE SCHEMA t_{}", "0".repeat(32))).unwrap();
        let report = place.tenancy.doctor(DoctorOptions::new().read_only(true).repair(true)).await.unwrap();
        assert!(codes(&report).contains(&"stranger"), "{report:#?}");
        assert!(report.repaired.iter().any(|what| what.contains(&id)), "{report:#?}");
        let left = database.sql("SELECT nspname FROM pg_namespace WHERE nspname LIKE 't\\_%' AND length(nspname) = 34");
        assert_eq!(left.unwrap().trim(), format!("t_{}", "0".repeat(32)), "{kind:?}");
    }
}
