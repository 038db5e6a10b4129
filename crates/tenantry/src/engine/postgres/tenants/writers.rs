//! Who may still write for a tenant of row isolation that the ledger says is gone: transactions of the app's that took their
//! snapshot before. They are waited for, and ended when they take too long.

use std::time::{Duration, Instant};

use sqlx::postgres::PgConnection;

use crate::{
    engine::postgres::names::{Names, TENANT},
    error::{Error, ErrorKind, Result},
};

/// How long one that works is waited for: it may be another tenant's. One that was idle for the seconds that [`OPEN`] names is
/// ended at once, for a frozen process does not keep a tenant's rows alive.
const PATIENCE_BUSY: Duration = Duration::from_secs(30);
/// How long the server may take to end one.
const PATIENCE_END: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(50);

/// Every transaction holds a lock on its own virtual id, which everybody may see. A transaction that has no snapshot and no
/// lock of a writer asks with its next statement's snapshot whether the tenant was purged, and need not be waited for. What
/// the administrator is not shown counts as a snapshot.
const OPEN: &str = "
SELECT v.virtualtransaction, v.pid, coalesce(a.state LIKE 'idle%' AND clock_timestamp() - a.state_change > interval '3 s', false) AS is_idle
  FROM pg_catalog.pg_locks v JOIN pg_catalog.pg_stat_activity a ON a.pid = v.pid
 WHERE v.locktype = 'virtualxid' AND v.granted AND v.mode = 'ExclusiveLock'
   AND a.datname = current_database() AND a.usename = $1 AND a.pid <> pg_backend_pid()
   AND (a.backend_xmin IS NOT NULL OR a.state IS NULL OR EXISTS (
        SELECT FROM pg_catalog.pg_locks l
          JOIN pg_catalog.pg_class c ON c.oid = l.relation
         WHERE l.locktype = 'relation' AND l.pid = v.pid AND l.mode = 'RowExclusiveLock'
           AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
           AND c.relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = $2)))";

/// Ends one if it is still that transaction.
const END: &str = "
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_locks
 WHERE locktype = 'virtualxid' AND granted AND mode = 'ExclusiveLock' AND virtualtransaction = $1 AND pid = $2";

type Open = (String, i32, bool);

/// Waits until none is left of the transactions that could write for a tenant whose end was committed before this was called.
pub(crate) async fn wait_out(connection: &mut PgConnection, names: &Names) -> Result<()> {
    let begun = Instant::now();
    let mut left = open(connection, names).await?;
    let of_then: Vec<String> = left.iter().map(|(id, ..)| id.clone()).collect();
    while !left.is_empty() {
        if begun.elapsed() > PATIENCE_BUSY + PATIENCE_END {
            return Err(still_there(&left));
        }
        for (id, pid, is_idle) in &left {
            if *is_idle || begun.elapsed() > PATIENCE_BUSY {
                tracing::warn!(pid, is_idle, "a transaction older than the purge of a tenant is ended");
                sqlx::query(END).bind(id).bind(pid).execute(&mut *connection).await?;
            }
        }
        tokio::time::sleep(PAUSE).await;
        left = open(connection, names).await?;
        left.retain(|(id, ..)| of_then.contains(id));
    }
    Ok(())
}

/// Outside of a transaction: within one the server shows the same activity again and again.
async fn open(connection: &mut PgConnection, names: &Names) -> Result<Vec<Open>> {
    Ok(sqlx::query_as(OPEN).bind(names.rows_login()).bind(TENANT).fetch_all(connection).await?)
}

fn still_there(left: &[Open]) -> Error {
    let pids: Vec<String> = left.iter().map(|(_, pid, _)| pid.to_string()).collect();
    Error::new(
        ErrorKind::OperationRunning,
        format!("transactions older than the purge do not end: processes {} of the server", pids.join(", ")),
    )
    .help("end them with `SELECT pg_terminate_backend(PID)`, and purge again")
}
