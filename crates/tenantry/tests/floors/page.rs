//! ARCHITECTURE.md names the tests that hold its invariants: what it names is there.

use std::{fs, path::Path};

#[test]
fn every_file_and_test_that_the_page_of_the_architecture_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let sources = crate::sources_of(&root.join("crates")).unwrap();
    let (files, tests) = (named(&page, is_file), named(&page, is_test));
    assert!(files.len() > 10 && tests.len() > 10, "the page was not read");
    for file in files {
        assert!(sources.iter().any(|source| source.file.ends_with(&format!("/{file}"))), "there is no `{file}`");
    }
    for test in tests {
        let function = format!("fn {test}(");
        assert!(sources.iter().any(|source| source.text.contains(&function)), "there is no test `{test}`");
    }
}

/// What stands between backticks and is of that kind.
fn named(page: &str, kind: fn(&str) -> bool) -> Vec<&str> {
    page.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).filter(|name| kind(name)).collect()
}

fn is_file(name: &str) -> bool {
    name.ends_with(".rs")
}

fn is_test(name: &str) -> bool {
    name.matches('_').count() > 2 && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}
