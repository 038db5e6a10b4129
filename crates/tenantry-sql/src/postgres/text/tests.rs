use proptest::prelude::*;

use super::*;

const READS: PgText = PgText { reads_only: true, plain: true, ..PgText::UNSURE };
const WRITES: PgText = PgText { plain: true, ..PgText::UNSURE };

fn all(expected: PgText, texts: &[&str]) {
    for sql in texts {
        let read = read(sql).expect(sql);
        assert_eq!(
            PgText { explains: false, defines: false, steers_plans: false, shows_lockers: false, ..read },
            expected,
            "{sql}"
        );
    }
}

#[test]
fn a_plain_read_may_run_read_only() {
    all(
        READS,
        &[
            "SELECT 1",
            "  -- c\n select a from b where c = $1 and d in (1, 2) order by lower(e) limit 1;",
            "/*/**/*/ VALUES (1), (2)",
            "TABLE users",
            "(SELECT 1) UNION (SELECT 2)",
            "WITH a AS (SELECT 1), b AS NOT MATERIALIZED (VALUES (1)) SELECT count(*) FROM a, b",
            "WITH RECURSIVE insert AS (SELECT 1) SELECT pg_catalog.now() FROM insert",
            "WITH RECURSIVE a AS (SELECT 1) CYCLE x SET y USING z SELECT 1",
            "WITH RECURSIVE a AS (SELECT 1 AS set) SEARCH DEPTH FIRST BY set SET cycle SELECT 1",
            "WITH RECURSIVE a AS (SELECT 1 AS set, 2 AS using) CYCLE set, using SET set USING using SELECT 1",
            "WITH RECURSIVE a AS (SELECT 1) SEARCH BREADTH FIRST BY x, y SET o CYCLE x SET y TO true DEFAULT false USING z, b AS (TABLE a) TABLE b",
            "SELECT 'x; COMMIT', E'\\'; COMMIT --', $$; COMMIT$$, \"commit\" FROM t -- ; COMMIT",
            "SELECT substring(a FROM 1 FOR 2), b::numeric(10,2) FROM t",
            "SHOW search_path",
            "EXPLAIN INSERT INTO t VALUES (1)",
            "EXPLAIN (COSTS OFF, VERBOSE) DELETE FROM t",
            "EXPLAIN ANALYZE SELECT 1",
            "EXPLAIN (SELECT 1)",
        ],
    );
}

#[test]
fn a_plain_change_leaves_nothing_but_its_rows() {
    all(
        WRITES,
        &[
            "INSERT INTO t (a) VALUES ($1) ON CONFLICT (tenant_id, a) DO NOTHING RETURNING id",
            "insert into t with x as (select 1) select * from x",
            "UPDATE t SET role = 'x', search_path = 'y' WHERE id = 1",
            "delete from only t using u where t.a = u.a;;",
            "MERGE INTO t USING u ON t.a = u.a WHEN NOT MATCHED THEN INSERT (a) VALUES (u.a)",
            "WITH x AS (INSERT INTO t VALUES (1) RETURNING a) SELECT a FROM x",
            "with x as (select 1) insert into t select * from x",
            "WITH x AS (WITH y AS (SELECT 1) DELETE FROM t RETURNING 1) TABLE x",
            "WITH RECURSIVE a AS (SELECT 1) SEARCH DEPTH FIRST BY x SET o INSERT INTO t SELECT x FROM a ORDER BY o",
            "SELECT a FROM t FOR UPDATE",
            "SELECT a FROM t FOR NO KEY UPDATE SKIP LOCKED",
            "SELECT nextval('s'), setval('s', 1)",
            "SELECT pg_notify('a', 'b')",
            "SELECT create_order($1)",
            "SELECT mine.count(1)",
            "WITH a (b) AS (SELECT 1) SELECT b FROM a",
            "EXPLAIN ANALYZE INSERT INTO t VALUES (1)",
            "EXPLAIN (ANALYZE false) UPDATE t SET a = 1",
        ],
    );
}

