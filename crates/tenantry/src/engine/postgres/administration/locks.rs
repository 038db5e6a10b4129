//! Locks of whoever changes a target: how long they are waited for, and whom they keep apart.

use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, postgres::PgConnection};

use super::site::{Site, SiteKind};
use crate::error::{Error, ErrorKind, Result};

/// How long a change waits for a lock before it lets others pass: who comes behind it waits for no longer than this.
pub(crate) const LOCK_TIMEOUT: &str = "300ms";

/// How long a change of data waits for a lock: nobody comes behind it, and it would begin all over again.
pub(crate) const DATA_LOCK_TIMEOUT: &str = "10s";

/// Two runners never work on one target. A lock is tried for and never waited for: CREATE INDEX CONCURRENTLY waits for
/// everybody who waits.
pub(crate) async fn lock(connection: &mut PgConnection, target: &str, how: &str) -> Result<()> {
    let text = format!("SELECT {how}(hashtextextended('tenantry ' || current_database() || $1, 0))");
    let got: bool = sqlx::query_scalar(AssertSqlSafe(text)).bind(target).fetch_one(connection).await?;
    if got {
        return Ok(());
    }
    Err(Error::new(ErrorKind::OperationRunning, format!("another process migrates `{target}`")))
}

/// How long files of the shared tables and of tenants' tables wait for each other, and how often they look.
const APART: Duration = Duration::from_secs(10);
const APART_PAUSE: Duration = Duration::from_millis(20);

/// A file of the shared tables is verified beside tenants' tables as they are, and these beside it: what the other has not
/// committed yet neither would see. `until` says how long it holds, as the server's functions are named.
pub(crate) async fn keep_apart(slot: &mut PgConnection, site: &Site, until: &str) -> Result<()> {
    let how = match site.kind {
        SiteKind::Database => return Ok(()),
        SiteKind::Shared => format!("pg_try_advisory_{until}lock"),
        SiteKind::Rows | SiteKind::Schema => format!("pg_try_advisory_{until}lock_shared"),
    };
    let text = format!("SELECT {how}(hashtextextended('tenantry apart ' || current_database(), 0))");
    let begun = Instant::now();
    while !sqlx::query_scalar::<_, bool>(AssertSqlSafe(text.clone())).persistent(false).fetch_one(&mut *slot).await? {
        if begun.elapsed() > APART {
            let other = if site.kind == SiteKind::Shared { "tenants' tables" } else { "the shared tables" };
            return Err(Error::new(ErrorKind::OperationRunning, format!("another process migrates {other}")));
        }
        tokio::time::sleep(APART_PAUSE).await;
    }
    Ok(())
}
