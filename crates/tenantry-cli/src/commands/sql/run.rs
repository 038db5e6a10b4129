//! Running a text, and keeping what it answers.

use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use serde::Serialize;
use sqlx::{AssertSqlSafe, Column, Either, Executor, Row};
use tenantry::{AnyDb, Error, TenantDb};

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

/// A row with its values, or the end of a statement with the number of rows that it has touched.
type Items<'a, R> = BoxStream<'a, Result<Either<u64, R>, sqlx::Error>>;

/// Runs the text as one transaction, as the tenant.
pub(super) async fn statements(db: &TenantDb, text: &str) -> Result<Answer> {
    if text.trim().is_empty() {
        return Ok(Answer::default());
    }
    db.guard(text)?;
    // The operator's own text is what this command is for. Sent as it is, it may hold several statements, and on
    // PostgreSQL every value comes in the server's own words.
    let text = sqlx::raw_sql(AssertSqlSafe(text));
    match db.any() {
        AnyDb::Postgres(view) => {
            let items = view.fetch_many(text).map_ok(|item| item.map_left(|done| done.rows_affected()));
            collect(items.boxed(), Value::of_postgres).await
        }
        AnyDb::Sqlite(view) => {
            let items = view.fetch_many(text).map_ok(|item| item.map_left(|done| done.rows_affected()));
            collect(items.boxed(), Value::of_sqlite).await
        }
    }
}

async fn collect<R: Row>(mut items: Items<'_, R>, value: fn(&R, usize) -> Value) -> Result<Answer> {
    let mut answer = Answer::default();
    let mut current = Statement::default();
    while let Some(item) = items.try_next().await.map_err(failed)? {
        match item {
            Either::Right(row) => current.take(&row, value),
            Either::Left(rows_affected) => {
                current.rows_affected = rows_affected;
                answer.statements.push(std::mem::take(&mut current));
            }
        }
    }
    Ok(answer)
}

impl Statement {
    fn take<R: Row>(&mut self, row: &R, value: fn(&R, usize) -> Value) {
        if self.columns.is_empty() {
            self.columns = row.columns().iter().map(|c| c.name().to_owned()).collect();
        }
        self.rows.push((0..row.columns().len()).map(|at| value(row, at)).collect());
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