#[test]
fn what_no_reset_takes_back_is_told() {
    for sql in [
        "SELECT setseed(0.42)",
        "select pg_catalog.\"SETSEED\" (0.1)",
        "SET seed = 0.5",
        "SET LOCAL seed TO 0.5",
        "set session \"SEED\" to 0.5",
        "SELECT 1; SET seed TO 1",
        "SELECT set_config('se' || 'ed', '0.5', false)",
        "UPDATE pg_settings SET setting = '0.5' WHERE name = 'seed'",
        "DO $$ BEGIN PERFORM setseed(0.5); END $$",
        "SELECT query_to_xml('select setseed(0.5)', true, true, '')",
        "SELECT * FROM ts_stat('select setseed(0.5)')",
        "SELECT setseed(0.5), 'x",
    ] {
        assert!(read(sql).expect(sql).outlives_reset, "{sql}");
    }
    for sql in ["SELECT 1", "SET work_mem = '1MB'", "UPDATE t SET seed = 1", "SELECT 'setseed(1)' AS a", "LOCK TABLE t"]
    {
        assert!(!read(sql).expect(sql).outlives_reset, "{sql}");
    }
}

#[test]
fn a_lock_on_a_table_is_told() {
    for sql in ["LOCK TABLE t", "lock t in share mode", "SELECT 1; LOCK t", "/* x */ Lock only t"] {
        assert!(read(sql).expect(sql).locks_tables, "{sql}");
    }
    for sql in ["SELECT lock FROM t", "SELECT a FROM t FOR UPDATE", "UPDATE t SET lock = 1"] {
        assert!(!read(sql).expect(sql).locks_tables, "{sql}");
    }
}

#[test]
fn what_steers_plans_is_told_from_other_settings() {
    for sql in [
        "SET enable_bitmapscan = on",
        "SET LOCAL \"Enable_SeqScan\" TO off",
        "set session /* x */ cpu_operator_cost = 0",
        "SELECT 1; SET LOCAL work_mem = 64",
        "SET gin_fuzzy_search_limit = 1",
        "SET local = 1",
        "SET plan_cache_mode = force_generic_plan",
        "SET anything_new = 1",
    ] {
        assert!(read(sql).expect(sql).steers_plans, "{sql}");
    }
    for sql in [
        "SET LOCAL statement_timeout = 0",
        "SET TIME ZONE 'UTC'",
        "SET LOCAL TimeZone = 'UTC'",
        "SET CONSTRAINTS ALL DEFERRED",
        "SET XML OPTION DOCUMENT",
        "SET local.x = 1",
        "SET LOCAL app.enable_seqscan = 1",
        "RESET enable_bitmapscan",
        "SHOW work_mem",
        "UPDATE t SET work_mem = 1",
    ] {
        assert!(!read(sql).expect(sql).steers_plans, "{sql}");
    }
}

#[test]
fn what_may_outlive_its_transaction_keeps_the_taint() {
    for sql in [
        "SET statement_timeout = 0",
        "SET LOCAL work_mem TO '1MB'",
        "SET TIME ZONE 'UTC'",
        "SET local.x = 1",
        "SET CONSTRAINTS ALL DEFERRED",
        "CREATE TEMP TABLE x (a int)",
        "DO $$ BEGIN NULL; END $$",
        "CALL p()",
        "LOCK TABLE t",
        "SELECT 1; SELECT 2",
        "SELECT * INTO TEMP x FROM t",
        "SELECT 1 insert INTO TEMP x",
        "SELECT (1) insert INTO TEMP x",
        "WITH a AS (SELECT 1) SELECT (1) insert INTO TEMP x",
        "WITH a AS (SELECT 1) SELECT 1 INTO x",
        "WITH a AS (SELECT 1 INTO x) SELECT 1",
        "INSERT INTO t SELECT 1 INTO x",
        "SELECT set_config('role', 'x', false)",
        "SELECT SET_CONFIG('a.b', 'x', false)",
        "SELECT pg_catalog.\"set_config\"('a.b', 'x', false)",
        "UPDATE pg_settings SET setting = 'x' WHERE name = 'role'",
        "select pg_advisory_lock(1)",
        "select pg_try_advisory_xact_lock(1)",
        "select * from dblink('', '') as t(a int)",
        "select query_to_xml('select 1', true, true, '')",
        "select * from ts_stat('select 1')",
        "select ts_rewrite('a', 'select 1')",
        "FETCH ALL FROM c",
        "DECLARE c CURSOR FOR SELECT 1",
        "NOTIFY a",
        "SELECT 'x",
        "SELECT 1 /*",
        "EXPLAIN CREATE TABLE x AS SELECT 1",
        "WITH RECURSIVE a AS (SELECT 1) CYCLE x SET y",
        "WITH RECURSIVE a AS (SELECT 1) SEARCH DEPTH FIRST BY x SET y SELECT 1 AS x INTO b",
        "WITH RECURSIVE a (set) AS (SELECT 1) SEARCH DEPTH FIRST BY set SET cycle \
         SELECT 1 AS using, merge INTO b FROM (SELECT 1 AS merge) q",
        "WITH RECURSIVE a (set) AS (SELECT 1) CYCLE set SET set USING using SELECT 1 AS using, merge INTO b FROM c",
        "WITH RECURSIVE a AS (SELECT 1) SEARCH FIRST BY x SET y SELECT 1",
        "WITH RECURSIVE a AS (SELECT 1) CYCLE x SET y TO date '2000-01-01' DEFAULT date '2001-01-01' USING z SELECT 1",
        "WITH RECURSIVE a AS (SELECT 1) CYCLE x SET y USING z, b AS (SELECT 1) SELECT 1 AS x INTO c",
        "with",
        "with a",
        "with a as",
        "with a as (",
        "explain",
        "explain (",
        "",
        ";",
        "gibberish",
        "'x'",
    ] {
        let text = read(sql).expect(sql);
        assert!(!text.plain, "{sql}");
    }
}

