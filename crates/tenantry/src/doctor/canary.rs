//! Two canary tenants that try to reach each other. No request can name them, and they are swept.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    DoctorReport,
    attack_findings::{NotTried, bled},
    trials,
};
use crate::{
    catalog::TenantFilter,
    engine::{Attack, CanaryTables, Finding, Outcome},
    error::{Error, ErrorKind, Result},
    id::TenantId,
    key::TenantKey,
    operate::NewTenant,
    scope::TenantDb,
    tenant::{Isolation, Tenant, Transition},
    tenantry::Tenantry,
};

/// A doctor that is alive has its canaries for less than this.
const OLD: Duration = Duration::from_secs(600);

/// Removes canaries of a doctor that was killed.
pub(super) async fn sweep(tenantry: &Tenantry) -> Result<usize> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut swept = 0;
    for canary in tenantry.catalog().canary_list().await? {
        let made = Duration::from_millis(u64::try_from(canary.created_at).unwrap_or(0));
        if now.saturating_sub(made) > OLD {
            remove(tenantry, canary.id).await?;
            swept += 1;
        }
    }
    Ok(swept)
}

async fn remove(tenantry: &Tenantry, id: TenantId) -> Result<()> {
    // It may be deleted already.
    drop(tenantry.catalog().tenant_transition(id, Transition::Delete).await);
    tenantry.operator().tenant_purge(id).await
}

pub(super) async fn try_to_bleed(tenantry: &Tenantry, report: &mut DoctorReport) -> Result<()> {
    for server in tenantry.server_list().await? {
        for &isolation in tenantry.server_capabilities(&server.name).await?.isolations {
            try_isolation(tenantry, &server.name, isolation, report).await?;
        }
    }
    Ok(())
}

async fn try_isolation(
    tenantry: &Tenantry,
    server: &str,
    isolation: Isolation,
    report: &mut DoctorReport,
) -> Result<()> {
    let first = match canary(tenantry, server, isolation).await {
        Ok(first) => first,
        Err(error) => {
            return not_made(tenantry, server, isolation, &error, report).await;
        }
    };
    let second = canary(tenantry, server, isolation).await;
    let between = format!("between two tenants of {isolation} isolation on server `{server}`");
    match &second {
        Ok(second) => match with_tables(tenantry, &first, second, report).await {
            Ok(tried) => report.checks.push(format!("canaries: {tried} attacks {between}")),
            Err(error) => {
                let what = format!("attacks {between} could not all be tried");
                report.findings.push(Finding::of_error("canary_failed", &what, &error));
            }
        },
        Err(error) => not_made(tenantry, server, isolation, error, report).await?,
    }
    // Both, whatever becomes of the first.
    let removed = remove(tenantry, first.id).await;
    if let Ok(second) = second {
        remove(tenantry, second.id).await?;
    }
    removed
}

/// What a server is not set up for is no fault of it, and neither are files that do not fit an isolation in which nobody is.
async fn not_made(
    tenantry: &Tenantry,
    server: &str,
    isolation: Isolation,
    error: &Error,
    report: &mut DoctorReport,
) -> Result<()> {
    let what = format!("no tenant of {isolation} isolation can be made on server `{server}`");
    let whoever = TenantFilter::all().server(server).isolation(isolation).limit(1);
    if error.is_migration() && tenantry.tenant_list(&whoever).await?.is_empty() {
        let instead = "`tenantry tenant create --isolation` says why the files do not fit it";
        report.checks.push(format!("canaries: {isolation} isolation is not in use on server `{server}`: {instead}"));
        return Ok(());
    }
    if error.is_unsupported() {
        report.checks.push(format!("canaries: {what}: {error}"));
    } else {
        report.findings.push(Finding::of_error("canary_not_made", &what, error));
    }
    Ok(())
}

