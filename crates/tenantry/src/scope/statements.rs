//! Running statements for a handle or a transaction, on whatever engine: the same rules for all of them.

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::BoxStream};
use sqlx::{Database, SqlStr};
use sqlx_core::describe::Describe;

use super::{Db, Tx, subject::Subject, tx::Turn};
use crate::{
    engine::{
        Again, Connection, Done, Driver, Item, Leave, On, Row, SqlText, SqlxResult, Statement, ends_the_connection,
        is_mistake,
    },
    error::{Error, ErrorKind, Result},
    pool::Lease,
};

/// What to do with a statement once there is a connection.
trait Run<D: Driver, T>:
    for<'l> Fn(&'l mut D::Link, Statement<D::Database>, SqlText) -> BoxFuture<'l, SqlxResult<T>> + Send + Sync
{
}
impl<D: Driver, T, F> Run<D, T> for F where
    F: for<'l> Fn(&'l mut D::Link, Statement<D::Database>, SqlText) -> BoxFuture<'l, SqlxResult<T>> + Send + Sync
{
}

/// By this name a program that answers its only user leaves these lines out.
const STATEMENTS: &str = "tenantry::statements";

/// How much of a statement is logged.
const SHOWN: usize = 400;

/// How often a scope is entered on another connection, where the one before did not know the tenant yet.
pub(super) const ENTRIES: usize = 4;

/// Where nothing was begun yet, or only read, a connection that broke leaves nothing unknown.
pub(super) fn nothing_done(error: sqlx::Error) -> sqlx::Error {
    match error {
        sqlx::Error::Io(_) => {
            Error::new(ErrorKind::DatabaseBusy, "the connection to the database broke; nothing was changed")
                .caused_by(error)
                .into()
        }
        other => other,
    }
}

/// Whether the connection is at rest after this error: the database ended the statement itself.
fn at_rest(error: &sqlx::Error) -> bool {
    match error {
        // Or it has ended the connection with it.
        sqlx::Error::Database(error) => !ends_the_connection(&**error),
        _ => false,
    }
}

/// The link of the engine that a typed view has checked before.
pub(super) fn link_of<D: Driver>(connection: &mut Connection) -> Result<&mut D::Link> {
    D::link(connection).ok_or_else(|| Error::new(ErrorKind::Internal, "a lease of another engine"))
}

/// Undoes what was begun around a one-shot statement that has failed. `false`: the connection cannot be trusted.
async fn roll_back(lease: &mut Lease, begun: Leave, error: &sqlx::Error) -> bool {
    match (begun, lease.connection()) {
        (Leave::AsItIs, _) => at_rest(error),
        (Leave::Commit | Leave::CommitLater, Some(connection)) => connection.rollback().await.is_ok(),
        (Leave::Commit | Leave::CommitLater, None) => false,
    }
}

fn connection_of(lease: &mut Lease) -> SqlxResult<&mut Connection> {
    lease.connection().ok_or(sqlx::Error::WorkerCrashed)
}

/// A one-shot statement, and the connection that it runs on.
struct Shot<D: Driver> {
    lease: Lease,
    text: SqlText,
    begun: Leave,
    sql: SqlStr,
    statement: Option<Statement<D::Database>>,
    /// For a second try.
    spare: Option<Statement<D::Database>>,
    /// How often it may still go to another connection.
    entries: usize,
}

impl<D: Driver> Shot<D> {
    fn aim<S: Subject>(&mut self, db: &Db<S>) -> SqlxResult<(&mut D::Link, Statement<D::Database>)> {
        let statement = self.statement.take().ok_or(sqlx::Error::WorkerCrashed)?;
        Ok((link_of::<D>(db.connection(&mut self.lease)?)?, statement))
    }
}

impl<S: Subject> Db<S> {
    /// One statement as a transaction of its own.
    async fn once<D: Driver, T>(&self, statement: Statement<D::Database>, run: impl Run<D, T>) -> SqlxResult<T> {
        let mut shot = self.shot::<D>(statement, false).await?;
        loop {
            let text = shot.text;
            let (link, statement) = shot.aim(self)?;
            match run(link, statement, text).await {
                Ok(value) => {
                    self.leave(shot.lease, shot.text, shot.begun).await?;
                    return Ok(value);
                }
                Err(error) => shot = self.once_more(shot, error, false).await?,
            }
        }
    }

