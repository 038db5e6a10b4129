//! `tenantry sql`: what it shows, and what the guard refuses.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde_json::json;

use crate::support::{Ran, Site};

fn piped(site: &Site, args: &[&str], text: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
    command.current_dir(site.dir.path()).args(args);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

#[test]
fn sqlite_values_are_shown_exactly_as_they_are_stored() {
    let site = Site::with_tenants(&["acme"]);
    let sql = "SELECT 9223372036854775807 AS big, 0.1 AS tenth, 1e300 AS huge, 2.0 AS two, x'00ff' AS blob, \
               NULL AS none, 'NULL' AS word, 'ü' AS text";
    assert_eq!(
        site.ok(&["sql", "acme", "-c", sql]),
        "big                  tenth  huge   two  blob     none  word    text\n\
         9223372036854775807  0.1    1e300  2.0  x'00ff'  NULL  'NULL'  ü\n\
         (1 row)\n"
    );
    assert_eq!(
        site.json(&["sql", "acme", "-c", sql])["statements"][0]["rows"][0],
        json!([9_223_372_036_854_775_807_i64, 0.1, 1e300, 2.0, { "hex": "00ff" }, null, "NULL", "ü"])
    );
}

#[test]
fn a_text_of_several_statements_is_done_as_a_whole_or_not_at_all() {
    let site = Site::with_tenants(&["acme"]);
    let out =
        site.ok(&["sql", "acme", "-c", "INSERT INTO users (username) VALUES ('a'), ('b'); SELECT username FROM users"]);
    assert_eq!(out, "no rows; 2 rows changed\n\nusername\na\nb\n(2 rows)\n");
    let twice = "INSERT INTO users (username) VALUES ('c'); INSERT INTO users (username) VALUES ('a')";
    site.exits(1, &["sql", "acme", "-c", twice]).says_only_on_stderr("error: a unique value is taken");
    assert_eq!(site.json(&["sql", "acme", "-c", "SELECT count(*) FROM users"])["statements"][0]["rows"], json!([[2]]));
}

#[test]
fn statements_come_from_a_pipe_without_a_prompt() {
    let site = Site::with_tenants(&["acme"]);
    let ran =
        piped(&site, &["sql", "acme"], "INSERT INTO users (username)\nVALUES ('a;b');\nSELECT username FROM users;\n");
    assert_eq!(
        (ran.code, ran.out.as_str(), ran.err.as_str()),
        (Some(0), "no rows; 1 row changed\n\nusername\na;b\n(1 row)\n", "")
    );
    assert_eq!(site.ok(&["sql", "acme"]), "");
    assert_eq!(site.json(&["sql", "acme"]), json!({ "statements": [] }));
}

#[test]
fn each_tenant_sees_its_own_rows_and_the_shared_tables() {
    let site = Site::with_tenants(&["acme", "globex"]);
    site.write(
        "migrations/shared/0001_plans.sql",
        "CREATE TABLE plans (name TEXT); INSERT INTO plans VALUES ('free');",
    );
    site.ok(&["migrate", "up"]);
    site.ok(&["sql", "acme", "-c", "INSERT INTO users (username) VALUES ('ann')"]);
    assert_eq!(site.ok(&["sql", "globex", "-c", "SELECT username FROM users"]), "no rows; 0 rows changed\n");
    assert_eq!(site.ok(&["sql", "globex", "-c", "SELECT name FROM shared.plans"]), "name\nfree\n(1 row)\n");
    site.exits(1, &["sql", "globex", "-c", "INSERT INTO shared.plans VALUES ('mine')"]).says_only_on_stderr("refused");
}

#[test]
fn the_sqlite_guard_refuses_what_would_leave_the_tenant() {
    let site = Site::with_tenants(&["acme", "globex"]);
    let before = site.tenant_files();
    let globex = site.file_of("globex").display().to_string();
    for sql in [
        format!("ATTACH '{globex}' AS other"),
        format!("ATTACH 'file:{globex}?mode=ro' AS other"),
        format!("VACUUM INTO '{globex}.stolen'"),
        format!("SELECT load_extension('{globex}')"),
        "PRAGMA writable_schema = 1".into(),
        "PRAGMA journal_mode = delete".into(),
        "PRAGMA foreign_keys = off".into(),
        "UPDATE sqlite_master SET sql = ''".into(),
        "CREATE TABLE mine (x)".into(),
        "CREATE TEMP TABLE mine (x)".into(),
        "DROP TABLE users".into(),
        "DELETE FROM _tenantry_migrations".into(),
        "UPDATE _tenantry_place SET tenant_id = 'x'".into(),
        "DETACH shared".into(),
        format!("SELECT 1; ATTACH '{globex}' AS other"),
    ] {
        let ran = site.exits(1, &["sql", "acme", "-c", &sql]);
        assert_eq!(ran.out, "", "{sql}");
        assert_eq!(ran.err.matches("error: ").count(), 1, "{sql}: {ran:?}");
    }
    for sql in ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT a", "SELECT 1; END", "-- x\nBEGIN"] {
        site.exits(1, &["sql", "acme", "-c", sql]).says_only_on_stderr("cannot be sent as text\nhelp: ");
    }
    let ran = site.exits(1, &["sql", "acme", "-c", "ATTACH 'x' AS y"]);
    assert_eq!(
        ran.err,
        "error: the statement was refused: it would leave the tenant's scope\n  \
           --> error returned from database: (code: 23) not authorized\n\
         help: only the tenant's own rows can be written here; tables are changed by a migration: tenantry migrate new NAME\n"
    );
    assert_eq!(site.tenant_files().into_iter().filter(|f| f.ends_with(".db")).collect::<Vec<_>>(), before);
    site.ok(&["doctor"]);
}

#[test]
fn a_wrong_statement_is_told_with_the_databases_own_words() {
    let site = Site::with_tenants(&["acme"]);
    let ran = site.exits(1, &["sql", "acme", "-c", "SELEC 1"]);
    assert_eq!(
        ran.err,
        "error: the database refused the statement\n  \
           --> error returned from database: (code: 1) near \"SELEC\": syntax error\n"
    );
    site.exits(1, &["sql", "nobody", "-c", "SELECT 1"]).says_only_on_stderr("help: tenantry tenant list");
}
