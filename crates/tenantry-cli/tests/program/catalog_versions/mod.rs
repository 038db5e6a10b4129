//! Catalogs of older versions: what an upgrade makes of them, and what their processes do that are still running.

#![expect(unreachable_pub, reason = "what a test uses is public in its module")]

mod dump;
mod old;

use std::{fs, thread};

use dump::{Dump, RUNNING, Restored};
use old::{OldOperation, OldProcess};
use serde_json::json;

use crate::support::{Ran, killed_at};

/// What version 1 had already, table by table.
const HELD: [&str; 7] = [
    "SELECT concat_ws('|', id, key, state, isolation, server, physical, version, failure, created_at, deleted_at) FROM tenants",
    "SELECT concat_ws('|', host, tenant_id, created_at) FROM domains",
    "SELECT concat_ws('|', name, engine, admin_url, app_url, capacity, connections, shared_version) FROM servers",
    "SELECT concat_ws('|', id, kind, tenant_id, running_on, state, step, owner, lease_until, error, updated_at) FROM operations",
    "SELECT concat_ws('|', epoch, at, actor, action, outcome, tenant_id, names, detail) FROM audit",
    "SELECT concat_ws('|', name, until) FROM quarantine",
    "SELECT concat_ws('|', one, id, epoch, key_check) FROM installation",
];

fn held(restored: &Restored) -> Vec<Vec<String>> {
    HELD.iter().map(|rows| restored.sql(&format!("{rows} ORDER BY 1"))).collect()
}

fn states(restored: &Restored) -> Vec<String> {
    let mut states: Vec<_> = restored.site.tenants().into_iter().map(|(key, state)| format!("{key} {state}")).collect();
    states.sort();
    states
}

/// Runs it with a failpoint that would make it fail.
fn run_past(restored: &Restored, point: &str, args: &[&str]) -> Ran {
    let mut command = restored.site.command(args);
    command.env("TENANTRY_FAILPOINT", format!("{point}=error"));
    restored.site.finish(command)
}

/// Each case with an installation of each dump, at once.
fn with(dumps: &[Dump], case: fn(&Restored)) {
    let threads: Vec<_> =
        dumps.iter().map(|&dump| (dump.version, thread::spawn(move || case(&Restored::new(dump))))).collect();
    for (version, thread) in threads {
        assert!(thread.join().is_ok(), "{version}");
    }
}

#[test]
fn an_older_catalog_is_upgraded_by_many_programs_at_once_and_loses_nothing() {
    with(&dump::all(), |restored| {
        let before = held(restored);
        assert!(before.iter().all(|rows| !rows.is_empty()), "the dump holds something of everything");
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| restored.site.ok(&["tenant", "list"]));
            }
        });
        restored.site.ok(&["server", "list"]);
        assert_eq!(held(restored), before);
        assert_eq!(restored.sql("SELECT CAST(schema_version AS text) FROM installation"), ["4"]);
        let new = "coalesce(input, kept, progress, result, CAST(cancel_at AS text))";
        assert_eq!(restored.sql(&format!("SELECT id FROM operations WHERE {new} IS NOT NULL")), [""; 0]);
        let domains = restored.site.json(&["domain", "list"]);
        assert_eq!(domains[0], json!({ "host": "acme.example", "tenant": "acme" }));
        let rows = restored.site.json(&["sql", "acme", "-c", "SELECT username FROM users"]);
        assert_eq!(rows["statements"][0]["rows"], json!([["ann"]]));
    });
}