    /// The error itself is told by whoever gets it; which statement of which tenant it was only this place knows.
    fn log_mistake(&self, sql: &SqlStr, error: &sqlx::Error) {
        if is_mistake(error) && !self.subject().is_canary() {
            let shown: String = sql.as_str().chars().take(SHOWN).collect();
            let tenant = self.subject().name();
            tracing::warn!(target: STATEMENTS, tenant, statement = shown, "the database refused a statement");
        }
    }

    /// Ends what was begun around a one-shot statement that has ended well. The lease goes back, clean if it is.
    async fn leave(&self, mut lease: Lease, text: SqlText, leave: Leave) -> SqlxResult<()> {
        match leave {
            Leave::AsItIs => {}
            Leave::CommitLater if !text.leaves_state => {
                lease.finish_later();
                return Ok(());
            }
            Leave::Commit | Leave::CommitLater => {
                self.require_served(&lease).await?;
                if let Err(error) = connection_of(&mut lease)?.commit().await {
                    return Err(self.told(&lease, error).await);
                }
            }
        }
        if !text.leaves_state {
            lease.clean();
        }
        Ok(())
    }

    /// A connection for a one-shot statement, with what it needs around it.
    async fn shot<D: Driver>(&self, statement: Statement<D::Database>, streaming: bool) -> SqlxResult<Shot<D>> {
        let text = D::read(&statement, self.scope())?;
        self.shot_of(statement, text, streaming).await
    }

    async fn shot_of<D: Driver>(
        &self,
        statement: Statement<D::Database>,
        text: SqlText,
        streaming: bool,
    ) -> SqlxResult<Shot<D>> {
        let spare = D::spare(&statement);
        let (lease, begun) = self.enter::<D>(text, streaming).await?;
        let sql = statement.sql.clone();
        Ok(Shot { lease, text, begun, sql, statement: Some(statement), spare, entries: ENTRIES - 1 })
    }

    /// Undoes one that has failed, and makes it ready for the second try that will do better, if there is one.
    async fn once_more<D: Driver>(
        &self,
        mut shot: Shot<D>,
        error: sqlx::Error,
        streaming: bool,
    ) -> SqlxResult<Shot<D>> {
        if shot.lease.is_halted() {
            return Err(self.told(&shot.lease, error).await);
        }
        let link = link_of::<D>(self.connection(&mut shot.lease)?)?;
        let again = shot.spare.take().and_then(|spare| Some((D::again(link, &error, &spare, shot.text)?, spare)));
        if let Some((Again { text, on: On::Another }, spare)) = again {
            if shot.entries == 0 {
                return Err(nothing_done(error));
            }
            shot.lease.discard();
            let again = self.shot_of::<D>(spare, text, streaming).await?;
            return Ok(Shot { entries: shot.entries - 1, ..again });
        }
        let ended = roll_back(&mut shot.lease, shot.begun, &error).await;
        if let Some((again, spare)) = again.filter(|_| ended) {
            if self.ready_again::<D>(&mut shot.lease, again.on).await {
                let link = link_of::<D>(self.connection(&mut shot.lease)?)?;
                let begun = D::enter(link, self.scope(), again.text, streaming).await?;
                return Ok(Shot { text: again.text, begun, statement: Some(spare), ..shot });
            }
        } else if ended && !shot.text.leaves_state {
            shot.lease.clean();
        }
        let error = self.explained(error).await;
        self.log_mistake(&shot.sql, &error);
        Err(if shot.text.reads_only { nothing_done(error) } else { error })
    }

    /// A connection on which what a one-shot statement needs around it was begun.
    async fn enter<D: Driver>(&self, text: SqlText, streaming: bool) -> SqlxResult<(Lease, Leave)> {
        let mut tries = 1..ENTRIES;
        loop {
            let mut lease = self.lease().await?;
            let connection = self.connection(&mut lease)?;
            match D::enter(link_of::<D>(connection)?, self.scope(), text, streaming).await {
                Ok(begun) => return Ok((lease, begun)),
                Err(error) if connection.is_out_of_date(&error) && tries.next().is_some() => lease.discard(),
                Err(error) => {
                    let error = connection.not_entered(error);
                    return Err(nothing_done(self.told(&lease, error).await));
                }
            }
        }
    }

