//! `tenantry doctor`: what it finds, and what it repairs.

use crate::support::Site;

fn codes(site: &Site, args: &[&str]) -> Vec<String> {
    let ran = site.run(&[&["doctor", "--json"], args].concat());
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let findings = report["findings"].as_array().unwrap();
    assert_eq!(ran.code, Some(if findings.is_empty() { 0 } else { 4 }), "{ran:?}");
    findings.iter().map(|f| f["code"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_installation_with_tenants_is_healthy_and_keeps_no_canary() {
    let site = Site::with_tenants(&["acme", "globex"]);
    site.ok(&["domain", "add", "acme", "shop.acme.com"]);
    site.ok(&["tenant", "suspend", "globex"]);
    assert_eq!(
        site.ok(&["doctor"]),
        "checked   operations: looked for what crashed processes left\n\
         checked   places: audited 2 tenants and their servers\n\
         checked   orphans: compared the servers with the catalog\n\
         checked   migrations: compared every history with the files\n\
         checked   canaries: 38 attacks between two tenants of database isolation on server `local`\n\
         nothing was found\n"
    );
    assert_eq!(site.tenants().len(), 2);
    assert_eq!(site.tenant_files().len(), 2);
    site.exits(2, &["doctor", "--repair", "--read-only"]);
}

#[test]
fn an_orphan_file_is_found_and_repaired() {
    let site = Site::with_tenants(&["acme", "globex"]);
    let file = site.file_of("acme");
    std::fs::copy(&file, site.path("saved")).unwrap();
    site.ok(&["tenant", "delete", "acme", "--yes"]);
    site.ok(&["tenant", "purge", "acme", "--yes"]);
    std::fs::rename(site.path("saved"), &file).unwrap();
    let ran = site.exits(4, &["doctor"]);
    assert!(ran.out.contains("\nfinding[orphan]: `t_"), "{ran:?}");
    assert!(ran.out.ends_with("\nhelp: tenantry doctor --repair\n\n1 problem found\n"), "{ran:?}");
    assert_eq!(codes(&site, &["--read-only"]), ["orphan"]);
    assert!(site.ok(&["doctor", "--repair"]).contains("repaired  the orphan `t_"));
    assert!(!file.exists());
    assert_eq!(codes(&site, &[]), Vec::<String>::new());
    site.ok(&["sql", "globex", "-c", "SELECT 1"]);
}

#[test]
fn a_file_that_is_nobodys_is_found_and_never_removed() {
    let site = Site::with_tenants(&["acme"]);
    site.write("data/tenants/notes.db", "not ours");
    assert_eq!(codes(&site, &["--repair"]), ["stranger"]);
    assert_eq!(site.read("data/tenants/notes.db"), "not ours");
}

#[test]
fn a_swapped_tenant_file_is_found_and_never_served() {
    let site = Site::with_tenants(&["acme", "globex"]);
    site.ok(&["sql", "globex", "-c", "INSERT INTO users (username) VALUES ('canary-of-globex')"]);
    std::fs::copy(site.file_of("globex"), site.file_of("acme")).unwrap();
    let ran = site.exits(1, &["sql", "acme", "-c", "SELECT * FROM users"]);
    ran.says_only_on_stderr("is marked as another's");
    assert!(!ran.err.contains("canary-of-globex"));
    assert_eq!(codes(&site, &["--read-only"]), ["foreign_file"]);
    // Repairing destroys nothing that could be somebody's data.
    assert_eq!(codes(&site, &["--repair"]), ["foreign_file"]);
    assert!(site.file_of("acme").exists());
}

#[test]
fn a_missing_file_and_one_that_others_can_read_are_found() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::with_tenants(&["acme", "globex"]);
    std::fs::set_permissions(site.file_of("acme"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(codes(&site, &["--read-only"]), ["file_readable_by_others"]);
    std::fs::remove_file(site.file_of("globex")).unwrap();
    let found = codes(&site, &["--read-only"]);
    assert!(found.contains(&"file_missing".into()), "{found:?}");
}

#[test]
fn a_pending_migration_is_a_finding() {
    let site = Site::with_tenants(&["acme"]);
    site.write("migrations/tenant/0002_more.sql", "CREATE TABLE more (x);");
    assert_eq!(codes(&site, &[]), ["migration"]);
    site.ok(&["migrate", "up"]);
    assert_eq!(codes(&site, &[]), Vec::<String>::new());
}
