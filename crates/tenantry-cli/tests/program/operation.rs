//! `tenantry operation`: what is told of the journal, and giving up what runs.

use serde_json::{Value, json};

use crate::support::{Site, killed_at, repair_until};

/// The journal, newest first.
fn listed(site: &Site) -> Vec<Value> {
    site.json(&["operation", "list", "--all"]).as_array().unwrap().clone()
}

#[test]
fn what_was_done_is_listed_with_what_it_was_given_and_what_came_of_it() {
    let site = Site::with_tenants(&["acme", "globex"]);
    site.write("migrations/tenant/0002_more.sql", "CREATE TABLE more (x);");
    site.ok(&["migrate", "up", "--parallel", "1", "--wave", "50%,100%"]);
    site.ok(&["migrate", "up"]);
    site.ok(&["tenant", "delete", "globex", "--yes"]);
    site.ok(&["tenant", "purge", "globex", "--yes"]);

    let operations = listed(&site);
    let kinds: Vec<_> =
        operations.iter().map(|o| (o["kind"].as_str().unwrap(), o["state"].as_str().unwrap())).collect();
    assert_eq!(
        kinds,
        [("purge", "done"), ("migrate", "done"), ("provision", "done"), ("provision", "done")],
        "a run that had nothing to do is not written down"
    );
    assert_eq!(operations[0]["input"], json!({ "form": 1, "key": "globex" }));
    let run = &operations[1];
    assert_eq!(run["tenant"], Value::Null);
    assert_eq!(
        run["input"],
        json!({ "form": 1, "only": null, "parallel": 1, "waves": [0.5, 1.0], "stop_after": null, "retry_failed": false })
    );
    assert_eq!(run["progress"], json!({ "form": 1, "targets": 2, "done": 2, "failed": 0 }));
    assert_eq!(
        run["result"],
        json!({ "form": 1, "tried": 2, "up_to_date": 1, "failed": 0, "not_tried": 0, "gone": 0 })
    );

    let id = run["id"].as_str().unwrap();
    let shown = site.ok(&["operation", "show", id]);
    for words in ["migrate", "the fleet", "done 2, failed 0, targets 2", "parallel 1"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert!(!shown.contains("form"), "{shown}");
    assert_eq!(site.json(&["operation", "list"]), json!([]), "nothing runs");
    let page = site.json(&["operation", "list", "--all", "--limit", "1", "--before", id]);
    assert_eq!(page, json!([operations[2]]), "the next page begins behind it");
    site.exits(1, &["operation", "cancel", id]).says_only_on_stderr("this migrate has ended: it is done");
    site.exits(1, &["operation", "show", "nothing"]).says_only_on_stderr("there is no operation `nothing`");
}

#[test]
fn a_creation_that_is_cancelled_is_undone_by_whoever_takes_it_over() {
    let site = Site::with_tenants(&[]);
    assert!(killed_at(&site, "provision.place", &["tenant", "create", "acme"]));
    let running = site.json(&["operation", "list"]);
    let id = running[0]["id"].as_str().unwrap().to_owned();
    assert_eq!((&running[0]["state"], &running[0]["input"]["key"]), (&json!("running"), &json!("acme")));
    site.ok(&["operation", "cancel", &id]);
    assert!(site.ok(&["operation", "list"]).contains("running, to be cancelled"));
    repair_until(&site, || site.tenants().is_empty());
    assert_eq!(listed(&site)[0]["state"], "undone");
    assert_eq!(site.tenant_files(), Vec::<String>::new());
    site.ok(&["tenant", "create", "acme"]);
}

#[test]
fn a_run_whose_process_was_killed_is_told_of_and_goes_on_when_it_is_run_again() {
    let site = Site::with_tenants(&["acme", "globex"]);
    site.write("migrations/tenant/0002_more.sql", "CREATE TABLE more (x);");
    assert!(killed_at(&site, "migrate.noted", &["migrate", "up", "--parallel", "1"]));
    assert_eq!(listed(&site)[0]["state"], "running");
    site.ok(&["migrate", "up"]);
    assert_eq!(listed(&site)[0]["state"], "done");
    repair_until(&site, || listed(&site)[1]["state"] == "failed");
    let why = listed(&site)[1]["error"].as_str().unwrap().to_owned();
    assert!(why.contains("`tenantry migrate up` goes on"), "{why}");
    site.ok(&["doctor"]);
}
