//! PostgreSQL's statements for the floor that gives apps their handles.

use std::{future::ready, sync::Arc};

use futures_util::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream::BoxStream};
use sqlx::{
    Executor, Postgres, SqlStr,
    postgres::{PgArguments, PgDatabaseError, PgStatement, PgTypeInfo},
};
use sqlx_core::describe::Describe;

use super::{link::PgLink, outcome, text};
use crate::{
    engine::{
        Again, Begin, Done, Driver, Item, Leave, On, Row, Scope, SqlText, SqlxResult, Statement, postgres::PgScope,
    },
    error::{Error, ErrorKind, Result},
    tenant::Isolation,
};

/// The server has no such statement. The driver looked a type up between preparing one without a name and using it, and the
/// server has forgotten the statement over that; now the driver knows the type.
const FORGOTTEN: &str = "26000";

/// See [`Driver`].
pub(crate) struct PgDriver;

/// A text with its arguments, as sqlx takes it.
struct Text {
    sql: SqlStr,
    arguments: Option<PgArguments>,
    persistent: bool,
}

impl<'q> sqlx::Execute<'q, Postgres> for Text {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&PgStatement> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, sqlx::error::BoxDynError> {
        Ok(self.arguments.take())
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}

fn query(statement: Statement<Postgres>, text: SqlText) -> Text {
    let persistent = text.is_kept(statement.persistent);
    Text { sql: statement.sql, arguments: statement.arguments, persistent }
}

fn scope_of(scope: &Scope) -> Result<&Arc<PgScope>> {
    let Scope::Postgres(scope) = scope else {
        return Err(Error::new(ErrorKind::Internal, "a handle on PostgreSQL without a scope"));
    };
    Ok(scope)
}

impl Driver for PgDriver {
    type Database = Postgres;

    fn read(statement: &Statement<Postgres>, scope: &Scope) -> Result<SqlText> {
        let scope = scope_of(scope)?;
        let (pooled, read) = (scope.is_pooled(), text::cached(statement.sql.as_str())?);
        if read.locks_tables && scope.isolation() == Some(Isolation::Row) {
            return Err(Error::new(
                ErrorKind::Refused,
                "`LOCK` would make all tenants wait: the tables are theirs too",
            )
            .help("lock rows: SELECT ... FOR UPDATE"));
        }
        if read.defines && !scope.is_own() {
            return Err(Error::new(
                ErrorKind::Refused,
                "a tenant's statements change no tables, functions or rights: the server would lock a table for all tenants \
                 before it refuses",
            )
            .help("write it into a file of migrations: tenantry migrate new NAME"));
        }
        if read.explains && scope.isolation() == Some(Isolation::Row) {
            return Err(Error::new(
                ErrorKind::Refused,
                "`EXPLAIN` would tell what other tenants' rows hold: it shows what the planner knows of the rows of all",
            )
            .help("explain the statement on a connection of the administrator's"));
        }
        if read.shows_lockers && matches!(scope.isolation(), Some(Isolation::Row | Isolation::Schema)) {
            return Err(Error::new(
                ErrorKind::Refused,
                "`xmax` would tell of other tenants: where two transactions have locked a row, it is counted for all of the server",
            )
            .help("write `xmax = 0` to tell a new row from one that an upsert has changed; call a column or an alias otherwise"));
        }
        if read.steers_plans && scope.isolation() == Some(Isolation::Row) {
            return Err(Error::new(
                ErrorKind::Refused,
                "in row isolation a tenant's statement sets nothing that steers how statements are planned: by the time of some plans \
                 it would tell what other tenants' rows hold",
            )
            .help(
                "what a report needs, set with a function of the app's: CREATE FUNCTION ... SET work_mem = '64MB' AS ...; or give this \
                 tenant schema isolation",
            ));
        }
        // Sent without arguments it goes over the simple protocol, which takes several statements.
        let plain = read.plain && statement.arguments.is_some();
        if pooled && !read.plain {
            return Err(Error::new(
                ErrorKind::Refused,
                "behind a pooler only plain statements run: what else this one leaves could not be taken back",
            )
            .help("send one SELECT, INSERT, UPDATE, DELETE or MERGE at a time, or add the server without --pooler"));
        }
        Ok(SqlText {
            reads_only: read.reads_only && plain,
            // The next statement may meet another process, which knows nothing of what was prepared on this one.
            shape_follows_schema: pooled,
            leaves_state: !plain && !pooled,
            // A place of the tenant's own has no next tenant.
            outlives_reset: read.outlives_reset && !scope.is_own(),
        })
    }

