//! Who owns a target's tables. Older versions had one owner for all of a server; each target now has an owner of its own.
//!
//! What an older version has made goes on to be served as it is: who owns a table is nothing to an app. `migrate up` gives
//! it to its new owner, a target at a time, each in one transaction, and so does it again from where it was killed.

use sqlx::{AssertSqlSafe, Executor, postgres::PgConnection};

use super::{
    locks, roles, rows_role,
    site::{Site, SiteKind},
};
use crate::{
    engine::{
        Script,
        postgres::{
            names::{Names, TENANT, literal, quoted},
            rules,
            session::transaction,
        },
    },
    error::{Error, ErrorKind, Result},
};

/// Who owns a schema now.
///
/// # Errors
/// If the schema is gone.
pub(crate) async fn owner_of(connection: &mut PgConnection, schema: &str) -> Result<String> {
    let query = "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = $1";
    let owner: Option<String> = sqlx::query_scalar(query).bind(schema).fetch_optional(connection).await?;
    owner.map(|owner| owner.trim_matches('"').to_owned()).ok_or_else(|| is_gone(schema))
}

/// Whether a version from before each target had its own owner has made this one.
pub(crate) async fn is_old(connection: &mut PgConnection, names: &Names, site: &Site) -> Result<bool> {
    if site.kind == SiteKind::Rows
        && (rows_role::is_open(connection, names).await? || has_old_policies(connection).await?)
    {
        return Ok(true);
    }
    match site.kind {
        SiteKind::Rows | SiteKind::Schema => {
            let query = "SELECT EXISTS (SELECT FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner
                                         WHERE n.nspname = $1 AND r.rolname = $2)";
            Ok(sqlx::query_scalar(query).bind(&site.schema).bind(names.owner()).fetch_one(connection).await?)
        }
        SiteKind::Shared | SiteKind::Database => Ok(false),
    }
}

async fn has_old_policies(connection: &mut PgConnection) -> Result<bool> {
    let query = "SELECT EXISTS (SELECT FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
                                 WHERE c.relnamespace = to_regnamespace($1) AND p.polname = $2)";
    Ok(sqlx::query_scalar(query).bind(TENANT).bind(rules::FORMER_POLICY).fetch_one(connection).await?)
}

pub(crate) fn is_gone(schema: &str) -> Error {
    Error::new(ErrorKind::Isolation, format!("the schema `{schema}` is gone"))
        .help("restore it from a backup, or delete and purge its tenant; `tenantry doctor` lists what is missing")
}

/// A file runs as the target's own owner, which has nothing of what an older version made until `migrate up` gives it that.
pub(crate) async fn require_new(slot: &mut PgConnection, names: &Names, site: &Site, script: &Script) -> Result<()> {
    let owner = owner_of(slot, &site.schema).await?;
    if owner == site.owner(names) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Migration,
        format!("migration {} ({}): the schema `{}` belongs to `{owner}`", script.version, script.file, site.schema),
    )
    .help("tenantry migrate up"))
}

/// Gives everything in the schema that the former owner has to the target's own.
pub(crate) async fn renew(admin: &mut PgConnection, names: &Names, site: &Site) -> Result<()> {
    if !is_old(admin, names, site).await? {
        return Ok(());
    }
    let settings = format!("BEGIN; SET LOCAL lock_timeout = '{}'", locks::LOCK_TIMEOUT);
    admin.execute(AssertSqlSafe(settings)).await?;
    let renewed = async {
        locks::lock(admin, &site.target, "pg_try_advisory_xact_lock").await?;
        renew_in_tx(admin, names, site).await
    }
    .await;
    transaction::end(admin, renewed).await
}