    async fn ready_again<D: Driver>(&self, lease: &mut Lease, on: On) -> bool {
        if on == On::Same {
            return true;
        }
        match lease.connection().and_then(D::link) {
            Some(link) => D::forget(link).await,
            None => false,
        }
    }

    pub(crate) async fn fetch_all<D: Driver>(&self, statement: Statement<D::Database>) -> SqlxResult<Vec<Row<D>>> {
        self.once::<D, _>(statement, D::fetch_all).await
    }

    pub(crate) async fn fetch_optional<D: Driver>(
        &self,
        statement: Statement<D::Database>,
    ) -> SqlxResult<Option<Row<D>>> {
        self.once::<D, _>(statement, D::fetch_optional).await
    }

    pub(crate) async fn execute<D: Driver>(&self, statement: Statement<D::Database>) -> SqlxResult<Done<D>> {
        self.once::<D, _>(statement, D::execute).await
    }

    /// Rows as they come; the transaction ends with the stream, and a stream that is dropped rolls back.
    pub(crate) fn stream<'a, D: Driver>(&self, statement: Statement<D::Database>) -> BoxStream<'a, Item<D>> {
        let db = self.clone();
        async_stream::try_stream! {
            let mut shot = db.shot::<D>(statement, true).await?;
            loop {
                let (mut failure, mut has_begun) = (None, false);
                {
                    let text = shot.text;
                    let (link, statement) = shot.aim(&db)?;
                    let mut rows = D::stream(link, statement, text);
                    while let Some(item) = rows.next().await {
                        match item {
                            Ok(item) => {
                                has_begun = true;
                                yield item;
                            }
                            Err(error) => failure = Some(error),
                        }
                    }
                }
                if has_begun {
                    // What was handed out cannot be taken back.
                    shot.spare = None;
                }
                match failure {
                    None => {
                        db.leave(shot.lease, shot.text, shot.begun).await?;
                        break;
                    }
                    Some(error) => shot = db.once_more(shot, error, true).await?,
                }
            }
        }
        .boxed()
    }

    pub(crate) async fn prepare<D: Driver>(
        &self,
        sql: SqlStr,
        types: &[<D::Database as Database>::TypeInfo],
    ) -> SqlxResult<<D::Database as Database>::Statement> {
        let types = types.to_vec();
        self.once::<D, _>(Statement::to_prepare(sql), move |link, s, _| {
            let types = types.clone();
            async move { D::prepare(link, s.sql, &types).await }.boxed()
        })
        .await
    }

    pub(crate) async fn describe<D: Driver>(&self, sql: SqlStr) -> SqlxResult<Describe<D::Database>> {
        self.once::<D, _>(Statement::to_prepare(sql), |link, s, _| D::describe(link, s.sql)).await
    }
}

impl<S: Subject> Tx<S> {
    async fn next<D: Driver, T>(&self, statement: Statement<D::Database>, run: impl Run<D, T>) -> SqlxResult<T> {
        let mut turn = self.turn_served().await?;
        let text = match D::read(&statement, self.scope()) {
            Ok(text) => text,
            Err(refused) => return turn.over(Err(refused.into())).await,
        };
        let link = link_of::<D>(turn.start(text)?)?;
        let (kept, sql) = (text.is_kept(statement.persistent), statement.sql.clone());
        let result = Self::step::<D, _>(link, statement, text, run).await;
        let is_stale = result.as_ref().err().is_some_and(|error| D::is_stale(link, error, kept));
        if is_stale {
            // Here it cannot be run again: the transaction has failed. The next one prepares anew.
            turn.reset_behind();
        }
        if let Err(error) = &result {
            self.db().log_mistake(&sql, error);
        }
        turn.over(result).await
    }

    /// A second try, if there is one, is part of the first.
    async fn step<D: Driver, T>(
        link: &mut D::Link,
        statement: Statement<D::Database>,
        text: SqlText,
        run: impl Run<D, T>,
    ) -> SqlxResult<T> {
        if !D::before(link, &statement, text).await? {
            return run(link, statement, text).await;
        }
        let (sql, spare) = (statement.sql.clone(), D::spare(&statement));
        let mut result = run(link, statement, text).await;
        if let (Err(error), Some(spare)) = (&result, spare)
            && D::is_undone(link, error).await?
        {
            result = run(link, spare, text).await;
        }
        let value = result?;
        D::behind(link, sql).await?;
        Ok(value)
    }

