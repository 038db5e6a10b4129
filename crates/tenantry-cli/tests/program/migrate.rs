//! `tenantry migrate`: files, waves, failures, histories that do not fit.

use serde_json::{Value, json};

use crate::support::Site;

const SECOND: &str = "migrations/tenant/0002_unique.sql";

/// Three tenants at version 1; version 2 cannot be applied to `beta`.
fn with_a_failing_tenant() -> Site {
    let site = Site::with_tenants(&["alpha", "beta", "gamma"]);
    site.ok(&["sql", "beta", "-c", "INSERT INTO users (username) VALUES (NULL), (NULL)"]);
    site.write(SECOND, "CREATE UNIQUE INDEX one_nameless ON users (coalesce(username, ''));");
    site
}

fn count_of_index(site: &Site, key: &str) -> Value {
    let sql = "SELECT count(*) FROM pragma_index_list('users') WHERE name = 'one_nameless'";
    site.json(&["sql", key, "-c", sql])["statements"][0]["rows"][0][0].clone()
}

#[test]
fn new_makes_the_next_file_with_what_has_to_be_known() {
    let site = Site::new();
    assert_eq!(site.ok(&["migrate", "new", "users"]), "migrations/tenant/0001_users.sql\n");
    assert_eq!(site.ok(&["migrate", "new", "fill", "--data"]), "migrations/tenant/0002_fill.data.sql\n");
    assert_eq!(site.ok(&["migrate", "new", "plans", "--shared"]), "migrations/shared/0001_plans.sql\n");
    site.write("migrations/tenant/0041_x.postgres.sql", "");
    assert!(site.json(&["migrate", "new", "y"])["file"].as_str().unwrap().ends_with("0042_y.sql"));
    assert_eq!(
        site.read("migrations/tenant/0001_users.sql"),
        "-- 0001_users.sql: applied once to every tenant.\n\
         -- CREATE TABLE, ALTER TABLE, CREATE INDEX; rows are changed in a file made with --data.\n\
         -- No BEGIN and COMMIT: the file and its entry in the ledger are one transaction.\n\
         -- Once it was applied anywhere it is not changed any more: write the next migration instead.\n\
         -- For PostgreSQL write plain tables, and then: tenantry migrate tenantify FILE\n\n"
    );
    for name in ["", "Users", "add-users", "../users", "a/b", "a.b", "a b", "_a", "a\n", &"a".repeat(81)] {
        site.exits(1, &["migrate", "new", name]).says_only_on_stderr("cannot name a migration");
    }
    // What was made, empty as it is, can be applied.
    site.ok(&["tenant", "create", "acme"]);
    site.ok(&["migrate", "up"]);
    site.ok(&["migrate", "verify"]);
}

#[test]
fn a_tenant_whose_file_is_gone_is_planned_as_one_that_fails_and_the_others_are_migrated() {
    let site = Site::with_tenants(&["acme"]);
    for file in std::fs::read_dir(site.path("data/tenants")).unwrap() {
        std::fs::remove_file(file.unwrap().path()).unwrap();
    }
    site.ok(&["tenant", "create", "globex"]);
    site.write("migrations/tenant/0002_more.sql", "ALTER TABLE users ADD COLUMN more TEXT;");
    let plan = site.ok(&["migrate", "plan"]);
    assert!(plan.contains("cannot be migrated: ") && plan.contains("is gone"), "{plan}");
    assert!(plan.ends_with("\n1 target to migrate, 1 up to date, 1 cannot be migrated\n"), "{plan}");
    let report = site.exits(3, &["migrate", "up"]);
    assert!(report.out.contains("1 target migrated, 1 failed"), "{report:?}");
    site.ok(&["sql", "globex", "-c", "SELECT more FROM users"]);
}

