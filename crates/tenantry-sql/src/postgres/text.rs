//! What a text that an app sends is, for the lease of a pooled connection, as far as its words tell.
//!
//! The wall is the database. This reading decides whether a connection needs a reset after the text, and turns what would
//! leave the tenant's scope or steer its transaction into an error that names the call to use instead. It never sees into
//! functions and `DO` blocks. When it is unsure it takes the careful way: a reset, a transaction that may write.

mod copy;
mod names;
mod plain;
mod refused;

pub use refused::shows_lockers;

pub use copy::{CopyDirection, copy_direction, copy_is_plain};

use super::lex::{Lexer, Token};
use super::statements::Ends;
use crate::Refusal;

/// How a text has to be run, and what it may leave behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PgText {
    /// Changes nothing, and calls no function that could: its transaction may be READ ONLY.
    pub reads_only: bool,
    /// Exactly one plain statement: nothing of it outlives its transaction.
    pub plain: bool,
    /// It may leave what no reset takes back: the seed of `random()`, or whatever a text does that it runs.
    pub outlives_reset: bool,
    /// It locks whole tables.
    pub locks_tables: bool,
    /// It tells what the planner knows of all rows, and how much work a statement was on those that row security hides: `EXPLAIN`.
    pub explains: bool,
    /// It changes what there is, or who may use it. No tenant may, but the server locks the table before it says so.
    pub defines: bool,
    /// It sets what steers how statements are planned.
    pub steers_plans: bool,
    /// It reads more of who has locked a row than whether anybody has: `xmax`, by more than `xmax = 0`.
    pub shows_lockers: bool,
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
        shows_lockers: false,
    };
}

/// Reads a text.
///
/// # Errors
/// If any statement in it is one that must not be sent as text.
pub fn read(sql: &str) -> Result<PgText, Refusal> {
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
    let shows_lockers = statements.iter().any(|statement| (0..statement.len()).any(|at| shows_lockers(statement, at)));
    let read = |statement: &Vec<Token<'_>>| plain::read(statement);
    let text = match &statements[..] {
        _ if !whole => PgText::UNSURE,
        [] => PgText::UNSURE,
        [only] => read(only),
        several => PgText { reads_only: several.iter().all(|s| read(s).reads_only), ..PgText::UNSURE },
    };
    Ok(PgText { outlives_reset, locks_tables, explains, defines, steers_plans, shows_lockers, ..text })
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
pub fn makes_table(sql: &str) -> bool {
    let (statements, whole) = statements(sql);
    !whole || statements.iter().any(|statement| refused::makes_a_table(statement))
}

fn refusal(what: &str, instead: &'static str) -> Refusal {
    Refusal::new(what.to_owned(), instead)
}

#[cfg(test)]
mod tests;
