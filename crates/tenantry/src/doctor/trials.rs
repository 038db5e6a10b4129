//! What may be tried on another tenant's rows, and what of them must neither show nor change.

use std::time::Duration;

use futures_util::{TryStreamExt, future::join_all};
use sqlx::AssertSqlSafe;

use super::{
    DoctorReport,
    canary::{NotTried, bled},
};
use crate::{
    engine::{Attack, CanaryTables, Outcome},
    error::{Error, Result},
    scope::TenantDb,
};

/// How often the same text is sent for both tenants in turn, and how often a request is given up.
const TURNS: usize = 20;

/// How long a connection on which a request was given up takes to be handed on.
const SETTLED: Duration = Duration::from_millis(15);

/// On how many connections at once the attacker asks for what was left there.
const AT_ONCE: usize = 8;

/// Runs texts as one tenant, and looks after each at the rows of the other.
pub(super) async fn run(
    attacker: &TenantDb,
    victim: &TenantDb,
    tables: &CanaryTables,
    tried: &[Attack],
    report: &mut DoctorReport,
    not_tried: &mut NotTried,
) -> Result<()> {
    let secret = format!("secret of {}", victim.tenant().id);
    plant(victim, tables, &secret).await?;
    let before = rows(victim, tables).await?;
    for attack in tried {
        let text = &attack.text;
        match shows(attacker, attack, &secret).await {
            Seen::Secret => report.findings.push(bled("a tenant's statement showed another tenant's row", text)),
            Seen::Nothing => {}
            Seen::Failed(error) => not_tried.add(text, error),
        }
        if rows(victim, tables).await? != before {
            report.findings.push(bled("a tenant's statement changed another tenant's rows", text));
        }
    }
    if !keeps_apart(attacker, victim, tables, &secret).await? {
        report.findings.push(bled("one prepared statement served two tenants with the same rows", "SELECT"));
    }
    if !survives_cancels(attacker, victim, tables, &secret).await? {
        report.findings.push(bled("a request that was given up showed its rows to the next", "SELECT"));
    }
    for text in [format!("DELETE FROM {}", tables.child), format!("DELETE FROM {}", tables.parent)] {
        sqlx::query(AssertSqlSafe(text)).execute(victim.postgres()?).await?;
    }
    Ok(())
}

async fn plant(victim: &TenantDb, tables: &CanaryTables, secret: &str) -> Result<()> {
    let CanaryTables { parent, child } = tables;
    let row = format!("INSERT INTO {parent} (id, secret) VALUES (7, $1)");
    sqlx::query(AssertSqlSafe(row)).bind(secret).execute(victim.postgres()?).await?;
    let row = format!("INSERT INTO {child} (id, parent_id) VALUES (1, 7)");
    sqlx::query(AssertSqlSafe(row)).execute(victim.postgres()?).await?;
    Ok(())
}

/// All of a tenant's rows as texts.
async fn rows(db: &TenantDb, tables: &CanaryTables) -> Result<Vec<String>> {
    let CanaryTables { parent, child } = tables;
    let text =
        format!("SELECT p::text || coalesce(c::text, '') FROM {parent} p LEFT JOIN {child} c ON c.parent_id = p.id");
    Ok(sqlx::query_scalar(AssertSqlSafe(text)).fetch_all(db.postgres()?).await?)
}

/// What a statement was told of the secret.
enum Seen {
    Secret,
    Nothing,
    /// It failed as no wall refuses, and may have tried nothing.
    Failed(Error),
}

/// Whether the answer, the error too, holds the secret.
async fn shows(db: &TenantDb, attack: &Attack, secret: &str) -> Seen {
    use sqlx::Row;
    let view = match db.postgres() {
        Ok(view) => view,
        Err(error) => return Seen::Failed(error),
    };
    let text = AssertSqlSafe(attack.text.as_str());
    let answer = sqlx::query(text).fetch(view).try_collect::<Vec<_>>().await;
    let is_shown = match &answer {
        Ok(rows) => rows.iter().any(|row| row.try_get::<String, _>(0).is_ok_and(|value| value == secret)),
        Err(error) => format!("{error:?}").contains(secret),
    };
    match attack.outcome(answer) {
        _ if is_shown => Seen::Secret,
        Outcome::NotTried(error) => Seen::Failed(error),
        Outcome::GotThrough | Outcome::Refused => Seen::Nothing,
    }
}

/// The same text for both in turn: a plan or a statement that was made for one must not serve the other.
async fn keeps_apart(attacker: &TenantDb, victim: &TenantDb, tables: &CanaryTables, secret: &str) -> Result<bool> {
    let text = format!("SELECT secret FROM {} WHERE id = $1", tables.parent);
    for _ in 0..TURNS {
        for (db, expected) in [(victim, Some(secret)), (attacker, None)] {
            let query = sqlx::query_scalar(AssertSqlSafe(text.as_str())).bind(7_i64);
            let found: Option<String> = query.fetch_optional(db.postgres()?).await?;
            if found.as_deref() != expected {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Requests of the victim are given up at any moment; what comes next on their connections is the attacker's, who asks on as
/// many as it may have so that theirs is among them.
async fn survives_cancels(attacker: &TenantDb, victim: &TenantDb, tables: &CanaryTables, secret: &str) -> Result<bool> {
    let slow = format!("SELECT secret FROM {}, pg_sleep(0.05)", tables.parent);
    let look = Attack::new(format!("SELECT secret FROM {}", tables.parent));
    for turn in 0..TURNS {
        let wait = Duration::from_micros(u64::try_from(turn).unwrap_or(0) * 500);
        let query = sqlx::query(AssertSqlSafe(slow.as_str())).fetch_all(victim.postgres()?);
        drop(tokio::time::timeout(wait, query).await);
        tokio::time::sleep(SETTLED).await;
        for seen in join_all((0..AT_ONCE).map(|_| shows(attacker, &look, secret))).await {
            match seen {
                Seen::Secret => return Ok(false),
                Seen::Nothing => {}
                Seen::Failed(error) => return Err(error),
            }
        }
    }
    Ok(true)
}
