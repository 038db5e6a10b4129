//! SQLite's statements for the floor that gives apps their handles.

use futures_util::{FutureExt, future::BoxFuture, stream::BoxStream};
use sqlx::{SqlStr, Sqlite, sqlite::SqliteTypeInfo};
use sqlx_core::describe::Describe;
use tenantry_sql::sqlite::SqliteText;

use super::link::SqliteLink;
use crate::{
    engine::{
        Again, Driver, Leave, Scope, SqlText, Statement,
        driver::{Done, Item, Row, SqlxResult},
    },
    error::Result,
};

/// See [`Driver`].
pub(crate) struct SqliteDriver;

impl Driver for SqliteDriver {
    type Database = Sqlite;

    fn read(statement: &Statement<Sqlite>, _: &Scope) -> Result<SqlText> {
        let SqliteText { reads_only, shape_follows_schema, .. } = SqliteText::read(statement.sql.as_str())?;
        Ok(SqlText { reads_only, shape_follows_schema, leaves_state: false, outlives_reset: false })
    }

    fn enter<'l>(
        link: &'l mut SqliteLink,
        _: &'l Scope,
        text: SqlText,
        _streaming: bool,
    ) -> BoxFuture<'l, SqlxResult<Leave>> {
        async move {
            link.enter(text).await?;
            // A reading statement needs no words around it: SQLite begins and ends it.
            Ok(if text.needs_transaction() { Leave::Commit } else { Leave::AsItIs })
        }
        .boxed()
    }

    fn before<'l>(link: &'l mut SqliteLink, _: &Statement<Sqlite>, text: SqlText) -> BoxFuture<'l, SqlxResult<bool>> {
        async move {
            link.newest_shape(text).await?;
            Ok(false)
        }
        .boxed()
    }

    fn spare(_: &Statement<Sqlite>) -> Option<Statement<Sqlite>> {
        None
    }

    fn is_stale(_: &SqliteLink, _: &sqlx::Error, _: bool) -> bool {
        // What may change its shape is not kept prepared.
        false
    }

    fn again(_: &SqliteLink, _: &sqlx::Error, _: &Statement<Sqlite>, _: SqlText) -> Option<Again> {
        None
    }

    fn forget(_: &mut SqliteLink) -> BoxFuture<'_, bool> {
        async { true }.boxed()
    }

    fn stream(link: &mut SqliteLink, statement: Statement<Sqlite>, text: SqlText) -> BoxStream<'_, Item<Self>> {
        link.stream(statement, text)
    }

    fn fetch_all(
        link: &mut SqliteLink,
        statement: Statement<Sqlite>,
        text: SqlText,
    ) -> BoxFuture<'_, SqlxResult<Vec<Row<Self>>>> {
        link.fetch_all(statement, text).boxed()
    }

    fn fetch_optional(
        link: &mut SqliteLink,
        statement: Statement<Sqlite>,
        text: SqlText,
    ) -> BoxFuture<'_, SqlxResult<Option<Row<Self>>>> {
        link.fetch_optional(statement, text).boxed()
    }

    fn execute(
        link: &mut SqliteLink,
        statement: Statement<Sqlite>,
        text: SqlText,
    ) -> BoxFuture<'_, SqlxResult<Done<Self>>> {
        link.execute(statement, text).boxed()
    }

    fn prepare<'l>(
        link: &'l mut SqliteLink,
        sql: SqlStr,
        _types: &'l [SqliteTypeInfo],
    ) -> BoxFuture<'l, SqlxResult<sqlx::sqlite::SqliteStatement>> {
        link.prepare(sql).boxed()
    }

    fn describe(link: &mut SqliteLink, sql: SqlStr) -> BoxFuture<'_, SqlxResult<Describe<Sqlite>>> {
        link.describe(sql).boxed()
    }
}