#[test]
fn an_upgraded_catalog_is_that_of_a_new_installation() {
    for dump in RUNNING {
        let restored = Restored::new(dump);
        restored.site.ok(&["tenant", "list"]);
        let columns = |of: &Restored| {
            match &of.site.database {
            Some(_) => of.sql(
                "SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, character_maximum_length)
                   FROM information_schema.columns WHERE table_schema = 'tenantry_catalog' ORDER BY table_name, ordinal_position",
            ),
            None => of.sql(
                "SELECT concat_ws(' ', m.name, c.name, c.type, c.\"notnull\")
                   FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY m.name, c.cid",
            ),
        }
        };
        let upgraded = columns(&restored);
        match &restored.site.database {
            Some(database) => drop(database.sql("DROP SCHEMA tenantry_catalog CASCADE").unwrap()),
            None => fs::remove_file(restored.site.path("catalog.db")).unwrap(),
        }
        restored.site.ok(&["tenant", "list"]);
        assert_eq!(columns(&restored), upgraded, "{}", dump.version);
    }
}

#[test]
fn what_an_older_program_left_unfinished_is_brought_to_its_end() {
    with(&dump::all(), |restored| {
        let left = states(restored);
        assert_eq!(left.len(), 12, "{left:?}");
        restored.site.ok(&["doctor", "--repair"]);
        let ended = ["acme active", "deleted deleted", "placed active", "renamed active", "reserved active"];
        assert_eq!(states(restored), [ended.as_slice(), &["suspended suspended"]].concat());
        assert_eq!(restored.site.tenant_files().len(), 6, "{:?}", restored.site.tenant_files());
        assert_eq!(restored.sql("SELECT id FROM operations WHERE running_on IS NOT NULL"), [""; 0]);
        restored.site.ok(&["doctor"]);
        let domains = restored.site.json(&["domain", "list"]);
        assert_eq!(domains[1], json!({ "host": "reserved.example", "tenant": "reserved" }));
    });
}

#[test]
fn an_unfinished_operation_goes_on_at_the_step_where_the_older_program_was() {
    with(&dump::all(), |restored| {
        let purge = |key| run_past(restored, "purge.drain", &["tenant", "purge", key, "--yes"]);
        for key in ["destroying", "destroyed"] {
            assert_eq!(purge(key).code, Some(0), "{key} was drained");
        }
        for key in ["marked", "drained"] {
            purge(key).says_only_on_stderr("failpoint `purge.drain`");
        }
        let placed = run_past(restored, "provision.place", &["tenant", "create", "placed"]);
        placed.says_only_on_stderr("failpoint `provision.place`");
    });
}

/// An old process that has had the catalog open since before its upgrade.
fn upgraded_beside_an_old_process(restored: &Restored) -> OldProcess {
    let old = OldProcess::open(restored);
    assert_eq!(states(restored).len(), 12);
    old
}

/// What the old program does to destroy a tenant of its own file.
fn destroy(restored: &Restored, operation: &OldOperation) {
    let name = operation.tenant.replace('-', "");
    for file in restored.site.tenant_files().iter().filter(|file| file.contains(&name)) {
        fs::remove_file(restored.site.path(&format!("data/tenants/{file}"))).unwrap();
    }
}

fn is_purged(restored: &Restored, key: &str) {
    assert_eq!(restored.step_of(key), "");
    restored.site.exits(1, &["tenant", "show", key]);
    let purges = "SELECT action FROM audit WHERE action = 'tenant.purge' AND names LIKE";
    assert_eq!(restored.sql(&format!("{purges} 'key:{key} %'")).len(), 1, "it was purged once");
    restored.site.ok(&["doctor", "--repair"]);
    restored.site.ok(&["doctor"]);
}

const PURGE: [&str; 4] = ["tenant", "purge", "deleted", "--yes"];

#[test]
fn an_old_process_ends_its_operations_while_the_new_program_works() {
    with(&RUNNING, |restored| {
        let mut old = upgraded_beside_an_old_process(restored);
        let operation = old.begin_purge("deleted");
        restored.site.ok(&["doctor", "--repair"]);
        assert!(old.heartbeat(&operation), "nobody took it away");
        assert!(old.step(&operation, 1));
        restored.site.ok(&["tenant", "create", "fresh"]);
        destroy(restored, &operation);
        assert!(old.end_purge("deleted", &operation));
        is_purged(restored, "deleted");
    });
}

