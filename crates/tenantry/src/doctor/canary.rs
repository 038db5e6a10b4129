//! Two canary tenants that try to reach each other. No request can name them, and they are swept.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sqlx::AssertSqlSafe;

use super::DoctorReport;
use crate::{
    engine::Finding,
    error::Result,
    id::TenantId,
    key::TenantKey,
    operate::NewTenant,
    scope::TenantDb,
    tenant::{Tenant, Transition},
    tenantry::Tenantry,
};

/// A doctor that is alive has its canaries for less than this.
const OLD: Duration = Duration::from_secs(600);

/// What a buggy or hostile statement may try, with the other canary's physical name and a folder in it.
const ATTACKS: &[&str] = &[
    "ATTACH '{file}' AS other",
    "ATTACH 'file:{file}?mode=ro' AS other",
    "VACUUM INTO '{file}.stolen'",
    "SELECT load_extension('{file}')",
    "SELECT readfile('{file}')",
    "SELECT writefile('{file}.stolen', 'x')",
    "PRAGMA writable_schema = 1",
    "PRAGMA temp_store_directory = '{file}'",
    "PRAGMA journal_mode = delete",
    "PRAGMA foreign_keys = off",
    "CREATE TEMP TABLE tenantry_canary (a)",
    "CREATE TABLE tenantry_canary (a)",
    "DROP TABLE _tenantry_place",
    "UPDATE _tenantry_place SET tenant_id = 'x'",
    "UPDATE sqlite_master SET sql = 'x'",
    "DETACH shared",
    "INSERT INTO shared._tenantry_migrations (version, description, checksum) VALUES (0, '', '')",
    "BEGIN",
    "SELECT 1; COMMIT",
];

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
        let first = canary(tenantry, &server.name).await?;
        let second = canary(tenantry, &server.name).await;
        let outcome = match &second {
            Ok(second) => attack_each_other(tenantry, &first, second, report).await,
            Err(_) => Ok(()),
        };
        remove(tenantry, first.id).await?;
        remove(tenantry, second?.id).await?;
        outcome?;
        report.checks.push(format!(
            "canaries: {} attacks between two tenants on server `{}`",
            ATTACKS.len() * 2,
            server.name
        ));
    }
    Ok(())
}

async fn canary(tenantry: &Tenantry, server: &str) -> Result<Tenant> {
    let id = TenantId::new().as_uuid().as_u128();
    let number = u64::try_from(id & u128::from(u64::MAX)).unwrap_or(0);
    tenantry.operator().tenant_create(NewTenant::with_key(TenantKey::canary(number)).server(server)).await
}

async fn attack_each_other(
    tenantry: &Tenantry,
    first: &Tenant,
    second: &Tenant,
    report: &mut DoctorReport,
) -> Result<()> {
    for (attacker, victim) in [(first, second), (second, first)] {
        let db = tenantry.tenant_db(Arc::new(attacker.clone())).await?;
        for attack in ATTACKS {
            let text = attack.replace("{file}", &victim.physical);
            if got_through(&db, &text).await {
                report.findings.push(Finding {
                    code: "canary_bled",
                    what: format!("a tenant's statement got through that must be refused: {attack}"),
                    repair: "stop serving and report it: the guard of this build does not hold".into(),
                });
            }
        }
        if !serves(&db, attacker.id).await {
            report.findings.push(Finding {
                code: "canary_lost",
                what: "a connection did not lead to its own tenant after an attack".into(),
                repair: "stop serving and report it".into(),
            });
        }
    }
    Ok(())
}

async fn got_through(db: &TenantDb, text: &str) -> bool {
    let Ok(view) = db.sqlite() else { return false };
    sqlx::raw_sql(AssertSqlSafe(text)).execute(view).await.is_ok()
}

async fn serves(db: &TenantDb, id: TenantId) -> bool {
    let Ok(view) = db.sqlite() else { return false };
    let owner = sqlx::query_scalar::<_, String>("SELECT tenant_id FROM _tenantry_place").fetch_one(view).await;
    owner.is_ok_and(|owner| owner == id.to_string())
}
