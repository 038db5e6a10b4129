//! Running statements on SQLite for a handle or a transaction, and the views by which sqlx does.

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use sqlx::{
    Either, Execute, Executor, SqlStr, Sqlite,
    sqlite::{SqliteQueryResult, SqliteRow, SqliteStatement, SqliteTypeInfo},
};

use super::{Db, Tx, subject::Subject, tx::Turn};
use crate::engine::{
    SqlText,
    sqlite::{SqliteLink, SqliteStatementText},
};

type SqlxResult<T> = Result<T, sqlx::Error>;
type Item = SqlxResult<Either<SqliteQueryResult, SqliteRow>>;

/// What to do with a statement once there is a connection.
trait Run<T>:
    for<'l> FnOnce(&'l mut SqliteLink, SqliteStatementText, SqlText) -> BoxFuture<'l, SqlxResult<T>> + Send
{
}
impl<T, F> Run<T> for F where
    F: for<'l> FnOnce(&'l mut SqliteLink, SqliteStatementText, SqlText) -> BoxFuture<'l, SqlxResult<T>> + Send
{
}

/// Whether the connection is at rest after this error: SQLite ended the statement itself.
fn at_rest(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(_))
}

impl<S: Subject> Db<S> {
    /// One statement as a transaction of its own. A reading one needs no words around it: SQLite begins and ends it.
    async fn once<T>(&self, statement: SqliteStatementText, run: impl Run<T>) -> SqlxResult<T> {
        let text = SqlText::read(statement.sql.as_str())?;
        let mut lease = self.lease().await?;
        let link = self.link(&mut lease)?;
        link.enter(text).await?;
        if !text.needs_transaction() {
            let result = run(link, statement, text).await;
            if result.as_ref().err().is_none_or(at_rest) {
                lease.clean();
            }
            return result;
        }
        let result = run(link, statement, text).await;
        let ended = match &result {
            Ok(_) => link.commit().await,
            Err(_) => link.rollback().await,
        };
        if ended.is_ok() {
            lease.clean();
        }
        let value = result?;
        ended?;
        Ok(value)
    }

    pub(crate) async fn sqlite_fetch_all(&self, statement: SqliteStatementText) -> SqlxResult<Vec<SqliteRow>> {
        self.once(statement, |link, s, t| link.fetch_all(s, t).boxed()).await
    }

    pub(crate) async fn sqlite_fetch_optional(&self, statement: SqliteStatementText) -> SqlxResult<Option<SqliteRow>> {
        self.once(statement, |link, s, t| link.fetch_optional(s, t).boxed()).await
    }

    pub(crate) async fn sqlite_execute(&self, statement: SqliteStatementText) -> SqlxResult<SqliteQueryResult> {
        self.once(statement, |link, s, t| link.execute(s, t).boxed()).await
    }

    /// Rows as they come; the transaction ends with the stream, and a stream that is dropped rolls back.
    pub(crate) fn sqlite_stream<'a>(&self, statement: SqliteStatementText) -> BoxStream<'a, Item> {
        let db = self.clone();
        async_stream::try_stream! {
            let text = SqlText::read(statement.sql.as_str())?;
            let mut lease = db.lease().await?;
            let link = db.link(&mut lease)?;
            link.enter(text).await?;
            let mut failure = None;
            {
                let mut rows = link.stream(statement, text);
                while let Some(item) = rows.next().await {
                    match item {
                        Ok(item) => yield item,
                        Err(error) => failure = Some(error),
                    }
                }
            }
            let ended = match (&failure, text.needs_transaction()) {
                (None, true) => link.commit().await,
                (Some(_), true) => link.rollback().await,
                (Some(error), false) if !at_rest(error) => Err(sqlx::Error::WorkerCrashed),
                (_, false) => Ok(()),
            };
            if ended.is_ok() {
                lease.clean();
            }
            if let Some(failure) = failure {
                Err(failure)?;
            }
            ended?;
        }
        .boxed()
    }
}

impl<S: Subject> Tx<S> {
    async fn next<T>(&self, statement: SqliteStatementText, run: impl Run<T>) -> SqlxResult<T> {
        let mut turn = self.turn_served().await?;
        let text = match SqlText::read(statement.sql.as_str()) {
            Ok(text) => text,
            Err(refused) => return turn.over(Err(refused.into())).await,
        };
        let link = turn.start()?;
        let result = match link.newest_shape(text).await {
            Ok(()) => run(link, statement, text).await,
            Err(error) => Err(error),
        };
        turn.over(result).await
    }

    pub(crate) async fn sqlite_fetch_all(&self, statement: SqliteStatementText) -> SqlxResult<Vec<SqliteRow>> {
        self.next(statement, |link, s, t| link.fetch_all(s, t).boxed()).await
    }

    pub(crate) async fn sqlite_fetch_optional(&self, statement: SqliteStatementText) -> SqlxResult<Option<SqliteRow>> {
        self.next(statement, |link, s, t| link.fetch_optional(s, t).boxed()).await
    }

    pub(crate) async fn sqlite_execute(&self, statement: SqliteStatementText) -> SqlxResult<SqliteQueryResult> {
        self.next(statement, |link, s, t| link.execute(s, t).boxed()).await
    }

