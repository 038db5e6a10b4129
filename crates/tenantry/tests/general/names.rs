//! Names that people and attackers choose: refused with a reason, or kept to the letter, and never part of a path.

use std::collections::HashMap;

use proptest::prelude::*;
use tenantry::{MAX_KEY_BYTES, NewTenant, TenantId, TenantKey};

use crate::support::{self, Installation};

const GOOD: &[&str] =
    &["a", "0", "acme", "acme-2", "tenant_a", "a-b_c", "3m", "client1", "company1", "a--b", "con-air", "sqlitex"];

const BAD: &[&str] = &[
    // Nothing, too much, and what a label may not start or end with.
    "",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "-a",
    "a-",
    "_a",
    "a_",
    "a__b",
    ".",
    "..",
    "~",
    // Case, look-alikes, other forms of the same letter, letters that cannot be seen.
    "Acme",
    "ACME",
    "aCme",
    "àcme",
    "a\u{300}cme",
    "асme",
    "ａcme",
    "acme\u{200b}",
    "\u{feff}acme",
    "acme\u{202e}",
    "ac\u{ad}me",
    "straße",
    "ıstanbul",
    "acme\u{3002}com",
    "xn--acme-abc",
    "𝒶cme",
    "①",
    "٣",
    // What a database, a file system or the web takes for itself.
    "public",
    "pg_catalog",
    "pg_x",
    "information_schema",
    "mysql",
    "sys",
    "performance_schema",
    "template0",
    "template1",
    "postgres",
    "sqlite_master",
    "sqlite_x",
    "con",
    "nul",
    "aux",
    "com1",
    "lpt9",
    "admin",
    "www",
    "api",
    "shared",
    "main",
    "temp",
    // What would mean something in a text, a path, a header or a log.
    "a'b",
    "a\"b",
    "a`b",
    "a;b",
    "a%b",
    "a\\b",
    "a/b",
    "../a",
    "/etc",
    "a\0",
    "a\r\nb",
    "a\nb",
    "a\tb",
    " a",
    "a ",
    "a b",
    "a.b",
    "a:b",
    "file:a",
    ":memory:",
    "a?mode=ro",
    "a#b",
    "a@b",
    "a,b",
    "a*",
    "${a}",
    "{a}",
    "\u{1b}[31ma",
    "-rf",
    "a=b",
    "a&b",
    "<script>",
];

#[test]
fn good_keys_are_kept_to_the_letter() {
    for text in GOOD {
        let key: TenantKey = text.parse().unwrap_or_else(|e| unreachable!("{text}: {e}"));
        assert_eq!((key.as_str(), key.to_string().as_str()), (*text, *text));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_keys_are_refused_with_a_reason_everywhere_and_leave_nothing() {
    let place = Installation::new().await;
    place.tenant("acme").await;
    let before = place.tenant_files();
    for text in BAD {
        let error = text.parse::<TenantKey>().expect_err(text);
        assert!(error.is_invalid_key() && error.help_text().is_some(), "{text:?}");
        let shown = format!("{error}{}", error.client_text());
        assert!(!shown.chars().any(char::is_control), "{text:?} forges a line: {shown:?}");
        assert!(NewTenant::new(text).is_err(), "{text:?}");
        assert!(place.tenancy.tenant(text).await.unwrap_err().is_unknown_tenant(), "{text:?}");
        assert!(place.tenancy.tenant_find(text).await.is_err(), "{text:?}");
        assert!(place.tenancy.tenant_rename("acme", text).await.unwrap_err().is_invalid_key(), "{text:?}");
        assert!(serde_json::from_value::<TenantKey>((*text).into()).is_err(), "{text:?}");
        assert!(
            place.tenancy.server_add(tenantry::NewServer::new(*text, "sqlite://elsewhere")).await.is_err()
                || GOOD_SERVERS.contains(text),
            "{text:?}"
        );
    }
    assert_eq!(place.tenant_files(), before);
    assert_eq!(place.tenancy.tenant("acme").await.unwrap().tenant().key.as_str(), "acme");
}

/// A server's name is the operator's own, an identifier and no key: these are refused as keys only.
const GOOD_SERVERS: &[&str] = &[
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "_a",
    "a_",
    "a__b",
    "public",
    "pg_catalog",
    "pg_x",
    "information_schema",
    "mysql",
    "sys",
    "performance_schema",
    "template0",
    "template1",
    "postgres",
    "sqlite_master",
    "sqlite_x",
    "con",
    "nul",
    "aux",
    "com1",
    "lpt9",
    "admin",
    "www",
    "api",
    "shared",
    "main",
    "temp",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_differ_in_their_last_byte_or_look_alike_are_two_tenants() {
    let place = Installation::new().await;
    let stem = "a".repeat(MAX_KEY_BYTES - 1);
    let mut physical = HashMap::new();
    for key in [format!("{stem}1"), format!("{stem}2"), "a-b".into(), "a_b".into(), "a0".into(), "ao".into()] {
        let db = place.tenant(&key).await;
        support::user_add(&db, &key).await;
        assert_eq!(support::users(&db).await, [key.as_str()]);
        assert!(physical.insert(db.tenant().id, key).is_none());
    }
    let mut files = place.tenant_files();
    files.retain(|f| f.extension().is_some_and(|e| e == "db"));
    // By the id alone: two keys that a file system takes for one are still two files.
    let mut named_by_id: Vec<_> = physical.keys().map(|id| format!("t_{}.db", id.as_uuid().as_simple())).collect();
    named_by_id.sort();
    assert_eq!(files.iter().map(|f| f.file_name().unwrap().to_str().unwrap()).collect::<Vec<_>>(), named_by_id);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn whatever_is_accepted_is_one_plain_label(text in "\\PC{0,45}") {
        if let Ok(key) = text.parse::<TenantKey>() {
            let kept = key.as_str();
            prop_assert_eq!(kept, &text);
            prop_assert!((1..=MAX_KEY_BYTES).contains(&kept.len()));
            prop_assert!(kept.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_'));
        }
    }

    #[test]
    fn labels_of_the_allowed_letters_are_refused_for_a_stated_reason_only(text in "[a-z0-9_-]{1,40}") {
        let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        let well_formed = ends(text.chars().next()) && ends(text.chars().last()) && !text.contains("__");
        match text.parse::<TenantKey>() {
            Ok(_) => prop_assert!(well_formed),
            Err(e) if well_formed => prop_assert!(e.to_string().contains("reserved"), "{}", e),
            Err(_) => {}
        }
    }

    #[test]
    fn no_text_is_an_id_but_one_that_was_written_as_one(text in "[0-9a-fA-F{}-]{0,45}") {
        if let Ok(id) = text.parse::<TenantId>() {
            prop_assert_eq!(id.to_string().parse::<TenantId>().unwrap(), id);
        }
    }
}
