//! What a text that an app sends is, for the lease of a pooled connection, as far as its words tell.
//!
//! The wall is the database. This reading decides whether a connection needs a reset after the text, and turns what would
//! leave the tenant's scope or steer its transaction into an error that names the call to use instead. It never sees into
//! functions and `DO` blocks. When it is unsure it takes the careful way: a reset, a transaction that may write.

mod copy;
mod names;
mod plain;
mod refused;

use std::{
    collections::HashMap,
    sync::{LazyLock, PoisonError, RwLock},
};

pub(crate) use copy::{CopyDirection, copy_direction, copy_is_plain};

use super::lex::{Lexer, Token};
use super::statements::Ends;
use crate::error::{Error, ErrorKind, Result};

/// How a text has to be run, and what it may leave behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PgText {
    /// Changes nothing, and calls no function that could: its transaction may be READ ONLY.
    pub(crate) reads_only: bool,
    /// Exactly one plain statement: nothing of it outlives its transaction.
    pub(crate) plain: bool,
    /// It may leave what no reset takes back: the seed of `random()`, or whatever a text does that it runs.
    pub(crate) outlives_reset: bool,
    /// It locks whole tables.
    pub(crate) locks_tables: bool,
    /// It tells what the planner knows of all rows, and how much work a statement was on those that row security hides: `EXPLAIN`.
    pub(crate) explains: bool,
    /// It changes what there is, or who may use it. No tenant may, but the server locks the table before it says so.
    pub(crate) defines: bool,
    /// It sets what steers how statements are planned.
    pub(crate) steers_plans: bool,
}

impl PgText {
    /// What cannot be told from its words.
    const UNSURE: Self = Self {
        reads_only: false,
        plain: false,
        outlives_reset: false,
        locks_tables: false,
        explains: false,
        defines: false,
        steers_plans: false,
    };
}

/// Reads a text.
///
/// # Errors
/// If any statement in it is one that must not be sent as text.
pub(crate) fn read(sql: &str) -> Result<PgText> {
    if sql.contains('\0') {
        return Err(refusal("a text with a NUL byte", "send bytes as a bound value of type `bytea`"));
    }
    let (statements, whole) = statements(sql);
    for statement in &statements {
        refused::check(statement)?;
    }
    let outlives_reset = statements.iter().any(|statement| plain::outlives_reset(statement));
    let locks_tables = statements.iter().any(|statement| statement.first().is_some_and(|verb| verb.is("lock")));
    let explains = statements.iter().any(|statement| statement.first().is_some_and(|verb| verb.is("explain")));
    let defines = statements.iter().any(|statement| refused::defines(statement));
    let steers_plans = statements.iter().any(|statement| refused::steers_plans(statement));
    let read = |statement: &Vec<Token<'_>>| plain::read(statement);
    let text = match &statements[..] {
        _ if !whole => PgText::UNSURE,
        [] => PgText::UNSURE,
        [only] => read(only),
        several => PgText { reads_only: several.iter().all(|s| read(s).reads_only), ..PgText::UNSURE },
    };
    Ok(PgText { outlives_reset, locks_tables, explains, defines, steers_plans, ..text })
}

/// The statements of a text, and whether it could be read to its end. Other than in a file, any semicolon that is not in
/// the body of an SQL function ends one: parentheses shall not hide a `COMMIT`.
fn statements(sql: &str) -> (Vec<Vec<Token<'_>>>, bool) {
    let (mut statements, mut current, mut ends) = (Vec::new(), Vec::new(), Ends::default());
    for token in Lexer::new(sql) {
        let Ok(token) = token else {
            statements.push(current);
            return (statements, false);
        };
        let in_body = ends.in_body();
        if ends.is_end(&token) || token.is_mark(";") && !in_body {
            statements.push(std::mem::take(&mut current));
        } else {
            current.push(token);
        }
    }
    statements.push(current);
    statements.retain(|statement| !statement.is_empty());
    (statements, true)
}

/// Whether a query among the statements makes a table of what it finds: `SELECT ... INTO`.
pub(crate) fn makes_table(sql: &str) -> bool {
    let (statements, whole) = statements(sql);
    !whole || statements.iter().any(|statement| refused::makes_a_table(statement))
}

fn refusal(what: &str, instead: &str) -> Error {
    Error::new(ErrorKind::Refused, format!("{what} cannot be sent as text")).help(instead)
}

/// Longer texts are rarely sent twice, and would fill the memory.
const LONGEST_KEPT: usize = 16 * 1024;
const MOST_KEPT: usize = 4096;

static SEEN: LazyLock<RwLock<HashMap<Box<str>, PgText>>> = LazyLock::new(RwLock::default);

/// [`read`], once for each distinct text. It is asked for every statement of every request.
pub(crate) fn cached(sql: &str) -> Result<PgText> {
    if sql.len() > LONGEST_KEPT {
        return read(sql);
    }
    if let Some(seen) = SEEN.read().unwrap_or_else(PoisonError::into_inner).get(sql) {
        return Ok(*seen);
    }
    let text = read(sql)?;
    let mut seen = SEEN.write().unwrap_or_else(PoisonError::into_inner);
    if seen.len() >= MOST_KEPT {
        seen.clear();
    }
    seen.insert(sql.into(), text);
    Ok(text)
}

/// A text that reads by its words calls a function that writes: from now on it is run as what it is.
pub(crate) fn learn_that_it_writes(sql: &str) {
    if let Some(seen) = SEEN.write().unwrap_or_else(PoisonError::into_inner).get_mut(sql) {
        seen.reads_only = false;
    }
}

#[cfg(test)]
mod tests;
