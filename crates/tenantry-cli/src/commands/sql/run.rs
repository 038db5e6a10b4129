//! Running a text, and keeping what it answers.

use futures_util::TryStreamExt;
use serde::Serialize;
use sqlx::{AssertSqlSafe, Column, Either, Row, sqlite::SqliteRow};
use tenantry::{Error, TenantDb};

use super::value::Value;
use crate::failure::{Failure, Result};

/// The answer to a text of one or more statements.
#[derive(Debug, Default, Serialize)]
pub(super) struct Answer {
    pub(super) statements: Vec<Statement>,
}

/// The answer to one statement.
#[derive(Debug, Default, Serialize)]
pub(super) struct Statement {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<Value>>,
    pub(super) rows_affected: u64,
}

/// Runs the text as one transaction; the guard of the tenant's connection looks at every statement of it.
pub(super) async fn statements(db: &TenantDb, text: &str) -> Result<Answer> {
    let mut answer = Answer::default();
    let mut current = Statement::default();
    // The operator's own text is what this command is for.
    let mut items = sqlx::Executor::fetch_many(db.sqlite()?, sqlx::raw_sql(AssertSqlSafe(text)));
    while let Some(item) = items.try_next().await.map_err(failed)? {
        match item {
            Either::Right(row) => current.take(&row),
            Either::Left(done) => {
                current.rows_affected = done.rows_affected();
                answer.statements.push(std::mem::take(&mut current));
            }
        }
    }
    Ok(answer)
}

impl Statement {
    fn take(&mut self, row: &SqliteRow) {
        if self.columns.is_empty() {
            self.columns = row.columns().iter().map(|c| c.name().to_owned()).collect();
        }
        self.rows.push((0..row.columns().len()).map(|at| Value::of(row, at)).collect());
    }
}

fn failed(error: sqlx::Error) -> Failure {
    let error = Error::from(error);
    let refused = error.is_refused();
    let mut failure = Failure::from(error);
    if refused && failure.help.is_none() {
        failure.help = Some(
            "only the tenant's own rows can be written here; tables are changed by a migration: \
             tenantry migrate new NAME"
                .into(),
        );
    }
    failure
}
