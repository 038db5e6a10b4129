//! `kill -9` on PostgreSQL, at every failpoint and in between: the same command run again ends right, and no database,
//! schema, role or half a template stays behind. That a lease runs out by itself is seen on SQLite.

use std::{process::Stdio, thread, time::Duration};

use serde_json::json;

use crate::support::{Site, killed_at, repair_until};

const PROVISION: [&str; 4] = ["provision.reserved", "provision.begun", "provision.place", "provision.ended"];
const UNDO: [&str; 2] = ["provision.given_up", "provision.undone"];
const PURGE: [&str; 5] = ["purge.marked", "purge.begun", "purge.drain", "purge.destroy", "purge.ended"];

/// When a command is killed that has no failpoint there: some moments between its start and its end.
const MOMENTS: [u64; 6] = [30, 70, 110, 160, 230, 330];

/// What one tenant has on the server.
fn place_of(isolation: &str) -> Vec<String> {
    let place: &[&str] = match isolation {
        "schema" => &["owner", "role", "schema"],
        "database" => &["database", "role"],
        _ => &[],
    };
    place.iter().map(|s| (*s).to_owned()).collect()
}

fn create(isolation: &str) -> [&str; 5] {
    ["tenant", "create", "acme", "--isolation", isolation]
}

const DESTROY: [&str; 4] = ["tenant", "purge", "acme", "--yes"];

/// Each case in a thread of its own.
fn in_parallel<T: Copy + Send + std::fmt::Debug + 'static>(cases: &[T], case: impl Fn(T) + Copy + Send + 'static) {
    let threads: Vec<_> = cases.iter().map(|&at| (at, thread::spawn(move || case(at)))).collect();
    for (at, thread) in threads {
        assert!(thread.join().is_ok(), "{at:?}");
    }
}

/// However often it was killed: what was done has one entry each, and what was not has none.
fn is_audited(site: &Site, expected: &[&str]) {
    let audited: Vec<_> = site.audited("acme").into_iter().map(|(what, outcome)| format!("{what} {outcome}")).collect();
    assert_eq!(audited, expected);
}

fn one_tenant_is_served(site: &Site, isolation: &str) {
    assert_eq!(site.tenants(), [("acme".into(), "active".into())]);
    assert_eq!(site.places(), place_of(isolation));
    // The file of data was applied once.
    let rows = site.json(&["sql", "acme", "-c", "SELECT username FROM users"])["statements"][0]["rows"].clone();
    assert_eq!(rows, json!([["first"]]));
    site.ok(&["doctor", "--read-only"]);
}

fn create_again(site: &Site, isolation: &str) {
    site.let_leases_run_out();
    if site.tenants() != [("acme".into(), "active".into())] {
        site.ok(&create(isolation));
    }
    one_tenant_is_served(site, isolation);
}

fn killed_creations(isolation: &'static str) {
    in_parallel(&PROVISION, move |point| {
        let site = Site::on_postgres();
        assert!(killed_at(&site, point, &create(isolation)), "{point}");
        create_again(&site, isolation);
        is_audited(&site, &["tenant.create ok"]);
    });
    in_parallel(&PROVISION, move |point| {
        let site = Site::on_postgres();
        assert!(killed_at(&site, point, &create(isolation)), "{point}");
        site.let_leases_run_out();
        repair_until(&site, || site.tenants() == [("acme".into(), "active".into())]);
        one_tenant_is_served(&site, isolation);
        is_audited(&site, &["tenant.create ok"]);
    });
}

#[test]
fn a_killed_creation_of_a_schema_is_finished() {
    killed_creations("schema");
}

#[test]
fn a_killed_creation_of_a_database_is_finished() {
    killed_creations("database");
}

#[test]
fn a_killed_creation_of_a_tenant_in_common_tables_is_finished() {
    killed_creations("row");
}

fn killed_undoings(isolation: &'static str) {
    in_parallel(&UNDO, move |point| {
        let site = Site::on_postgres();
        let mut command = site.command(&create(isolation));
        command.env("TENANTRY_FAILPOINT", format!("provision.place=error,{point}=kill"));
        assert_eq!(site.finish(command).code, None, "{point} was not reached");
        site.let_leases_run_out();
        repair_until(&site, || site.tenants().is_empty());
        assert_eq!(site.places(), Vec::<String>::new());
        create_again(&site, isolation);
        is_audited(&site, &["tenant.give_up ok", "tenant.create failed", "tenant.create ok"]);
    });
}

#[test]
fn a_failed_creation_that_is_killed_while_it_is_undone_leaves_nothing() {
    killed_undoings("schema");
    killed_undoings("database");
}

/// Kills it after that many milliseconds, wherever it is then.
fn killed_after(site: &Site, ms: u64, args: &[&str]) {
    let mut child = site.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    thread::sleep(Duration::from_millis(ms));
    child.kill().unwrap();
    child.wait().unwrap();
}

