//! The account per database engine: a green suite that never met an engine must not look like one that did.

use super::{
    results::Results,
    summary::{Outcome, Row},
};

struct Engine {
    name: &'static str,
    /// What is needed on this machine and not there, with what to install; an engine with a server looks for its program.
    missing: fn() -> Option<String>,
}

/// One line an engine that the project has. Its tests are those with its name in theirs.
const ENGINES: &[Engine] = &[
    Engine { name: "sqlite", missing: linked_in },
    Engine { name: "postgres", missing: tenantry_testbed::missing_postgres },
];

const fn linked_in() -> Option<String> {
    None
}

pub(crate) fn rows(results: &Results) -> Vec<Row> {
    let row = |engine: &Engine| Row {
        name: format!("engine {}", engine.name),
        outcome: outcome(engine, results),
        took: None,
    };
    ENGINES.iter().map(row).collect()
}

fn outcome(engine: &Engine, results: &Results) -> Outcome {
    if let Some(missing) = (engine.missing)() {
        return Outcome::NotRun(missing);
    }
    let count = results.naming(engine.name);
    match (count.passed, count.failed) {
        (0, 0) => Outcome::NotRun(format!("no test with `{}` in its name ran; see the tests above", engine.name)),
        (_, 0) => Outcome::Passed(count.to_string()),
        _ => Outcome::Failed(count.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQLITE: Engine = Engine { name: "sqlite", missing: linked_in };

    fn after(line: &str) -> Results {
        let mut results = Results::default();
        results.read(line);
        results
    }

    #[test]
    fn an_engine_none_of_whose_tests_ran_is_not_run() {
        let results = after("test postgres::opens ... ok");
        assert!(matches!(outcome(&SQLITE, &results), Outcome::NotRun(_)));
    }

    #[test]
    fn an_engine_whose_server_is_missing_is_not_run_whatever_its_tests_say() {
        let engine = Engine { name: "sqlite", missing: || Some("install it".into()) };
        let results = after("test sqlite::opens ... ok");
        assert_eq!(outcome(&engine, &results), Outcome::NotRun("install it".into()));
    }

    #[test]
    fn a_failing_test_fails_its_engine() {
        let results = after("test sqlite::opens ... FAILED");
        assert_eq!(outcome(&SQLITE, &results), Outcome::Failed("0 tests passed, 1 failed".into()));
    }
}