    /// Rows as they come. A writing statement that is dropped half way fails the transaction; a reading one does not.
    pub(crate) fn sqlite_stream(&self, statement: SqliteStatementText) -> BoxStream<'_, Item> {
        async_stream::try_stream! {
            let text = SqlText::read(statement.sql.as_str())?;
            let mut turn = Reading { turn: Some(self.turn_served().await?), forgiving: text.reads_only };
            let mut failure = None;
            {
                let link = turn.start()?;
                link.newest_shape(text).await?;
                let mut rows = link.stream(statement, text);
                while let Some(item) = rows.next().await {
                    match item {
                        Ok(item) => yield item,
                        Err(error) => failure = Some(error),
                    }
                }
            }
            turn.over(failure).await?;
        }
        .boxed()
    }
}

/// A turn that a stream may be dropped in.
struct Reading<S: Subject> {
    turn: Option<Turn<S>>,
    forgiving: bool,
}

impl<S: Subject> Reading<S> {
    fn start(&mut self) -> SqlxResult<&mut SqliteLink> {
        match &mut self.turn {
            Some(turn) => Ok(turn.start()?),
            None => Err(sqlx::Error::WorkerCrashed),
        }
    }

    async fn over(mut self, failure: Option<sqlx::Error>) -> SqlxResult<()> {
        match (self.turn.take(), failure) {
            (Some(turn), Some(failure)) => turn.over(Err(failure)).await,
            (Some(turn), None) => turn.over(Ok(())).await,
            (None, _) => Ok(()),
        }
    }
}

impl<S: Subject> Drop for Reading<S> {
    fn drop(&mut self) {
        if let (Some(turn), true) = (&mut self.turn, self.forgiving) {
            turn.forgive();
        }
    }
}

/// A [`Db`] as sqlx takes it: `fetch_all(db.sqlite()?)`.
#[derive(Debug)]
pub struct SqliteDb<'c, S: Subject> {
    db: &'c Db<S>,
}

impl<S: Subject> Clone for SqliteDb<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Subject> Copy for SqliteDb<'_, S> {}

impl<'c, S: Subject> SqliteDb<'c, S> {
    pub(super) const fn new(db: &'c Db<S>) -> Self {
        Self { db }
    }
}

/// A [`Tx`] as sqlx takes it, for one statement: `execute(tx.sqlite()?)`.
#[derive(Debug)]
pub struct SqliteTx<'t, S: Subject> {
    tx: &'t Tx<S>,
}

impl<'t, S: Subject> SqliteTx<'t, S> {
    pub(super) const fn new(tx: &'t Tx<S>) -> Self {
        Self { tx }
    }
}

fn text_of<'q>(mut query: impl Execute<'q, Sqlite>) -> SqlxResult<SqliteStatementText> {
    let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?;
    let persistent = query.persistent() && arguments.is_some();
    Ok(SqliteStatementText { arguments, persistent, sql: query.sql() })
}

macro_rules! executor {
    ($view:ident, $life:lifetime, $inner:ident) => {
        impl<$life, S: Subject> Executor<$life> for $view<$life, S> {
            type Database = Sqlite;

            fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, SqlxResult<SqliteQueryResult>>
            where
                $life: 'e,
                E: 'q + Execute<'q, Sqlite>,
            {
                let statement = text_of(query);
                async move { self.$inner.sqlite_execute(statement?).await }.boxed()
            }

            fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, SqlxResult<Vec<SqliteRow>>>
            where
                $life: 'e,
                E: 'q + Execute<'q, Sqlite>,
            {
                let statement = text_of(query);
                async move { self.$inner.sqlite_fetch_all(statement?).await }.boxed()
            }

            fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, SqlxResult<Option<SqliteRow>>>
            where
                $life: 'e,
                E: 'q + Execute<'q, Sqlite>,
            {
                let statement = text_of(query);
                async move { self.$inner.sqlite_fetch_optional(statement?).await }.boxed()
            }

            fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Item>
            where
                $life: 'e,
                E: 'q + Execute<'q, Sqlite>,
            {
                match text_of(query) {
                    Ok(statement) => self.$inner.sqlite_stream(statement),
                    Err(error) => futures_util::stream::once(std::future::ready(Err(error))).boxed(),
                }
            }

            fn prepare_with<'e>(
                self,
                sql: SqlStr,
                _types: &'e [SqliteTypeInfo],
            ) -> BoxFuture<'e, SqlxResult<SqliteStatement>>
            where
                $life: 'e,
            {
                async move { self.$inner.sqlite_prepare(sql).await }.boxed()
            }

            fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, SqlxResult<sqlx_core::describe::Describe<Sqlite>>>
            where
                $life: 'e,
            {
                async move { self.$inner.sqlite_describe(sql).await }.boxed()
            }
        }
    };
}

executor!(SqliteDb, 'c, db);
executor!(SqliteTx, 't, tx);

fn bare(sql: SqlStr) -> SqliteStatementText {
    SqliteStatementText { sql, arguments: None, persistent: false }
}

impl<S: Subject> Db<S> {
    async fn sqlite_prepare(&self, sql: SqlStr) -> SqlxResult<SqliteStatement> {
        self.once(bare(sql), |link, s, _| link.prepare(s.sql).boxed()).await
    }

    async fn sqlite_describe(&self, sql: SqlStr) -> SqlxResult<sqlx_core::describe::Describe<Sqlite>> {
        self.once(bare(sql), |link, s, _| link.describe(s.sql).boxed()).await
    }
}

impl<S: Subject> Tx<S> {
    async fn sqlite_prepare(&self, sql: SqlStr) -> SqlxResult<SqliteStatement> {
        self.next(bare(sql), |link, s, _| link.prepare(s.sql).boxed()).await
    }

    async fn sqlite_describe(&self, sql: SqlStr) -> SqlxResult<sqlx_core::describe::Describe<Sqlite>> {
        self.next(bare(sql), |link, s, _| link.describe(s.sql).boxed()).await
    }
}
