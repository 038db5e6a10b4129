//! What ran and how it ended, as rows of the closing table.

use std::{fmt::Write, time::Duration};

/// One step, or one engine.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) outcome: Outcome,
    pub(crate) took: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// It ran and found nothing; the text says how much ran.
    Passed(String),
    Failed(String),
    /// Why, and what to install.
    NotRun(String),
}

impl Row {
    /// The line that says so at once, and again in the end.
    pub(crate) fn not_run(&self) -> Option<String> {
        match &self.outcome {
            Outcome::NotRun(why) => Some(format!("NOT RUN: {}: {why}", self.name)),
            _ => None,
        }
    }
}

pub(crate) fn is_success(rows: &[Row], allow_missing: bool) -> bool {
    rows.iter().all(|row| match row.outcome {
        Outcome::Passed(_) => true,
        Outcome::Failed(_) => false,
        Outcome::NotRun(_) => allow_missing,
    })
}

pub(crate) fn text(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let mut text = String::from("\n== summary\n");
    for row in rows {
        let (word, note) = match &row.outcome {
            Outcome::Passed(note) => ("ok", note.as_str()),
            Outcome::Failed(note) => ("FAILED", note.as_str()),
            Outcome::NotRun(_) => ("NOT RUN", ""),
        };
        let took = row.took.map(|t| format!("{:.1} s", t.as_secs_f64())).unwrap_or_default();
        let line = format!("{:width$}  {word:7}  {took:>8}  {note}", row.name);
        // Writing into a text cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
    for line in rows.iter().filter_map(Row::not_run) {
        let _ = writeln!(text, "{line}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(outcome: Outcome) -> Row {
        Row { name: "clippy".into(), outcome, took: None }
    }

    #[test]
    fn a_failure_fails_whatever_is_allowed() {
        assert!(!is_success(&[row(Outcome::Failed(String::new()))], true));
    }

    #[test]
    fn what_did_not_run_fails_unless_that_is_allowed() {
        let rows = [row(Outcome::Passed(String::new())), row(Outcome::NotRun("no clippy".into()))];
        assert!(!is_success(&rows, false));
        assert!(is_success(&rows, true));
    }

    #[test]
    fn the_table_says_what_did_not_run_and_why() {
        let text = text(&[row(Outcome::NotRun("no clippy; install it".into()))]);
        assert_eq!(text, "\n== summary\nclippy  NOT RUN\nNOT RUN: clippy: no clippy; install it\n");
    }
}
