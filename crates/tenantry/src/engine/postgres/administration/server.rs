//! What a server needs before its first tenant: roles, schemas, functions, the ledger.

use sqlx::{AssertSqlSafe, Executor, postgres::PgConnection};

use super::{
    layout::protect_rows,
    ledger,
    rights::{Rights, grant_to_myself},
    roles, rows_role,
    shared_grants::shared_grants,
    wall,
};
use crate::{
    engine::postgres::{
        names::{Names, SHARED, TENANT, literal, quoted},
        rules,
        session::{scram, transaction},
    },
    error::{Error, ErrorKind, Result},
    id::TenantId,
};

/// The oldest server whose column lists of ON DELETE SET NULL and views of the caller's rights the engine needs.
const OLDEST: i32 = 150_000;

/// What every database of ours holds, beside [`ledger::SCHEMA`].
pub(crate) const ENGINE_SCHEMA: &str = "
CREATE SCHEMA IF NOT EXISTS tenantry;
REVOKE ALL ON SCHEMA tenantry FROM PUBLIC;
GRANT USAGE ON SCHEMA tenantry TO PUBLIC;
CREATE TABLE IF NOT EXISTS tenantry.place (one boolean PRIMARY KEY DEFAULT true CHECK (one), owner uuid NOT NULL);
REVOKE ALL ON tenantry.place FROM PUBLIC;
DO $public$ BEGIN
    IF to_regnamespace('public') IS NOT NULL THEN REVOKE CREATE ON SCHEMA public FROM PUBLIC; END IF;
END $public$;
";

pub(crate) async fn prepare(
    admin: &mut PgConnection,
    names: &Names,
    installation: TenantId,
    password: Option<&str>,
) -> Result<()> {
    require_version(admin)?;
    Rights::of(admin).await?.require_for_server()?;
    admin.execute("BEGIN").await?;
    let prepared = async {
        prepare_in_tx(admin, names, installation, password).await?;
        former_logins(admin, names).await
    }
    .await;
    transaction::end(admin, prepared).await
}

/// Adds what a server lacks that a program of an older version has prepared. It adds only: no table is changed or locked, and
/// that program goes on.
pub(crate) async fn renew(
    admin: &mut PgConnection,
    names: &Names,
    installation: TenantId,
    password: Option<&str>,
) -> Result<()> {
    if is_prepared(admin, names).await? {
        return Ok(());
    }
    admin.execute("BEGIN").await?;
    let prepared = prepare_in_tx(admin, names, installation, password).await;
    transaction::end(admin, prepared).await
}

/// Whether it has all that this version prepares.
pub(crate) async fn is_prepared(admin: &mut PgConnection, names: &Names) -> Result<bool> {
    let query = "SELECT to_regprocedure('tenantry.applied(bigint)') IS NOT NULL
                        AND to_regprocedure('tenantry.may_write()') IS NOT NULL AND to_regrole($1) IS NOT NULL
                        AND to_regrole($2) IS NOT NULL AND to_regrole($3) IS NOT NULL
                        AND (to_regrole($4) IS NOT NULL OR NOT rolsuper)
                   FROM pg_roles WHERE rolname = current_user";
    let (authors, rows, remote) = (quoted(&names.authors()), quoted(&names.rows_role()), quoted(&names.remote()));
    let query = sqlx::query_scalar(query).bind(authors).bind(rows).bind(remote).bind(quoted(&names.auditor()));
    Ok(query.fetch_one(admin).await?)
}

fn require_version(admin: &PgConnection) -> Result<()> {
    let version = admin.server_version_num().and_then(|v| i32::try_from(v).ok()).unwrap_or(0);
    if version >= OLDEST {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Unsupported, format!("the server is PostgreSQL {}; 15 is needed", version / 10_000))
        .help("upgrade the server, or use `sqlite://DIRECTORY`"))
}

async fn prepare_in_tx(
    admin: &mut PgConnection,
    names: &Names,
    installation: TenantId,
    password: Option<&str>,
) -> Result<()> {
    admin.execute(AssertSqlSafe(format!("SELECT {}", roles::LOCK))).await?;
    for owner in [names.owner(), names.shared_owner(), names.authors()] {
        roles::role(admin, &owner, "NOLOGIN NOINHERIT", None).await?;
        grant_to_myself(admin, &owner).await?;
    }
    admin
        .execute(AssertSqlSafe(format!("DO $do$ BEGIN {} END $do$", roles::owner_make(names, &names.rows_owner()))))
        .await?;
    for login in [names.rows_login(), names.schemas_login(0), names.shared_login(), names.remote()] {
        let own = |secret: &str| {
            let is_apps = login == names.rows_login();
            if is_apps { secret.to_owned() } else { scram::password_of(secret, &login) }
        };
        let secret = password.map(|secret| scram::secret(&own(secret))).transpose()?;
        roles::login_make(admin, names, &login, secret.as_deref()).await?;
    }
    if !roles::role_exists(admin, &names.reader()).await? {
        roles::role(admin, &names.reader(), "NOLOGIN NOINHERIT", None).await?;
        grant_to_myself(admin, &names.reader()).await?;
    }
    rows_role::make(admin, names).await?;
    if Rights::of(admin).await?.is_superuser {
        roles::role(admin, &names.auditor(), "NOLOGIN BYPASSRLS", None).await?;
        admin.execute(AssertSqlSafe(format!("GRANT pg_read_all_data TO {}", quoted(&names.auditor())))).await?;
    }
    let (tenant, may_write) = (rules::tenant_of_scope(), rules::may_write());
    let text = format!("{ENGINE_SCHEMA} {} {tenant}; {may_write}", ledger::SCHEMA);
    admin.execute(AssertSqlSafe(text)).await?;
    require_own(admin, installation).await?;
    grants(admin, names).await?;
    admin.execute(AssertSqlSafe(shared_grants(names))).await?;
    rows_role::inherit(admin, names).await?;
    wall::close(admin, names).await
}

