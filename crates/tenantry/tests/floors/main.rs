//! An import only goes down: reads every file of the library, and fails on an import of a floor above or beside.
//!
//! The floors are those of ARCHITECTURE.md. The checker is a small scanner and not a parser: it knows comments,
//! strings, inline modules and the trees of `use`, which is all that a path to `crate` or `super` needs.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use circles::circles;
use imports::{imports, used};

mod circles;
mod dialects;
mod imports;
mod page;
mod tokens;

/// The modules of the library by floor. A new one is written in here, on purpose. `lib.rs` is the face over all of them.
const FLOORS: &[&[&str]] = &[
    &["id", "key", "tenant", "ident", "error", "secret", "seconds", "clock", "failpoint"],
    &["engine"],
    &["catalog", "pool"],
    &["identify", "scope"],
    &["migrate", "archive"],
    &["operate"],
    &["tenantry", "config", "doctor"],
    &["web", "orm", "admin", "testing", "guide"],
    &["lib"],
];

/// Floors whose modules may import each other, as long as they form no circle: the words, and the handle's own parts.
const SIDEWAYS: &[usize] = &[0, 6];

#[test]
fn every_import_of_the_library_goes_down() {
    let sources = library().unwrap();
    assert!(sources.len() > 5, "the sources were not found");
    let found = violations(&sources);
    assert!(found.is_empty(), "{} imports break the floors:\n{}", found.len(), found.join("\n"));
}

fn library() -> io::Result<Vec<Source>> {
    sources_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"))
}

fn sources_of(root: &Path) -> io::Result<Vec<Source>> {
    let mut sources = Vec::new();
    read_sources(root, root, &mut sources)?;
    sources.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(sources)
}

fn read_sources(root: &Path, folder: &Path, into: &mut Vec<Source>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            read_sources(root, &path, into)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            let file = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            into.push(Source { file, text: fs::read_to_string(&path)? });
        }
    }
    Ok(())
}

/// One file, named by its path below `src`.
struct Source {
    file: String,
    text: String,
}

/// What is wrong, one line each: file, line, import, and the two floors.
fn violations(sources: &[Source]) -> Vec<String> {
    let face = sources.iter().find(|s| s.file == "lib.rs").map(|s| face(&s.text)).unwrap_or_default();
    let mut found = Vec::new();
    let mut edges = BTreeMap::<String, BTreeSet<String>>::new();
    for source in sources {
        let home = modules_of(&source.file);
        let from = home.first().map_or("lib", String::as_str);
        let Some(from_floor) = floor(from) else {
            found.push(format!("{}: module `{from}` is on no floor: give it one", source.file));
            continue;
        };
        for import in imports(&source.text, &home) {
            let to = face.get(&import.target).unwrap_or(&import.target);
            match judge(from, from_floor, to) {
                Ok(()) if from != to => drop(edges.entry(from.into()).or_default().insert(to.clone())),
                Ok(()) => {}
                Err(reason) => found.push(format!("{}:{}: `{}` {reason}", source.file, import.line, import.path)),
            }
        }
    }
    found.extend(circles(&edges).into_iter().map(|way| format!("these modules import each other in a circle: {way}")));
    found
}

fn judge(from: &str, from_floor: usize, to: &str) -> Result<(), String> {
    let Some(to_floor) = floor(to) else {
        return Err(format!("names `{to}`, which is on no floor: give it one, or name the module that it comes from"));
    };
    if from == to || to_floor < from_floor || (to_floor == from_floor && SIDEWAYS.contains(&from_floor)) {
        return Ok(());
    }
    let way = if to_floor == from_floor { "sideways" } else { "up" };
    Err(format!("goes {way}: `{from}` is on floor {from_floor}, `{to}` on floor {to_floor}"))
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

/// `pool/lease.rs` is the module `pool::lease`; `pool/mod.rs` is `pool`; `lib.rs` or `main.rs` is the root.
fn modules_of(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if path == "lib" || path == "main" { Vec::new() } else { path.split('/').map(Into::into).collect() }
}

/// The names that `lib.rs` shows, with the module that each comes from: `crate::Error` is `error`, and floor 0.
fn face(lib: &str) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for leaf in used(lib) {
        let path: Vec<_> = leaf.path.into_iter().filter(|p| p != "crate" && p != "self").collect();
        if let [module, .., _] = path.as_slice()
            && floor(module).is_some()
        {
            names.insert(leaf.name, module.clone());
        }
    }
    names
}

// The checker's own tests: a check that cannot fail is worth nothing.

fn check(file: &str, text: &str) -> Vec<String> {
    let lib = "mod error; pub use crate::error::{Error, Result as Answer}; pub use {scope::TenantDb, web::Layer};";
    let sources = [("lib.rs", lib), (file, text)].map(|(file, text)| Source { file: file.into(), text: text.into() });
    violations(&sources)
}

#[track_caller]
fn assert_found(file: &str, text: &str, expected: &str) {
    let found = check(file, text);
    assert!(found.len() == 1 && found[0].contains(expected), "{text}\nexpected {expected}, found {found:?}");
}

#[track_caller]
fn assert_clean(file: &str, text: &str) {
    assert_eq!(check(file, text), Vec::<String>::new(), "{text}");
}

#[test]
fn an_import_that_goes_up_is_found_with_file_line_and_floors() {
    let found = check("pool/lease.rs", "use std::io;\n\nuse crate::scope::Enter;\n");
    assert_eq!(
        found,
        ["pool/lease.rs:3: `crate::scope::Enter` goes up: `pool` is on floor 2, `scope` on floor 3".to_string()]
    );
}

