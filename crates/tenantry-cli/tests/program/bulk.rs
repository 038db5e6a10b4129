//! `tenantry tenant create --from FILE.csv`.

use serde_json::json;

use crate::support::Site;

#[test]
fn the_good_lines_of_a_file_are_created_and_each_bad_one_is_told_with_its_number() {
    let site = Site::with_tenants(&["there"]);
    site.write(
        "t.csv",
        "key,isolation,server,domain\n\
         one,,,one.example one.test\n\
         Bad,,,\n\
         two,database,local,two.example;two.test\n\
         there,,,\n\
         three,row,,\n\
         four,,nowhere,\n\
         five,sideways,,\n\
         one,,,\n\
         six,,,not a domain!\n\
         short\n\
         \"seven\",,,\n",
    );
    let ran = site.exits(3, &["tenant", "create", "--from", "t.csv", "--parallel", "8"]);
    assert!(ran.out.ends_with("\n3 tenants created, 0 skipped, 8 failed\n"), "{ran:?}");
    for (number, why) in [
        (3, "lower-case"),
        (5, "belongs to a tenant that is active"),
        (6, "row isolation is not available on sqlite"),
        (7, "there is no server `nowhere`"),
        (8, "is no isolation"),
        (9, "the key stands on line 2 already"),
        (10, ""),
        (11, "the line has 1 fields, the titles have 4"),
    ] {
        let line = ran.out.lines().find(|l| l.split_whitespace().next() == Some(&number.to_string()));
        assert!(line.is_some_and(|l| l.contains(why)), "line {number}: {ran:?}");
    }
    let keys: Vec<_> = site.tenants().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["one", "seven", "there", "two"]);
    assert_eq!(site.json(&["tenant", "show", "two"])["domains"], json!(["two.example", "two.test"]));
    site.ok(&["doctor"]);
}

#[test]
fn a_file_is_run_again_with_skip_existing() {
    let site = Site::with_tenants(&[]);
    site.write("t.csv", "\u{feff}key\r\none\r\ntwo\r\n");
    let first = site.json_lines(0, &["tenant", "create", "--from", "t.csv"]);
    assert_eq!(first[0], json!({ "event": "planned", "tenants": 2 }));
    assert_eq!(first[1]["event"], "created");
    assert_eq!(first[1]["tenant"]["state"], "active");
    let report = |created, skipped, failed| {
        json!({ "event": "report", "created": created, "skipped": skipped, "failed": failed, "not_tried": 0,
            "interrupted": false })
    };
    assert_eq!(first.last(), Some(&report(2, 0, 0)));
    site.write("t.csv", "key\none\ntwo\nthree\n");
    let again = site.json_lines(3, &["tenant", "create", "--from", "t.csv"]);
    assert_eq!(again.last(), Some(&report(1, 0, 2)));
    let failed = again.iter().find(|e| e["event"] == "failed").unwrap();
    assert_eq!(failed["error"]["code"], "taken");
    let skipped = site.json_lines(0, &["tenant", "create", "--from", "t.csv", "--skip-existing"]);
    assert_eq!(skipped.last(), Some(&report(0, 3, 0)));
}

#[test]
fn a_file_that_cannot_be_used_creates_nothing() {
    let site = Site::with_tenants(&[]);
    for (text, why) in [
        ("key,colour\none,red\n", "there is no column \"colour\""),
        ("isolation\nrow\n", "the column `key` is missing"),
        ("key,key\none,two\n", "the column `key` appears twice"),
        ("", "the column `key` is missing"),
    ] {
        site.write("t.csv", text);
        site.exits(1, &["tenant", "create", "--from", "t.csv"]).says_only_on_stderr(why);
    }
    site.exits(1, &["tenant", "create", "--from", "missing.csv"]).says_only_on_stderr("cannot read `missing.csv`");
    site.exits(2, &["tenant", "create", "acme", "--from", "t.csv"]);
    site.exits(2, &["tenant", "create"]);
    site.exits(2, &["tenant", "create", "acme", "--parallel", "2"]);
    assert_eq!(site.tenants(), []);
}

#[test]
fn a_line_that_is_not_utf8_fails_alone() {
    let site = Site::with_tenants(&[]);
    std::fs::write(site.path("t.csv"), b"key\none\n\xff\xfe\ntwo\n").unwrap();
    let ran = site.exits(3, &["tenant", "create", "--from", "t.csv"]);
    assert!(ran.out.contains("the line is not UTF-8"), "{ran:?}");
    assert_eq!(site.tenants().len(), 2);
}

#[test]
fn a_hundred_tenants_are_created_in_parallel_and_each_has_a_file_of_its_own() {
    let site = Site::with_tenants(&[]);
    let keys: String = (0..100).map(|n| format!("t{n}\n")).collect();
    site.write("t.csv", &format!("key\n{keys}"));
    site.ok(&["tenant", "create", "--from", "t.csv", "--parallel", "16"]);
    assert_eq!(site.tenants().len(), 100);
    assert_eq!(site.tenant_files().len(), 100);
}
