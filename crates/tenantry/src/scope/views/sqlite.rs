//! The views of SQLite.

use std::fmt;

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use sqlx::{
    Either, Execute, Executor, SqlStr, Sqlite,
    sqlite::{SqliteQueryResult, SqliteRow, SqliteStatement, SqliteTypeInfo},
};

use super::text_of;
use crate::{
    engine::{SqlxResult, sqlite::SqliteDriver},
    error::Result,
    scope::{Db, Subject, Tx},
};

view! {
    /// A [`Db`] as sqlx takes it on SQLite: `fetch_all(db.sqlite()?)`.
    SqliteDb, 'c, db: Db
}
view! {
    /// A [`Tx`] as sqlx takes it on SQLite, for one statement: `execute(tx.sqlite()?)`.
    SqliteTx, 't, tx: Tx
}
reusable!(SqliteDb);
executor!(SqliteDb, 'c, db, SqliteDriver, Sqlite: SqliteRow, SqliteQueryResult, SqliteStatement, SqliteTypeInfo);
executor!(SqliteTx, 't, tx, SqliteDriver, Sqlite: SqliteRow, SqliteQueryResult, SqliteStatement, SqliteTypeInfo);

impl<S: Subject> Db<S> {
    /// The typed view for sqlx on SQLite.
    ///
    /// # Errors
    /// If the data lies on another engine.
    pub fn sqlite(&self) -> Result<SqliteDb<'_, S>> {
        self.require::<SqliteDriver>()?;
        Ok(SqliteDb::new(self))
    }
}

impl<S: Subject> Tx<S> {
    /// The typed view for sqlx on SQLite, for one statement.
    ///
    /// # Errors
    /// If the data lies on another engine.
    pub fn sqlite(&mut self) -> Result<SqliteTx<'_, S>> {
        self.db().require::<SqliteDriver>()?;
        Ok(SqliteTx::new(self))
    }
}
