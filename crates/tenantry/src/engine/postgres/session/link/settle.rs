//! Bringing a connection to rest: its last statement is stopped and read to its end, and what a user may have left is taken back.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};

use super::{Done, PgLink};
use crate::engine::postgres::session::{extensions, wire::drive};

/// How often an answer to the cancelled statement of a last user may come late.
const TRIES: usize = 5;

/// After how long without an answer a statement is cancelled again; then twice as long.
const CANCEL_AGAIN: Duration = Duration::from_millis(50);

impl PgLink {
    /// Stops a statement that nobody waits for and reads to its end. `false`: the connection is lost.
    pub(super) async fn quiet(&mut self) -> bool {
        if !self.busy {
            return true;
        }
        if self.copying {
            return false;
        }
        if !self.process.stop().await {
            return false;
        }
        self.drain().await
    }

    /// Reads on until the server has nothing left to say. The errors are those of statements that were given up.
    async fn drain(&mut self) -> bool {
        for _ in 0..TRIES {
            match self.ping_and_cancel().await {
                Ok(()) => {
                    self.busy = false;
                    return true;
                }
                Err(sqlx::Error::Database(_)) => {}
                Err(_) => return false,
            }
        }
        false
    }

    /// A server that is busy may see a cancel before it has read the statement, and then it means nothing to it: as long as
    /// no answer comes it is said again.
    async fn ping_and_cancel(&mut self) -> Done {
        let mut answer = std::pin::pin!(drive(self.wire.as_mut(), self.connection.ping()));
        let mut patience = CANCEL_AGAIN;
        loop {
            match tokio::time::timeout(patience, &mut answer).await {
                Ok(answer) => return answer,
                Err(_) => patience *= 2,
            }
            self.process.stop().await;
        }
    }

    /// Whether nothing of a last user can be left: no statement that runs on, no transaction, no state of the session.
    pub(super) async fn come_to_rest(&mut self) -> bool {
        if !self.quiet().await {
            return false;
        }
        if self.pooled {
            // A transaction is all that a pooler lets one have: with it everything is gone.
            return self.insist("ROLLBACK").await;
        }
        if self.spoiled {
            return false;
        }
        self.forget_statements().await && self.discard().await && !self.is_spoiled()
    }

    /// DISCARD ALL refuses to run inside of a transaction: once it was answered there is none. ROLLBACK is said only
    /// then, for outside of one the server complains of it into the log of the app.
    async fn discard(&mut self) -> bool {
        for _ in 0..TRIES {
            match self.discard_once().await {
                Ok(()) => return true,
                Err(sqlx::Error::Database(_)) => {}
                Err(_) => return false,
            }
            // Or it was hit by the cancel of an abandoned statement that came late: then it is said again too.
            if !self.insist("ROLLBACK").await {
                return false;
            }
        }
        false
    }

    /// A limit of time that was set holds for what takes it back too, and the server's clock may run out when that has just
    /// ended: then it hits the next statement, which would be another tenant's. With no limit there is no clock.
    async fn discard_once(&mut self) -> Done {
        if let Some(wire) = &mut self.wire {
            wire.orders_mut().end();
        }
        // An extension may have been made since the connection was opened.
        let ask = AssertSqlSafe(format!("SET statement_timeout = 0; SELECT {}", extensions::ASK));
        let answer = self.own_line().say(|connection| connection.fetch_one(sqlx::raw_sql(ask))).await?;
        if self.in_common {
            self.control.extensions.learn(answer.try_get(0)?);
        }
        self.end("DISCARD ALL").await
    }

    /// The driver's prepared statements, and what it knows of types: both may be those of another tenant's tables.
    pub(in crate::engine::postgres) async fn forget_statements(&mut self) -> bool {
        self.types_of.clear();
        if let Some(wire) = &mut self.wire {
            if self.busy {
                return false;
            }
            wire.orders_mut().end();
            wire.orders_mut().words_of_app(false);
        }
        for _ in 0..TRIES {
            match drive(self.wire.as_mut(), self.connection.clear_cached_statements()).await {
                Ok(()) => return true,
                Err(sqlx::Error::Database(_)) => {}
                Err(_) => return false,
            }
        }
        false
    }

    async fn insist(&mut self, words: &'static str) -> bool {
        for _ in 0..TRIES {
            match self.end(words).await {
                Ok(()) => return true,
                Err(sqlx::Error::Database(_)) => {}
                Err(_) => return false,
            }
        }
        false
    }
}
