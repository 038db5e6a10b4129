//! The one COPY statement of a copy call.

use super::{super::lex::Token, plain::group, refusal, refused, statements};
use crate::Refusal;

/// Which way the rows go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyDirection {
    /// `COPY ... TO STDOUT`
    Out,
    /// `COPY ... FROM STDIN`
    In,
}

/// Reads the text of a copy call. What the query of `COPY (...) TO STDOUT` leaves behind is not judged, so that the lease keeps
/// its taint; what it looks at is, for the text goes to the server as the engine's.
///
/// # Errors
/// If it is not exactly one COPY statement from STDIN or to STDOUT, or looks at what is not the tenant's.
pub fn copy_direction(sql: &str) -> Result<CopyDirection, Refusal> {
    let (statements, whole) = statements(sql);
    let [statement] = &statements[..] else { return Err(not_a_copy()) };
    match statement.first() {
        Some(verb) if verb.is("copy") && whole => {}
        _ => return Err(not_a_copy()),
    }
    refused::check_looks(statement)?;
    if (0..statement.len()).any(|at| refused::shows_lockers(statement, at)) {
        return Err(refusal("a COPY of `xmax`", "copy the columns of the table: `xmax` counts what others lock"));
    }
    direction(statement).ok_or_else(|| {
        refusal("a COPY of a file or program of the server", "write `COPY ... TO STDOUT` or `COPY ... FROM STDIN`")
    })
}

/// Whether a COPY leaves nothing behind: one of a table, or of one plain query.
pub fn copy_is_plain(sql: &str) -> bool {
    let (statements, whole) = statements(sql);
    let [statement] = &statements[..] else { return false };
    let [_, open, rest @ ..] = &statement[..] else { return false };
    if !open.is_mark("(") {
        return whole;
    }
    let close = rest.iter().find(|token| token.is_mark(")") && token.depth == open.depth);
    let query = close.and_then(|close| sql.get(open.start + 1..close.start));
    whole && query.is_some_and(|query| super::read(query).is_ok_and(|read| read.plain))
}

fn not_a_copy() -> Refusal {
    refusal(
        "what is not exactly one COPY statement",
        "a copy call takes `COPY ... TO STDOUT` or `COPY ... FROM STDIN`; send other statements through `execute(..)`",
    )
}

/// `COPY [BINARY] table [(columns)] | (query) FROM | TO ...`
fn direction(statement: &[Token<'_>]) -> Option<CopyDirection> {
    let is_name = |at: usize| statement.get(at).is_some_and(Token::is_name);
    let is_mark = |at: usize, mark: &str| statement.get(at).is_some_and(|token| token.is_mark(mark));
    let mut at = 1 + usize::from(statement.get(1)?.is("binary") && is_name(2) && !statement[2].is_any(&["from", "to"]));
    if !is_mark(at, "(") {
        at += 1;
        while is_mark(at, ".") {
            at += 2;
        }
    }
    if is_mark(at, "(") {
        at = group(statement, at);
    }
    let (way, end) = (statement.get(at)?, statement.get(at + 1)?);
    if way.is("to") && end.is("stdout") {
        Some(CopyDirection::Out)
    } else if way.is("from") && end.is("stdin") {
        Some(CopyDirection::In)
    } else {
        None
    }
}
