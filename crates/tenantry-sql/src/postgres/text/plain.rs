//! Whether one statement is plain, and whether it only reads.

use super::{super::lex::Token, PgText, names};

/// Reads one statement.
pub(super) fn read(statement: &[Token<'_>]) -> PgText {
    let [verb, rest @ ..] = statement else { return PgText::UNSURE };
    let shape = if verb.is("show") {
        READS
    } else if verb.is("explain") {
        let explained = explained(rest);
        match query(explained.statement) {
            WRITES if !explained.runs => READS,
            shape => shape,
        }
    } else {
        query(statement)
    };
    let leaves_traces = statement.iter().any(|token| match token.name() {
        Some(name) => names::leaves_traces(&name),
        None => token.is_escaped_name(),
    });
    PgText {
        plain: shape.plain && !leaves_traces,
        reads_only: shape.reads_only && !calls_unknown(statement),
        ..PgText::UNSURE
    }
}

/// Whether a statement may leave on the session what `DISCARD ALL` does not take back: the seed of `random()`, which a
/// setting and a function set, and whatever is done by a text that it runs.
pub(super) fn outlives_reset(statement: &[Token<'_>]) -> bool {
    let [verb, rest @ ..] = statement else { return false };
    let sets_seed = verb.is("set")
        && rest.iter().take(2).any(|token| token.name().is_some_and(|name| name.eq_ignore_ascii_case("seed")));
    let names = || statement.iter().filter_map(Token::name);
    sets_seed || verb.is("do") || names().any(|name| names::outlives_reset(&name))
}

const READS: PgText = PgText { reads_only: true, plain: true, ..PgText::UNSURE };
const WRITES: PgText = PgText { plain: true, ..PgText::UNSURE };

/// What stands behind EXPLAIN.
pub(super) struct Explained<'a, 'b> {
    /// Whether ANALYZE may be on.
    runs: bool,
    pub(super) statement: &'b [Token<'a>],
}

/// Reads what follows EXPLAIN: options as words or in parentheses, unless these hold the query itself.
pub(super) fn explained<'a, 'b>(rest: &'b [Token<'a>]) -> Explained<'a, 'b> {
    let analyze = ["analyze", "analyse"];
    let words = rest.iter().take_while(|token| token.is_any(&["analyze", "analyse", "verbose"])).count();
    let options = match rest {
        [open, first, ..] if open.is_mark("(") && !first.is_any(QUERIES) && !first.is_mark("(") => group(rest, 0),
        _ => words,
    };
    let (options, statement) = rest.split_at(options.min(rest.len()));
    let quoted = |token: &Token<'_>| token.name().is_some_and(|name| analyze.contains(&&*name));
    let runs = options.iter().any(|token| quoted(token) || token.is_escaped_name());
    Explained { runs, statement }
}

const QUERIES: &[&str] = &["select", "values", "table", "with"];
const CHANGES: &[&str] = &["insert", "update", "delete", "merge"];

