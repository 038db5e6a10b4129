//! COPY, which has a protocol of its own: rows out of a tenant's tables everywhere, rows in where no row security is.

use bytes::Bytes;
use futures_util::{StreamExt, stream::BoxStream};
use tokio::io::AsyncRead;

use super::{PostgresDb, PostgresTx};
use crate::{
    engine::{
        Begin, Link, Scope, SqlText, SqlxResult,
        postgres::{CopyDirection, PgDriver, PgLink, copy_direction, copy_is_plain},
    },
    error::{Error, ErrorKind, Result},
    pool::Lease,
    scope::{Db, Tx, statements::link_of, subject::Subject},
    tenant::Isolation,
};

/// Pieces of what COPY writes; they do not end where rows end.
type Pieces<'a> = BoxStream<'a, Result<Bytes>>;

/// What such a statement may leave behind is not known: the connection is reset behind it.
const COPY: SqlText =
    SqlText { reads_only: false, shape_follows_schema: false, leaves_state: true, outlives_reset: false };

fn require(statement: &str, wanted: CopyDirection) -> Result<()> {
    if copy_direction(statement)? == wanted {
        return Ok(());
    }
    let (call, direction) = match wanted {
        CopyDirection::Out => ("copy_in", "COPY ... FROM STDIN"),
        CopyDirection::In => ("copy_out", "COPY ... TO STDOUT"),
    };
    Err(Error::new(ErrorKind::Refused, format!("`{direction}` goes the other way")).help(format!("call `{call}`")))
}

/// PostgreSQL has no COPY FROM under row security.
fn require_in(statement: &str, isolation: Option<Isolation>) -> Result<()> {
    require(statement, CopyDirection::In)?;
    if isolation != Some(Isolation::Row) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unsupported, "COPY FROM does not work in row isolation: the rows would pass no filter")
        .help("send arrays: INSERT INTO t (a, b) SELECT * FROM UNNEST($1::bigint[], $2::text[])"))
}

/// Whatever happens on the way, the link is busy until the end was read.
async fn copy_in(link: &mut PgLink, statement: &str, source: impl AsyncRead + Unpin) -> SqlxResult<u64> {
    let line = link.line_for_copy().await?;
    let rows = line.only_say(async |connection| {
        let mut copy = connection.copy_in_raw(statement).await?;
        if let Err(error) = copy.read_from(source).await {
            copy.abort("the source failed").await?;
            return Err(error);
        }
        copy.finish().await
    });
    let rows = rows.await?;
    link.copy_has_ended();
    Ok(rows)
}

fn copy_out<'l>(link: &'l mut PgLink, statement: &'l str) -> BoxStream<'l, SqlxResult<Bytes>> {
    async_stream::try_stream! {
        let line = link.line_for_copy().await?;
        let mut pieces = line.copy_out(statement).await?;
        while let Some(piece) = pieces.next().await {
            yield piece?;
        }
        drop(pieces);
        link.copy_has_ended();
    }
    .boxed()
}

impl<S: Subject> Db<S> {
    fn postgres_isolation(&self) -> Option<Isolation> {
        let Scope::Postgres(scope) = self.scope() else { return None };
        scope.isolation()
    }

