//! What goes to stdout and stderr, and how.

use std::io::{ErrorKind, IsTerminal, Write};

use serde::Serialize;

use crate::{
    context::Context,
    failure::{Failure, Result},
};

pub(crate) mod error;
pub(crate) mod progress;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod time;

/// Colours are for people at a terminal who have not refused them.
pub(crate) fn colours_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}

/// The answer of a command: a JSON document with `--json`, else text for people.
pub(crate) fn answer(context: &Context, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
    if context.json {
        return json_line(value);
    }
    let text = text();
    if text.is_empty() { Ok(()) } else { write_out(text.trim_end()) }
}

/// One JSON document on a line of its own.
pub(crate) fn json_line(value: &impl Serialize) -> Result<()> {
    let line =
        serde_json::to_string(value).map_err(|e| Failure::new("the answer cannot be written as JSON").caused_by(e))?;
    write_out(&line)
}

/// Bytes as they are: a script for a shell.
pub(crate) fn raw(bytes: &[u8]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    unless_nobody_reads(out.write_all(bytes).and_then(|()| out.flush()))
}

/// A reader that has gone away (`| head`) is no fault of the command.
fn unless_nobody_reads(written: std::io::Result<()>) -> Result<()> {
    match written {
        Err(gone) if gone.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

fn write_out(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    unless_nobody_reads(writeln!(out, "{text}").and_then(|()| out.flush()))
}

/// A line for people who watch, on stderr.
pub(crate) fn note(line: &str) {
    // If stderr is gone there is nobody to tell.
    drop(writeln!(std::io::stderr().lock(), "{}", text::clean(line)));
}

/// What may be done next; only for people at a terminal.
pub(crate) fn hint(context: &Context, line: &str) {
    if !context.json && std::io::stderr().is_terminal() {
        note(line);
    }
}
