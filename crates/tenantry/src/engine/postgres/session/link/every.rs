//! What every engine does with a connection, on one to PostgreSQL.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _};

use super::{Done, LONGEST_ROLELESS, MOST_SCHEMAS, PgLink};
use crate::{
    engine::{
        Begin, Link, Scope,
        postgres::session::{
            outcome::{self, is_lost},
            wire::{Wire, drive},
        },
    },
    id::TenantId,
};

impl Link for PgLink {
    /// The server itself ends a connection whose database is dropped; a wire can look.
    fn still_bound(&mut self) -> bool {
        !self.wire.as_mut().is_some_and(Wire::is_lost)
    }

    /// One that is still busy although nobody uses it any more is not handed on either.
    fn is_worn(&self) -> bool {
        self.busy
            || self.is_spoiled()
            || self.tenants.len() >= MOST_SCHEMAS
            || self.roleless.is_some_and(|since| since.elapsed() > LONGEST_ROLELESS)
    }

    fn limit(&self, _: Duration) {
        // The server knows the limit: it came with the connection or comes with the scope.
    }

    fn last_served(&self, tenant: TenantId) -> Option<u64> {
        let met = self.met.filter(|(met, _)| *met == tenant && self.has_entered());
        self.tenants.get(&tenant).copied().or_else(|| met.map(|(_, when)| when))
    }

    /// A role that was granted while the server read this login's memberships is missing in what it keeps of them, until
    /// the next grant: PostgreSQL does not notice that its list was out of date before it was whole.
    fn is_out_of_date(&self, error: &sqlx::Error) -> bool {
        // Nothing was begun on a connection that is lost, as after a restart of the server.
        let code = error.as_database_error().and_then(|e| e.code());
        is_lost(error) || self.tenant.is_some() && matches!(code.as_deref(), Some("42501" | "22023"))
    }

    fn not_entered(&self, error: sqlx::Error) -> sqlx::Error {
        outcome::not_entered(error)
    }

    async fn begin(&mut self, scope: &Scope, begin: Begin) -> Done {
        let Scope::Postgres(scope) = scope else {
            return Err(sqlx::Error::Configuration("no scope for this connection".into()));
        };
        self.enter(scope, begin).await
    }

    async fn commit(&mut self) -> Done {
        self.end("COMMIT").await
    }

    /// COMMIT itself says nothing of one that has failed: the server calls it a success and stores nothing. So it is asked a
    /// question before, which it answers only if all went well.
    async fn commit_checked(&mut self) -> Done {
        self.end("SELECT 1; COMMIT").await
    }

    async fn rollback(&mut self) -> Done {
        self.end("ROLLBACK").await
    }

    async fn savepoint(&mut self, depth: usize) -> Done {
        self.speak(AssertSqlSafe(format!("SAVEPOINT tenantry_{depth}"))).await
    }

    async fn savepoint_release(&mut self, depth: usize) -> Done {
        self.speak(AssertSqlSafe(format!("RELEASE tenantry_{depth}"))).await
    }

    async fn savepoint_rollback(&mut self, depth: usize) -> Done {
        self.speak(AssertSqlSafe(format!("ROLLBACK TO tenantry_{depth}; RELEASE tenantry_{depth}"))).await
    }

    async fn transaction_survives(&mut self) -> bool {
        self.quiet().await
    }

    async fn finish(&mut self) -> bool {
        self.commit().await.is_ok()
    }

    async fn settle(&mut self) -> bool {
        self.come_to_rest().await
    }

    async fn close(self) {
        if self.busy {
            // The server would go on with it for as long as it takes.
            self.process.stop().await;
        }
        let Self { connection, mut wire, .. } = self;
        if let Err(error) = drive(wire.as_mut(), connection.close()).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "a connection did not close cleanly");
        }
        if let Some(wire) = wire {
            wire.say_last_words().await;
        }
    }
}