/// Each is refused; any of its words may be put apart by comments.
const REFUSED: &[&str] = &[
    "BEGIN",
    "START TRANSACTION READ ONLY",
    "COMMIT",
    "COMMIT AND CHAIN",
    "END",
    "ROLLBACK",
    "ROLLBACK TO SAVEPOINT a",
    "ABORT",
    "SAVEPOINT a",
    "RELEASE a",
    "PREPARE TRANSACTION 'x'",
    "COMMIT PREPARED 'x'",
    "ROLLBACK PREPARED 'x'",
    "SET ROLE x",
    "SET SESSION ROLE x",
    "SET LOCAL ROLE NONE",
    "SET role TO x",
    "SET \"role\" TO 'x'",
    "SET \"ROLE\" = 'x'",
    "RESET ROLE",
    "SET SESSION AUTHORIZATION x",
    "SET LOCAL SESSION AUTHORIZATION DEFAULT",
    "SET SESSION SESSION AUTHORIZATION x",
    "SET session_authorization = x",
    "RESET SESSION AUTHORIZATION",
    "RESET ALL",
    "DISCARD ALL",
    "DISCARD PLANS",
    "SET search_path = x",
    "SET \"search_path\" TO x",
    "SET LOCAL \"Search_Path\" TO x",
    "SET SCHEMA 'x'",
    "SET LOCAL SCHEMA 'x'",
    "RESET search_path",
    "SET LOCAL tenantry . tenant TO 'x'",
    "SET \"tenantry\" . tenant = 'x'",
    "SET \"tenantry.tenant\" = 'x'",
    "RESET TENANTRY . tenant",
    "SET row_security = off",
    "SET standard_conforming_strings = off",
    "SET client_encoding = 'GBK'",
    "SET LOCAL \"CLIENT_ENCODING\" TO SJIS",
    "SET SESSION client_encoding TO DEFAULT",
    "SET NAMES 'BIG5'",
    "SET LOCAL NAMES 'GBK'",
    "SET U&\"search\\005fpath\" = x",
    "SELECT U&\"\\0073et_config\" ( 'a.b' , 'x' , false )",
    "SELECT lo_get ( 1 )",
    "SELECT * FROM pg_stat_activity",
    "SELECT statement FROM pg_catalog . \"pg_prepared_statements\"",
    "SELECT * FROM pg_prepared_statement ( )",
    "SELECT pg_terminate_backend ( 1 )",
    "ALTER ROLE CURRENT_USER SET row_security = off",
    "ALTER SYSTEM SET x = 1",
    "REASSIGN OWNED BY a TO b",
    "SELECT currval ( 'a' )",
    "SELECT ( 'a' :: regclass ) . currval",
    "SELECT * FROM pg_locks",
    "SELECT ( pg_catalog . pg_lock_status ( ) ) . relation",
    "SELECT pg_blocking_pids ( 1 )",
    "SET TRANSACTION READ WRITE",
    "SET LOCAL TRANSACTION ISOLATION LEVEL SERIALIZABLE",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "LISTEN a",
    "UNLISTEN *",
    "PREPARE a AS SELECT 1",
    "EXECUTE a",
    "EXPLAIN ANALYZE EXECUTE a",
    "EXPLAIN ( ANALYZE ) EXECUTE a",
    "CREATE TABLE t AS EXECUTE a",
    "CREATE TEMP TABLE IF NOT EXISTS t ( b ) AS EXECUTE a ( 1 )",
    "EXPLAIN ( VERBOSE , COSTS OFF ) CREATE TABLE t AS EXECUTE sqlx_s_1",
    "SELECT pg_stat_get_xact_tuples_returned ( 1 )",
    "SELECT * FROM pg_stat_xact_user_tables",
    "SELECT idx_scan FROM pg_catalog . \"pg_stat_user_indexes\"",
    "SELECT * FROM pg_statio_user_tables",
    "DEALLOCATE ALL",
    "COPY t FROM STDIN",
    "COPY ( SELECT 1 ) TO STDOUT",
    "DECLARE cursor BINARY CURSOR WITH HOLD FOR SELECT 1",
];