fn creations_killed_at_any_moment(isolation: &'static str) {
    in_parallel(&MOMENTS, move |ms| {
        let site = Site::on_postgres();
        killed_after(&site, ms, &create(isolation));
        create_again(&site, isolation);
        is_audited(&site, &["tenant.create ok"]);
    });
}

#[test]
fn a_creation_of_a_schema_killed_at_any_moment_is_finished_by_the_same_command() {
    creations_killed_at_any_moment("schema");
}

#[test]
fn a_creation_of_a_database_killed_at_any_moment_is_finished_by_the_same_command() {
    creations_killed_at_any_moment("database");
}

fn with_a_deleted_tenant(isolation: &str) -> Site {
    let site = Site::on_postgres();
    site.ok(&create(isolation));
    site.ok(&["tenant", "create", "other", "--isolation", isolation]);
    site.ok(&["tenant", "delete", "acme", "--yes"]);
    site
}

fn nothing_is_left_of_it(site: &Site, isolation: &str) {
    assert_eq!(site.tenants(), [("other".into(), "active".into())]);
    assert_eq!(site.places(), place_of(isolation));
    if isolation == "row" {
        assert_eq!(site.database().sql("SELECT count(*) FROM tenant.users").unwrap(), "1");
    }
    site.ok(&["doctor", "--read-only"]);
    site.ok(&["sql", "other", "-c", "SELECT 1"]);
    is_audited(site, &["tenant.create ok", "tenant.delete ok", "tenant.purge_begin ok", "tenant.purge ok"]);
}

fn killed_purges(isolation: &'static str) {
    in_parallel(&PURGE, move |point| {
        let site = with_a_deleted_tenant(isolation);
        assert!(killed_at(&site, point, &DESTROY), "{point}");
        site.let_leases_run_out();
        if point == "purge.ended" {
            site.exits(1, &DESTROY).says_only_on_stderr("no tenant has the key `acme`");
        } else {
            site.ok(&DESTROY);
        }
        nothing_is_left_of_it(&site, isolation);
    });
}

#[test]
fn a_killed_purge_of_a_schema_is_finished_by_the_same_command() {
    killed_purges("schema");
}

#[test]
fn a_killed_purge_of_a_database_is_finished_by_the_same_command() {
    killed_purges("database");
}

#[test]
fn a_killed_purge_of_a_tenant_in_common_tables_is_finished_by_the_same_command() {
    killed_purges("row");
}

#[test]
fn a_purge_killed_at_any_moment_is_finished_by_the_doctor() {
    for isolation in ["schema", "database", "row"] {
        in_parallel(&MOMENTS, move |ms| {
            let site = with_a_deleted_tenant(isolation);
            killed_after(&site, ms, &DESTROY);
            site.let_leases_run_out();
            if site.tenants().len() == 2 && site.tenants().contains(&("acme".into(), "deleted".into())) {
                // It had not begun.
                site.ok(&DESTROY);
            }
            repair_until(&site, || site.tenants().len() == 1);
            nothing_is_left_of_it(&site, isolation);
        });
    }
}

/// How many rows the two tenants have in the tables in common.
fn rows_in_common(site: &Site) -> String {
    site.database().sql("SELECT count(*) FROM tenant.users").unwrap()
}

#[test]
fn a_purge_of_rows_killed_while_it_waits_for_a_writer_goes_on_with_the_next() {
    let site = Site::on_postgres();
    for key in ["acme", "other"] {
        site.ok(&["tenant", "create", key, "--isolation", "row"]);
    }
    // A process that stands still, and whose statement runs on at the server.
    let mut frozen = site.command(&["sql", "acme", "-c", "SELECT pg_sleep(8)"]).stdout(Stdio::null()).spawn().unwrap();
    thread::sleep(Duration::from_millis(1_500));
    rustix::process::kill_process(rustix::process::Pid::from_child(&frozen), rustix::process::Signal::STOP).unwrap();
    site.ok(&["tenant", "delete", "acme", "--yes"]);
    killed_after(&site, 2_000, &DESTROY);
    site.let_leases_run_out();
    let buried = "SELECT count(*) FROM tenantry.migrations WHERE version = -1";
    assert_eq!((site.database().sql(buried).unwrap().as_str(), rows_in_common(&site).as_str()), ("1", "2"));
    site.ok(&DESTROY);
    frozen.kill().unwrap();
    frozen.wait().unwrap();
    nothing_is_left_of_it(&site, "row");
}

