//! [`Driver`]: how statements of an app run on one engine, for the floor that gives apps their handles.

use std::future::ready;

use futures_util::{TryStreamExt, future::BoxFuture, stream::BoxStream};
use sqlx::{Database, Either, SqlStr};
use sqlx_core::describe::Describe;

use super::{Listed, Scope, SqlText};
use crate::error::Result;

pub(crate) type SqlxResult<T> = Result<T, sqlx::Error>;
pub(crate) type Row<D> = <<D as Driver>::Database as Database>::Row;
pub(crate) type Done<D> = <<D as Driver>::Database as Database>::QueryResult;
pub(crate) type Item<D> = SqlxResult<Either<Done<D>, Row<D>>>;

/// One statement as an app gave it.
pub(crate) struct Statement<D: Database> {
    pub(crate) sql: SqlStr,
    pub(crate) arguments: Option<D::Arguments>,
    pub(crate) persistent: bool,
}

impl<D: Database<Arguments: Clone>> Clone for Statement<D> {
    fn clone(&self) -> Self {
        Self { sql: self.sql.clone(), arguments: self.arguments.clone(), persistent: self.persistent }
    }
}

impl<D: Database> Statement<D> {
    /// Without arguments, and not kept prepared.
    pub(crate) const fn bare(sql: SqlStr) -> Self {
        Self { sql, arguments: None, persistent: false }
    }

    /// To be prepared, and not run.
    pub(crate) fn to_prepare(sql: SqlStr) -> Self {
        Self { sql, arguments: Some(D::Arguments::default()), persistent: true }
    }
}

/// What has to be done when a one-shot statement has ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// No transaction was begun for it: the engine has ended its own.
    AsItIs,
    /// It is committed before it is answered.
    Commit,
    /// It has changed nothing: it is answered at once, and its transaction ended behind that.
    CommitLater,
}

/// How to run a statement again that has failed without having done anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Again {
    pub(crate) text: SqlText,
    pub(crate) on: On,
}

/// On which connection a statement is run again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    Same,
    /// What was prepared has to be forgotten before.
    SameForgetting,
    /// This one has not heard of the tenant: nothing was begun on it.
    Another,
}

/// The statements of sqlx on one engine. The link is what a lease of that engine holds.
pub(crate) trait Driver: Listed + Sized + Send + Sync + 'static {
    type Database: Database;

    /// What the text is; an error refuses it.
    fn read(statement: &Statement<Self::Database>, scope: &Scope) -> Result<SqlText>;

    /// Begins what a one-shot statement needs around it.
    fn enter<'l>(
        link: &'l mut Self::Link,
        scope: &'l Scope,
        text: SqlText,
        streaming: bool,
    ) -> BoxFuture<'l, SqlxResult<Leave>>;

    /// What has to be done before a statement of a transaction. `true`: if it fails, [`Driver::is_undone`] may make it good
    /// to run it again; if it does not, [`Driver::behind`] is called.
    fn before<'l>(
        link: &'l mut Self::Link,
        statement: &Statement<Self::Database>,
        text: SqlText,
    ) -> BoxFuture<'l, SqlxResult<bool>>;

    /// What has to be done behind a statement that went well, if [`Driver::before`] said so.
    fn behind(_: &mut Self::Link, _: SqlStr) -> BoxFuture<'_, SqlxResult<()>> {
        Box::pin(ready(Ok(())))
    }

    /// Whether a statement of a transaction failed without having done anything, and that was undone: it is run again.
    fn is_undone<'l>(_: &'l mut Self::Link, _: &sqlx::Error) -> BoxFuture<'l, SqlxResult<bool>> {
        Box::pin(ready(Ok(false)))
    }

    /// A copy of a statement for a second try, where the engine may need it.
    fn spare(statement: &Statement<Self::Database>) -> Option<Statement<Self::Database>>;

    /// Whether a statement failed because what was prepared for it does not fit the tables any more. `kept`: the driver has
    /// kept it prepared, and so the next one would fail too.
    fn is_stale(link: &Self::Link, error: &sqlx::Error, kept: bool) -> bool;

    /// Whether a failed one-shot statement, rolled back, will do better when it is run again on the same connection.
    fn again(
        link: &Self::Link,
        error: &sqlx::Error,
        statement: &Statement<Self::Database>,
        text: SqlText,
    ) -> Option<Again>;

    /// Forgets what was prepared. `false`: the connection is lost.
    fn forget(link: &mut Self::Link) -> BoxFuture<'_, bool>;

    fn stream(link: &mut Self::Link, statement: Statement<Self::Database>, text: SqlText) -> BoxStream<'_, Item<Self>>;

    /// Runs to the end and gives all rows.
    fn fetch_all(
        link: &mut Self::Link,
        statement: Statement<Self::Database>,
        text: SqlText,
    ) -> BoxFuture<'_, SqlxResult<Vec<Row<Self>>>> {
        let rows = Self::stream(link, statement, text).try_filter_map(|item| ready(Ok(item.right())));
        Box::pin(rows.try_collect())
    }

    /// Runs to the end and gives the first row: what fails behind it is not lost.
    fn fetch_optional(
        link: &mut Self::Link,
        statement: Statement<Self::Database>,
        text: SqlText,
    ) -> BoxFuture<'_, SqlxResult<Option<Row<Self>>>> {
        let items = Self::stream(link, statement, text);
        Box::pin(items.try_fold(None, |first, item| ready(Ok(first.or(item.right())))))
    }

    fn execute(
        link: &mut Self::Link,
        statement: Statement<Self::Database>,
        text: SqlText,
    ) -> BoxFuture<'_, SqlxResult<Done<Self>>> {
        let done = Self::stream(link, statement, text).try_filter_map(|item| ready(Ok(item.left())));
        Box::pin(done.try_collect())
    }

    fn prepare<'l>(
        link: &'l mut Self::Link,
        sql: SqlStr,
        types: &'l [<Self::Database as Database>::TypeInfo],
    ) -> BoxFuture<'l, SqlxResult<<Self::Database as Database>::Statement>>;

    fn describe(link: &mut Self::Link, sql: SqlStr) -> BoxFuture<'_, SqlxResult<Describe<Self::Database>>>;
}