fn refused(sql: &str) -> bool {
    read(sql).is_err_and(|error| !error.instead().is_empty())
}

#[test]
fn what_steers_the_transaction_or_the_scope_is_refused_with_the_call_to_use_instead() {
    for sql in REFUSED {
        for whole in [sql.to_string(), format!("SELECT 1; {sql}"), format!("{sql}; SELECT 1"), format!("(; {sql}; '")] {
            assert!(refused(&whole), "{whole}");
        }
    }
    let error = read("commit").expect_err("it is refused");
    assert_eq!(error.to_string(), "`COMMIT` cannot be sent as text");
    assert!(error.instead().contains("tx.commit()"));
    assert!(read("SELECT '\0'").is_err() && read("COMMIT\0'").is_err());
}

#[test]
fn a_commit_hides_in_nothing() {
    for sql in [
        "select 1; commit",
        "select E'\\''; commit --'",
        "select '\\'; commit --'",
        "select $$'$$; commit; select $$'$$",
        "select a$b$; commit; select $b$",
        "-- x\rcommit",
        "/*/**/*/ commit",
        "create function f() returns int begin atomic select 1 as case; end; commit",
        "create function f() returns int begin atomic select 1; end; end",
        "create rule r as on insert to t do (select 1; commit)",
        "\u{a0}a; commit",
        "select 'a'\n'b'; commit",
        "select 'a' -- '\n'b'; commit",
    ] {
        assert!(refused(sql), "{sql}");
    }
    for sql in [
        "select 'a' -- b\n '; commit'",
        "select 1 /* /* */ ; commit */",
        "select $é$; commit $$ $é$",
        "create function f() returns int begin atomic select case when true then 1 end; end",
        "select U&'\\0027; commit'",
        "commits",
        "\"commit\"",
        "SET client_encoding = 'UTF8'",
        "reset client_encoding",
        "select lo_price, hi_price from prices where lo_price in (1, 2)",
    ] {
        assert!(read(sql).is_ok(), "{sql}");
    }
}

#[test]
fn a_copy_call_takes_one_copy_of_the_clients_own_stream() {
    use CopyDirection::{In, Out};
    for (sql, way) in [
        ("COPY t FROM STDIN", In),
        ("copy a.\"B\" (c, d) from stdin with (format csv);", In),
        ("COPY (SELECT a FROM (SELECT 1) b) TO STDOUT", Out),
        ("/* x */ COPY t /* to */ TO stdout (FORMAT binary)", Out),
        ("COPY BINARY t TO STDOUT", Out),
        ("COPY binary TO STDOUT", Out),
    ] {
        assert_eq!(copy_direction(sql).expect(sql), way, "{sql}");
    }
    for sql in [
        "COPY t TO '/tmp/x'",
        "COPY t FROM PROGRAM 'id'",
        "COPY t TO PROGRAM $$id$$",
        "COPY t TO STDIN",
        "COPY t FROM STDOUT",
        "COPY t FROM STDIN; COMMIT",
        "COPY t FROM STDIN; COPY t FROM STDIN",
        "SELECT 1",
        "COPY",
        "COPY (",
        "COPY t FROM STDIN '",
        "",
        "COPY (SELECT query FROM pg_stat_activity) TO STDOUT",
        "COPY (SELECT lastval()) TO STDOUT",
        "COPY (SELECT lo_get(1)) TO STDOUT",
        "COPY (SELECT * FROM U&\"pg_stat\\005factivity\") TO STDOUT",
        "COPY pg_prepared_statements TO STDOUT",
    ] {
        assert!(copy_direction(sql).is_err_and(|error| !error.instead().is_empty()), "{sql}");
    }
}

