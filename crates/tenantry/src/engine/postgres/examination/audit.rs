//! What `doctor` looks at on a server.

use sqlx::{AssertSqlSafe, Executor, Row, postgres::PgConnection};

use crate::{
    engine::{
        Finding, Placement,
        postgres::{
            administration::{layout, ledger, rights::Rights, rows_role, server, site::Site, wall},
            migration::slots,
            names::{Names, TENANT, quoted},
            rules,
            session::{connect::Door, control::Control, extensions, scope::path},
        },
    },
    error::Result,
    id::TenantId,
    ident::Ident,
    tenant::Isolation,
};

/// Schemas, databases and roles that bear the name of a tenant's place, and tenants who have rows in the tables in common.
pub(crate) async fn tenant_places(door: &Door) -> Result<Vec<String>> {
    let mut admin = door.control.admin().await?;
    let prefix = door.names.prefix();
    let rows = sqlx::query(
        "SELECT nspname::text AS name FROM pg_namespace WHERE starts_with(nspname, 't_') AND length(nspname) = 34
         UNION SELECT substr(datname, length($1) + 1) FROM pg_database WHERE starts_with(datname, $1 || 't_')
         UNION SELECT substr(rolname, length($1) + 1) FROM pg_roles WHERE starts_with(rolname, $1 || 't_')
         UNION SELECT 't_' || substr(rolname, length($1 || 'o_') + 1) FROM pg_roles WHERE starts_with(rolname, $1 || 'o_')",
    )
    .bind(prefix)
    .fetch_all(&mut *admin)
    .await?;
    let mut places: std::collections::BTreeSet<String> = rows.iter().map(|row| row.get("name")).collect();
    let tables = walled_tables(&mut admin).await?;
    // A function that is not bound is a finding of its own, with what binds it.
    if tables.is_empty() || rules::has_unbound(&mut admin).await? {
        admin.done();
        return Ok(places.into_iter().collect());
    }
    let sees_all = Rights::of(&mut admin).await?.is_superuser;
    let gone = gone(&mut admin).await?;
    let is_made =
        rows_role::is_made(&mut admin, &door.names).await? && server::is_prepared(&mut admin, &door.names).await?;
    admin.done();
    if is_made {
        places.extend(tenants_with_rows(door, &tables, (!sees_all).then_some(gone)).await?);
    }
    Ok(places.into_iter().collect())
}

/// Who has a row in the tables in common. Where the administrator is no superuser nobody sees the rows of all tenants: then each
/// tenant that was purged is looked for.
async fn tenants_with_rows(door: &Door, tables: &[String], gone: Option<Vec<String>>) -> Result<Vec<String>> {
    let role = if gone.is_some() { door.names.rows_role() } else { door.names.auditor() };
    let mut slot = slots::open_to_look(door, &role).await?;
    let found = match gone {
        None => found_by_key(&mut slot.connection, tables).await,
        Some(gone) => found_as_each(&mut slot.connection, gone, tables).await,
    };
    slot.close().await;
    found
}

/// Whose end stands in the ledger.
async fn gone(admin: &mut PgConnection) -> Result<Vec<String>> {
    let query =
        "SELECT target FROM tenantry.migrations WHERE version = -1 AND starts_with(target, 't_') ORDER BY target";
    Ok(sqlx::query_scalar(query).fetch_all(admin).await?)
}

async fn walled_tables(admin: &mut PgConnection) -> Result<Vec<String>> {
    let tables = sqlx::query_scalar(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
           JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND a.atttypid = 'uuid'::regtype
          WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relrowsecurity",
    )
    .bind(TENANT)
    .fetch_all(&mut *admin)
    .await?;
    Ok(tables)
}

/// In the scope of each of them.
async fn found_as_each(slot: &mut PgConnection, gone: Vec<String>, tables: &[String]) -> Result<Vec<String>> {
    let any: Vec<String> = tables.iter().map(|table| format!("EXISTS (SELECT FROM {table})")).collect();
    let text = format!("SELECT {}", any.join(" OR "));
    let mut found = Vec::new();
    for target in gone {
        let Some(id) = target.strip_prefix("t_").and_then(|id| id.parse::<TenantId>().ok()) else { continue };
        slot.execute(AssertSqlSafe(format!("SET LOCAL tenantry.tenant = '{id}'"))).await?;
        if sqlx::query_scalar(AssertSqlSafe(text.clone())).fetch_one(&mut *slot).await? {
            found.push(target);
        }
    }
    Ok(found)
}

/// By the index that every key of theirs has.
async fn found_by_key(slot: &mut PgConnection, tables: &[String]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for table in tables {
        let text = format!(
            "WITH RECURSIVE next (id) AS (
                 (SELECT tenant_id FROM {table} ORDER BY tenant_id LIMIT 1)
                 UNION ALL
                 SELECT (SELECT tenant_id FROM {table} WHERE tenant_id > next.id ORDER BY tenant_id LIMIT 1)
                   FROM next WHERE next.id IS NOT NULL)
             SELECT 't_' || replace(id::text, '-', '') FROM next WHERE id IS NOT NULL"
        );
        found.extend(sqlx::query_scalar::<_, String>(AssertSqlSafe(text)).fetch_all(&mut *slot).await?);
    }
    Ok(found)
}

