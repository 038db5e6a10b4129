//! SeaORM on a handle or a transaction: both are connections.

use std::{future::Future, pin::Pin};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use sea_orm::{
    AccessMode, ConnectionTrait, DbBackend, DbErr, ExecResult, IsolationLevel, QueryResult, RuntimeErr, Statement,
    StreamTrait, TransactionError, TransactionOptions, TransactionSession, TransactionTrait,
};
use sea_query_sqlx::SqlxValues;
use sqlx::{AssertSqlSafe, Either, IntoArguments, SqlSafeStr, sqlite::SqliteRow};

use crate::{
    engine::sqlite::{Begin, SqliteStatementText},
    error::Error,
    scope::{Db, Subject, Tx},
};

type OrmResult<T> = Result<T, DbErr>;

/// SeaORM's statement as the engine takes it: its values are bound, never written into the text.
fn text_of(statement: Statement) -> SqliteStatementText {
    let arguments = statement.values.map(|values| SqlxValues(values).into_arguments());
    SqliteStatementText { sql: AssertSqlSafe(statement.sql).into_sql_str(), persistent: arguments.is_some(), arguments }
}

fn bare(sql: &str) -> SqliteStatementText {
    SqliteStatementText { sql: AssertSqlSafe(sql).into_sql_str(), arguments: None, persistent: false }
}

fn query_failed(error: sqlx::Error) -> DbErr {
    DbErr::Query(RuntimeErr::SqlxError(error.into()))
}

fn exec_failed(error: sqlx::Error) -> DbErr {
    DbErr::Exec(RuntimeErr::SqlxError(error.into()))
}

fn failed(error: Error) -> DbErr {
    DbErr::Conn(RuntimeErr::SqlxError(sqlx::Error::from(error).into()))
}

fn row(row: SqliteRow) -> QueryResult {
    row.into()
}

fn begin_of(options: TransactionOptions) -> OrmResult<Begin> {
    if options.isolation_level.is_some_and(|level| level != IsolationLevel::Serializable) {
        // SQLite knows one level, and it is the strictest.
        tracing::debug!("SQLite transactions are serializable, whatever level is asked for");
    }
    Ok(match options.access_mode {
        Some(AccessMode::ReadOnly) => Begin::Read,
        _ => Begin::Write,
    })
}

macro_rules! connection {
    ($type:ident) => {
        #[async_trait]
        impl<S: Subject> ConnectionTrait for $type<S> {
            fn get_database_backend(&self) -> DbBackend {
                DbBackend::Sqlite
            }

            async fn execute_raw(&self, statement: Statement) -> OrmResult<ExecResult> {
                self.sqlite_execute(text_of(statement)).await.map(Into::into).map_err(exec_failed)
            }

            async fn execute_unprepared(&self, sql: &str) -> OrmResult<ExecResult> {
                self.sqlite_execute(bare(sql)).await.map(Into::into).map_err(exec_failed)
            }

            async fn query_one_raw(&self, statement: Statement) -> OrmResult<Option<QueryResult>> {
                let found = self.sqlite_fetch_optional(text_of(statement)).await.map_err(query_failed)?;
                Ok(found.map(row))
            }

            async fn query_all_raw(&self, statement: Statement) -> OrmResult<Vec<QueryResult>> {
                let rows = self.sqlite_fetch_all(text_of(statement)).await.map_err(query_failed)?;
                Ok(rows.into_iter().map(row).collect())
            }
        }

        impl<S: Subject> StreamTrait for $type<S> {
            type Stream<'a> = BoxStream<'a, OrmResult<QueryResult>>;

            fn get_database_backend(&self) -> DbBackend {
                DbBackend::Sqlite
            }

            fn stream_raw<'a>(
                &'a self,
                statement: Statement,
            ) -> Pin<Box<dyn Future<Output = OrmResult<Self::Stream<'a>>> + 'a + Send>> {
                let rows = self
                    .sqlite_stream(text_of(statement))
                    .try_filter_map(|item| {
                        std::future::ready(Ok(match item {
                            Either::Left(_) => None,
                            Either::Right(found) => Some(row(found)),
                        }))
                    })
                    .map_err(query_failed);
                Box::pin(std::future::ready(Ok(rows.boxed())))
            }
        }

        #[async_trait]
        impl<S: Subject> TransactionTrait for $type<S> {
            type Transaction = Tx<S>;

            async fn begin(&self) -> OrmResult<Tx<S>> {
                $type::begin(self).await.map_err(failed)
            }

            async fn begin_with_config(
                &self,
                isolation_level: Option<IsolationLevel>,
                access_mode: Option<AccessMode>,
            ) -> OrmResult<Tx<S>> {
                self.begin_with_options(TransactionOptions { isolation_level, access_mode, ..Default::default() }).await
            }

            async fn begin_with_options(&self, options: TransactionOptions) -> OrmResult<Tx<S>> {
                self.begin_orm(begin_of(options)?).await.map_err(failed)
            }

            async fn transaction<F, T, E>(&self, callback: F) -> Result<T, TransactionError<E>>
            where
                F: for<'c> FnOnce(&'c Tx<S>) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>> + Send,
                T: Send,
                E: std::fmt::Display + std::fmt::Debug + Send,
            {
                self.transaction_with_config(callback, None, None).await
            }

            async fn transaction_with_config<F, T, E>(
                &self,
                callback: F,
                isolation_level: Option<IsolationLevel>,
                access_mode: Option<AccessMode>,
            ) -> Result<T, TransactionError<E>>
            where
                F: for<'c> FnOnce(&'c Tx<S>) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>> + Send,
                T: Send,
                E: std::fmt::Display + std::fmt::Debug + Send,
            {
                let begun = self.begin_with_config(isolation_level, access_mode).await;
                run_in(begun.map_err(TransactionError::Connection)?, callback).await
            }
        }
    };
}

connection!(Db);
connection!(Tx);

impl<S: Subject> Db<S> {
    async fn begin_orm(&self, begin: Begin) -> crate::error::Result<Tx<S>> {
        self.begin_as(begin).await
    }
}

impl<S: Subject> Tx<S> {
    /// Inside of a transaction there is only the savepoint.
    async fn begin_orm(&self, _: Begin) -> crate::error::Result<Self> {
        Self::begin(self).await
    }
}

#[async_trait]
impl<S: Subject> TransactionSession for Tx<S> {
    async fn commit(self) -> OrmResult<()> {
        Self::commit(self).await.map_err(failed)
    }

    async fn rollback(self) -> OrmResult<()> {
        Self::rollback(self).await.map_err(failed)
    }
}

async fn run_in<S, F, T, E>(tx: Tx<S>, callback: F) -> Result<T, TransactionError<E>>
where
    S: Subject,
    F: for<'c> FnOnce(&'c Tx<S>) -> Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>> + Send,
    E: std::fmt::Display + std::fmt::Debug,
{
    match callback(&tx).await {
        Ok(value) => {
            let committed = tx.commit().await.map_err(failed);
            committed.map(|()| value).map_err(TransactionError::Connection)
        }
        Err(error) => {
            tx.rollback().await.map_err(|e| TransactionError::Connection(failed(e)))?;
            Err(TransactionError::Transaction(error))
        }
    }
}
