use super::*;

fn code(body: &str) -> Option<&'static str> {
    read(body, false, Rules::Row).map(|fault| fault.code)
}

#[test]
fn what_outlives_the_call_is_found_in_every_spelling() {
    for body in [
        "SET TIME ZONE 'Asia/Tokyo'",
        "set session characteristics as transaction read only",
        "SET app.v2x = 'a'; SELECT 1",
        "SELECT 1; SET NAMES 'latin1'",
        "BEGIN SET/**/app.x TO 1; END",
        "BEGIN IF true THEN SET SESSION x = 1; END IF; END",
        "BEGIN <<here>> SET x = DEFAULT; END",
        "BEGIN SET local.x = 1; END",
        "SET constraints.x = 1",
        "SET \"TimeZone\" = 'UTC'",
        "RESET ALL",
        "BEGIN RESET timezone; END",
        "LISTEN c",
        "BEGIN UNLISTEN *; END",
        "NOTIFY c, 'x'",
        "SELECT pg_notify('c', 'x')",
        "DISCARD PLANS",
        "LOAD 'auto_explain'",
        "PREPARE p AS SELECT 1",
        "ALTER ROLE CURRENT_USER SET timezone = 'UTC'",
        "BEGIN ALTER DATABASE d SET a.b = 1; END",
        "SELECT setseed(0.5)",
        "SELECT \"setseed\" (0.5)",
        "SELECT pg_catalog.set_config /* here */ ('a.b', 'c', false)",
        "SELECT pg_advisory_lock(1)",
        "BEGIN PERFORM pg_try_advisory_lock_shared(1); END",
        "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
        "SET LOCAL ROLE x",
        "SET LOCAL seed = 0.5",
        "SET LOCAL \"SEARCH_PATH\" = x",
        "SET LOCAL SCHEMA 'x'",
        "SET LOCAL tenantry . tenant = 'x'",
        "SET LOCAL SESSION AUTHORIZATION DEFAULT",
        "BEGIN EXECUTE 'set x = ''1'''; END",
        "BEGIN EXECUTE $a$DO $b$ BEGIN EXECUTE 'reset all'; END $b$$a$; END",
        "DO $$ BEGIN SET x = 1; END $$",
        "BEGIN COMMIT; END",
        "BEGIN ROLLBACK AND CHAIN; END",
        "SELECT U&\"set\\005fconfig\"('a.b', 'c', false)",
        "SELECT 'open",
        "SELECT (k).pg_advisory_lock INTO r",
        "SELECT (k).\"setseed\"",
        "SELECT ('c'::text) /* here */ . dblink_connect",
        "BEGIN RETURN QUERY RESET ALL; END",
        "BEGIN NULL; EXCEPTION WHEN query_canceled THEN NULL; END",
        "BEGIN NULL; EXCEPTION WHEN SQLSTATE '57014' THEN NULL; END",
        "BEGIN NULL; EXCEPTION WHEN SQLSTATE E'5701\\x34' THEN NULL; END",
        "BEGIN NULL; EXCEPTION WHEN SQLSTATE $x$57014$x$ THEN NULL; END",
        "BEGIN NULL; EXCEPTION WHEN SQLSTATE '570'\n'14' THEN NULL; END",
    ] {
        assert_eq!(code(body), Some(SCOPE), "{body}");
    }
}

#[test]
fn a_look_at_what_others_do_is_found_in_every_spelling() {
    for body in [
        "SELECT lastval()",
        "SELECT (k).currval",
        "SELECT currval('users_id_seq')",
        "SELECT query FROM pg_stat_activity WHERE usename = session_user",
        "TABLE pg_catalog . \"pg_locks\"",
        "SELECT * FROM pg_stat_get_activity(NULL)",
        "SELECT statement FROM pg_prepared_statements",
        "SELECT * FROM pg_cursors",
        "SELECT * FROM pg_listening_channels()",
        "SELECT query_to_xml('set role none', true, true, '')",
        "SELECT * FROM ts_stat('select 1')",
        "SELECT * FROM dblink('c', 'x') t(a int)",
        "SELECT lo_get(1)",
        "SELECT current_setting('tenantry.tenant')",
    ] {
        assert_eq!(code(body), Some(SCOPE), "{body}");
    }
}

