//! No file imports another in a circle, within a folder too: reads the sources of the library, of the program and of the
//! servers of the tests.
//!
//! What a module takes from the modules that it is in is no circle: a folder's `mod.rs` has the words that its files share.
//! So what a `mod.rs` shows of one of its files counts as its own.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    path::Path,
};

use crate::{Source, imports::paths, modules_of, sources_of};

/// The imports of each module, by the names of modules.
type Imports = BTreeMap<String, BTreeSet<String>>;

const CRATES: &[&str] = &["tenantry", "tenantry-cli", "testbed"];

#[test]
fn no_file_imports_another_in_a_circle() {
    let mut found = Vec::new();
    for name in CRATES {
        let imports = imports_of_crate(name).unwrap();
        assert!(imports.len() > 10, "the sources of `{name}` were not found");
        found.extend(circles(&imports).into_iter().map(|way| format!("{name}: {way}")));
    }
    assert!(found.is_empty(), "{} circles; move what both need further down:\n{}", found.len(), found.join("\n"));
}

fn imports_of_crate(name: &str) -> io::Result<Imports> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src");
    Ok(imports_between(&sources_of(&root)?))
}

/// What each file imports of the others, but for tests and for the modules that it is in.
fn imports_between(sources: &[Source]) -> Imports {
    let files = sources.iter().map(|source| (modules_of(&source.file), source));
    let files: BTreeMap<_, _> = files.filter(|(module, _)| !module.iter().any(|part| part == "tests")).collect();
    let file_of = |path: &[String]| {
        let length = (0..=path.len()).rev().find(|length| files.contains_key(&path[..*length]));
        path[..length.unwrap_or(0)].to_vec()
    };
    let imports_of = |module: &[String], text: &str| -> BTreeSet<String> {
        let imported = paths(text, module).into_iter().map(|path| file_of(&path));
        imported.filter(|other| !module.starts_with(other)).map(|other| other.join("::")).collect()
    };
    files.iter().map(|(module, source)| (module.join("::"), imports_of(module, &source.text))).collect()
}

/// Each circle once, as `a -> b -> a`: the shortest one through its first module.
pub(crate) fn circles(imports: &Imports) -> Vec<String> {
    let ways = imports.keys().filter_map(|start| way_back(imports, start));
    ways.filter(|way| way.iter().all(|module| way[0] <= *module)).map(|way| way.join(" -> ")).collect()
}

/// The shortest way from a module to itself.
fn way_back<'a>(imports: &'a Imports, start: &'a str) -> Option<Vec<&'a str>> {
    let (mut ways, mut seen) = (VecDeque::from([vec![start]]), BTreeSet::new());
    while let Some(way) = ways.pop_front() {
        for next in way.last().and_then(|last| imports.get(*last)).into_iter().flatten() {
            let longer = [way.as_slice(), &[next.as_str()]].concat();
            if next == start {
                return Some(longer);
            }
            if seen.insert(next) {
                ways.push_back(longer);
            }
        }
    }
    None
}

// The checker's own tests.

#[track_caller]
fn assert_circles<const N: usize, const M: usize>(files: [(&str, &str); N], expected: [&str; M]) {
    let sources = files.map(|(file, text)| Source { file: file.into(), text: text.into() });
    assert_eq!(circles(&imports_between(&sources)), expected);
}

#[test]
fn a_circle_is_found_however_its_imports_are_written() {
    for text in [
        "use super::state::Party;",
        "use crate::{error::Result, pool::{state::{self, Party}}};",
        "fn f() -> super::state::Party { super::state::Party }",
        "#[cfg(test)]\nmod tests;\nuse super::state;",
        "mod inner { use super::super::state; }",
    ] {
        assert_circles(
            [("pool/queue.rs", text), ("pool/state.rs", "use super::queue::Queue;"), ("error.rs", "")],
            ["pool::queue -> pool::state -> pool::queue"],
        );
    }
}

#[test]
fn a_circle_through_a_folder_and_its_file_is_found() {
    let files = [
        ("main.rs", "mod args; mod commands; use args::Args;"),
        ("args.rs", "use crate::commands::Command;"),
        ("commands/mod.rs", "mod init; enum Command { Init(init::Init) }"),
        ("commands/init.rs", "use crate::args::Global;"),
    ];
    assert_circles(files, ["args -> commands -> commands::init -> args"]);
}

#[test]
fn circles_that_have_no_module_in_common_are_each_found() {
    let files = [("a.rs", "use crate::b::B;"), ("b.rs", "use crate::a::A;"), ("c.rs", "use crate::d::D;")];
    let last = ("d.rs", "use crate::{a::A, c::C};");
    assert_circles([files[0], files[1], files[2], last], ["a -> b -> a", "c -> d -> c"]);
}

#[test]
fn tests_and_the_modules_that_a_module_is_in_are_no_circle() {
    let files = [
        ("pool/mod.rs", "mod queue; mod state; use {queue::Queue, state::State}; pub(crate) struct Pool;"),
        ("pool/queue.rs", "use super::Pool; #[cfg(test)] mod tests { use crate::pool::state::State; }"),
        ("pool/state.rs", "use super::queue::Queue; // use super::state::State;"),
        ("pool/queue/tests.rs", "use super::super::state::State;"),
        ("postgres/mod.rs", "mod engine; use crate::{engine::Engine, pool::Pool};"),
        ("postgres/engine.rs", "use crate::engine::Engine; use std::state::X;"),
        ("engine.rs", "use serde::de; fn f() { postgres::connect() }"),
    ];
    assert_circles(files, []);
}
