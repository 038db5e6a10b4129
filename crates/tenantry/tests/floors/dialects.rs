//! What differs between engines stands in an engine's folder: everything else asks the engine.
//!
//! Read are the names in the code of the library and of the program, and its literals; comments, tests and texts for
//! people may name an engine.

use std::{fs, path::Path};

use crate::tokens::{Token, literals, tokens};

/// Where an engine is named on purpose, and why.
const AT_HOME: &[(&str, &str)] = &[
    ("tenantry/src/engine/", "the engines, and the list of them"),
    ("tenantry/src/scope/views/", "a pair of typed views for each engine"),
    ("tenantry/src/catalog/store/", "where a catalog can be kept"),
    ("tenantry/src/scope/mod.rs", "shows the typed views"),
    ("tenantry/src/lib.rs", "shows the typed views"),
    ("tenantry/src/key.rs", "words that no tenant may be called"),
    ("tenantry-cli/src/commands/migrate/tenantify.rs", "converts files for row security, which one engine has"),
    ("tenantry-cli/src/commands/sql/run.rs", "chooses the typed view"),
    ("tenantry-cli/src/commands/sql/value.rs", "reads the values of each typed view"),
];

const ENGINES: &[&str] = &["sqlite", "postgres", "mysql", "mariadb"];

#[test]
fn no_engine_is_named_outside_of_its_folder() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (mut found, mut read) = (Vec::new(), 0);
    for root in ["tenantry/src", "tenantry-cli/src"] {
        for source in crate::sources_of(&crates.join(root)).unwrap() {
            let file = format!("{root}/{}", source.file);
            read += 1;
            if !file.ends_with("/tests.rs") && !AT_HOME.iter().any(|(home, _)| file.starts_with(home)) {
                found.extend(dialects(&source.text).into_iter().map(|(line, what)| format!("{file}:{line}: {what}")));
            }
        }
    }
    assert!(read > 100, "the sources were not found");
    assert!(found.is_empty(), "{} places name an engine; ask the engine instead:\n{}", found.len(), found.join("\n"));
}

#[test]
fn every_place_that_may_name_an_engine_is_there_and_does() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (home, why) in AT_HOME {
        let path = crates.join(home);
        let texts = if path.is_dir() {
            crate::sources_of(&path).unwrap().into_iter().map(|source| source.text).collect()
        } else {
            vec![fs::read_to_string(&path).unwrap()]
        };
        assert!(texts.iter().any(|text| !dialects(text).is_empty()), "`{home}` ({why}) names no engine: take it out");
    }
}

/// The names and literals of an engine, by line.
fn dialects(text: &str) -> Vec<(usize, String)> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let names = tokens(code).into_iter().filter(|token| is_of_engine(&token.text));
    let literals = literals(code).into_iter().filter(|literal| is_dialect(&literal.text));
    names.chain(literals).map(|Token { line, text }| (line, text)).collect()
}

fn is_of_engine(name: &str) -> bool {
    let lower = name.to_lowercase();
    ENGINES.iter().any(|engine| lower.contains(engine))
        || name.starts_with("Pg") && name[2..].starts_with(|c: char| c.is_uppercase())
        || lower.starts_with("pg_")
}

/// A text with spaces in it is for people, unless what only one engine's SQL has stands there.
fn is_dialect(literal: &str) -> bool {
    let is_for_people = literal.contains(char::is_whitespace);
    let is_state = literal.len() == 5
        && literal.chars().all(|c| c.is_ascii_digit() || c.is_ascii_uppercase())
        && literal.starts_with(|c: char| c.is_ascii_digit());
    let names_one = ENGINES.iter().any(|engine| literal.to_lowercase().contains(engine));
    is_state || literal.contains("pg_") || literal.contains("sqlite_") || (names_one && !is_for_people)
}

// The checker's own tests.

#[track_caller]
fn assert_found(text: &str) {
    assert!(!dialects(text).is_empty(), "{text}");
}

#[test]
fn a_name_and_a_literal_of_an_engine_are_found() {
    for text in [
        "if engine == \"postgres\" {}",
        "match backend { DbBackend::Postgres => 1, _ => 2 }",
        "fn f(row: &PgRow) {}",
        "url.starts_with(\"sqlite://\")",
        "use sqlx::sqlite::SqliteRow;",
        "let slow = \"SELECT pg_sleep(1)\";",
        "error.code() == Some(\"42501\")",
        "matches!(code, \"3F000\")",
        "EngineKind::MySql",
        "let q = r#\"SELECT name FROM sqlite_master\"#;",
    ] {
        assert_found(text);
    }
}

#[test]
fn what_is_for_people_is_no_dialect() {
    for text in [
        "/// On PostgreSQL by the wire.\nfn f() {}",
        "// SQLITE_BUSY\nfn f() {}",
        "let help = \"use SQLite or PostgreSQL\";",
        "fn page() {}",
        "let n = \"HTTP2\";",
        "fn f() {}\n#[cfg(test)]\nmod tests { const A: &str = \"postgres\"; }",
    ] {
        assert_eq!(dialects(text), Vec::new(), "{text}");
    }
}
