//! Texts of ours on a handle or a transaction, for whoever has to ask every engine: `doctor`.

use sqlx::{Arguments as _, AssertSqlSafe, Database, Row as _, SqlSafeStr};

use super::{Db, Tx, subject::Subject};
use crate::engine::{Driver, SqlxResult, Statement, with_engine};

fn bare<D: Database>(text: &str) -> Statement<D> {
    Statement::bare(AssertSqlSafe(text.to_owned()).into_sql_str())
}

impl<S: Subject> Db<S> {
    /// Runs a text of one statement or several, as it is.
    pub(crate) async fn run_text(&self, text: &str) -> SqlxResult<()> {
        with_engine!(self.kind(), D => self.execute::<D>(bare(text)).await.map(drop))
    }

    /// The first column of each row, `None` where that is no text. With a key, which is bound, the statement stays prepared.
    pub(crate) async fn texts(&self, text: &str, key: Option<i64>) -> SqlxResult<Vec<Option<String>>> {
        with_engine!(self.kind(), D => {
            type Arguments = <<D as Driver>::Database as Database>::Arguments;
            let mut arguments = Arguments::default();
            if let Some(key) = key {
                arguments.add(key).map_err(sqlx::Error::Encode)?;
            }
            let statement = Statement { arguments: Some(arguments), persistent: key.is_some(), ..bare(text) };
            let rows = self.fetch_all::<D>(statement).await?;
            Ok(rows.iter().map(|row| row.try_get(0).ok()).collect())
        })
    }
}

impl<S: Subject> Tx<S> {
    /// As [`Db::run_text`].
    pub(crate) async fn run_text(&self, text: &str) -> SqlxResult<()> {
        with_engine!(self.kind(), D => self.execute::<D>(bare(text)).await.map(drop))
    }
}