#[test]
fn the_new_program_goes_on_where_an_old_process_stopped_and_the_old_one_does_nothing_more() {
    with(&RUNNING, |restored| {
        let mut old = upgraded_beside_an_old_process(restored);
        let operation = old.begin_purge("deleted");
        assert!(old.step(&operation, 1));
        restored.let_leases_run_out();
        let ran = run_past(restored, "purge.drain", &PURGE);
        assert_eq!(ran.code, Some(0), "it was drained: {ran:?}");
        assert!(!old.heartbeat(&operation) && !old.step(&operation, 1) && !old.end_purge("deleted", &operation));
        is_purged(restored, "deleted");
    });
}

#[test]
fn an_old_process_goes_on_by_the_number_where_the_new_program_stopped() {
    with(&RUNNING, |restored| {
        let mut old = upgraded_beside_an_old_process(restored);
        assert!(killed_at(&restored.site, "purge.destroy", &PURGE));
        assert_eq!(restored.step_of("deleted"), "1 drain");
        restored.let_leases_run_out();
        let operation = old.take_over("deleted").unwrap();
        assert_eq!(operation.step, 1, "it is drained");
        assert!(old.heartbeat(&operation));
        destroy(restored, &operation);
        assert!(old.end_purge("deleted", &operation));
        is_purged(restored, "deleted");
    });
}

#[test]
fn an_operation_that_goes_from_the_new_program_to_an_old_one_and_back_ends_right() {
    with(&RUNNING, |restored| {
        let mut old = upgraded_beside_an_old_process(restored);
        assert!(killed_at(&restored.site, "purge.drain", &PURGE));
        assert_eq!(restored.step_of("deleted"), "0 -", "drained, and not yet written down");
        restored.let_leases_run_out();
        let operation = old.take_over("deleted").unwrap();
        assert_eq!(operation.step, 0);
        assert!(old.step(&operation, 1));
        let known = if restored.dump.names_steps() { "1 drain" } else { "1 -" };
        assert_eq!(restored.step_of("deleted"), known, "the program of version 2 does not know the name");
        restored.let_leases_run_out();
        let ran = run_past(restored, "purge.drain", &PURGE);
        assert_eq!(ran.code, Some(0), "it was drained: {ran:?}");
        assert!(!old.heartbeat(&operation));
        is_purged(restored, "deleted");
    });
}

#[test]
fn a_tenant_that_an_old_process_began_to_create_is_finished_by_the_new_program() {
    with(&RUNNING, |restored| {
        let mut old = upgraded_beside_an_old_process(restored);
        let operation = old.create("late");
        restored.let_leases_run_out();
        restored.site.ok(&["tenant", "create", "late"]);
        assert!(!old.heartbeat(&operation));
        assert!(states(restored).contains(&"late active".to_owned()));
        restored.site.ok(&["sql", "late", "-c", "INSERT INTO users (username) VALUES ('bob')"]);
    });
}

#[test]
fn a_step_that_only_a_newer_program_knows_stops_this_one_and_nothing_else() {
    with(&RUNNING, |restored| {
        restored.site.ok(&["tenant", "list"]);
        let on = "running_on = (SELECT id FROM tenants WHERE key = 'destroying')";
        restored.sql(&format!("UPDATE operations SET step_name = 'archive' WHERE {on}"));
        let row =
            format!("SELECT concat_ws('|', owner, lease_until, step, step_name, state) FROM operations WHERE {on}");
        let before = restored.sql(&row);
        let ran = restored.site.exits(1, &["tenant", "purge", "destroying", "--yes"]);
        ran.says_only_on_stderr("has done the step `archive`, which this program does not know");
        ran.says_only_on_stderr("help: a newer program wrote it");
        let report = restored.site.exits(4, &["doctor", "--repair"]);
        assert!(report.out.contains("operation_stuck") && report.out.contains("`archive`"), "{report:?}");
        assert_eq!(restored.sql(&row), before, "it is free for the newer program");
        assert_eq!(states(restored).iter().filter(|state| state.ends_with("purging")).count(), 1, "the others ended");
    });
}