#[test]
fn an_import_that_goes_down_or_stays_in_its_module_is_fine() {
    assert_clean("scope/mod.rs", "use crate::pool::Lease; use crate::{engine::Engine, error::Error};");
    assert_clean("engine/sqlite/guard.rs", "use super::open; use super::super::Engine; use crate::engine::Sealed;");
    assert_clean("web/layer.rs", "use crate::tenantry::Tenantry;");
    assert_clean("lib.rs", "pub use web::Layer; pub use crate::admin::Api;");
}

#[test]
fn sideways_is_refused_in_both_directions() {
    assert_found("pool/mod.rs", "use crate::catalog::Catalog;", "sideways");
    assert_found("catalog/mod.rs", "use crate::pool::Pool;", "sideways");
    assert_found("scope/mod.rs", "use crate::identify::Chain;", "sideways");
    assert_found("identify/mod.rs", "use crate::scope::TenantDb;", "sideways");
    assert_found("web/mod.rs", "use crate::orm::Row;", "sideways");
    assert_found("orm/mod.rs", "use crate::web::Layer;", "sideways");
}

#[test]
fn words_may_use_each_other_but_not_in_a_circle() {
    assert_clean("key.rs", "use crate::error::Error;");
    let sources = [
        ("key.rs", "use crate::error::Error;"),
        ("error.rs", "use crate::key::TenantKey;"),
        ("web.rs", "use crate::key::A;"),
    ]
    .map(|(file, text)| Source { file: file.into(), text: text.into() });
    assert_eq!(violations(&sources), ["these modules import each other in a circle: error -> key -> error"]);
}

#[test]
fn nested_braces_over_several_lines_are_read_to_the_last_leaf() {
    let text = "use crate::{\n    error::{Error, ErrorKind},\n    engine::{sqlite::{open, close}},\n    web::{\n        Layer,\n    },\n};";
    assert_found("catalog/mod.rs", text, "catalog/mod.rs:5: `crate::web::Layer` goes up");
}

#[test]
fn a_path_in_the_middle_of_code_counts() {
    assert_found("engine/mod.rs", "fn f() -> u8 { crate::operate::run::<u8>(1) }", "`crate::operate::run` goes up");
    assert_found("engine/mod.rs", "macro_rules! m { () => { $crate::scope::x() } }", "goes up");
    assert_found("engine/mod.rs", "impl From<crate::pool::Lease> for u8 {}", "goes up");
}

#[test]
fn super_that_leaves_the_module_counts_and_inline_modules_are_counted_in() {
    assert_found("key.rs", "use super::engine::Engine;", "goes up");
    assert_found("pool/lease.rs", "use super::super::scope::Enter;", "goes up");
    assert_clean("key.rs", "mod tests { use super::*; fn f() { if true { super::check(); } } }");
    assert_found("key.rs", "mod tests { fn f() {} } use super::scope::Enter;", "goes up");
    assert_found("key.rs", "mod tests { use super::super::scope::Enter; }", "goes up");
    assert_found("key.rs", "use self::super::scope::Enter;", "goes up");
}

#[test]
fn a_name_taken_from_the_face_counts_as_the_module_that_it_comes_from() {
    assert_clean("engine/mod.rs", "use crate::Error; fn f() -> crate::Answer<u8> { Ok(1) }");
    assert_found("engine/mod.rs", "use crate::TenantDb;", "`engine` is on floor 1, `scope` on floor 3");
    assert_found("engine/mod.rs", "use crate::Layer;", "`engine` is on floor 1, `web` on floor 7");
}

#[test]
fn the_whole_root_cannot_be_imported() {
    for text in ["use crate::*;", "use crate as root;", "use crate::{self as root};", "mod a { use super::super::*; }"]
    {
        assert_found("key.rs", text, "on no floor");
    }
}

#[test]
fn a_module_on_no_floor_is_refused_as_a_file_and_as_an_import() {
    assert_found("helpers.rs", "fn f() {}", "module `helpers` is on no floor: give it one");
    assert_found("web/mod.rs", "use crate::helpers::f;", "names `helpers`, which is on no floor");
}

#[test]
fn comments_strings_and_visibility_are_no_imports() {
    assert_clean("key.rs", "// use crate::web::A;\n/* use crate::web::A; /* nested */ use crate::web::B; */ fn f() {}");
    assert_clean("key.rs", "/// [`crate::web::Layer`]\npub(crate) fn f() {}");
    assert_clean("key.rs", r##"const A: &str = "\" crate::web::A"; const B: &str = r#"" crate::web::B"#;"##);
    assert_clean("key.rs", r#"const A: &[u8] = b"crate::web::A"; const B: &std::ffi::CStr = c"crate::web::A";"#);
}

#[test]
fn what_stands_after_a_literal_or_a_lifetime_is_read_again() {
    let before = [
        r#"const A: char = '"';"#,
        r"const A: char = '\'';",
        r"const A: char = '\u{22}';",
        "const A: u8 = b'\"';",
        "fn f<'a>(a: &'a str) {}",
        r####"const A: &str = r##"" "# "##;"####,
        r#"const A: &str = "\\";"#,
        "// '\n",
        "/* \" */",
        "const A: char = 'ß'; /* ß */",
        "fn f(r#type: u8, r: u8, b: u8) {}",
    ];
    for text in before {
        assert_found("key.rs", &format!("{text} use crate::web::Layer;"), "`web` on floor");
    }
}