#[test]
fn plan_shows_what_is_pending_and_up_applies_it_once() {
    let site = Site::new();
    for key in ["a1", "a2", "a3", "a4", "b1"] {
        site.ok(&["tenant", "create", key]);
    }
    assert_eq!(site.ok(&["migrate", "plan"]), "nothing is pending: 6 targets up to date\n");
    site.write("migrations/tenant/0001_users.sql", "CREATE TABLE users (id INTEGER PRIMARY KEY);");
    site.write("migrations/shared/0001_plans.sql", "CREATE TABLE plans (id INTEGER PRIMARY KEY);");
    assert_eq!(
        site.ok(&["migrate", "plan"]),
        "TARGETS              VERSION  PENDING\n\
         shared               0        1 plans\n\
         5 (a1, a2, a3, ...)  0        1 users\n\n\
         6 targets to migrate, 0 up to date\n"
    );
    let plan = site.json(&["migrate", "plan", "--only", "b*"]);
    let expected = json!({ "pending": [{ "target": "b1", "version": 0, "pending": ["1 users"] }], "up_to_date": 0 });
    assert_eq!(plan, expected);
    assert_eq!(
        site.ok(&["migrate", "up", "--only", "b*"]),
        "1 target migrated, 0 failed, 0 up to date before, 0 not tried\n"
    );
    assert_eq!(site.ok(&["migrate", "up"]), "5 targets migrated, 0 failed, 1 up to date before, 0 not tried\n");
    assert_eq!(site.ok(&["migrate", "up"]), "nothing to do: 6 targets are up to date\n");
    assert_eq!(
        site.ok(&["migrate", "status"]),
        "WHAT                      VERSION  TENANTS  STATE\n\
         shared tables on `local`  1                 up to date\n\
         tenants on sqlite         1        5        up to date\n"
    );
    assert!(site.exits(0, &["migrate", "up", "--only", "nobody"]).err.contains("no tenant fits \"nobody\""));
    site.exits(1, &["migrate", "up", "--only", "a["]).says_only_on_stderr("help: ");
}

#[test]
fn a_tenant_that_fails_stops_no_other_and_is_retried_when_the_cause_is_mended() {
    let site = with_a_failing_tenant();
    let ran = site.exits(3, &["migrate", "up"]);
    assert!(ran.out.ends_with("\n2 targets migrated, 1 failed, 1 up to date before, 0 not tried\n"), "{ran:?}");
    assert!(ran.out.lines().any(|l| l.starts_with("beta    1        migration 2 (")), "{ran:?}");
    assert!(ran.err.contains("help: fix the cause, then: tenantry migrate up --retry-failed"), "{ran:?}");
    assert_eq!(
        [count_of_index(&site, "alpha"), count_of_index(&site, "beta"), count_of_index(&site, "gamma")],
        [1, 0, 1]
    );

    let status = site.json(&["migrate", "status"]);
    assert_eq!(status["up_to_date"], false);
    assert_eq!(status["failures"][0]["tenant"], "beta");
    assert!(status["failures"][0]["why"].as_str().unwrap().contains("UNIQUE constraint failed"), "{status}");
    assert!(site.ok(&["tenant", "show", "beta"]).contains("migration failed"), "{status}");

    assert!(site.exits(4, &["migrate", "verify"]).out.contains("beta: at version 1"));
    site.ok(&["sql", "beta", "-c", "DELETE FROM users WHERE id = 2"]);
    let lines = site.json_lines(0, &["migrate", "up", "--retry-failed"]);
    assert_eq!(lines[0], json!({ "event": "planned", "targets": 1 }));
    assert_eq!(lines[2], json!({ "event": "done", "target": "beta", "version": 2, "applied": 1, "error": null }));
    let report = lines.last().unwrap();
    assert_eq!(
        (&report["event"], &report["failed"], &report["interrupted"]),
        (&json!("report"), &json!(0), &json!(false))
    );
    site.ok(&["migrate", "verify"]);
    assert_eq!(site.json(&["migrate", "status"])["failures"], json!([]));
    assert!(site.exits(0, &["migrate", "up", "--retry-failed"]).err.contains("no tenant's last migration failed"));
}

#[test]
fn a_wave_in_which_something_failed_is_the_last() {
    let site = with_a_failing_tenant();
    // Of three targets one, two, three: beta is in the second wave.
    let lines = site.json_lines(3, &["migrate", "up", "--wave", "1%,67%,100%", "--parallel", "1"]);
    let waves: Vec<_> = lines.iter().filter(|l| l["event"] == "wave").map(|l| l["number"].clone()).collect();
    assert_eq!(waves, [1, 2]);
    assert!(lines.last().unwrap()["not_tried"].as_u64().unwrap() <= 1, "{lines:?}");
    for wave in ["10", "0%", "101%", "x%", "-1%", ""] {
        site.exits(2, &["migrate", "up", &format!("--wave={wave}")]);
    }
}

#[test]
fn it_stops_after_so_many_failures() {
    let site = Site::with_tenants(&["a", "b", "c", "d"]);
    site.write(SECOND, "CREATE TABLE users (again INTEGER);");
    let lines = site.json_lines(3, &["migrate", "up", "--parallel", "1", "--stop-after", "2"]);
    let report = lines.last().unwrap();
    assert_eq!((&report["failed"], &report["not_tried"]), (&json!(2), &json!(2)));
}

