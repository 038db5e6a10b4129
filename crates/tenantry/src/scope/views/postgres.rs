//! The views of PostgreSQL.

use std::fmt;

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use sqlx::{
    Either, Execute, Executor, Postgres, SqlStr,
    postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo},
};

use super::text_of;
use crate::{
    engine::{SqlxResult, postgres::PgDriver},
    error::Result,
    scope::{Db, Subject, Tx},
};

view! {
    /// A [`Db`] as sqlx takes it on PostgreSQL: `fetch_all(db.postgres()?)`.
    PostgresDb, 'c, db: Db
}
view! {
    /// A [`Tx`] as sqlx takes it on PostgreSQL, for one statement: `execute(tx.postgres()?)`.
    PostgresTx, 't, tx: Tx
}
reusable!(PostgresDb);
executor!(PostgresDb, 'c, db, PgDriver, Postgres: PgRow, PgQueryResult, PgStatement, PgTypeInfo);
executor!(PostgresTx, 't, tx, PgDriver, Postgres: PgRow, PgQueryResult, PgStatement, PgTypeInfo);

impl<S: Subject> Db<S> {
    /// The typed view for sqlx on PostgreSQL.
    ///
    /// # Errors
    /// If the data lies on another engine.
    pub fn postgres(&self) -> Result<PostgresDb<'_, S>> {
        self.require::<PgDriver>()?;
        Ok(PostgresDb::new(self))
    }
}

impl<S: Subject> Tx<S> {
    /// The typed view for sqlx on PostgreSQL, for one statement.
    ///
    /// # Errors
    /// If the data lies on another engine.
    pub fn postgres(&mut self) -> Result<PostgresTx<'_, S>> {
        self.db().require::<PgDriver>()?;
        Ok(PostgresTx::new(self))
    }
}
