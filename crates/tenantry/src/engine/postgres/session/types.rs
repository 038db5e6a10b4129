//! Types that tenants' schemas have of their own: the driver knows types by their names, and each schema's is another one.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{Row, postgres::PgConnection};

/// How long a server without such types is not asked again.
const PAUSE: Duration = Duration::from_secs(60);

/// Enums, domains, ranges and composites; the row type of a table is not counted. They are found before their schemas are:
/// joined the other way, the server reads all types once for each tenant if it has not counted them lately.
const ASK: &str = "
WITH own AS MATERIALIZED (
    SELECT typnamespace AS namespace FROM pg_type WHERE typtype IN ('e', 'd', 'r')
    UNION SELECT relnamespace FROM pg_class WHERE relkind = 'c')
SELECT EXISTS (SELECT FROM own JOIN pg_namespace n ON n.oid = own.namespace WHERE starts_with(n.nspname, 't_'))";

/// Whether there are any. If so, a connection that goes from tenant to tenant has to forget what it has prepared.
#[derive(Default)]
pub(crate) struct OwnTypes {
    are_there: AtomicBool,
    /// Whether a statement failed as it would with another tenant's type.
    suspected: AtomicBool,
    asked: Mutex<Option<Instant>>,
}

impl OwnTypes {
    pub(crate) fn are_there(&self) -> bool {
        self.are_there.load(Ordering::Relaxed)
    }

    /// A migration has made the first ones, it seems, while connections were open. Or the statement was wrong by itself: so
    /// it is asked.
    pub(crate) fn suspect(&self) {
        self.suspected.fetch_or(!self.are_there(), Ordering::Relaxed);
    }

    pub(crate) fn are_suspected(&self) -> bool {
        self.suspected.load(Ordering::Relaxed)
    }

    /// Asks on a new connection, unless it was asked a moment ago: a migration may make the first type at any time.
    pub(crate) async fn look(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        if self.are_there() || !self.is_due() {
            return Ok(());
        }
        self.ask(connection).await
    }

    pub(crate) async fn ask(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        self.suspected.store(false, Ordering::Relaxed);
        let found = sqlx::raw_sql(ASK).fetch_one(connection).await?.try_get(0)?;
        self.are_there.fetch_or(found, Ordering::Relaxed);
        Ok(())
    }

    fn is_due(&self) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let due = asked.is_none_or(|asked| asked.elapsed() >= PAUSE);
        if due {
            *asked = Some(Instant::now());
        }
        due
    }
}
