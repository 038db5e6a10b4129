//! What the program says where something is asked twice, written wrongly, or not there.

use tenantry_testbed::Postgres;

use crate::support::Site;

#[test]
fn what_is_so_already_is_no_error() {
    let site = Site::with_tenants(&["acme"]);
    site.ok(&["tenant", "suspend", "acme"]);
    assert_eq!(site.ok(&["tenant", "suspend", "acme"]), "tenant `acme` is already suspended\n");
    assert_eq!(site.ok(&["tenant", "resume", "acme"]), "tenant `acme` is active\n");
    assert_eq!(site.ok(&["tenant", "resume", "acme"]), "tenant `acme` is already active\n");
    let done = |action: &str| site.audited("acme").iter().filter(|(what, _)| what == action).count();
    assert_eq!((done("tenant.suspend"), done("tenant.resume")), (1, 1));
    site.ok(&["tenant", "delete", "acme", "-y"]);
    site.exits(1, &["tenant", "suspend", "acme"]).says_only_on_stderr("help: tenantry tenant undelete acme");
}

#[test]
fn a_url_is_told_from_a_domain_with_what_to_write() {
    let site = Site::with_tenants(&["acme"]);
    for url in ["http://foo.com/", "https://foo.com:8443/x?y=1", "foo.com/", "http://ann@FOO.com"] {
        let ran = site.exits(1, &["domain", "add", "acme", url]);
        ran.says_only_on_stderr("is a URL and not a domain");
        ran.says_only_on_stderr("help: write foo.com");
    }
    site.exits(1, &["domain", "add", "acme", "foo.com:80"]).says_only_on_stderr("a domain has no port");
    site.exits(1, &["domain", "add", "acme", "http:///"]).says_only_on_stderr("is not a domain");
    site.ok(&["domain", "add", "acme", "foo.com"]);
}

#[test]
fn a_variable_that_is_no_setting_or_has_a_wrong_value_is_named() {
    let site = Site::with_tenants(&[]);
    for (variable, value, help) in [
        ("TENANTRY_POOL_PER_TENANTS", "4", "TENANTRY_POOL_PER_TENANT,"),
        ("TENANTRY_POOL_PER_TENANT", "four", "expected usize"),
        ("TENANTRY_CATALOG_MAX_STALE", "-1", "catalog.max_stale"),
    ] {
        let mut command = site.command(&["tenant", "list"]);
        command.env(variable, value);
        let ran = site.finish(command);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        ran.says_only_on_stderr(&format!("the variable `{variable}`"));
        ran.says_only_on_stderr(help);
    }
}

#[test]
fn a_bad_line_of_a_file_has_the_number_that_an_editor_shows() {
    let site = Site::with_tenants(&[]);
    for text in ["key\r\none\r\nBad\r\n", "key\none\nBad\n", "key\n\nBad\n", "key\r\n\r\nBad", "\r\n\nkey\nBad\n"] {
        site.write("t.csv", text);
        let ran = site.exits(3, &["tenant", "create", "--from", "t.csv", "--skip-existing"]);
        let line = if text.starts_with('\r') { "4" } else { "3" };
        assert!(ran.out.lines().any(|l| l.split_whitespace().take(2).eq([line, "Bad"])), "{text:?}: {ran:?}");
    }
    for (text, why) in
        [("key;isolation\none;row\n", "\"key;isolation\""), ("key, isolation\none,row\n", "\" isolation\"")]
    {
        site.write("t.csv", text);
        let ran = site.exits(1, &["tenant", "create", "--from", "t.csv"]);
        ran.says_only_on_stderr(why);
        ran.says_only_on_stderr("parted by commas and without spaces: key,isolation,server,domain");
    }
    site.write("t.csv", "key,isolation\ntwo,dabatase\n");
    let ran = site.exits(3, &["tenant", "create", "--from", "t.csv"]);
    assert!(
        ran.out.contains("is no isolation: use one of row, schema, database") && ran.out.contains("database"),
        "{ran:?}"
    );
}

#[test]
fn a_creation_that_failed_is_made_again_and_not_migrated() {
    let site = Site::new();
    site.write("migrations/tenant/0001_users.sql", "CREATE TABLE users (id integer); SELECT nonsense;");
    let ran = site.exits(1, &["tenant", "create", "acme"]);
    ran.says_only_on_stderr("create it again");
    assert!(!ran.err.contains("retry-failed"), "{ran:?}");
    // And so it works.
    site.write("migrations/tenant/0001_users.sql", "CREATE TABLE users (id integer);");
    site.ok(&["tenant", "create", "acme"]);
    site.exits(2, &["migrate", "up", "--only", ""]);
    assert_eq!(site.ok(&["migrate", "up"]), "nothing to do: 2 targets are up to date\n");
}

#[test]
fn a_server_that_does_not_let_the_administrator_in_is_named_with_whom_it_was_tried() {
    let site = Site::new();
    let url = Postgres::shared().unwrap().tcp_url("postgres").replace("admin-password", "wrong");
    let port = url.rsplit_once(':').unwrap().1.split('/').next().unwrap().to_owned();
    let ran = site.exits(1, &["server", "add", "main", &url]);
    ran.says_only_on_stderr(&format!(
        "cannot reach the database server at 127.0.0.1:{port} as its administrator `admin`"
    ));
    assert!(!ran.err.contains("wrong") && !ran.err.contains("server list"), "{ran:?}");
}

#[test]
fn an_isolation_in_which_nobody_is_may_be_one_that_the_files_do_not_fit() {
    let site = Site::new();
    let database = Postgres::shared().unwrap().database().unwrap();
    site.ok(&["server", "add", "main", &database.url()]);
    site.write("migrations/tenant/0001_users.sql", "CREATE TABLE users (id bigint PRIMARY KEY, name text UNIQUE);");
    site.ok(&["tenant", "create", "acme", "--isolation", "schema"]);
    let said = site.ok(&["doctor"]);
    assert!(said.contains("row isolation is not in use on server `main`"), "{said}");
    assert!(said.ends_with("nothing was found\n"), "{said}");
}