    /// Behind a pooler nothing could take back what the query of a COPY leaves.
    fn require_copy(&self, statement: &str) -> Result<()> {
        let pooled = matches!(self.scope(), Scope::Postgres(scope) if scope.is_pooled());
        if !pooled || copy_is_plain(statement) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Refused, "behind a pooler only COPY of a table, or of one plain query, runs")
            .help("write a plain SELECT into the COPY, or add the server without --pooler"))
    }

    fn copy_out(&self, statement: String) -> Pieces<'static> {
        let db = self.clone();
        async_stream::try_stream! {
            require(&statement, CopyDirection::Out)?;
            db.require_copy(&statement)?;
            let mut lease = db.lease().await?;
            let link = link_of::<PgDriver>(db.connection(&mut lease)?)?;
            link.begin(db.scope(), Begin { read_only: true, level: None }).await?;
            let mut failure = None;
            {
                let mut pieces = copy_out(link, &statement);
                while let Some(piece) = pieces.next().await {
                    match piece {
                        Ok(piece) => yield piece,
                        Err(error) => failure = Some(error),
                    }
                }
            }
            db.copied(&mut lease, failure.map_or(Ok(()), Err)).await?;
        }
        .boxed()
    }

    async fn copy_in(&self, statement: &str, source: impl AsyncRead + Unpin) -> Result<u64> {
        require_in(statement, self.postgres_isolation())?;
        let mut lease = self.lease().await?;
        let link = link_of::<PgDriver>(self.connection(&mut lease)?)?;
        link.begin(self.scope(), Begin::WRITE).await?;
        let rows = copy_in(link, statement, source).await;
        self.copied(&mut lease, rows).await
    }

    /// Commits a COPY that went well.
    async fn copied<T>(&self, lease: &mut Lease, copied: SqlxResult<T>) -> Result<T> {
        let ended = match copied {
            Ok(value) => {
                self.require_served(lease).await?;
                link_of::<PgDriver>(self.connection(lease)?)?.commit().await.map(|()| value)
            }
            Err(error) => Err(error),
        };
        match ended {
            Ok(value) => Ok(value),
            Err(error) => Err(self.told(lease, error).await.into()),
        }
    }
}

impl<S: Subject> Tx<S> {
    fn copy_out(&self, statement: String) -> Pieces<'_> {
        async_stream::try_stream! {
            require(&statement, CopyDirection::Out)?;
            self.db().require_copy(&statement)?;
            let mut turn = self.turn_served().await?;
            let mut failure = None;
            {
                let mut pieces = copy_out(link_of::<PgDriver>(turn.start(COPY)?)?, &statement);
                while let Some(piece) = pieces.next().await {
                    match piece {
                        Ok(piece) => yield piece,
                        Err(error) => failure = Some(error),
                    }
                }
            }
            turn.over(failure.map_or(Ok(()), Err)).await?;
        }
        .boxed()
    }

    async fn copy_in(&self, statement: &str, source: impl AsyncRead + Unpin) -> Result<u64> {
        require_in(statement, self.db().postgres_isolation())?;
        let mut turn = self.turn_served().await?;
        let rows = copy_in(link_of::<PgDriver>(turn.start(COPY)?)?, statement, source).await;
        Ok(turn.over(rows).await?)
    }
}

impl<'c, S: Subject> PostgresDb<'c, S> {
    /// Runs `COPY ... TO STDOUT` and gives what it writes as it comes. A stream that is dropped stops it.
    ///
    /// ```no_run
    /// # async fn example(db: tenantry::TenantDb) -> tenantry::Result<()> {
    /// use futures_util::TryStreamExt;
    /// let mut csv = db.postgres()?.copy_out("COPY (SELECT username FROM users) TO STDOUT (FORMAT csv)");
    /// while let Some(piece) = csv.try_next().await? {
    ///     print!("{}", String::from_utf8_lossy(&piece));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn copy_out(self, statement: &str) -> Pieces<'static> {
        self.db.copy_out(statement.to_owned())
    }

    /// Runs `COPY ... FROM STDIN` on everything that the source gives, and tells how many rows there were. All of it is
    /// stored, or nothing. Dropped before it has answered, its outcome is unknown.
    ///
    /// # Errors
    /// In row isolation, where PostgreSQL has no COPY FROM: the help names what to use instead.
    pub async fn copy_in(self, statement: &str, source: impl AsyncRead + Unpin) -> Result<u64> {
        self.db.copy_in(statement, source).await
    }
}

impl<'t, S: Subject> PostgresTx<'t, S> {
    /// As [`PostgresDb::copy_out`], in the transaction.
    pub fn copy_out(self, statement: &str) -> Pieces<'t> {
        self.tx.copy_out(statement.to_owned())
    }

    /// As [`PostgresDb::copy_in`], in the transaction.
    ///
    /// # Errors
    /// As [`PostgresDb::copy_in`].
    pub async fn copy_in(self, statement: &str, source: impl AsyncRead + Unpin) -> Result<u64> {
        self.tx.copy_in(statement, source).await
    }
}