/// A correction is written for a migration, which knows the schema; for the operator it is named. What the app has called as
/// something of the server's is meant before that; what a policy or a function calls is the server's.
fn finding(breach: rules::Breach, of: &str, schema: &str) -> Finding {
    let last = if ["policy_altered", rules::UNBOUND].contains(&breach.code) { "" } else { ", pg_catalog" };
    Finding {
        code: breach.code,
        what: format!("{of}: `{}`: {}", breach.object, breach.reason),
        repair: format!("SET search_path = {}{last}; {}", path(schema), breach.correction),
    }
}

/// The tables of row isolation, and what all tenants of the server have in common: its version, roles, shared tables.
/// Where they are at home elsewhere the shared tables are the administrator's, and read only.
pub(crate) async fn server(admin: &mut PgConnection, names: &Names, is_home: bool) -> Result<Vec<Finding>> {
    let mut found = rules::audit_roles(admin, &roles_of(names)?.as_ref()).await?;
    found.extend(database(admin, names, None).await?);
    found.extend(wall::findings(admin, names).await?);
    found.extend(extensions::findings(admin, names).await?);
    found.extend(rows_role::findings(admin, names).await?);
    let mut rows = Site::rows(names);
    if !rows_role::is_made(admin, names).await? {
        rows.role = names.rows_login();
    }
    found.extend(breaches(admin, names, &rows, "row isolation").await?);
    if is_home {
        found.extend(breaches(admin, names, &Site::shared(names), "shared tables").await?);
    }
    Ok(found)
}

async fn database(connection: &mut PgConnection, names: &Names, tenant: Option<&str>) -> Result<Vec<Finding>> {
    let tenant = tenant.map(Ident::new).transpose()?;
    let mut found = rules::audit_database(connection, &roles_of(names)?.as_ref(), tenant.as_ref()).await?;
    found.extend(ledger::findings(connection).await?);
    Ok(found)
}

struct Roles {
    prefix: Ident,
    tenants: Ident,
    owner: Ident,
    shared_login: Ident,
    own_login: Option<String>,
}

fn roles_of(names: &Names) -> Result<Roles> {
    Ok(Roles {
        prefix: Ident::new(names.prefix())?,
        tenants: names.tenants()?,
        owner: Ident::new(names.owner())?,
        shared_login: Ident::new(names.shared_login())?,
        own_login: names.has_own_login().then(|| names.rows_login()),
    })
}

impl Roles {
    fn as_ref(&self) -> rules::Roles<'_> {
        rules::Roles {
            prefix: &self.prefix,
            tenants: &self.tenants,
            owner: &self.owner,
            shared_login: Some(&self.shared_login),
            own_login: self.own_login.as_deref(),
        }
    }
}

async fn breaches(connection: &mut PgConnection, names: &Names, site: &Site, of: &str) -> Result<Vec<Finding>> {
    let Some(rules) = site.rules() else { return Ok(Vec::new()) };
    let is_old = layout::is_old(connection, names, site).await?;
    connection.execute("BEGIN").await?;
    // Nothing that files have written is parsed here; and whatever was run all the same would not be the administrator.
    let owner = if is_old { names.owner() } else { site.owner(names) };
    connection.execute(AssertSqlSafe(format!("SET LOCAL ROLE {}", quoted(&owner)))).await?;
    // One finding for what an older version has made, and not one for each table.
    let subject = if is_old { site.subject_of(names.owner())? } else { site.subject(names)? };
    let found = async {
        let mut found = rules::breaches(connection, rules, &subject.as_ref(), rules::Binding::Look).await?;
        found.extend(rules::unvalidated(connection, &subject.as_ref()).await?);
        Ok::<_, sqlx::Error>(found)
    }
    .await;
    connection.execute("ROLLBACK").await?;
    let old = is_old.then(|| Finding {
        code: "old_owner",
        what: format!("{of}: schema {} belongs to {}, as an older version has made it", site.schema, names.owner()),
        repair: "tenantry migrate up".into(),
    });
    Ok(old.into_iter().chain(found?.into_iter().map(|breach| finding(breach, of, &site.schema))).collect())
}

/// One tenant's own place; what row isolation's tenants have in common is looked at with the server.
pub(crate) async fn place(control: &Control, names: &Names, placement: &Placement) -> Result<Vec<Finding>> {
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
            let login = names.of_tenant(&placement.physical);
            let found = async {
                let mut found = breaches(&mut own.connection, names, &site, &of).await?;
                found.extend(database(&mut own.connection, names, Some(&login)).await?);
                Ok(found)
            }
            .await;
            own.close().await;
            found
        }
    }
}
