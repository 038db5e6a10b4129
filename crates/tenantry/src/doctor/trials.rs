//! What may be tried on another tenant's rows, and what of them must neither show nor change.

use std::time::Duration;

use futures_util::future::join_all;

use super::{
    DoctorReport,
    attack_findings::{NotTried, bled},
};
use crate::{
    engine::{Attack, Outcome, Trials},
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
    trials: &Trials,
    report: &mut DoctorReport,
    not_tried: &mut NotTried,
) -> Result<()> {
    run_all(victim, &trials.plant).await?;
    let before = victim.texts(&trials.rows, None).await?;
    for attack in &trials.tried {
        let text = &attack.text;
        match shows(attacker, attack, &trials.secret).await {
            Seen::Secret => report.findings.push(bled("a tenant's statement showed another tenant's row", text)),
            Seen::Nothing => {}
            Seen::Failed(error) => not_tried.add(text, error),
        }
        if victim.texts(&trials.rows, None).await? != before {
            report.findings.push(bled("a tenant's statement changed another tenant's rows", text));
        }
    }
    if !keeps_apart(attacker, victim, trials).await? {
        report.findings.push(bled("one prepared statement served two tenants with the same rows", "SELECT"));
    }
    if !survives_cancels(attacker, victim, trials).await? {
        report.findings.push(bled("a request that was given up showed its rows to the next", "SELECT"));
    }
    run_all(victim, &trials.clear).await
}

async fn run_all(db: &TenantDb, texts: &[String]) -> Result<()> {
    for text in texts {
        db.run_text(text).await?;
    }
    Ok(())
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
    let answer = db.texts(&attack.text, None).await;
    let is_shown = match &answer {
        Ok(rows) => rows.iter().any(|value| value.as_deref() == Some(secret)),
        Err(error) => format!("{error:?}").contains(secret),
    };
    match attack.outcome(answer) {
        _ if is_shown => Seen::Secret,
        Outcome::NotTried(error) => Seen::Failed(error),
        Outcome::GotThrough | Outcome::Refused => Seen::Nothing,
    }
}

/// The same text for both in turn: a plan or a statement that was made for one must not serve the other.
async fn keeps_apart(attacker: &TenantDb, victim: &TenantDb, trials: &Trials) -> Result<bool> {
    for _ in 0..TURNS {
        for (db, expected) in [(victim, vec![Some(trials.secret.clone())]), (attacker, Vec::new())] {
            if db.texts(&trials.look_by_key, Some(Trials::KEY)).await? != expected {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Requests of the victim are given up at any moment; what comes next on their connections is the attacker's, who asks on as
/// many as it may have so that theirs is among them.
async fn survives_cancels(attacker: &TenantDb, victim: &TenantDb, trials: &Trials) -> Result<bool> {
    let look = Attack::new(&trials.look);
    for turn in 0..TURNS {
        let wait = Duration::from_micros(u64::try_from(turn).unwrap_or(0) * 500);
        drop(tokio::time::timeout(wait, victim.texts(&trials.slow, None)).await);
        tokio::time::sleep(SETTLED).await;
        for seen in join_all((0..AT_ONCE).map(|_| shows(attacker, &look, &trials.secret))).await {
            match seen {
                Seen::Secret => return Ok(false),
                Seen::Nothing => {}
                Seen::Failed(error) => return Err(error),
            }
        }
    }
    Ok(true)
}
