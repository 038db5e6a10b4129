//! A tenant's life as an operator types it.

use crate::support::{Ran, Site};

#[test]
fn a_tenant_is_created_suspended_renamed_deleted_brought_back_and_purged() {
    let site = Site::with_tenants(&[]);
    let made = site.json(&["tenant", "create", "acme", "--domain", "shop.acme.com", "--domain", "ACME.example"]);
    assert_eq!(made["state"], "active");
    assert_eq!(made["version"], 1);
    assert_eq!(made["domains"], serde_json::json!(["acme.example", "shop.acme.com"]));
    assert_eq!(site.ok(&["tenant", "suspend", "acme"]), "tenant `acme` is suspended\n");
    site.exits(1, &["sql", "acme", "-c", "SELECT 1"]).says_only_on_stderr("help: tenantry tenant resume acme");
    assert_eq!(site.ok(&["tenant", "resume", "acme"]), "tenant `acme` is active\n");
    assert_eq!(
        site.ok(&["tenant", "rename", "acme", "acme-2"]),
        "tenant `acme` is now `acme-2`; the key `acme` cannot be reused for 10 seconds\n"
    );
    site.exits(1, &["tenant", "create", "acme"]).says_only_on_stderr("error: the key `acme` was given up a moment ago");
    site.exits(1, &["tenant", "purge", "acme-2", "--yes"]).says_only_on_stderr("help: tenantry tenant delete acme-2");
    site.ok(&["tenant", "delete", "acme-2", "-y"]);
    site.exits(1, &["tenant", "create", "acme-2"]).says_only_on_stderr("belongs to a tenant that is deleted");
    assert_eq!(site.ok(&["tenant", "undelete", "acme-2"]), "tenant `acme-2` is active\n");
    site.ok(&["tenant", "delete", "acme-2", "--yes"]);
    assert_eq!(site.ok(&["--yes", "tenant", "purge", "acme-2"]), "tenant `acme-2` is purged; nothing of it is left\n");
    assert_eq!(site.tenants(), []);
    assert_eq!(site.tenant_files(), Vec::<String>::new());
    site.ok(&["doctor"]);
}