fn gap() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![
            Just(" "),
            Just("\n"),
            Just("\t"),
            Just("\r"),
            Just("/* ' ; $$ */"),
            Just("/*/**/*/"),
            Just("-- \" ' /*\n")
        ],
        1..4,
    )
    .prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(sql in ".{0,200}") {
        let _ = (read(&sql), copy_direction(&sql));
    }

    #[test]
    fn no_order_of_words_makes_it_panic(words in prop::collection::vec(prop_oneof![
        Just("with"), Just("as"), Just("("), Just(")"), Just(","), Just("select"), Just("explain"), Just("copy"), Just("set"),
        Just("session"), Just("."), Just("into"), Just("insert"), Just("to"), Just("\"a\""), Just("["), Just("declare"), Just(";"),
    ], 0..12)) {
        let _ = (read(&words.join(" ")), copy_direction(&words.join(" ")));
    }

    #[test]
    fn neither_comments_nor_case_change_a_refusal(which in 0..REFUSED.len(), gaps in prop::collection::vec(gap(), 16), upper in any::<u32>()) {
        let case = |(at, word): (usize, &str)| match (upper >> at & 1, word.starts_with("U&") || word.starts_with('\'')) {
            (_, true) => word.to_owned(),
            (1, _) => word.to_uppercase(),
            _ => word.to_lowercase(),
        };
        let words: Vec<_> = REFUSED[which].split(' ').enumerate().map(case).collect();
        let sql: String = words.iter().zip(&gaps).map(|(word, gap)| format!("{gap}{word}")).collect();
        prop_assert!(refused(&sql), "{sql}");
    }

    #[test]
    fn a_commit_behind_any_text_is_seen(inside in "[^'\0]{0,40}") {
        let sql = format!("SELECT '{inside}'; COMMIT");
        prop_assert!(refused(&sql));
    }
}

#[test]
fn what_only_an_owner_may_do_is_seen_behind_explain_too_and_so_is_that_itself() {
    for sql in [
        "CREATE TRIGGER t BEFORE INSERT ON a EXECUTE FUNCTION b()",
        "select 1; ALTER TABLE a ADD b int",
        "COMMENT ON COLUMN a.b IS 'c'",
        "explain analyze create table a as select 1",
        "vacuum a",
        "select a into b from c",
        "with a as (select 1 as b) select b into c from a",
    ] {
        assert!(read(sql).expect(sql).defines, "{sql}");
    }
    for sql in ["SELECT 1", "INSERT INTO comment VALUES (1)", "explain select 1", "with a as (select 1) table a"] {
        assert!(!read(sql).expect(sql).defines, "{sql}");
    }
    for sql in [
        "EXPLAIN ANALYZE SELECT 1",
        "select 1; explain (costs off, \"analyze\") select 1",
        "explain analyse verbose select 1",
        "EXPLAIN SELECT 1",
        "/* x */ explain (buffers) table a",
    ] {
        assert!(read(sql).expect(sql).explains, "{sql}");
    }
    for sql in ["SELECT explain FROM a", "select 1 as explain", "ANALYZE t"] {
        assert!(!read(sql).expect(sql).explains, "{sql}");
    }
}

#[test]
fn of_the_locks_on_a_row_a_text_may_ask_only_whether_there_are_none() {
    for sql in [
        "INSERT INTO a VALUES (1) ON CONFLICT DO NOTHING RETURNING (xmax = 0) AS inserted",
        "INSERT INTO a VALUES (1) RETURNING id, xmax::text = '0' AS inserted",
        "insert into a values (1) returning a.xmax <> 0, b",
        "SELECT CASE WHEN xmax::text = '0' THEN 1 END FROM a WHERE a.\"xmax\" != 0 AND b",
        "SELECT st_xmax(b) FROM a",
    ] {
        assert!(!read(sql).expect(sql).shows_lockers, "{sql}");
    }
    for sql in [
        "SELECT xmax FROM a",
        "SELECT a.xmax::text FROM a",
        "SELECT \"xmax\" FROM a",
        "SELECT XMAX = 7 FROM a",
        "SELECT xmax = 0 + 7 FROM a",
        "SELECT 7 - xmax::text::int = 0 FROM a",
        "SELECT f(xmax) = 0 FROM a",
        "SELECT age(xmax) FROM a",
        "SELECT xmax::text = '0' || '' FROM a",
        "SELECT xmax::text::uuid::text = '0' FROM a",
        "SELECT xmax::text::int = 0 FROM a",
        "SELECT xmax::int2 = 0 FROM a",
        "SELECT xmax::a.small = 0 FROM a",
        "SELECT 7 BETWEEN 1 AND xmax::text = '0' FROM a",
        "SELECT 1 FROM a ORDER BY xmax",
        "UPDATE a SET b = xmax::text::int",
    ] {
        assert!(read(sql).expect(sql).shows_lockers, "{sql}");
    }
    assert!(copy_direction("COPY (SELECT xmax FROM a) TO STDOUT").is_err());
    assert!(refused("SELECT relminmxid FROM pg_class"));
}
