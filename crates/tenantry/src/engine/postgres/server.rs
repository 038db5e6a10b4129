//! What a server needs before its first tenant: roles, schemas, functions, the ledger.

use sqlx::{AssertSqlSafe, Executor, postgres::PgConnection};

use super::{
    names::{Names, SHARED, TENANT, literal, quoted},
    rights::{self, Rights, grant_to_myself},
    rows_role, rules, scram,
    site::Site,
    wall,
};
use crate::{
    error::{Error, ErrorKind, Result},
    id::TenantId,
};

/// Held to the end of a transaction that makes logins or changes the rights on a database: one at a time.
pub(super) const LOCK: &str = "pg_advisory_xact_lock(7463205553)";

/// The oldest server whose column lists of ON DELETE SET NULL and views of the caller's rights the engine needs.
const OLDEST: i32 = 150_000;

/// What every database of ours holds.
pub(super) const ENGINE_SCHEMA: &str = "
CREATE SCHEMA IF NOT EXISTS tenantry;
REVOKE ALL ON SCHEMA tenantry FROM PUBLIC;
GRANT USAGE ON SCHEMA tenantry TO PUBLIC;
CREATE TABLE IF NOT EXISTS tenantry.migrations (
    target text NOT NULL,
    version bigint NOT NULL,
    kind text NOT NULL,
    description text NOT NULL,
    checksum bytea NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (target, version)
);
CREATE TABLE IF NOT EXISTS tenantry.place (one boolean PRIMARY KEY DEFAULT true CHECK (one), owner uuid NOT NULL);
REVOKE ALL ON tenantry.migrations, tenantry.place FROM PUBLIC;
DO $public$ BEGIN
    IF to_regnamespace('public') IS NOT NULL THEN REVOKE CREATE ON SCHEMA public FROM PUBLIC; END IF;
END $public$;
";

/// The tenant of the scope; nothing without one.
const TENANT_OF_SCOPE: &str = "CREATE OR REPLACE FUNCTION tenantry.tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL \
                               SAFE AS $$ SELECT nullif(current_setting('tenantry.tenant', true), '')::uuid $$";

pub(super) async fn prepare(
    admin: &mut PgConnection,
    names: &Names,
    installation: TenantId,
    password: Option<&str>,
) -> Result<()> {
    require_version(admin)?;
    Rights::of(admin).await?.require_for_server()?;
    admin.execute("BEGIN").await?;
    let prepared = prepare_in_tx(admin, names, installation, password).await;
    let end = if prepared.is_ok() { "COMMIT" } else { "ROLLBACK" };
    admin.execute(end).await?;
    prepared
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
    admin.execute(AssertSqlSafe(format!("SELECT {LOCK}"))).await?;
    role(admin, &names.owner(), "NOLOGIN NOINHERIT", None).await?;
    grant_to_myself(admin, &names.owner()).await?;
    role(admin, &names.shared_owner(), "NOLOGIN NOINHERIT", None).await?;
    grant_to_myself(admin, &names.shared_owner()).await?;
    role(admin, &names.authors(), "NOLOGIN NOINHERIT", None).await?;
    for login in [names.rows_login(), names.schemas_login(0), names.shared_login(), names.reader()] {
        let own = |secret: &str| {
            let is_apps = login == names.rows_login();
            if is_apps { secret.to_owned() } else { scram::password_of(secret, &login) }
        };
        let secret = password.map(|secret| scram::secret(&own(secret))).transpose()?;
        login_make(admin, names, &login, secret.as_deref()).await?;
    }
    rows_role::make(admin, names).await?;
    admin.execute(AssertSqlSafe(format!("{ENGINE_SCHEMA} {TENANT_OF_SCOPE}"))).await.map(drop)?;
    require_own(admin, installation).await?;
    grants(admin, names).await?;
    wall::close(admin, names).await
}