    pub(crate) async fn fetch_all<D: Driver>(&self, statement: Statement<D::Database>) -> SqlxResult<Vec<Row<D>>> {
        self.next::<D, _>(statement, D::fetch_all).await
    }

    pub(crate) async fn fetch_optional<D: Driver>(
        &self,
        statement: Statement<D::Database>,
    ) -> SqlxResult<Option<Row<D>>> {
        self.next::<D, _>(statement, D::fetch_optional).await
    }

    pub(crate) async fn execute<D: Driver>(&self, statement: Statement<D::Database>) -> SqlxResult<Done<D>> {
        self.next::<D, _>(statement, D::execute).await
    }

    /// Rows as they come. A writing statement that is dropped half way fails the transaction; a reading one does not.
    pub(crate) fn stream<D: Driver>(&self, statement: Statement<D::Database>) -> BoxStream<'_, Item<D>> {
        async_stream::try_stream! {
            let text = D::read(&statement, self.scope())?;
            let mut turn = Reading { turn: Some(self.turn_served().await?), forgiving: text.reads_only };
            let (mut failure, kept, sql) = (None, text.is_kept(statement.persistent), statement.sql.clone());
            let is_stale = {
                let link = link_of::<D>(turn.start(text)?)?;
                let mut rows = match D::before(link, &statement, text).await? {
                    true => tried::<D>(link, statement, text),
                    false => D::stream(link, statement, text),
                };
                while let Some(item) = rows.next().await {
                    match item {
                        Ok(item) => yield item,
                        Err(error) => failure = Some(error),
                    }
                }
                drop(rows);
                failure.as_ref().is_some_and(|error| D::is_stale(link, error, kept))
            };
            if is_stale {
                turn.reset_behind();
            }
            if let Some(error) = &failure {
                self.db().log_mistake(&sql, error);
            }
            turn.over(failure).await?;
        }
        .boxed()
    }

    pub(crate) async fn prepare<D: Driver>(
        &self,
        sql: SqlStr,
        types: &[<D::Database as Database>::TypeInfo],
    ) -> SqlxResult<<D::Database as Database>::Statement> {
        let types = types.to_vec();
        self.next::<D, _>(Statement::to_prepare(sql), move |link, s, _| {
            let types = types.clone();
            async move { D::prepare(link, s.sql, &types).await }.boxed()
        })
        .await
    }

    pub(crate) async fn describe<D: Driver>(&self, sql: SqlStr) -> SqlxResult<Describe<D::Database>> {
        self.next::<D, _>(Statement::to_prepare(sql), |link, s, _| D::describe(link, s.sql)).await
    }
}

/// The rows of a statement that may be run again, as long as it has given none.
fn tried<D: Driver>(link: &mut D::Link, statement: Statement<D::Database>, text: SqlText) -> BoxStream<'_, Item<D>> {
    async_stream::try_stream! {
        let (sql, mut spare) = (statement.sql.clone(), D::spare(&statement));
        let mut next = Some(statement);
        while let Some(statement) = next.take() {
            let mut failure = None;
            let mut rows = D::stream(link, statement, text);
            while let Some(item) = rows.next().await {
                match item {
                    Ok(item) => {
                        spare = None;
                        yield item;
                    }
                    Err(error) => failure = Some(error),
                }
            }
            drop(rows);
            if let Some(error) = failure {
                next = spare.take();
                if next.is_none() || !D::is_undone(link, &error).await? {
                    Err(error)?;
                }
            }
        }
        D::behind(link, sql).await?;
    }
    .boxed()
}

/// A turn that a stream may be dropped in.
struct Reading<S: Subject> {
    turn: Option<Turn<S>>,
    forgiving: bool,
}

impl<S: Subject> Reading<S> {
    fn start(&mut self, text: SqlText) -> SqlxResult<&mut Connection> {
        match &mut self.turn {
            Some(turn) => Ok(turn.start(text)?),
            None => Err(sqlx::Error::WorkerCrashed),
        }
    }

    fn reset_behind(&mut self) {
        if let Some(turn) = &mut self.turn {
            turn.reset_behind();
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
