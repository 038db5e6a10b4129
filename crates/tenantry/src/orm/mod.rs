//! SeaORM on a handle or a transaction: both are connections.

use std::{future::Future, pin::Pin};

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use sea_orm::{
    AccessMode, ConnectionTrait, DbBackend, DbErr, ExecResult, IsolationLevel, QueryResult, RuntimeErr, Statement,
    StreamTrait, TransactionError, TransactionOptions, TransactionSession, TransactionTrait,
};
use sea_query_sqlx::SqlxValues;
use sqlx::{AssertSqlSafe, Either, IntoArguments, SqlSafeStr};

use crate::{
    engine::{Begin, Done, Driver, Item, Level, Row, Statement as Text, with_engine},
    error::Error,
    scope::{Db, Subject, Tx},
};

type OrmResult<T> = Result<T, DbErr>;

/// SeaORM's statement as the engine takes it: its values are bound, never written into the text.
fn text_of<D: sqlx::Database>(statement: Statement) -> Text<D>
where
    SqlxValues: IntoArguments<D>,
{
    let arguments = statement.values.map(|values| SqlxValues(values).into_arguments());
    Text { sql: AssertSqlSafe(statement.sql).into_sql_str(), persistent: arguments.is_some(), arguments }
}

fn bare<D: sqlx::Database>(sql: &str) -> Text<D> {
    Text::bare(AssertSqlSafe(sql).into_sql_str())
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

const fn begin_of(options: &TransactionOptions) -> Begin {
    let level = match options.isolation_level {
        None => None,
        Some(IsolationLevel::ReadUncommitted) => Some(Level::ReadUncommitted),
        Some(IsolationLevel::ReadCommitted) => Some(Level::ReadCommitted),
        Some(IsolationLevel::RepeatableRead) => Some(Level::RepeatableRead),
        Some(IsolationLevel::Serializable) => Some(Level::Serializable),
    };
    Begin { read_only: matches!(options.access_mode, Some(AccessMode::ReadOnly)), level }
}

fn rows<'a, D: Driver>(items: BoxStream<'a, Item<D>>) -> BoxStream<'a, OrmResult<QueryResult>>
where
    Row<D>: Into<QueryResult> + Send,
    Done<D>: Send,
{
    let rows = items.try_filter_map(|item| {
        std::future::ready(Ok(match item {
            Either::Left(_) => None,
            Either::Right(found) => Some(found.into()),
        }))
    });
    rows.map_err(query_failed).boxed()
}

/// One statement on the engine that has the data, and its answer as SeaORM's.
macro_rules! on_engine {
    ($self:ident, $call:ident($statement:expr), $failed:path) => {
        with_engine!($self.kind(), D => $self.$call::<D>($statement).await.map(IntoOrm::into_orm).map_err($failed))
    };
}

/// An engine's answer as SeaORM's.
trait IntoOrm<T> {
    fn into_orm(self) -> T;
}

impl<R: Into<QueryResult>> IntoOrm<Option<QueryResult>> for Option<R> {
    fn into_orm(self) -> Option<QueryResult> {
        self.map(Into::into)
    }
}

impl<R: Into<QueryResult>> IntoOrm<Vec<QueryResult>> for Vec<R> {
    fn into_orm(self) -> Vec<QueryResult> {
        self.into_iter().map(Into::into).collect()
    }
}

impl<R: Into<ExecResult>> IntoOrm<ExecResult> for R {
    fn into_orm(self) -> ExecResult {
        self.into()
    }
}

macro_rules! connection {
    ($type:ident) => {
        #[async_trait]
        impl<S: Subject> ConnectionTrait for $type<S> {
            fn get_database_backend(&self) -> DbBackend {
                self.backend()
            }

            async fn execute_raw(&self, statement: Statement) -> OrmResult<ExecResult> {
                on_engine!(self, execute(text_of(statement)), exec_failed)
            }

            async fn execute_unprepared(&self, sql: &str) -> OrmResult<ExecResult> {
                on_engine!(self, execute(bare(sql)), exec_failed)
            }

            async fn query_one_raw(&self, statement: Statement) -> OrmResult<Option<QueryResult>> {
                on_engine!(self, fetch_optional(text_of(statement)), query_failed)
            }

            async fn query_all_raw(&self, statement: Statement) -> OrmResult<Vec<QueryResult>> {
                on_engine!(self, fetch_all(text_of(statement)), query_failed)
            }
        }

        impl<S: Subject> StreamTrait for $type<S> {
            type Stream<'a> = BoxStream<'a, OrmResult<QueryResult>>;

            fn get_database_backend(&self) -> DbBackend {
                self.backend()
            }

            fn stream_raw<'a>(
                &'a self,
                statement: Statement,
            ) -> Pin<Box<dyn Future<Output = OrmResult<Self::Stream<'a>>> + 'a + Send>> {
                let rows = with_engine!(self.kind(), D => rows::<D>(self.stream::<D>(text_of(statement))));
                Box::pin(std::future::ready(Ok(rows)))
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
                self.begin_orm(begin_of(&options)).await.map_err(failed)
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
    fn backend(&self) -> DbBackend {
        self.kind().backend()
    }

    async fn begin_orm(&self, begin: Begin) -> crate::error::Result<Tx<S>> {
        self.begin_as(begin).await
    }
}

impl<S: Subject> Tx<S> {
    fn backend(&self) -> DbBackend {
        self.kind().backend()
    }

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