/// A login of ours; one that the operator has made is left as it is, and checked at every connect.
async fn login_make(admin: &mut PgConnection, names: &Names, login: &str, secret: Option<&str>) -> Result<()> {
    if login.starts_with(&names.prefix()) {
        role(admin, login, "LOGIN NOINHERIT", secret).await?;
        // One that is no superuser could not stop its statements otherwise.
        return grant_to_myself(admin, login).await;
    }
    if role_exists(admin, login).await? {
        return rights::require_to_stop_in_tx(admin, login).await;
    }
    Err(Error::new(ErrorKind::NotFound, format!("the server has no login `{login}`, which --app-url names"))
        .help(format!("CREATE ROLE \"{login}\" LOGIN NOINHERIT PASSWORD '...', or leave --app-url out")))
}

/// Makes a role, or brings one that is there to these attributes.
pub(super) async fn role(admin: &mut PgConnection, name: &str, attributes: &str, secret: Option<&str>) -> Result<()> {
    let verb = if role_exists(admin, name).await? { "ALTER" } else { "CREATE" };
    let password = secret.map(|s| format!(" PASSWORD {}", literal(s))).unwrap_or_default();
    let text = format!("{verb} ROLE {} {attributes}{password}", quoted(name));
    admin.execute(AssertSqlSafe(text)).await?;
    Ok(())
}

pub(super) async fn role_exists(admin: &mut PgConnection, name: &str) -> Result<bool> {
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
        .bind(name)
        .fetch_one(admin)
        .await?)
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
    let (owner, reader) = (quoted(&names.owner()), quoted(&names.reader()));
    let (rows, shared) = (quoted(&names.rows_role()), quoted(&names.shared_login()));
    let rows_login = quoted(&names.rows_login());
    let (schemas, shared_owner) = (quoted(&names.schemas_login(0)), quoted(&names.shared_owner()));
    let text = format!(
        "CREATE SCHEMA IF NOT EXISTS {TENANT} AUTHORIZATION {owner};
         CREATE SCHEMA IF NOT EXISTS {SHARED} AUTHORIZATION {shared_owner};
         REVOKE ALL ON SCHEMA {TENANT} FROM PUBLIC;
         GRANT USAGE ON SCHEMA {TENANT} TO {rows};
         GRANT USAGE ON SCHEMA {SHARED} TO PUBLIC, {owner}, {rows}, {shared}, {reader};
         DO $$ BEGIN
             EXECUTE format('REVOKE CONNECT, TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
             EXECUTE format('GRANT CONNECT ON DATABASE %I TO {rows_login}, {schemas}, {shared}, {reader}, CURRENT_USER',
                            current_database());
         END $$;
         {NO_LARGE_OBJECTS}"
    );
    admin.execute(AssertSqlSafe(text)).await?;
    former_logins(admin, names).await
}

/// Large objects are in no schema and under no row security: nobody makes or reads any. Where the administrator may not
/// say so, texts that name them are refused all the same.
pub(super) const NO_LARGE_OBJECTS: &str = "
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
    let rows = [names.rows_role(), names.rows_login()];
    let ours = [names.owner(), names.shared_owner(), names.shared_login(), names.reader()].into_iter().chain(rows);
    let ours: Vec<String> = ours.collect();
    let ours = ours.iter().map(|name| literal(name)).collect::<Vec<_>>().join(", ");
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

/// Makes the tables that tenants have in common what they have to be.
pub(super) async fn protect_rows(admin: &mut PgConnection, names: &Names) -> Result<()> {
    let site = Site::rows(names);
    admin.execute(AssertSqlSafe(format!("SET LOCAL ROLE {}", quoted(&names.owner())))).await?;
    rules::protect(admin, &site.subject(names)?.as_ref(), rules::EVERYTHING).await?;
    admin.execute("SET LOCAL ROLE NONE").await?;
    Ok(())
}

/// What the logins may do with the shared tables, said again after each file.
pub(super) fn shared_grants(names: &Names) -> String {
    let (reader, rows, shared) = (quoted(&names.reader()), quoted(&names.rows_role()), quoted(&names.shared_login()));
    let owner = quoted(&names.owner());
    format!(
        "GRANT SELECT ON ALL TABLES IN SCHEMA {SHARED} TO {reader}, {rows};
         GRANT SELECT, REFERENCES ON ALL TABLES IN SCHEMA {SHARED} TO {owner};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {SHARED} TO {shared};
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA {SHARED} TO {shared}"
    )
}
