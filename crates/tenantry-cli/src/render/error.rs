//! Errors, as rustc writes them: what, where, and `help:` with the command to type.

use std::{
    ffi::OsString,
    io::{IsTerminal, Write},
};

use serde::Serialize;

use super::text::{clean, clean_lines};
use crate::{context::Context, exit::Exit, failure::Failure};

/// A failure as `--json` shows it, on stderr and inside of reports.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorView<'a> {
    code: &'a str,
    message: &'a str,
    causes: &'a [String],
    help: Option<&'a str>,
}

impl<'a> From<&'a Failure> for ErrorView<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self { code: failure.code, message: &failure.what, causes: &failure.causes, help: failure.help.as_deref() }
    }
}

/// Tells why a command failed.
pub(crate) fn report(context: &Context, failure: &Failure) -> Exit {
    let mut screen = std::io::stderr().lock();
    let text = if context.json {
        #[derive(Serialize)]
        struct Document<'a> {
            error: ErrorView<'a>,
        }
        serde_json::to_string(&Document { error: failure.into() }).unwrap_or_default()
    } else {
        in_words(failure, screen.is_terminal() && super::colours_wanted())
    };
    // If stderr is gone the exit code is all that is left to say.
    drop(writeln!(screen, "{text}"));
    Exit::Failed
}

fn in_words(failure: &Failure, colours: bool) -> String {
    let paint = |code: &str, word: &str| if colours { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() };
    let mut text = format!("{}: {}", paint("1;31", "error"), clean(&failure.what));
    for cause in &failure.causes {
        text.push_str(&format!("\n  {} {}", paint("1;34", "-->"), clean_lines(cause, "      ")));
    }
    if let Some(help) = &failure.help {
        text.push_str(&format!("\n{}: {}", paint("1;36", "help"), clean_lines(help, "      ")));
    }
    text
}

/// Tells what is wrong with the command line; `--help` and `--version` come this way too.
pub(crate) fn usage(refused: &clap::Error, given: &[OsString]) -> Exit {
    let hostile: Vec<_> = given.iter().map(|a| a.to_string_lossy()).filter(|a| clean(a) != *a).collect();
    if hostile.is_empty() {
        // If it cannot be printed the exit code is all that is left to say.
        drop(refused.print());
    } else {
        let mut text = refused.render().to_string();
        for argument in hostile {
            text = text.replace(argument.as_ref(), &clean(&argument));
            if let Some((_, value)) = argument.split_once('=') {
                text = text.replace(value, &clean(value));
            }
        }
        let lines: Vec<_> = text.lines().map(clean).collect();
        drop(writeln!(std::io::stderr().lock(), "{}", lines.join("\n")));
    }
    if refused.use_stderr() { Exit::Usage } else { Exit::Ok }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_where_and_what_to_type() {
        let failure = Failure::new("tenant `a\x1b` failed")
            .caused_by(std::io::Error::other("line 1\nhelp: rm -rf"))
            .help("tenantry tenant list");
        let expected = "error: tenant `a\\u{1b}` failed\n  --> line 1\n      help: rm -rf\nhelp: tenantry tenant list";
        assert_eq!(in_words(&failure, false), expected);
        assert!(in_words(&failure, true).starts_with("\x1b[1;31merror\x1b[0m: "));
    }
}
