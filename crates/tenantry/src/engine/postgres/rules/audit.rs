//! What `doctor` asks of a server and of a database beside the schemas of the tenants.

use sqlx::{AssertSqlSafe, Row as _, postgres::PgConnection};

use super::{Rules, bodies, versions};
use crate::{engine::Finding, ident::Ident};

/// The names of one installation's roles on a server.
pub(crate) struct Roles<'a> {
    /// With which all of them begin.
    pub(crate) prefix: &'a Ident,
    /// With which those of schema isolation's tenants begin.
    pub(crate) tenants: &'a Ident,
    pub(crate) owner: &'a Ident,
    /// The only one that writes the shared tables.
    pub(crate) shared_login: Option<&'a Ident>,
    /// The operator's, where apps sign in by one; its name is whatever it is.
    pub(crate) own_login: Option<&'a str>,
}

const ROLES: &str = include_str!("roles.sql");
const DATABASE: &str = include_str!("database.sql");
/// The server's own functions that PostgreSQL 15 to 18 make LEAKPROOF.
const LEAKPROOF: &str = include_str!("leakproof.txt");
/// The first version of which nobody has looked at them yet.
const LEAKPROOF_UNKNOWN: &str = "190000";
/// The body of `tenantry.may_write()`: nothing is written for a tenant after its purge, but by the session that deletes its
/// rows, whose deletions may set off triggers of the app.
const MAY_WRITE: &str = "DECLARE own text := 't_' || replace(tenantry.tenant()::text, '-', '');
BEGIN
    RETURN NOT EXISTS (SELECT FROM tenantry.migrations m WHERE m.target = own AND m.version = -1)
        OR EXISTS (SELECT FROM tenantry.work w WHERE w.target = own AND w.version = -1 AND w.slot = session_user);
END";

/// Makes the function which the policies of row isolation ask once a statement that writes. It reads the ledger with its
/// owner's rights, because tenants have none there; it tells nothing of any tenant but that of the scope.
pub(crate) fn may_write() -> String {
    format!(
        "CREATE OR REPLACE FUNCTION tenantry.may_write() RETURNS boolean LANGUAGE plpgsql STABLE SECURITY DEFINER \
         SET search_path = pg_catalog, pg_temp AS $may_write${MAY_WRITE}$may_write$"
    )
}

/// The tenant of the scope; nothing without one.
const TENANT: &str = "SELECT nullif(current_setting('tenantry.tenant', true), '')::uuid";

/// Makes the function that tells it, in a database of many tenants.
pub(crate) fn tenant_of_scope() -> String {
    format!(
        "CREATE OR REPLACE FUNCTION tenantry.tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS $$ {TENANT} $$"
    )
}

const CODES: &[&str] = &[
    "catalog_opened",
    "event_trigger",
    "extension_definer",
    "large_objects_opened",
    "ledger_opened",
    "may_connect",
    "may_create",
    "may_make_temp",
    "outside_cast",
    OUTSIDE_CODE,
    "outside_definer",
    "outside_relation",
    "outside_server",
    "parameter_opened",
    "role_attribute",
    "role_membership",
    "role_setting",
    "server_function",
    "shared_closed",
    "shared_writable",
    "tenant_function",
];

/// What drifted in the roles of the installation, and a version of the server that leaks; once a server.
pub(crate) async fn audit_roles(connection: &mut PgConnection, roles: &Roles<'_>) -> sqlx::Result<Vec<Finding>> {
    let mut found: Vec<_> = connection.server_version_num().and_then(versions::version_finding).into_iter().collect();
    found.extend(findings(connection, named(ROLES, roles)).await?);
    Ok(found)
}

/// What the connected database opens to others. `tenant`: the login whose own it is; `None` in a database of many tenants.
pub(crate) async fn audit_database(
    connection: &mut PgConnection,
    roles: &Roles<'_>,
    tenant: Option<&Ident>,
) -> sqlx::Result<Vec<Finding>> {
    let allowed = [Some(roles.owner), tenant].into_iter().flatten().map(Ident::as_str).collect::<Vec<_>>().join(",");
    let sql = named(DATABASE, roles)
        .replace("{allowed}", &format!("{{{allowed}}}"))
        .replace("{private}", if tenant.is_some() { "true" } else { "false" })
        .replace("{shared_login}", roles.shared_login.map_or("", Ident::as_str));
    let mut found = findings(connection, sql).await?;
    found.extend(outside(connection, roles).await?);
    Ok(found)
}

/// Functions of no schema that is looked at by itself, which tenants' statements may call by their whole names, and those behind
/// aggregates: these are called with the rights of whoever owns the aggregate.
const OUTSIDE: &str = include_str!("outside.sql");
const OUTSIDE_CODE: &str = "outside_code";

/// Those that show rows before they are hidden, run any text, or are in a language in which nobody can tell.
async fn outside(connection: &mut PgConnection, roles: &Roles<'_>) -> sqlx::Result<Vec<Finding>> {
    let rows = sqlx::raw_sql(AssertSqlSafe(named(OUTSIDE, roles))).fetch_all(connection).await?;
    let mut found = Vec::new();
    for row in rows {
        let (name, who): (String, String) = (row.try_get("name")?, row.try_get("who")?);
        let (language, body): (String, &str) = (row.try_get("language")?, row.try_get("body")?);
        let fault = match &*language {
            _ if row.try_get("leakproof")? => Some("it is LEAKPROOF".to_owned()),
            _ if row.try_get("strange")? => Some("the engine has made none of the name".to_owned()),
            _ if row.try_get("closed")? => {
                Some("as an aggregate it runs what everybody else is not allowed to".to_owned())
            }
            // The server's own, which everybody may call.
            _ if row.try_get("known")? => None,
            "sql" | "plpgsql" => bodies::read(body, language == "sql", Rules::Row).map(|fault| fault.detail),
            _ => Some(format!("it is in the language {language}")),
        };
        found.extend(fault.map(|fault| Finding {
            code: OUTSIDE_CODE,
            what: format!("function {name}: {who} may call it, past the rules for files ({fault})"),
            repair: format!("REVOKE EXECUTE ON ROUTINE {name} FROM {who} CASCADE"),
        }));
    }
    Ok(found)
}

fn named(sql: &str, roles: &Roles<'_>) -> String {
    let literal = |text: &str| text.replace('\'', "''");
    sql.replace("{may_write}", &literal(MAY_WRITE))
        .replace("{make_may_write}", &literal(&may_write()))
        .replace("{tenant}", &literal(TENANT))
        .replace("{make_tenant}", &literal(&tenant_of_scope()))
        .replace("{leakproof}", &LEAKPROOF.split_whitespace().collect::<Vec<_>>().join(","))
        .replace("{leakproof_unknown}", LEAKPROOF_UNKNOWN)
        .replace("{prefix}", roles.prefix.as_str())
        .replace("{tenants}", roles.tenants.as_str())
        .replace("{owner}", roles.owner.as_str())
        .replace("{own}", &roles.own_login.unwrap_or("").replace('\'', "''"))
}

async fn findings(connection: &mut PgConnection, sql: String) -> sqlx::Result<Vec<Finding>> {
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await?;
    rows.iter()
        .map(|row| {
            let code: &str = row.try_get("code")?;
            Ok(Finding {
                code: CODES
                    .iter()
                    .copied()
                    .find(|known| *known == code)
                    .ok_or_else(|| sqlx::Error::Protocol(format!("the audit knows no finding `{code}`")))?,
                what: row.try_get("what")?,
                repair: row.try_get("repair")?,
            })
        })
        .collect()
}
