//! `tenantry init`: makes what is missing, overwrites nothing.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::support::Site;

fn mode(site: &Site, file: &str) -> u32 {
    fs::metadata(site.path(file)).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_fresh_installation_has_all_parts_and_the_doctor_finds_nothing() {
    let site = Site::empty();
    let ran = site.exits(0, &["init"]);
    assert_eq!(
        ran.out,
        "made  tenantry.toml      the settings, each with its default\n\
         made  tenantry.key       the key that seals stored URLs: keep it safe and secret\n\
         made  migrations/tenant  tables that each tenant has\n\
         made  migrations/shared  tables that all tenants read\n\
         made  catalog.db         the catalog of tenants\n\
         made  server `local`     SQLite, a file per tenant\n"
    );
    assert_eq!(ran.err, "");
    assert_eq!((mode(&site, "tenantry.key"), mode(&site, "catalog.db")), (0o600, 0o600));
    assert_eq!(fs::read_dir(site.path("migrations/tenant")).unwrap().count(), 0);
    assert!(site.ok(&["doctor"]).ends_with("nothing was found\n"));
    assert!(site.ok(&["doctor", "--read-only"]).ends_with("nothing was found\n"));
}

#[test]
fn run_again_it_changes_nothing_and_says_so() {
    let site = Site::new();
    site.write("tenantry.toml", "# mine\n[tenants]\ngrace_days = 7.0\n");
    let key = site.read("tenantry.key");
    let ran = site.exits(0, &["init"]);
    assert!(ran.err.contains("nothing was changed"), "{ran:?}");
    assert!(!ran.out.contains("made"), "{ran:?}");
    assert_eq!(site.read("tenantry.key"), key);
    assert!(site.read("tenantry.toml").starts_with("# mine"));
    assert_eq!(site.json(&["init"])["changed"], false);
    assert_eq!(site.json(&["server", "list"]).as_array().unwrap().len(), 1);
}

#[test]
fn what_a_killed_init_left_is_completed() {
    for parts in 0..5_usize {
        let site = Site::new();
        // In the order in which they are made.
        for part in ["tenantry.toml", "tenantry.key", "migrations/tenant", "migrations/shared"].iter().skip(parts) {
            let path = site.path(part);
            if path.is_dir() { fs::remove_dir(path) } else { fs::remove_file(path) }.unwrap();
        }
        for file in ["catalog.db", "catalog.db-wal", "catalog.db-shm"] {
            drop(fs::remove_file(site.path(file)));
        }
        site.ok(&["init"]);
        site.ok(&["tenant", "create", "acme"]);
        site.ok(&["doctor"]);
    }
}

#[test]
fn a_lost_key_is_not_replaced_by_one_that_opens_nothing() {
    let site = Site::new();
    fs::remove_file(site.path("tenantry.key")).unwrap();
    site.exits(1, &["init"]).says_only_on_stderr("help: put the key file back");
    assert!(!site.path("tenantry.key").exists());
}

#[test]
fn another_place_is_named_by_option_or_environment() {
    let site = Site::empty();
    site.ok(&["init", "--config", "deep/down/tenantry.toml"]);
    assert!(site.path("deep/down/data/tenants").is_dir());
    let mut command = site.command(&["tenant", "create", "acme"]);
    command.env("TENANTRY_CONFIG", "deep/down/tenantry.toml");
    assert_eq!(site.finish(command).code, Some(0));
    site.exits(1, &["tenant", "list"]).says_only_on_stderr("help: run `tenantry init`, or name the file");
}

#[test]
fn a_setting_that_is_not_known_is_told_with_its_line() {
    let site = Site::new();
    site.write("tenantry.toml", "[pool]\nper_tennant = 3\n");
    let ran = site.exits(1, &["tenant", "list"]);
    ran.says_only_on_stderr("error: `tenantry.toml` cannot be used\n  --> ");
    assert!(ran.err.contains("per_tennant"), "{ran:?}");
}