#[test]
fn tenants_are_listed_by_key_state_server_and_page() {
    let site = Site::with_tenants(&["delta", "alpha", "charlie", "bravo"]);
    site.ok(&["tenant", "suspend", "bravo"]);
    let keys = |args: &[&str]| -> Vec<String> {
        let list = site.json(&[&["tenant", "list"], args].concat());
        list.as_array().unwrap().iter().map(|t| t["key"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(keys(&[]), ["alpha", "bravo", "charlie", "delta"]);
    assert_eq!(keys(&["--state", "suspended"]), ["bravo"]);
    assert_eq!(keys(&["--limit", "2"]), ["alpha", "bravo"]);
    assert_eq!(keys(&["--limit", "2", "--after", "bravo"]), ["charlie", "delta"]);
    assert_eq!(keys(&["--server", "elsewhere"]), Vec::<String>::new());
    let table = site.ok(&["tenant", "list"]);
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("KEY      STATE      ISOLATION  SERVER  VERSION  ID"), "{table}");
    assert!(lines[2].starts_with("bravo    suspended  database   local   1        0"), "{table}");
    assert_eq!(lines.len(), 5);
    site.exits(2, &["tenant", "list", "--state", "asleep"]).says_only_on_stderr("possible values: provisioning");
}

#[test]
fn what_destroys_is_refused_without_a_terminal_and_without_yes() {
    let site = Site::with_tenants(&["acme"]);
    let refused = |ran: Ran| ran.says_only_on_stderr("help: add --yes if you are sure");
    refused(site.exits(1, &["tenant", "delete", "acme"]));
    assert_eq!(site.tenants(), [("acme".into(), "active".into())]);
    site.ok(&["tenant", "delete", "acme", "--yes"]);
    refused(site.exits(1, &["tenant", "purge", "acme"]));
    assert_eq!(site.tenants(), [("acme".into(), "deleted".into())]);
    site.ok(&["server", "add", "spare", "sqlite://spare"]);
    refused(site.exits(1, &["server", "remove", "spare"]));
    assert_eq!(site.json(&["server", "list"]).as_array().unwrap().len(), 2);
    site.ok(&["server", "remove", "spare", "--yes"]);
    // The question comes after the check: nobody confirms what cannot be done.
    site.exits(1, &["tenant", "delete", "nobody"]).says_only_on_stderr("error: no tenant has the key `nobody`");
}

#[test]
fn yes_is_accepted_by_every_command() {
    let site = Site::with_tenants(&["acme"]);
    for args in [
        vec!["init"],
        vec!["server", "list"],
        vec!["tenant", "show", "acme"],
        vec!["domain", "list"],
        vec!["migrate", "up"],
        vec!["sql", "acme", "-c", "SELECT 1"],
        vec!["doctor", "--read-only"],
    ] {
        site.ok(&[&["--yes"], args.as_slice()].concat());
        site.ok(&[args.as_slice(), &["-y"]].concat());
    }
}

#[test]
fn a_domain_belongs_to_one_tenant_and_is_closed_for_a_while_when_it_is_given_up() {
    let site = Site::with_tenants(&["acme", "globex"]);
    site.ok(&["domain", "add", "acme", "Shop.Acme.com."]);
    assert_eq!(site.ok(&["domain", "list"]), "DOMAIN         TENANT\nshop.acme.com  acme\n");
    site.exits(1, &["domain", "add", "globex", "shop.acme.com"]).says_only_on_stderr("belongs to a tenant already");
    for twin in ["shop\u{3002}acme.com", "ｓhop.acme.com", "shop.acme\u{200b}.com", "shop..acme.com", "a b", ""] {
        site.exits(1, &["domain", "add", "globex", twin]);
    }
    assert_eq!(site.json(&["domain", "list", "globex"]), serde_json::json!([]));
    site.ok(&["domain", "remove", "shop.acme.com"]);
    site.exits(1, &["domain", "add", "globex", "shop.acme.com"]).says_only_on_stderr("given up a moment ago");
    site.exits(1, &["domain", "remove", "shop.acme.com"]).says_only_on_stderr("help: tenantry domain list");
}

#[test]
fn an_isolation_that_sqlite_lacks_is_refused_with_what_to_use_instead() {
    let site = Site::with_tenants(&[]);
    for isolation in ["row", "schema"] {
        site.exits(1, &["tenant", "create", "acme", "--isolation", isolation])
            .says_only_on_stderr("use `--isolation database`");
    }
    assert_eq!(site.tenants(), []);
    assert_eq!(site.json(&["tenant", "create", "acme", "--isolation", "database"])["isolation"], "database");
}

#[test]
fn a_server_is_full_at_its_capacity_and_the_next_one_takes_over() {
    let site = Site::new();
    site.ok(&["server", "remove", "local", "--yes"]);
    site.ok(&["server", "add", "small", "sqlite://small", "--capacity", "1"]);
    site.ok(&["server", "add", "large", "sqlite://large", "--connections", "8"]);
    assert_eq!(site.json(&["tenant", "create", "one"])["server"], "small");
    assert_eq!(site.json(&["tenant", "create", "two"])["server"], "large");
    site.exits(1, &["tenant", "create", "three", "--server", "small"]).says_only_on_stderr("its capacity");
    site.exits(1, &["server", "remove", "small", "--yes"]).says_only_on_stderr("still holds 1 tenants");
    assert_eq!(
        site.ok(&["server", "list"]),
        "NAME   ENGINE  WALL    POOLER  TENANTS  CAPACITY  CONNECTIONS  SHARED TABLES\n\
         small  sqlite  closed  -       1        1         -            version 0\n\
         large  sqlite  closed  -       1        -         8            -\n"
    );
    site.ok(&["doctor"]);
}

#[test]
fn a_server_that_cannot_be_used_is_refused_with_the_reason() {
    let site = Site::new();
    let refused = |args: &[&str], why: &str| {
        site.exits(1, &[&["server", "add"], args].concat()).says_only_on_stderr(why);
    };
    refused(&["local", "sqlite://other"], "there is a server `local` already");
    refused(&["Bad-Name", "sqlite://other"], "help: use a-z, 0-9 and `_`, a letter first");
    refused(&["pg", "oracle://admin:geheim@db/x"], "no engine speaks `oracle://`");
    refused(&["s", "sqlite://other", "--app-url", "sqlite://x"], "nobody signs in to sqlite");
    refused(&["s", "sqlite://other", "--pooler"], "leave --app-url and --pooler out");
    site.exits(2, &["server", "add", "s", "sqlite://other", "--capacity", "0"]);
    assert!(!site.run(&["server", "add", "pg", "oracle://admin:geheim@db/x"]).err.contains("geheim"));
    assert_eq!(site.json(&["server", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn two_sqlite_servers_are_never_one_directory() {
    let site = Site::with_tenants(&["acme"]);
    std::os::unix::fs::symlink(site.path("data"), site.path("link")).unwrap();
    for url in ["sqlite://data", "sqlite://./data/", "sqlite://link"] {
        site.exits(1, &["server", "add", "twin", url]).says_only_on_stderr("server `local` is this place already");
    }
    site.ok(&["doctor", "--repair"]);
    site.ok(&["sql", "acme", "-c", "SELECT 1"]);
}