async fn renew_in_tx(admin: &mut PgConnection, names: &Names, site: &Site) -> Result<()> {
    let (schema, role, owner) = (quoted(&site.schema), quoted(&site.role), site.owner(names));
    let defaults = match site.kind {
        SiteKind::Schema => format!(
            "{}
             ALTER DEFAULT PRIVILEGES FOR ROLE {former} IN SCHEMA {schema} REVOKE ALL ON TABLES FROM {role};
             ALTER DEFAULT PRIVILEGES FOR ROLE {former} IN SCHEMA {schema} REVOKE ALL ON SEQUENCES FROM {role};",
            default_privileges(&site.schema, &owner, &site.role),
            former = quoted(&names.owner())
        ),
        SiteKind::Rows | SiteKind::Shared | SiteKind::Database => String::new(),
    };
    let text = format!("DO $do$ BEGIN {} {defaults} END $do$", roles::owner_make(names, &owner));
    admin.execute(AssertSqlSafe(text)).await?;
    let changes = CHANGES.replace("{schema}", &literal(&site.schema)).replace("{former}", &literal(&names.owner()));
    let changes: Vec<String> = sqlx::query_scalar(AssertSqlSafe(changes)).fetch_all(&mut *admin).await?;
    let mut text = format!("ALTER SCHEMA {schema} OWNER TO {}; ", quoted(&owner));
    for change in changes {
        text.push_str(&format!("{change} OWNER TO {}; ", quoted(&owner)));
    }
    admin.execute(AssertSqlSafe(text)).await?;
    if site.kind == SiteKind::Rows {
        protect_rows(admin, names).await?;
        // Last of all: a program of an older version is refused by the server from now on.
        rows_role::close(admin, names).await?;
    }
    Ok(())
}

/// Makes the tables that tenants have in common what they have to be.
pub(crate) async fn protect_rows(admin: &mut PgConnection, names: &Names) -> Result<()> {
    let (site, owner) = (Site::rows(names), owner_of(admin, TENANT).await?);
    admin.execute(AssertSqlSafe(format!("SET LOCAL ROLE {}", quoted(&owner)))).await?;
    rules::protect(admin, &site.subject(names)?.as_ref(), rules::EVERYTHING).await?;
    admin.execute("SET LOCAL ROLE NONE").await?;
    Ok(())
}

/// What a schema's own role may do with what its owner makes there later.
pub(crate) fn default_privileges(schema: &str, owner: &str, role: &str) -> String {
    let (schema, owner, role) = (quoted(schema), quoted(owner), quoted(role));
    format!(
        "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema}
             GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role};
         ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {schema} GRANT USAGE ON SEQUENCES TO {role};"
    )
}

/// The beginning of an ALTER for each object of the schema that the former owner has. A sequence of a column, a table's
/// row type, an array type and an index follow their table; what belongs to an extension or inside of another object is its.
const CHANGES: &str = "
SELECT CASE o.type
         WHEN 'foreign table' THEN 'ALTER FOREIGN TABLE '
         WHEN 'materialized view' THEN 'ALTER MATERIALIZED VIEW '
         WHEN 'statistics object' THEN 'ALTER STATISTICS '
         WHEN 'composite type' THEN 'ALTER TYPE '
         -- An aggregate without arguments has another spelling as such.
         WHEN 'aggregate' THEN 'ALTER ROUTINE '
         ELSE 'ALTER ' || upper(o.type) || ' ' END || o.identity
  FROM pg_depend d
  JOIN pg_shdepend s ON s.classid = d.classid AND s.objid = d.objid AND s.deptype = 'o'
   AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND s.refclassid = 'pg_authid'::regclass AND s.refobjid = to_regrole(quote_ident({former})),
       LATERAL pg_identify_object(d.classid, d.objid, 0) o
 WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = to_regnamespace(quote_ident({schema}))
   AND d.classid <> 'pg_default_acl'::regclass
   AND NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = d.classid AND i.objid = d.objid AND i.refclassid <> 'pg_namespace'::regclass
                      AND i.objsubid = 0
                      AND (i.deptype IN ('i', 'e')
                           OR i.deptype = 'a' AND EXISTS (SELECT FROM pg_class q WHERE q.oid = d.objid AND d.classid = 'pg_class'::regclass
                                                             AND q.relkind = 'S')))
 ORDER BY d.classid, d.objid";