    fn enter<'l>(
        link: &'l mut PgLink,
        scope: &'l Scope,
        text: SqlText,
        streaming: bool,
    ) -> BoxFuture<'l, SqlxResult<Leave>> {
        async move {
            let scope = scope_of(scope)?;
            if text.reads_only {
                if link.enter_each(scope, true).await? {
                    return Ok(Leave::AsItIs);
                }
                link.enter(scope, Begin { read_only: true, level: None }).await?;
                return Ok(Leave::CommitLater);
            }
            // At a place of the tenant's own the server's own transaction around a statement will do, unless the rows
            // are handed out while it runs: then it must be possible to take it back.
            let in_one = !text.leaves_state && !streaming;
            if in_one && link.enter_each(scope, false).await? {
                return Ok(Leave::AsItIs);
            }
            link.enter(scope, Begin::WRITE).await?;
            Ok(Leave::Commit)
        }
        .boxed()
    }

    fn before<'l>(
        link: &'l mut PgLink,
        statement: &Statement<Postgres>,
        text: SqlText,
    ) -> BoxFuture<'l, SqlxResult<bool>> {
        let is_unnamed = statement.arguments.is_some() && !text.is_kept(statement.persistent);
        if !is_unnamed || link.knows_types_of(statement.sql.as_str()) {
            return ready(Ok(false)).boxed();
        }
        async { link.try_begin().await.map(|()| true) }.boxed()
    }

    fn behind(link: &mut PgLink, sql: SqlStr) -> BoxFuture<'_, SqlxResult<()>> {
        async move { link.try_keep(sql.as_str()).await }.boxed()
    }

    fn is_undone<'l>(link: &'l mut PgLink, error: &sqlx::Error) -> BoxFuture<'l, SqlxResult<bool>> {
        let is_forgotten = error.as_database_error().and_then(|e| e.code()).as_deref() == Some(FORGOTTEN);
        async move {
            if is_forgotten {
                link.try_undo().await?;
            }
            Ok(is_forgotten)
        }
        .boxed()
    }

    fn spare(statement: &Statement<Postgres>) -> Option<Statement<Postgres>> {
        statement.arguments.is_some().then(|| statement.clone())
    }

    fn is_stale(link: &PgLink, error: &sqlx::Error, kept: bool) -> bool {
        let Some(error) = error.as_database_error() else { return false };
        let error = error.downcast_ref::<PgDatabaseError>();
        match error.code() {
            "0A000" => error.routine() == Some("RevalidateCachedQuery"),
            FORGOTTEN => kept,
            // A type of the same name in another tenant's schema: the driver knows types by their names.
            "42804" | "42846" | "42883" => link.suspect_types(),
            // Or of one that is not there any more.
            "42704" if error.routine() == Some("lookup_type_cache") => link.suspect_types(),
            _ => false,
        }
    }

    fn again(link: &PgLink, error: &sqlx::Error, statement: &Statement<Postgres>, text: SqlText) -> Option<Again> {
        if link.has_not_heard() {
            return Some(Again { text, on: On::Another });
        }
        if Self::is_stale(link, error, text.is_kept(statement.persistent)) {
            return Some(Again { text, on: On::SameForgetting });
        }
        if outcome::is_of_what_is_gone(error) && link.suspect_types() {
            return Some(Again { text, on: On::Another });
        }
        match error.as_database_error()?.code()?.as_ref() {
            // It reads by its words, but a function in it writes.
            "25006" if text.reads_only => {
                text::learn_that_it_writes(statement.sql.as_str());
                Some(Again { text: SqlText { reads_only: false, ..text }, on: On::Same })
            }
            FORGOTTEN => Some(Again { text, on: On::Same }),
            _ => None,
        }
    }

    fn forget(link: &mut PgLink) -> BoxFuture<'_, bool> {
        link.forget_statements().boxed()
    }

    fn stream(link: &mut PgLink, statement: Statement<Postgres>, text: SqlText) -> BoxStream<'_, Item<Self>> {
        link.line_of(text).hear(|connection| connection.fetch_many(query(statement, text))).boxed()
    }

    fn fetch_all(
        link: &mut PgLink,
        statement: Statement<Postgres>,
        text: SqlText,
    ) -> BoxFuture<'_, SqlxResult<Vec<Row<Self>>>> {
        link.line_of(text)
            .say(move |connection| {
                let items = connection.fetch_many(query(statement, text));
                items.try_filter_map(|item| ready(Ok(item.right()))).try_collect()
            })
            .boxed()
    }

    fn fetch_optional(
        link: &mut PgLink,
        statement: Statement<Postgres>,
        text: SqlText,
    ) -> BoxFuture<'_, SqlxResult<Option<Row<Self>>>> {
        link.line_of(text)
            .say(move |connection| {
                let items = connection.fetch_many(query(statement, text));
                // To the end: the driver's own way stops at the first row, and an error behind it would be lost.
                items.try_fold(None, |first: Option<Row<Self>>, item| ready(Ok(first.or(item.right()))))
            })
            .boxed()
    }

    fn execute(
        link: &mut PgLink,
        statement: Statement<Postgres>,
        text: SqlText,
    ) -> BoxFuture<'_, SqlxResult<Done<Self>>> {
        link.line_of(text)
            .say(move |connection| {
                let items = connection.fetch_many(query(statement, text));
                items.try_filter_map(|item| ready(Ok(item.left()))).try_collect()
            })
            .boxed()
    }

    fn prepare<'l>(
        link: &'l mut PgLink,
        sql: SqlStr,
        types: &'l [PgTypeInfo],
    ) -> BoxFuture<'l, SqlxResult<PgStatement>> {
        async move {
            link.require_session()?;
            link.line().say(|connection| connection.prepare_with(sql, types)).await
        }
        .boxed()
    }

    fn describe(link: &mut PgLink, sql: SqlStr) -> BoxFuture<'_, SqlxResult<Describe<Postgres>>> {
        async move {
            link.require_session()?;
            link.line_to_describe()?.say(|connection| connection.describe(sql)).await
        }
        .boxed()
    }
}