/// The ledger of a tenant's own database may be of an older form.
pub(crate) async fn ledger_renew(own: &mut PgConnection) -> Result<()> {
    let query = "SELECT to_regprocedure('tenantry.applied(bigint)') IS NOT NULL";
    if !sqlx::query_scalar::<_, bool>(query).fetch_one(&mut *own).await? {
        own.execute(ledger::SCHEMA).await?;
    }
    Ok(())
}

/// Two installations in one database would share their tables.
async fn require_own(admin: &mut PgConnection, installation: TenantId) -> Result<()> {
    let owner: Option<sqlx::types::Uuid> = sqlx::query_scalar(
        "WITH mine AS (INSERT INTO tenantry.place (owner) VALUES ($1) ON CONFLICT DO NOTHING RETURNING owner)
         SELECT owner FROM mine UNION ALL SELECT owner FROM tenantry.place LIMIT 1",
    )
    .bind(installation.as_uuid())
    .fetch_optional(admin)
    .await?;
    if owner == Some(installation.as_uuid()) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Taken, "the database belongs to another installation of tenantry")
        .help("name another database of the same server in the admin URL: CREATE DATABASE ..."))
}

/// That everybody may name what is in the shared schema opens none of its tables. A right that tenants' roles had by
/// membership would make the server read that of the role anew in each transaction: it keeps that of the last role only. By
/// the rights that are named [`former_logins`] finds who had them.
async fn grants(admin: &mut PgConnection, names: &Names) -> Result<()> {
    let (owner, reader, remote) = (quoted(&names.rows_owner()), quoted(&names.reader()), quoted(&names.remote()));
    let (rows, shared) = (quoted(&names.rows_role()), quoted(&names.shared_login()));
    let rows_login = quoted(&names.rows_login());
    let (schemas, shared_owner) = (quoted(&names.schemas_login(0)), quoted(&names.shared_owner()));
    let text = format!(
        "CREATE SCHEMA IF NOT EXISTS {TENANT} AUTHORIZATION {owner};
         CREATE SCHEMA IF NOT EXISTS {SHARED} AUTHORIZATION {shared_owner};
         REVOKE ALL ON SCHEMA {TENANT} FROM PUBLIC;
         GRANT USAGE ON SCHEMA {TENANT} TO {rows};
         GRANT USAGE ON SCHEMA {SHARED} TO PUBLIC, {owner}, {rows}, {shared}, {reader}, {remote};
         DO $$ BEGIN
             EXECUTE format('REVOKE CONNECT, TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
             EXECUTE format('GRANT CONNECT ON DATABASE %I TO {rows_login}, {schemas}, {shared}, {remote}, CURRENT_USER',
                            current_database());
         END $$;
         {NO_LARGE_OBJECTS}"
    );
    admin.execute(AssertSqlSafe(text)).await?;
    Ok(())
}

/// Large objects are in no schema and under no row security: nobody makes or reads any. Where the administrator may not
/// say so, texts that name them are refused all the same.
pub(crate) const NO_LARGE_OBJECTS: &str = "
DO $lo$ DECLARE f text; BEGIN
    FOR f IN SELECT oid::regprocedure::text FROM pg_proc
              WHERE pronamespace = 'pg_catalog'::regnamespace
                AND (starts_with(proname, 'lo_') OR proname IN ('loread', 'lowrite'))
    LOOP EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f); END LOOP;
EXCEPTION WHEN insufficient_privilege THEN NULL;
END $lo$";

/// The same server under another name has had other logins: what these may do with the rows and with the shared tables goes
/// to the new ones.
async fn former_logins(admin: &mut PgConnection, names: &Names) -> Result<()> {
    let prefix = literal(&names.prefix());
    let owners = [names.owner(), names.rows_owner(), names.shared_owner(), names.authors()];
    let logins = [names.rows_role(), names.rows_login(), names.shared_login(), names.reader(), names.remote()];
    let ours: Vec<String> = owners.iter().chain(&logins).map(|name| literal(name)).collect();
    let ours = ours.join(", ");
    let text = format!(
        "DO $$ DECLARE place text; former text; BEGIN
             FOR place, former IN SELECT DISTINCT n.nspname, r.rolname
                   FROM pg_namespace n, aclexplode(n.nspacl) a JOIN pg_roles r ON r.oid = a.grantee
                  WHERE n.nspname IN ('{TENANT}', '{SHARED}') AND starts_with(r.rolname, {prefix})
                    AND r.rolname NOT IN ({ours})
             LOOP
                 EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM %I', place, former);
                 EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA %I FROM %I', place, former);
                 EXECUTE format('REVOKE ALL ON SCHEMA %I FROM %I', place, former);
             END LOOP;
         END $$"
    );
    admin.execute(AssertSqlSafe(text)).await?;
    protect_rows(admin, names).await
}
