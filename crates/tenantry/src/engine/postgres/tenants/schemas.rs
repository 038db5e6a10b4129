//! Tenants of schema isolation: a schema and a role each.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Executor, postgres::PgConnection};

use crate::{
    engine::{
        Placement, Script, ScriptKind,
        postgres::{
            administration::{layout, ledger, locks, rights, roles, site::Site, wall},
            migration,
            names::{Names, literal, quoted},
            session::connect::Door,
        },
    },
    error::Result,
};

/// How many tables are dropped in one transaction: each holds some locks until its end.
const DROPPED_AT_ONCE: i64 = 50;

/// How many roles hang on one login: it reads all its memberships again after each change of one.
pub(crate) const TENANTS_PER_LOGIN: u32 = 500;

/// Role, owner and schema first, which the session that runs the files could not make. Then all files that come before the
/// first data file, in one transaction. What fails leaves a place without tables, which the creation's undo removes.
pub(crate) async fn create(
    door: &Door,
    placement: &Placement,
    scripts: &[Arc<Script>],
    secret: Option<&str>,
) -> Result<()> {
    let site = Site::tenant(&door.names, placement);
    let mut admin = door.control.admin().await?;
    make(&mut admin, &door.names, placement, secret).await?;
    admin.done();
    let in_one = |s: &Arc<Script>| s.kind == ScriptKind::Schema && !s.no_transaction;
    let cut = scripts.iter().position(|s| !in_one(s)).unwrap_or(scripts.len());
    let (first, rest) = scripts.split_at(cut);
    let first: Vec<&Script> = first.iter().map(AsRef::as_ref).collect();
    migration::apply_together(door, &site, &first, &[]).await?;
    for script in rest {
        migration::apply(door, &site, script).await?;
    }
    Ok(())
}

async fn make(connection: &mut PgConnection, names: &Names, placement: &Placement, secret: Option<&str>) -> Result<()> {
    let number = placement.login.unwrap_or(0);
    let login = names.schemas_login(number);
    if number > 0 {
        login_make(connection, &login, secret).await?;
    }
    let (role, owner) = (names.of_tenant(&placement.physical), names.owner_of_tenant(&placement.physical));
    let defaults = layout::default_privileges(&placement.physical, &owner, &role);
    let make_owner = roles::owner_make(names, &owner);
    let (role, schema, owner) = (quoted(&role), quoted(&placement.physical), quoted(&owner));
    let (login, reader) = (quoted(&login), quoted(&names.reader()));
    // Each may be there already, from an attempt of an older form; all of it is one text, one round trip.
    let text = format!(
        "DO $do$ BEGIN
             IF to_regrole('{role}') IS NULL THEN CREATE ROLE {role} NOLOGIN; END IF;
             GRANT {role} TO {login};
             GRANT {reader} TO {role};
             {make_owner}
             CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {owner};
             GRANT USAGE ON SCHEMA {schema} TO {role};
             {defaults}
         END $do$"
    );
    connection.execute(AssertSqlSafe(text)).await?;
    Ok(())
}

/// The login of the next some hundred tenants, made with the first of them. Several creations may want it at once: the
/// first makes it, the others wait for that one's end, for two that change the rights on one database fail.
async fn login_make(connection: &mut PgConnection, login: &str, secret: Option<&str>) -> Result<()> {
    let password = secret.map(|s| format!("PASSWORD {}", literal(s))).unwrap_or_default();
    let missing = format!(
        "coalesce(NOT has_database_privilege(to_regrole({})::oid, current_database(), 'CONNECT'), true)",
        literal(&quoted(login))
    );
    let text = format!(
        "DO $do$ BEGIN
             IF {missing} THEN
                 PERFORM {lock};
                 -- What this session knows of roles may be from before it waited.
                 BEGIN
                     CREATE ROLE {login} LOGIN NOINHERIT {password};
                 EXCEPTION WHEN duplicate_object THEN NULL;
                 END;
                 {member}
                 {admit}
                 EXECUTE format('GRANT CONNECT ON DATABASE %I TO {login}', current_database());
             END IF;
         END $do$",
        lock = roles::LOCK,
        member = rights::membership(login),
        admit = wall::admit(login),
        login = quoted(login)
    );
    connection.execute(AssertSqlSafe(text)).await?;
    Ok(())
}

/// Drops a tenant's schema, some tables at a time, and its role. May be run again.
///
/// It waits for no lock longer than a migration does: what a tenant's tables refer to is others' too. If it fails, the
/// connection is of no use any more.
pub(crate) async fn remove(connection: &mut PgConnection, names: &Names, physical: &str) -> Result<()> {
    let settings = format!("SET lock_timeout = '{}'", locks::LOCK_TIMEOUT);
    connection.execute(AssertSqlSafe(settings)).await?;
    // A migration that ran at the same time would make things in a schema that is being dropped.
    locks::lock(connection, physical, "pg_try_advisory_lock").await?;
    drop_all(connection, names, physical).await?;
    connection.execute("SELECT pg_advisory_unlock_all(); RESET lock_timeout").await?;
    Ok(())
}

async fn drop_all(connection: &mut PgConnection, names: &Names, physical: &str) -> Result<()> {
    let tables = "SELECT format('%I.%I', n.nspname, c.relname)
         FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
         WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition LIMIT $2";
    loop {
        let some: Vec<String> =
            sqlx::query_scalar(tables).bind(physical).bind(DROPPED_AT_ONCE).fetch_all(&mut *connection).await?;
        if some.is_empty() {
            break;
        }
        connection.execute(AssertSqlSafe(format!("DROP TABLE {} CASCADE", some.join(", ")))).await?;
    }
    connection.execute(AssertSqlSafe(format!("DROP SCHEMA IF EXISTS {} CASCADE", quoted(physical)))).await?;
    role_remove(connection, &names.of_tenant(physical)).await?;
    role_remove(connection, &names.owner_of_tenant(physical)).await?;
    ledger::forget(connection, physical).await
}

/// Drops a role with all rights that it was given in this database.
pub(crate) async fn role_remove(connection: &mut PgConnection, role: &str) -> Result<()> {
    let quoted = quoted(role);
    of_role(connection, role, &format!("DROP OWNED BY {quoted} CASCADE; DROP ROLE {quoted}")).await
}

/// Takes back all rights that a role was given in this database, in which it owns nothing. Whoever holds what it was given
/// there is not waited for longer than a migration waits.
pub(crate) async fn role_forget(connection: &mut PgConnection, role: &str) -> Result<()> {
    let settings = format!("SET lock_timeout = '{}'", locks::LOCK_TIMEOUT);
    connection.execute(AssertSqlSafe(settings)).await?;
    of_role(connection, role, &format!("DROP OWNED BY {}", quoted(role))).await
}

async fn of_role(connection: &mut PgConnection, role: &str, statements: &str) -> Result<()> {
    let (name, member) = (literal(role), rights::membership(role));
    let text = format!(
        "DO $do$ BEGIN
             IF EXISTS (SELECT FROM pg_roles WHERE rolname = {name}) THEN
                 {member}
                 {statements};
             END IF;
         END $do$"
    );
    connection.execute(AssertSqlSafe(text)).await?;
    Ok(())
}
