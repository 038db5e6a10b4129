//! What `doctor --repair` puts back: walls that tenantry itself had put up, and rights that somebody has added since.

use sqlx::{AssertSqlSafe, Executor};

use crate::{
    engine::{
        Finding, Placement,
        postgres::{names::Names, session::control::Control},
    },
    error::{Error, ErrorKind, Result},
    tenant::Isolation,
};

/// Findings whose repair gives back what was there and takes nothing from the app but a right that it must not have. All others
/// are for a human to decide: they drop something, or rewrite what the app has written.
const MENDED: &[&str] = &[
    "catalog_opened",
    "default_privileges",
    "excess_privilege",
    "granted_to_others",
    "large_objects_opened",
    "leakproof_function",
    "ledger_opened",
    "login_privilege",
    "login_shut_out",
    "may_connect",
    "may_create",
    "may_make_temp",
    "open_wall",
    "outside_cast",
    "outside_definer",
    "owner_right",
    "parameter_opened",
    "policy_altered",
    "policy_former",
    "policy_order",
    "rls_off",
    "role_attribute",
    "role_membership",
    "role_setting",
    "security_definer",
    "server_function",
    "shared_closed",
    "shared_writable",
    "slot_function",
    "statements_shown",
    "statistics_kept",
    "tenant_function",
    "wrong_owner",
];

/// How long a repair waits for whoever uses the table.
const PATIENCE: &str = "5s";

/// Runs the finding's own repair where the finding was made, in one transaction. `false`: it is not one of those.
pub(crate) async fn mend(
    control: &Control,
    names: &Names,
    placement: Option<&Placement>,
    finding: &Finding,
) -> Result<bool> {
    if !MENDED.contains(&finding.code) || finding.repair.starts_with("run ") {
        return Ok(false);
    }
    let own = placement.filter(|placement| placement.isolation == Isolation::Database);
    let database = own.map(|placement| names.of_tenant(&placement.physical));
    let mut fresh = control.admin_of(database.as_deref()).await?;
    let text = format!("BEGIN; SET LOCAL lock_timeout = '{PATIENCE}'; {}; COMMIT", finding.repair);
    let done = fresh.connection.execute(AssertSqlSafe(text)).await;
    fresh.close().await;
    done.map_err(|cause| {
        Error::new(ErrorKind::Database, format!("the repair of `{}` failed", finding.code))
            .caused_by(cause)
            .help(finding.repair.clone())
    })?;
    Ok(true)
}
