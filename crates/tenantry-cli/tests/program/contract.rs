//! What scripts rely on: exit codes, stdout and stderr, JSON, help.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
};

use serde_json::json;

use crate::support::Site;

#[test]
fn every_exit_code_is_given_for_what_it_says() {
    let site = Site::with_tenants(&["acme"]);
    site.exits(0, &["tenant", "list"]);
    site.exits(1, &["tenant", "show", "nobody"]);
    site.exits(2, &["tenant", "frobnicate"]);
    site.exits(2, &[]);
    site.write("t.csv", "key\nacme\nglobex\n");
    site.exits(3, &["tenant", "create", "--from", "t.csv"]);
    site.write("migrations/tenant/0002_more.sql", "CREATE TABLE more (x);");
    site.exits(4, &["migrate", "verify"]);
}

#[test]
fn with_json_every_answer_is_one_document_on_stdout() {
    let site = Site::with_tenants(&["acme"]);
    for args in [
        vec!["init"],
        vec!["server", "add", "two", "sqlite://two"],
        vec!["server", "list"],
        vec!["server", "remove", "two", "-y"],
        vec!["tenant", "create", "globex"],
        vec!["tenant", "list"],
        vec!["tenant", "show", "acme"],
        vec!["tenant", "suspend", "acme"],
        vec!["tenant", "resume", "acme"],
        vec!["tenant", "rename", "acme", "acme2"],
        vec!["domain", "add", "acme2", "acme.example"],
        vec!["domain", "list"],
        vec!["domain", "remove", "acme.example"],
        vec!["migrate", "new", "more"],
        vec!["migrate", "plan"],
        vec!["migrate", "status"],
        vec!["migrate", "stamp", "2"],
        vec!["migrate", "verify"],
        vec!["sql", "acme2", "-c", "SELECT 1"],
        vec!["doctor"],
        vec!["tenant", "delete", "acme2", "-y"],
        vec!["tenant", "undelete", "acme2"],
        vec!["tenant", "delete", "acme2", "-y"],
        vec!["tenant", "purge", "acme2", "-y"],
    ] {
        let ran = site.exits(0, &[args.as_slice(), &["--json"]].concat());
        assert_eq!(ran.err, "", "{args:?}");
        assert_eq!(ran.out.lines().count(), 1, "{args:?}: {ran:?}");
        serde_json::from_str::<serde_json::Value>(&ran.out).unwrap();
    }
}

#[test]
fn with_json_an_error_is_a_document_on_stderr() {
    let site = Site::new();
    let ran = site.exits(1, &["tenant", "show", "nobody", "--json"]);
    assert_eq!(ran.out, "");
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&ran.err).unwrap(),
        json!({ "error": { "code": "unknown_tenant", "message": "no tenant has the key `nobody`", "causes": [],
            "help": "tenantry tenant list" } })
    );
}

#[test]
fn an_error_says_what_where_and_what_to_type() {
    let site = Site::empty();
    let ran = site.exits(1, &["tenant", "list"]);
    assert_eq!(
        ran.err,
        "error: cannot read `tenantry.toml`\n  --> No such file or directory (os error 2)\n\
         help: run `tenantry init`, or name the file: --config FILE or TENANTRY_CONFIG\n"
    );
}

#[test]
fn a_key_file_that_others_may_read_and_a_wrong_one_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let (site, other) = (Site::new(), Site::new());
    let mode =
        |mode| std::fs::set_permissions(site.path("tenantry.key"), std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o640);
    site.exits(1, &["tenant", "list"]).says_only_on_stderr("help: chmod 600 ");
    mode(0o600);
    site.write("tenantry.key", &other.read("tenantry.key"));
    site.exits(1, &["tenant", "list"]).says_only_on_stderr("help: use the key file that belongs to this catalog");
    site.write("tenantry.key", "");
    site.exits(1, &["tenant", "list"]).says_only_on_stderr("the key is not 32 bytes in base64");
}

#[test]
fn every_command_explains_itself() {
    fn visit(site: &Site, path: &[&str], seen: &mut usize) {
        let help = site.ok(&[path, &["--help"]].concat());
        assert!(help.contains("Usage: tenantry"), "{path:?}: {help}");
        assert!(help.lines().all(|l| l.len() <= 200), "{path:?}: {help}");
        *seen += 1;
        let Some((_, commands)) = help.split_once("Commands:\n") else { return };
        for line in commands.lines().take_while(|l| l.starts_with("  ")) {
            let name = line.split_whitespace().next().unwrap();
            if name != "help" {
                visit(site, &[path, &[name]].concat(), seen);
            }
        }
    }
    let mut seen = 0;
    visit(&Site::empty(), &[], &mut seen);
    assert_eq!(seen, 1 + 9 + 3 + 9 + 3 + 7 + 3);
    assert!(Site::empty().ok(&["--version"]).starts_with("tenantry "));
}

#[test]
fn completions_are_made_for_every_shell_without_an_installation() {
    let site = Site::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = site.command(&["completions", shell]).output().unwrap();
        assert!(output.status.success() && String::from_utf8(output.stdout).unwrap().contains("tenantry"), "{shell}");
    }
}

#[test]
fn the_audit_names_the_program_and_its_user_without_hostile_characters() {
    let site = Site::new();
    let mut command = site.command(&["tenant", "create", "acme", "-vv"]);
    command.env("USER", "eve\n\u{1b}[2J");
    let ran = site.finish(command);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.out.lines().next(), Some("key        acme"));
}

/// A file whose application takes a while.
const SLOW: &str = "CREATE TABLE slow (n INTEGER);
    INSERT INTO slow WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 400000) SELECT n FROM c;";

fn interrupt(child: &Child) {
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()));
}

#[test]
fn an_interrupted_fleet_ends_what_it_has_begun_and_goes_on_when_run_again() {
    let site = Site::with_tenants(&["a", "b", "c"]);
    site.write("migrations/tenant/0002_slow.sql", SLOW);
    let mut command = site.command(&["migrate", "up", "--parallel", "1", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut lines = String::new();
    // The second line says that the wave has begun.
    out.read_line(&mut lines).unwrap();
    out.read_line(&mut lines).unwrap();
    interrupt(&child);
    out.read_to_string(&mut lines).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{lines}");
    let report: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
    assert_eq!((&report["event"], &report["interrupted"]), (&json!("report"), &json!(true)), "{lines}");
    let at_two = || site.json(&["tenant", "list"]).as_array().unwrap().iter().filter(|t| t["version"] == 2).count();
    assert!((1..3).contains(&at_two()), "{} of 3 are migrated: {lines}", at_two());
    site.ok(&["migrate", "up"]);
    assert_eq!(at_two(), 3);
    site.ok(&["doctor"]);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let site = Site::with_tenants(&["acme"]);
    let mut child = site.command(&["tenant", "list"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
