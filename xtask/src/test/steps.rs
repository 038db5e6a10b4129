//! The steps, in the order in which they run.

use std::{
    io::{self, BufRead, BufReader, PipeReader, Write},
    process::{Command, ExitStatus},
    time::Instant,
};

use super::{
    results::Results,
    summary::{Outcome, Row},
};
use crate::{Result, cargo};

const RUSTDOC_MISSING: &str = "rustdoc is not there: `rustup component add rustc`, or reinstall the toolchain";

pub(crate) struct Step {
    name: &'static str,
    args: Vec<&'static str>,
    env: Option<(&'static str, &'static str)>,
    /// Why it cannot be run here, and what to install.
    missing: Option<&'static str>,
}

pub(crate) fn format() -> Step {
    let missing = "rustfmt is not there: `rustup component add rustfmt`, or the system's package `rustfmt`";
    Step::new("format", "fmt --all --check").needs(cargo::has("fmt"), missing)
}

pub(crate) fn clippy() -> Step {
    let missing = "clippy is not there: `rustup component add clippy`, or the system's package `rust-clippy`";
    Step::new("clippy", "clippy --workspace --all-targets --all-features -- -D warnings")
        .needs(cargo::has("clippy"), missing)
}

/// What users build: every other step has all features on, those of tests too.
pub(crate) fn default_features() -> Step {
    Step::new("default features", "check -p tenantry -p tenantry-cli -p shop")
}

/// What users build who want one engine and nothing else.
pub(crate) fn one_engine() -> [Step; 2] {
    [
        Step::new("sqlite alone", "check -p tenantry --no-default-features --features sqlite"),
        Step::new("postgres alone", "check -p tenantry --no-default-features --features postgres"),
    ]
}

/// nextest where it is installed: a process per test, and faster. Both run the same tests.
pub(crate) fn tests() -> Step {
    if cargo::has("nextest") {
        Step::new("tests", "nextest run --workspace --all-features --no-fail-fast --status-level pass")
    } else {
        let mut step = Step::new("tests", "test --workspace --all-features --lib --bins --tests --no-fail-fast");
        // They wait for servers more than they compute: one for each core leaves the cores idle.
        step.env = Some(("RUST_TEST_THREADS", "3"));
        step
    }
}

pub(crate) fn doctests() -> Step {
    Step::new("doctests", "test --workspace --all-features --doc").needs(cargo::has_rustdoc(), RUSTDOC_MISSING)
}

pub(crate) fn documentation() -> Step {
    let mut step = Step::new("documentation", "doc --no-deps --workspace --all-features");
    step.env = Some(("RUSTDOCFLAGS", "-Dwarnings"));
    step.needs(cargo::has_rustdoc(), RUSTDOC_MISSING)
}

impl Step {
    fn new(name: &'static str, line: &'static str) -> Self {
        Self { name, args: line.split(' ').collect(), env: None, missing: None }
    }

    fn needs(mut self, there: bool, missing: &'static str) -> Self {
        self.missing = (!there).then_some(missing);
        self
    }

    /// Runs it with its output passed through as it is.
    pub(crate) fn run(self) -> Result<Row> {
        self.timed(|mut command| Ok(outcome(command.status()?, String::new())))
    }

    /// Runs it with its output passed through and read: the tests, whose results are counted by engine.
    pub(crate) fn run_and_read(self) -> Result<(Row, Results)> {
        let mut results = Results::default();
        let row = self.timed(|command| {
            let status = read_through(command, &mut results)?;
            Ok(outcome(status, results.to_string()))
        })?;
        Ok((row, results))
    }

    fn timed(self, run: impl FnOnce(Command) -> Result<Outcome>) -> Result<Row> {
        let env = self.env.map(|(name, value)| format!("{name}={value} ")).unwrap_or_default();
        println!("\n== {}: {env}cargo {}", self.name, self.args.join(" "));
        let start = Instant::now();
        let outcome = match self.missing {
            Some(why) => Outcome::NotRun(why.into()),
            None => run(self.command())?,
        };
        let row = Row { name: self.name.into(), outcome, took: Some(start.elapsed()) };
        row.not_run().inspect(|line| println!("{line}"));
        Ok(row)
    }

    fn command(&self) -> Command {
        let mut command = cargo::cargo(self.args.iter().copied());
        command.envs(self.env);
        command
    }
}

fn outcome(status: ExitStatus, note: String) -> Outcome {
    if status.success() {
        return Outcome::Passed(note);
    }
    let note = if note.is_empty() { note } else { format!("{note}, ") };
    Outcome::Failed(format!("{note}{status}"))
}

fn read_through(mut command: Command, results: &mut Results) -> Result<ExitStatus> {
    // Both streams through one pipe: the lines stay in the order in which they were written.
    let (reader, writer) = io::pipe()?;
    cargo::without_colour(&mut command);
    command.stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn()?;
    // The command holds our ends of the pipe: without this the reader would never see its end.
    drop(command);
    let copied = copy_lines(reader, results);
    let status = child.wait()?;
    copied?;
    Ok(status)
}

fn copy_lines(reader: PipeReader, results: &mut Results) -> io::Result<()> {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        io::stdout().write_all(&line)?;
        results.read(&String::from_utf8_lossy(&line));
        line.clear();
    }
    Ok(())
}
