//! Names that are no tenant keys, and what they try to do to the terminal (C03, C04, C05, C08, C09, C11).

use crate::support::Site;

const RESERVED: &[&str] = &[
    "pg_catalog",
    "pg_x",
    "public",
    "information_schema",
    "mysql",
    "sys",
    "performance_schema",
    "template0",
    "template1",
    "postgres",
    "sqlite_master",
    "con",
    "nul",
    "admin",
    "users",
    "products",
    "items",
    "orders",
    "dashboard",
    "me",
    "signup",
    "xn--acme",
    "www",
    "shared",
];

const HOSTILE: &[&str] = &[
    "",
    ".",
    "..",
    "../acme",
    "/etc/passwd",
    "file:acme",
    ":memory:",
    ".acme",
    "acme/",
    "a\\b",
    "Acme",
    "ACME",
    " acme",
    "acme ",
    "acme\n",
    "acme\r\nerror: forged",
    "\u{1b}[2Jacme",
    "\u{1b}]0;title\u{7}",
    "a\u{9b}31m",
    "acme\u{7f}",
    "a'b",
    "a\"b",
    "a`b",
    "a;b",
    "a%b",
    "a__b",
    "-acme",
    "acme-",
    "_acme",
    "a*",
    "acme\u{200b}",
    "\u{202e}acme",
    "аcme",
    "ａcme",
    "é",
    "e\u{301}",
    "a\tb",
    "a.b",
    "0123456789012345678901234567890123456789x",
];

#[test]
fn a_reserved_word_is_no_key() {
    let site = Site::new();
    site.exits(1, &["tenant", "create", "public"])
        .says_only_on_stderr("\"public\" is not a tenant key: it is a reserved word");
    site.write("t.csv", &format!("key\n{}\n", RESERVED.join("\n")));
    let lines = site.json_lines(3, &["tenant", "create", "--from", "t.csv"]);
    let refused = lines.iter().filter(|l| l["event"] == "failed" && l["error"]["code"] == "invalid_key");
    assert_eq!(refused.count(), RESERVED.len());
    assert_eq!(site.tenants(), []);
}

#[test]
fn an_app_reserves_words_of_its_own() {
    let site = Site::new();
    site.write("tenantry.toml", "[tenants]\nreserved_keys = [\"pricing\"]\n");
    site.exits(1, &["tenant", "create", "pricing"]).says_only_on_stderr("the app needs it for itself");
    site.ok(&["tenant", "create", "acme"]);
    site.exits(1, &["tenant", "rename", "acme", "pricing"]);
    site.write("t.csv", "key\npricing\n");
    site.exits(3, &["tenant", "create", "--from", "t.csv"]);
    assert_eq!(site.tenants(), [("acme".into(), "active".into())]);
}

/// Every run checks that no control character reaches the terminal; here it is that no line is forged either.
#[track_caller]
fn refused(site: &Site, args: &[&str]) {
    let ran = site.exits(1, args);
    assert_eq!(ran.out, "", "{args:?}: {ran:?}");
    assert_eq!(ran.err.lines().filter(|l| l.starts_with("error: ")).count(), 1, "{args:?}: {ran:?}");
}

#[test]
fn a_hostile_name_is_no_key_and_forges_no_line() {
    let site = Site::new();
    for key in HOSTILE {
        refused(&site, &["tenant", "create", "--", key]);
    }
    assert_eq!(site.tenants(), []);
    assert_eq!(site.tenant_files(), Vec::<String>::new());
}

#[test]
fn a_hostile_name_is_refused_by_every_command() {
    let site = Site::with_tenants(&["acme"]);
    let before = site.tenant_files();
    for name in ["", "../acme", "acme\r\nerror: forged", "\u{1b}[2Jacme", "ACME", "a';--"] {
        for command in [
            ["tenant", "show"].as_slice(),
            &["tenant", "delete", "--yes"],
            &["tenant", "rename", "acme"],
            &["tenant", "purge", "--yes"],
            &["sql", "-c", "SELECT 1"],
            &["domain", "add", "acme"],
            &["domain", "list"],
            &["server", "remove", "--yes"],
            &["migrate", "new"],
        ] {
            // `ACME` is a domain's name that is merely not canonical, and would be one.
            if !(name == "ACME" && command[0] == "domain" && command[1] == "add") {
                refused(&site, &[command, &["--", name]].concat());
            }
        }
        refused(&site, &["server", "add", "--", name, "sqlite://other"]);
    }
    assert_eq!(site.tenant_files(), before);
    assert_eq!(site.tenants(), [("acme".into(), "active".into())]);
}

#[test]
fn a_command_line_that_cannot_be_read_is_shown_without_its_control_characters() {
    let site = Site::empty();
    for args in [
        vec!["fro\u{1b}[2Jb"],
        vec!["tenant", "list", "--state", "\u{1b}[31m"],
        vec!["tenant", "list", "--state=\r\nerror: forged"],
        vec!["--wa\u{202e}ve"],
    ] {
        let ran = site.exits(2, &args);
        assert_eq!(ran.err.lines().filter(|l| l.starts_with("error: ")).count(), 1, "{ran:?}");
    }
}

#[test]
fn what_a_tenant_has_stored_cannot_steer_the_terminal_or_forge_a_row() {
    let site = Site::with_tenants(&["acme"]);
    site.ok(&["sql", "acme", "-c", "INSERT INTO users VALUES (1, char(27) || '[2J' || char(13, 10) || '2   forged')"]);
    let out = site.ok(&["sql", "acme", "-c", "SELECT id, username FROM users"]);
    assert_eq!(out, "id  username\n1   \\u{1b}[2J\\r\\n2   forged\n(1 row)\n");
    let titled = site.ok(&["sql", "acme", "-c", "SELECT 1 AS \"a\u{1b}\nb\""]);
    assert_eq!(titled, "a\\u{1b}\\nb\n1\n(1 row)\n");
    let exact = site.json(&["sql", "acme", "-c", "SELECT username FROM users"]);
    assert_eq!(exact["statements"][0]["rows"][0][0], "\u{1b}[2J\r\n2   forged");
}

#[test]
fn a_link_at_a_tenants_place_is_refused() {
    let site = Site::with_tenants(&["acme", "globex"]);
    let (acme, globex) = (site.file_of("acme"), site.file_of("globex"));
    std::fs::remove_file(&acme).unwrap();
    std::os::unix::fs::symlink(&globex, &acme).unwrap();
    site.exits(1, &["sql", "acme", "-c", "SELECT 1"]).says_only_on_stderr("is not a regular file");
    site.exits(4, &["doctor", "--read-only"]);
}