#[test]
fn a_plan_is_not_told_wherever_a_statement_may_stand() {
    for body in [
        "EXPLAIN SELECT 1",
        "BEGIN RETURN QUERY EXPLAIN (ANALYZE) SELECT 1; END",
        "BEGIN FOR r IN EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1 LOOP NULL; END LOOP; END",
        "DECLARE c CURSOR FOR EXPLAIN SELECT 1; BEGIN NULL; END",
        "DECLARE c CURSOR IS EXPLAIN SELECT 1; BEGIN NULL; END",
        "BEGIN OPEN c FOR EXPLAIN VERBOSE SELECT 1; END",
        "BEGIN EXECUTE 'EXPLAIN SELECT 1' INTO r; END",
        "BEGIN ANALYZE users; END",
        "BEGIN ANALYZE; END",
        "BEGIN ANALYZE (VERBOSE) users; END",
        "VACUUM users",
    ] {
        assert_eq!(code(body), Some(DEFINES), "{body}");
    }
}

#[test]
fn a_text_that_is_put_together_is_not_run() {
    for body in [
        "BEGIN EXECUTE what; END",
        "BEGIN EXECUTE 'SELECT ' || what; END",
        "BEGIN EXECUTE format('SELECT %I', what); END",
        "BEGIN RETURN QUERY EXECUTE what; END",
        "BEGIN FOR r IN EXECUTE what LOOP END LOOP; END",
        "BEGIN OPEN c FOR EXECUTE what; END",
        "BEGIN EXECUTE E'se\\x74 role x'; END",
        "BEGIN EXECUTE 'se'\n't role x'; END",
        "BEGIN EXECUTE function; END",
        "BEGIN EXECUTE on; END",
        "EXECUTE prepared",
    ] {
        assert_eq!(code(body), Some(DYNAMIC), "{body}");
    }
}

#[test]
fn what_ends_with_the_call_is_left_alone() {
    for body in [
        "UPDATE users SET role = 'x', search_path = 'y' WHERE reset",
        "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET b = 1",
        "MERGE INTO t USING s ON true WHEN MATCHED THEN UPDATE SET a = 1",
        "BEGIN SET LOCAL statement_timeout = '1s'; SET CONSTRAINTS ALL DEFERRED; END",
        "BEGIN SET TRANSACTION READ ONLY; END",
        "BEGIN notify := true; load = 1; END",
        "BEGIN EXECUTE 'SELECT count(*) FROM users WHERE id = $1' INTO n USING 1; END",
        "BEGIN FOR r IN EXECUTE 'SELECT 1' LOOP NULL; END LOOP; END",
        "BEGIN RAISE NOTICE 'set role %', 'reset all'; NEW.updated_at := now(); RETURN NEW; END",
        "SELECT pg_advisory_xact_lock(1), nextval('s'), tenantry.tenant(), currval",
        "-- SET role\n/* lastval() */ SELECT 1",
        "SELECT NEW.execute FROM t",
        "SELECT o.lo_orderkey, explain, t.explain FROM lineorder o",
        "BEGIN NULL; EXCEPTION WHEN SQLSTATE '23505' THEN RAISE SQLSTATE $x$22012$x$; END",
        "DECLARE lock int; BEGIN FOR lock IN SELECT 1 FOR UPDATE LOOP NULL; END LOOP; END",
    ] {
        assert_eq!(code(body), None, "{body}");
    }
    assert_eq!(code("BEGIN LOCK TABLE users IN ACCESS EXCLUSIVE MODE; END"), Some(LOCKS));
    for setting in ["enable_seqscan = off", "work_mem = '64MB'", "client_min_messages = debug5"] {
        assert_eq!(code(&format!("BEGIN SET LOCAL {setting}; END")), Some(PLANS), "{setting}");
    }
}

#[test]
fn behind_what_a_tenants_own_tables_allow_is_read_on() {
    for allowed in
        ["LOCK TABLE users IN SHARE MODE", "SET LOCAL enable_seqscan = off", "EXECUTE 'SET LOCAL jit_above_cost = 1'"]
    {
        let own = |body: String| read(&body, false, Rules::Own).map(|fault| fault.code);
        assert_eq!(own(format!("BEGIN {allowed}; END")), None, "{allowed}");
        assert_eq!(own(format!("BEGIN {allowed}; SET LOCAL ROLE x; END")), Some(SCOPE), "{allowed}");
        assert_eq!(own(format!("BEGIN {allowed}; EXECUTE what; END")), Some(DYNAMIC), "{allowed}");
    }
}