#[test]
fn a_purge_of_rows_killed_while_it_deletes_them_goes_on_with_the_next() {
    let site = with_a_deleted_tenant("row");
    thread::scope(|scope| {
        let hold = "BEGIN; SELECT FROM tenant.users FOR UPDATE; SELECT pg_sleep(4); COMMIT";
        let holder = scope.spawn(|| site.database().sql(hold).unwrap());
        thread::sleep(Duration::from_millis(500));
        killed_after(&site, 2_000, &DESTROY);
        site.let_leases_run_out();
        assert_eq!(rows_in_common(&site), "2", "nothing was deleted yet");
        holder.join().unwrap();
    });
    site.ok(&DESTROY);
    nothing_is_left_of_it(&site, "row");
    let granted = "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member
                    WHERE r.rolname LIKE 'tn\\_%\\_on\\_main\\_m%'
                      AND starts_with(r.rolname, (SELECT 'tn_' || right(replace(owner::text, '-', ''), 12) FROM tenantry.place))";
    assert_eq!(site.database().sql(granted).unwrap(), "0", "no slot has kept a right");
}

const MIGRATE: [&str; 3] = ["migrate.before", "migrate.applied", "migrate.noted"];

/// A file that leaves a row each time that it is applied, between two that change the tables.
fn killed_migrations(isolation: &'static str) {
    in_parallel(&MIGRATE, move |point| {
        let site = Site::on_postgres();
        for key in ["acme", "globex"] {
            site.ok(&["tenant", "create", key, "--isolation", isolation]);
        }
        let marks = "CREATE TABLE marks (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(),
            id bigint GENERATED BY DEFAULT AS IDENTITY, PRIMARY KEY (tenant_id, id))";
        site.write("migrations/tenant/0090_marks.sql", marks);
        site.write("migrations/tenant/0091_mark.data.sql", "INSERT INTO marks DEFAULT VALUES");
        site.write("migrations/tenant/0092_more.sql", "ALTER TABLE marks ADD COLUMN more bigint");
        let up = ["migrate", "up", "--parallel", "1"];
        let mut kills = 0;
        while killed_at(&site, point, &up) {
            kills += 1;
            // Killed before a file is applied it never gets further.
            if point == "migrate.before" {
                break;
            }
            assert!(kills < 20, "{point}");
        }
        assert!(kills > 0, "{point}");
        site.ok(&up);
        for key in ["acme", "globex"] {
            let rows = site.json(&["sql", key, "-c", "SELECT 'applied' FROM marks"])["statements"][0]["rows"].clone();
            assert_eq!(rows, json!([["applied"]]), "{isolation} {point}");
            assert_eq!(site.json(&["tenant", "show", key])["version"], 92);
        }
        site.ok(&["migrate", "verify"]);
        site.ok(&["doctor", "--read-only"]);
    });
}

#[test]
fn killed_migrations_on_postgres_go_on_and_each_is_applied_once() {
    for isolation in ["row", "schema", "database"] {
        killed_migrations(isolation);
    }
}

/// As a version has made it in which one owner had all schemas.
fn make_old(site: &Site) {
    let text = "DO $do$ DECLARE t text; mark text := (SELECT 'tn_' || right(replace(owner::text, '-', ''), 12) FROM tenantry.place); BEGIN
        FOR t IN SELECT format('ALTER TABLE %s OWNER TO %I', c.oid::regclass, mark || '_owner')
                   FROM pg_class c WHERE c.relnamespace::regnamespace::text LIKE 't\\_%' AND c.relkind = 'r' LOOP
            EXECUTE t;
        END LOOP;
        FOR t IN SELECT format('ALTER SCHEMA %I OWNER TO %I', nspname, mark || '_owner')
                   FROM pg_namespace WHERE nspname LIKE 't\\_%' LOOP
            EXECUTE t;
        END LOOP;
    END $do$";
    site.database().sql(text).unwrap();
}

#[test]
fn a_killed_change_of_owners_on_postgres_goes_on_with_the_next_run() {
    let site = Site::on_postgres();
    for key in ["acme", "globex", "initech"] {
        site.ok(&["tenant", "create", key, "--isolation", "schema"]);
    }
    make_old(&site);
    let up = ["migrate", "up", "--parallel", "1"];
    let mut kills = 0;
    while killed_at(&site, "migrate.renewed", &up) {
        kills += 1;
        let old = site.json_lines(if kills < 3 { 4 } else { 0 }, &["doctor", "--read-only"]);
        assert_eq!(old.last().unwrap().to_string().matches("old_owner").count(), 3 - kills, "{old:?}");
        for key in ["acme", "globex", "initech"] {
            let rows = site.json(&["sql", key, "-c", "SELECT username FROM users"])["statements"][0]["rows"].clone();
            assert_eq!(rows, json!([["first"]]), "both forms are served");
        }
    }
    assert_eq!(kills, 3, "each target is changed once");
    site.ok(&["doctor", "--read-only"]);
}
