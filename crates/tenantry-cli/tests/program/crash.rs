//! `kill -9` at every failpoint: the same command run again ends right, and so does the doctor.

use std::thread;

use serde_json::json;

use crate::support::{Site, killed_at, repair_until};

const PROVISION: &[&str] = &["provision.reserved", "provision.begun", "provision.place", "provision.ended"];
const PURGE: &[&str] = &["purge.marked", "purge.begun", "purge.drain", "purge.destroy", "purge.ended"];
const MIGRATE: &[&str] = &["migrate.before", "migrate.applied", "migrate.noted"];

/// Each point in a thread of its own: most of the time passes in waiting for a lease.
fn at_each(points: &'static [&'static str], case: fn(&'static str)) {
    let threads: Vec<_> = points.iter().map(|point| (point, thread::spawn(move || case(point)))).collect();
    for (point, thread) in threads {
        assert!(thread.join().is_ok(), "{point}");
    }
}

fn one_tenant_is_served(site: &Site) {
    assert_eq!(site.tenants(), [("acme".into(), "active".into())]);
    assert!(site.file_of("acme").is_file());
    assert_eq!(site.tenant_files().len(), 1);
    site.ok(&["doctor"]);
    site.ok(&["sql", "acme", "-c", "INSERT INTO users (username) VALUES ('ann')"]);
    assert_eq!(site.json(&["domain", "list"]), json!([{ "host": "acme.example", "tenant": "acme" }]));
}

const CREATE: &[&str] = &["tenant", "create", "acme", "--domain", "acme.example"];

#[test]
fn a_killed_creation_is_finished_by_the_same_command() {
    at_each(PROVISION, |point| {
        let site = Site::with_tenants(&[]);
        assert!(killed_at(&site, point, CREATE), "{point}");
        if point == "provision.ended" {
            // It had ended before it was killed.
            site.exits(1, CREATE).says_only_on_stderr("belongs to a tenant that is active");
        } else {
            site.ok(CREATE);
        }
        one_tenant_is_served(&site);
    });
}

#[test]
fn a_killed_creation_is_finished_by_the_doctor() {
    at_each(PROVISION, |point| {
        let site = Site::with_tenants(&[]);
        assert!(killed_at(&site, point, CREATE), "{point}");
        repair_until(&site, || site.tenants() == [("acme".into(), "active".into())]);
        one_tenant_is_served(&site);
    });
}

/// A creation whose step fails, killed while it is undone.
fn killed_while_undone_at(site: &Site, point: &str) {
    let mut command = site.command(CREATE);
    command.env("TENANTRY_FAILPOINT", format!("provision.place=error,{point}=kill"));
    assert_eq!(site.finish(command).code, None, "{point} was not reached");
}

#[test]
fn a_failed_creation_that_is_killed_while_it_is_undone_is_made_anew_by_the_same_command() {
    at_each(&["provision.given_up", "provision.undone"], |point| {
        let site = Site::with_tenants(&[]);
        killed_while_undone_at(&site, point);
        site.ok(CREATE);
        one_tenant_is_served(&site);
    });
}

#[test]
fn a_failed_creation_that_is_killed_while_it_is_undone_is_undone_by_the_doctor() {
    at_each(&["provision.given_up", "provision.undone"], |point| {
        let site = Site::with_tenants(&[]);
        killed_while_undone_at(&site, point);
        repair_until(&site, || site.tenants().is_empty());
        assert_eq!(site.tenant_files(), Vec::<String>::new());
        site.ok(&["doctor"]);
        site.ok(CREATE);
        one_tenant_is_served(&site);
    });
}

fn with_a_deleted_tenant() -> Site {
    let site = Site::with_tenants(&["acme", "other"]);
    site.ok(&["sql", "acme", "-c", "INSERT INTO users (username) VALUES ('ann')"]);
    site.ok(&["tenant", "delete", "acme", "--yes"]);
    site
}

fn nothing_is_left_of_it(site: &Site) {
    assert_eq!(site.tenants(), [("other".into(), "active".into())]);
    assert_eq!(site.tenant_files().len(), 1);
    site.ok(&["doctor"]);
    site.ok(&["sql", "other", "-c", "SELECT 1"]);
}

const DESTROY: &[&str] = &["tenant", "purge", "acme", "--yes"];

#[test]
fn a_killed_purge_is_finished_by_the_same_command() {
    at_each(PURGE, |point| {
        let site = with_a_deleted_tenant();
        assert!(killed_at(&site, point, DESTROY), "{point}");
        if point == "purge.ended" {
            site.exits(1, DESTROY).says_only_on_stderr("no tenant has the key `acme`");
        } else {
            site.ok(DESTROY);
        }
        nothing_is_left_of_it(&site);
    });
}

#[test]
fn a_killed_purge_is_finished_by_the_doctor() {
    at_each(PURGE, |point| {
        let site = with_a_deleted_tenant();
        assert!(killed_at(&site, point, DESTROY), "{point}");
        repair_until(&site, || site.tenants().len() == 1);
        nothing_is_left_of_it(&site);
    });
}

/// A file that leaves a row each time that it is applied.
const COUNTED: &str = "INSERT INTO marks VALUES ('again');";

#[test]
fn killed_migrations_go_on_and_each_is_applied_once() {
    at_each(MIGRATE, |point| {
        let site = Site::new();
        site.write("migrations/tenant/0001_marks.sql", "CREATE TABLE marks (text TEXT);");
        for key in ["acme", "globex"] {
            site.ok(&["tenant", "create", key]);
        }
        site.write(
            "migrations/shared/0001_marks.sql",
            "CREATE TABLE marks (text TEXT); INSERT INTO marks VALUES ('s');",
        );
        site.write("migrations/tenant/0002_count.data.sql", COUNTED);
        site.write("migrations/tenant/0003_more.sql", "CREATE TABLE more (x);");
        let up = ["migrate", "up", "--parallel", "1"];
        let mut kills = 0;
        // Killed before a file is applied it never gets further; behind that, each run comes one step further.
        while killed_at(&site, point, &up) {
            kills += 1;
            if point == "migrate.before" {
                break;
            }
            assert!(kills < 20, "{point}");
        }
        assert!(kills >= if point == "migrate.before" { 1 } else { 3 }, "{point}: {kills}");
        site.ok(&up);
        for key in ["acme", "globex"] {
            let rows = |sql| site.json(&["sql", key, "-c", sql])["statements"][0]["rows"].clone();
            assert_eq!(rows("SELECT count(*) FROM marks"), json!([[1]]), "{point}");
            assert_eq!(rows("SELECT count(*) FROM shared.marks"), json!([[1]]), "{point}");
            assert_eq!(site.json(&["tenant", "show", key])["version"], 3);
        }
        site.ok(&["migrate", "verify"]);
        site.ok(&["doctor"]);
    });
}