/// A query or change, with the queries and changes of its WITH list.
pub(super) fn query(statement: &[Token<'_>]) -> PgText {
    let start = statement.iter().take_while(|token| token.is_mark("(")).count();
    let statement = &statement[start..];
    let [verb, rest @ ..] = statement else { return PgText::UNSURE };
    if verb.is("with") {
        return with(rest).unwrap_or(PgText::UNSURE);
    }
    let changes = verb.is_any(CHANGES);
    if !changes && !verb.is_any(QUERIES) {
        return PgText::UNSURE;
    }
    // `INSERT INTO` and `MERGE INTO` alone may hold an INTO; any other is a table made by SELECT.
    let own = usize::from(verb.is_any(&["insert", "merge"]));
    let makes_table = rest.iter().skip(own).any(|token| token.is("into"));
    PgText { reads_only: !changes && !locks(rest), plain: !makes_table, ..PgText::UNSURE }
}

/// What follows WITH. `None` if it is not in the common form.
fn with(rest: &[Token<'_>]) -> Option<PgText> {
    let mut text = READS;
    let mut at = usize::from(rest.first()?.is("recursive"));
    loop {
        rest.get(at)?.name()?;
        at += 1;
        if rest.get(at)?.is_mark("(") {
            at = group(rest, at);
        }
        if !rest.get(at)?.is("as") {
            return None;
        }
        at += 1 + rest[at + 1..].iter().take_while(|token| token.is_any(&["not", "materialized"])).count();
        if !rest.get(at)?.is_mark("(") {
            return None;
        }
        let end = group(rest, at);
        let inner = query(rest.get(at + 1..end.checked_sub(1)?)?);
        text = PgText { reads_only: text.reads_only && inner.reads_only, plain: text.plain && inner.plain, ..text };
        let end = behind_clauses(rest, end)?;
        at = end + 1;
        if !rest.get(end)?.is_mark(",") {
            let main = query(&rest[end..]);
            return Some(PgText {
                reads_only: text.reads_only && main.reads_only,
                plain: text.plain && main.plain,
                ..text
            });
        }
    }
}

/// The place behind a SEARCH and a CYCLE clause, if they stand there, read by their grammar: every word of it is a name
/// too, so that none may be looked for. `None` if they are not in that form.
fn behind_clauses(rest: &[Token<'_>], mut at: usize) -> Option<usize> {
    if rest.get(at)?.is("search") {
        let [order, first, by] = rest.get(at + 1..at + 4)? else { return None };
        if !order.is_any(&["depth", "breadth"]) || !first.is("first") || !by.is("by") {
            return None;
        }
        at = behind_name(rest, behind_names(rest, at + 4)?, "set")?;
    }
    if rest.get(at)?.is("cycle") {
        at = behind_name(rest, behind_names(rest, at + 1)?, "set")?;
        if rest.get(at)?.is("to") {
            // A constant each: one that has a type in front of it is not read.
            if !rest.get(at + 2)?.is("default") {
                return None;
            }
            at += 4;
        }
        at = behind_name(rest, at, "using")?;
    }
    Some(at)
}

/// The place behind a list of names.
fn behind_names(rest: &[Token<'_>], mut at: usize) -> Option<usize> {
    loop {
        rest.get(at)?.name()?;
        if !rest.get(at + 1)?.is_mark(",") {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The place behind a word and a name.
fn behind_name(rest: &[Token<'_>], at: usize, word: &str) -> Option<usize> {
    if !rest.get(at)?.is(word) {
        return None;
    }
    rest.get(at + 1)?.name()?;
    Some(at + 2)
}

/// The place behind the parenthesis that closes the one at `open`.
pub(super) fn group(tokens: &[Token<'_>], open: usize) -> usize {
    let Some(opening) = tokens.get(open) else { return tokens.len() };
    let closes = |token: &Token<'_>| token.is_mark(")") && token.depth == opening.depth;
    tokens[open..].iter().position(closes).map_or(tokens.len(), |length| open + length + 1)
}

/// `FOR UPDATE | NO KEY UPDATE | SHARE | KEY SHARE`
fn locks(tokens: &[Token<'_>]) -> bool {
    tokens.windows(2).any(|two| two[0].is("for") && two[1].is_any(&["update", "no", "share", "key"]))
}

/// Whether a function is called that is not known to read only: one of the app's own may write.
fn calls_unknown(tokens: &[Token<'_>]) -> bool {
    let called = |at: &usize| tokens[*at].is_name() && tokens.get(at + 1).is_some_and(|next| next.is_mark("("));
    (0..tokens.len()).filter(called).any(|at| {
        let qualified = at >= 2 && tokens[at - 1].is_mark(".");
        let builtin = !qualified || tokens[at - 2].name().is_some_and(|schema| schema == "pg_catalog");
        !builtin || !tokens[at].name().is_some_and(|name| names::reads_only(&name))
    })
}