#[test]
fn a_failing_shared_file_leaves_the_tenants_alone() {
    let site = Site::with_tenants(&["acme"]);
    site.write("migrations/shared/0001_plans.sql", "CREATE TABLE plans (id INTEGER); nonsense;");
    site.write(SECOND, "CREATE TABLE more (id INTEGER);");
    let ran = site.exits(3, &["migrate", "up"]);
    assert!(ran.out.contains("0 targets migrated, 1 failed, 0 up to date before, 1 not tried"), "{ran:?}");
    assert!(ran.err.contains("help: fix the file, then: tenantry migrate up"), "{ran:?}");
    assert_eq!(site.json(&["tenant", "show", "acme"])["version"], 1);
}

#[test]
fn a_history_that_does_not_fit_its_files_stops_everything_before_any_change() {
    let first = "migrations/tenant/0001_users.sql";
    type Change = fn(&Site);
    let cases: [(&str, Change); 4] = [
        ("was changed after it was applied", |site| {
            site.write("migrations/tenant/0001_users.sql", "CREATE TABLE users (x);")
        }),
        ("but its file is gone", |site| std::fs::remove_file(site.path("migrations/tenant/0001_users.sql")).unwrap()),
        ("is older than 2, which was applied", |site| {
            site.write(SECOND, "CREATE TABLE two (x);");
            site.ok(&["migrate", "up"]);
            site.write("migrations/tenant/0003_c.sql", "CREATE TABLE three (x);");
            std::fs::rename(site.path("migrations/tenant/0001_users.sql"), site.path("aside")).unwrap();
            site.exits(1, &["migrate", "up"]);
            std::fs::rename(site.path("aside"), site.path("migrations/tenant/0001_users.sql")).unwrap();
            site.write("migrations/tenant/0000001_users.sql", "");
        }),
        ("was applied by a newer program", |site| {
            site.write(SECOND, "CREATE TABLE two (x);");
            site.ok(&["migrate", "up"]);
            std::fs::remove_file(site.path(SECOND)).unwrap();
        }),
    ];
    for (why, change) in cases {
        let site = Site::with_tenants(&["acme"]);
        change(&site);
        if why.starts_with("is older") {
            // Two files of one version: refused even before the histories are read.
            site.exits(1, &["migrate", "up"]).says_only_on_stderr("appears twice");
            continue;
        }
        site.write("migrations/tenant/0009_later.sql", "CREATE TABLE later (x);");
        if why.ends_with("newer program") {
            std::fs::remove_file(site.path("migrations/tenant/0009_later.sql")).unwrap();
        }
        for verb in ["up", "plan"] {
            site.exits(1, &["migrate", verb]).says_only_on_stderr(why);
        }
        assert!(site.exits(4, &["migrate", "verify"]).out.contains(why), "{why}");
        let tables = "SELECT count(*) FROM pragma_table_list WHERE name = 'later'";
        assert_eq!(site.json(&["sql", "acme", "-c", tables])["statements"][0]["rows"][0][0], 0);
        assert!(site.path(first).parent().unwrap().is_dir());
    }
}

#[test]
fn a_late_file_is_refused_until_it_is_stamped_or_renamed() {
    let site = Site::new();
    site.write("migrations/tenant/0002_b.sql", "CREATE TABLE b (x);");
    site.ok(&["tenant", "create", "acme"]);
    site.write("migrations/tenant/0001_a.sql", "CREATE TABLE a (x);");
    site.exits(1, &["migrate", "up"]).says_only_on_stderr("is older than 2, which was applied");
    assert!(site.exits(4, &["migrate", "verify"]).out.contains("is older than 2"));
    std::fs::rename(site.path("migrations/tenant/0001_a.sql"), site.path("migrations/tenant/0003_a.sql")).unwrap();
    site.ok(&["migrate", "up"]);
    site.ok(&["migrate", "verify"]);
}

#[test]
fn a_stamped_version_counts_as_applied_and_was_not_run() {
    let site = Site::with_tenants(&["acme", "globex"]);
    site.write(SECOND, "CREATE TABLE two (x);");
    site.exits(1, &["migrate", "stamp", "7"]).says_only_on_stderr("help: tenantry migrate status");
    site.exits(2, &["migrate", "stamp", "0"]);
    assert_eq!(
        site.ok(&["migrate", "stamp", "2", "--only", "acme"]),
        "1 migration written into ledgers, none was run\n"
    );
    assert_eq!(site.ok(&["migrate", "up"]), "1 target migrated, 0 failed, 2 up to date before, 0 not tried\n");
    site.ok(&["migrate", "verify"]);
    site.exits(1, &["sql", "acme", "-c", "SELECT * FROM two"]).says_only_on_stderr("no such table: two");
    site.ok(&["sql", "globex", "-c", "SELECT * FROM two"]);
}
