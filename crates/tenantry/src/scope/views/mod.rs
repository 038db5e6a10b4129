//! The views by which sqlx runs statements on a handle or a transaction: one pair an engine.

use sqlx::Execute;

use super::{Db, subject::Subject};
use crate::engine::{EngineKind, SqlxResult, Statement};

fn text_of<'q, D: sqlx::Database>(mut query: impl Execute<'q, D>) -> SqlxResult<Statement<D>> {
    let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?;
    let persistent = query.persistent() && arguments.is_some();
    Ok(Statement { arguments, persistent, sql: query.sql() })
}

macro_rules! view {
    ($(#[$doc:meta])* $view:ident, $life:lifetime, $inner:ident: $of:ident) => {
        $(#[$doc])*
        pub struct $view<$life, S: Subject> {
            pub(super) $inner: &$life $of<S>,
        }

        impl<S: Subject> fmt::Debug for $view<'_, S> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($view)).field(&self.$inner).finish()
            }
        }

        impl<$life, S: Subject> $view<$life, S> {
            pub(super) const fn new($inner: &$life $of<S>) -> Self {
                Self { $inner }
            }
        }
    };
}

macro_rules! reusable {
    ($view:ident) => {
        impl<S: Subject> Clone for $view<'_, S> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<S: Subject> Copy for $view<'_, S> {}
    };
}

macro_rules! executor {
    ($view:ident, $life:lifetime, $inner:ident, $driver:ident, $database:ident: $row:ident, $done:ident, $statement:ident, $type:ident) => {
        impl<$life, S: Subject> Executor<$life> for $view<$life, S> {
            type Database = $database;

            fn execute<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, SqlxResult<$done>>
            where
                $life: 'e,
                E: 'q + Execute<'q, $database>,
            {
                let statement = text_of(query);
                async move { self.$inner.execute::<$driver>(statement?).await }.boxed()
            }

            fn fetch_all<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, SqlxResult<Vec<$row>>>
            where
                $life: 'e,
                E: 'q + Execute<'q, $database>,
            {
                let statement = text_of(query);
                async move { self.$inner.fetch_all::<$driver>(statement?).await }.boxed()
            }

            fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, SqlxResult<Option<$row>>>
            where
                $life: 'e,
                E: 'q + Execute<'q, $database>,
            {
                let statement = text_of(query);
                async move { self.$inner.fetch_optional::<$driver>(statement?).await }.boxed()
            }

            fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, SqlxResult<Either<$done, $row>>>
            where
                $life: 'e,
                E: 'q + Execute<'q, $database>,
            {
                match text_of(query) {
                    Ok(statement) => self.$inner.stream::<$driver>(statement),
                    Err(error) => futures_util::stream::once(std::future::ready(Err(error))).boxed(),
                }
            }

            fn prepare_with<'e>(self, sql: SqlStr, types: &'e [$type]) -> BoxFuture<'e, SqlxResult<$statement>>
            where
                $life: 'e,
            {
                async move { self.$inner.prepare::<$driver>(sql, types).await }.boxed()
            }

            fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, SqlxResult<sqlx_core::describe::Describe<$database>>>
            where
                $life: 'e,
            {
                async move { self.$inner.describe::<$driver>(sql).await }.boxed()
            }
        }
    };
}

// Behind the macros, which they use.
#[cfg(feature = "postgres")]
mod copy;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "postgres")]
pub use postgres::{PostgresDb, PostgresTx};
#[cfg(feature = "sqlite")]
pub use sqlite::{SqliteDb, SqliteTx};

/// The typed view of whichever engine has the data: [`Db::any`].
///
/// A program that serves every engine matches on it. A new engine is a new variant, so that the compiler names each place
/// that does not serve it yet.
#[derive(Debug)]
pub enum AnyDb<'c, S: Subject> {
    /// See [`Db::sqlite`].
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteDb<'c, S>),
    /// See [`Db::postgres`].
    #[cfg(feature = "postgres")]
    Postgres(PostgresDb<'c, S>),
}

impl<S: Subject> Db<S> {
    /// The typed view of the engine on which the data lies.
    #[must_use]
    pub fn any(&self) -> AnyDb<'_, S> {
        match self.kind() {
            #[cfg(feature = "sqlite")]
            EngineKind::Sqlite => AnyDb::Sqlite(SqliteDb::new(self)),
            #[cfg(feature = "postgres")]
            EngineKind::Postgres => AnyDb::Postgres(PostgresDb::new(self)),
        }
    }
}
