//! What `doctor` looks at on a server.

use sqlx::{Row, postgres::PgConnection};

use super::{control::Control, names::Names, rules, scripts::Site};
use crate::{
    engine::{Finding, Placement},
    error::Result,
    tenant::Isolation,
};

/// Schemas, databases and roles that bear the name of a tenant's place.
pub(super) async fn tenant_places(admin: &mut PgConnection, names: &Names) -> Result<Vec<String>> {
    let prefix = names.prefix();
    let rows = sqlx::query(
        "SELECT nspname::text AS name FROM pg_namespace WHERE starts_with(nspname, 't_') AND length(nspname) = 34
         UNION SELECT substr(datname, length($1) + 1) FROM pg_database WHERE starts_with(datname, $1 || 't_')
         UNION SELECT substr(rolname, length($1) + 1) FROM pg_roles WHERE starts_with(rolname, $1 || 't_')",
    )
    .bind(prefix)
    .fetch_all(admin)
    .await?;
    Ok(rows.iter().map(|row| row.get("name")).collect())
}

fn finding(breach: rules::Breach, of: &str) -> Finding {
    Finding {
        code: breach.code,
        what: format!("{of}: `{}`: {}", breach.object, breach.reason),
        repair: breach.correction,
    }
}

/// The tables of row isolation, and what all tenants of the server have in common.
pub(super) async fn server(admin: &mut PgConnection, names: &Names) -> Result<Vec<Finding>> {
    breaches(admin, names, &Site::rows(names), "row isolation").await
}

async fn breaches(connection: &mut PgConnection, names: &Names, site: &Site, of: &str) -> Result<Vec<Finding>> {
    let Some(rules) = site.rules() else { return Ok(Vec::new()) };
    sqlx::Executor::execute(&mut *connection, "BEGIN").await?;
    let found = rules::breaches(connection, rules, &site.subject(names)?.as_ref()).await;
    sqlx::Executor::execute(&mut *connection, "ROLLBACK").await?;
    Ok(found?.into_iter().map(|breach| finding(breach, of)).collect())
}

/// One tenant's own place; what row isolation's tenants have in common is looked at with the server.
pub(super) async fn place(control: &Control, names: &Names, placement: &Placement) -> Result<Vec<Finding>> {
    let (site, of) = (Site::tenant(names, placement), format!("tenant {}", placement.id));
    match placement.isolation {
        Isolation::Row => Ok(Vec::new()),
        Isolation::Schema => {
            let mut admin = control.admin().await?;
            let found = breaches(&mut admin, names, &site, &of).await?;
            admin.done();
            Ok(found)
        }
        Isolation::Database => {
            let mut own = control.admin_of(Some(&names.of_tenant(&placement.physical))).await?;
            let found = breaches(&mut own.connection, names, &site, &of).await;
            own.close().await;
            found
        }
    }
}