/// How many attacks were tried.
async fn with_tables(tenantry: &Tenantry, first: &Tenant, second: &Tenant, report: &mut DoctorReport) -> Result<usize> {
    let engine = Arc::clone(&tenantry.servers().get(&first.server).await?.engine);
    let tables = engine.canary_prepare([&first.placement(), &second.placement()]).await?;
    let outcome = attack_each_other(tenantry, first, second, tables.as_ref(), report).await;
    if let Some(tables) = &tables {
        engine.canary_clean(tables).await?;
    }
    outcome
}

async fn canary(tenantry: &Tenantry, server: &str, isolation: Isolation) -> Result<Tenant> {
    let id = TenantId::new().as_uuid().as_u128();
    let number = u64::try_from(id & u128::from(u64::MAX)).unwrap_or(0);
    tenantry
        .operator()
        .tenant_create(NewTenant::with_key(TenantKey::canary(number)).server(server).isolation(isolation))
        .await
}

async fn attack_each_other(
    tenantry: &Tenantry,
    first: &Tenant,
    second: &Tenant,
    tables: Option<&CanaryTables>,
    report: &mut DoctorReport,
) -> Result<usize> {
    let mut tried = 0;
    let server = tenantry.servers().get(&first.server).await?;
    for (attacker, victim) in [(first, second), (second, first)] {
        let db = tenantry.tenant_db(Arc::new(attacker.clone())).await?;
        let attacks = server.engine.attacks(&victim.placement(), tables)?;
        let (mut not_tried, mut not_asked) = (NotTried::default(), NotTried::default());
        for attack in &attacks.refused {
            match try_attack(&db, attack).await {
                Outcome::GotThrough => {
                    report.findings.push(bled("a tenant's statement got through that must be refused", &attack.text));
                }
                Outcome::Refused => {}
                Outcome::NotTried(error) => not_tried.add(&attack.text, error),
            }
        }
        let escapes = server.engine.canary_escapes(&attacker.placement(), &victim.placement()).await?;
        let on_rows = attacks.trials.as_ref().map_or(0, |trials| trials.tried.len());
        tried += attacks.refused.len() + on_rows + escapes.len();
        for (text, outcome) in escapes {
            match outcome {
                Outcome::GotThrough => {
                    report.findings.push(bled("the server did not refuse what would leave a tenant's scope", &text));
                }
                Outcome::Refused => {}
                Outcome::NotTried(error) => not_tried.add(&text, error),
            }
        }
        if let Some(trials) = &attacks.trials {
            let of_victim = tenantry.tenant_db(Arc::new(victim.clone())).await?;
            trials::run(&db, &of_victim, trials, report, &mut not_tried).await?;
        }
        match owner(&db, attacks.whose).await {
            Ok(owner) if owner == attacker.id.to_string() => {}
            Ok(_) => report.findings.push(Finding {
                code: "canary_lost",
                what: "a connection did not lead to its own tenant after an attack".into(),
                repair: "stop serving and report it".into(),
            }),
            Err(error) => not_asked.add(attacks.whose, error),
        }
        tried -= not_tried.count();
        not_tried.append(not_asked);
        report.findings.extend(not_tried.findings(attacker));
    }
    Ok(tried)
}

async fn try_attack(db: &TenantDb, attack: &Attack) -> Outcome {
    if attack.is_undone {
        return try_undone(db, attack).await.unwrap_or_else(Outcome::NotTried);
    }
    attack.outcome(db.run_text(&attack.text).await)
}

async fn try_undone(db: &TenantDb, attack: &Attack) -> Result<Outcome> {
    let tx = db.begin().await?;
    let outcome = attack.outcome(tx.run_text(&attack.text).await);
    // What failed has ended the transaction already, or ends it with the handle.
    drop(tx.rollback().await);
    Ok(outcome)
}

/// Whose connection it is, as the place itself says.
async fn owner(db: &TenantDb, whose: &'static str) -> Result<String> {
    let told = db.texts(whose, None).await?.into_iter().next().flatten();
    told.ok_or_else(|| Error::new(ErrorKind::Internal, "a connection does not tell whose it is"))
}
