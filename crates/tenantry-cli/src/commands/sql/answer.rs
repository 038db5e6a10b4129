//! Showing an answer.

use super::{
    run::{Answer, Statement},
    value::Value,
};
use crate::{
    context::Context,
    failure::Result,
    render::{self, table},
};

pub(super) fn show(context: &Context, answer: &Answer) -> Result<()> {
    render::answer(context, answer, || answer.statements.iter().map(in_words).collect::<Vec<_>>().join("\n\n"))
}

fn in_words(statement: &Statement) -> String {
    if statement.columns.is_empty() {
        return format!("no rows; {} changed", rows(statement.rows_affected));
    }
    let cells = statement.rows.iter().map(|row| row.iter().map(Value::in_words));
    let table = table::grid(statement.columns.iter().cloned(), cells);
    format!("{table}\n({})", rows(statement.rows.len() as u64))
}

fn rows(number: u64) -> String {
    table::count(usize::try_from(number).unwrap_or(usize::MAX), "row")
}
