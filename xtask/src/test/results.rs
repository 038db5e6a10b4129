//! Reads the lines of nextest or of `cargo test` for what became of each test.

use std::{collections::BTreeMap, fmt};

/// Every test that ran, by its full name, and whether it passed.
#[derive(Default)]
pub(crate) struct Results {
    passed: BTreeMap<String, bool>,
    /// The test binary that `cargo test` last announced.
    binary: String,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Count {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

impl Results {
    pub(crate) fn read(&mut self, line: &str) {
        // Not trimmed: what nextest shows of a test that has failed is indented.
        if let Some((name, passed)) = libtest(line) {
            self.passed.insert(format!("{} {name}", self.binary), passed);
            return;
        }
        let line = line.trim();
        if let Some(binary) = line.strip_prefix("Running ") {
            self.binary = binary.split(" (").next().unwrap_or(binary).into();
        } else if let Some((name, passed)) = nextest(line) {
            // nextest names its failures twice, at once and in the end.
            self.passed.insert(name.into(), passed);
        }
    }

    pub(crate) fn all(&self) -> Count {
        self.count(|_| true)
    }

    /// The tests that have this word in their name or path, such as `conformance sqlite::opens_a_tenant`.
    pub(crate) fn naming(&self, word: &str) -> Count {
        self.count(|name| name.split(|c: char| !c.is_alphanumeric()).any(|part| part == word))
    }

    fn count(&self, wanted: impl Fn(&str) -> bool) -> Count {
        let mut count = Count { passed: 0, failed: 0 };
        for (_, passed) in self.passed.iter().filter(|(name, _)| wanted(name)) {
            *if *passed { &mut count.passed } else { &mut count.failed } += 1;
        }
        count
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tests passed", self.passed)?;
        if self.failed > 0 { write!(f, ", {} failed", self.failed) } else { Ok(()) }
    }
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.all().fmt(f)
    }
}

/// `test pool::tests::evicts ... ok`
fn libtest(line: &str) -> Option<(&str, bool)> {
    let (name, end) = line.strip_prefix("test ")?.split_once(" ... ")?;
    match end {
        "ok" => Some((name, true)),
        "FAILED" => Some((name, false)),
        _ => None,
    }
}

/// `PASS [   0.004s] ( 1/13) tenantry::floors an_import_goes_down`
fn nextest(line: &str) -> Option<(&str, bool)> {
    let (status, rest) = line.split_once(" [")?;
    let (seconds, name) = rest.split_once("s] ")?;
    seconds.trim().parse::<f64>().ok()?;
    let name = name.split_once(") ").map_or(name, |(_, name)| name).trim();
    match status {
        "PASS" | "LEAK" => Some((name, true)),
        "FAIL" | "ABORT" | "TIMEOUT" | "LEAK-FAIL" => Some((name, false)),
        signal if signal.starts_with("SIG") => Some((name, false)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(text: &str) -> Results {
        let mut results = Results::default();
        text.lines().for_each(|line| results.read(line));
        results
    }

    const NEXTEST: &str = "\
    Starting 4 tests across 2 binaries
        PASS [   0.004s] (1/4) tenantry::conformance sqlite::opens_a_tenant
        SLOW [> 60.000s] (---) tenantry::conformance sqlite::drops_a_tenant
        FAIL [   0.010s] (2/4) tenantry::conformance sqlite::drops_a_tenant
  stdout ───

    running 1 test
    test sqlite::drops_a_tenant ... FAILED

     SIGABRT [   0.010s] (3/4) tenantry pool::tests::evicts
        PASS [   1.004s] (4/4) tenantry engine::postgres::tests::quotes
     Summary [   1.1s] 4 tests run: 2 passed, 2 failed, 0 skipped
        FAIL [   0.010s] (2/4) tenantry::conformance sqlite::drops_a_tenant
";

    const CARGO_TEST: &str = "\
     Running unittests src/lib.rs (target/debug/deps/tenantry-0)
test pool::tests::evicts ... ok
test same ... ignored
     Running tests/conformance_sqlite.rs (target/debug/deps/conformance_sqlite-0)
test same ... FAILED
test other ... ok
test result: FAILED. 1 passed; 1 failed; 0 ignored
";

    #[test]
    fn nextests_lines_are_counted_once_each() {
        assert_eq!(results(NEXTEST).all(), Count { passed: 2, failed: 2 });
    }

    #[test]
    fn cargo_tests_lines_are_counted_and_ignored_ones_are_not() {
        assert_eq!(results(CARGO_TEST).all(), Count { passed: 2, failed: 1 });
    }

    #[test]
    fn an_engines_tests_are_those_that_name_it() {
        assert_eq!(results(NEXTEST).naming("sqlite"), Count { passed: 1, failed: 1 });
        assert_eq!(results(NEXTEST).naming("postgres"), Count { passed: 1, failed: 0 });
        assert_eq!(results(CARGO_TEST).naming("sqlite"), Count { passed: 1, failed: 1 });
        assert_eq!(results(CARGO_TEST).naming("lite"), Count { passed: 0, failed: 0 });
    }
}
