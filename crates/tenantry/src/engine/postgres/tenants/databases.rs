//! Tenants of database isolation: a database and a login each, copied from a migrated template.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::digest;
use sqlx::{AssertSqlSafe, Executor, postgres::PgConnection};

use super::{
    schemas,
    shared::{self, Home},
};
use crate::{
    engine::{
        Placement, Script, ScriptKind,
        postgres::{
            administration::{
                ledger,
                rights::{self, Rights},
                roles, server,
                site::Site,
            },
            migration,
            names::{Names, SHARED, TENANT, literal, quoted},
            session::{connect::Door, control::Fresh, scram},
        },
    },
    error::{Error, ErrorKind, Result},
};

/// Raised when what the engine puts into a tenant's database changes.
const TEMPLATE_FORM: u8 = 2;

/// How often a database is copied again while somebody, such as a vacuum, looks at the template.
const TRIES: usize = 20;

const PAUSE: Duration = Duration::from_millis(100);

/// Each step may be run again after a crash at any point.
pub(crate) async fn create(
    door: &Door,
    home: &Home,
    placement: &Placement,
    scripts: &[Arc<Script>],
    password: Option<&str>,
) -> Result<()> {
    let name = door.names.of_tenant(&placement.physical);
    let in_template = |s: &Arc<Script>| s.kind == ScriptKind::Schema;
    let cut = scripts.iter().position(|s| !in_template(s)).unwrap_or(scripts.len());
    let (first, rest) = scripts.split_at(cut);
    let mut admin = door.control.admin().await?;
    Rights::of(&mut admin).await?.require_for_databases()?;
    if !is_there(&mut admin, &name).await? {
        let template = door.names.template(&fingerprint(first, home));
        if !is_there(&mut admin, &template).await? {
            admin.done();
            make_template(door, home, first, &template).await?;
            admin = door.control.admin().await?;
        }
        // Nobody can connect to the copy before it is closed to the public.
        copy(&mut admin, &name, &template, "ALLOW_CONNECTIONS false").await?;
    }
    let secret = password.map(scram::secret).transpose()?;
    open_to(&mut admin, &name, secret.as_deref()).await?;
    admin.done();
    let mut own = door.control.admin_of(Some(&name)).await?;
    furnish(&mut own.connection, &door.names, placement, &name).await?;
    let site = Site::tenant(&door.names, placement);
    // What an attempt of an older program has made lacks more than the files behind the template.
    let applied = ledger::read(&mut own.connection, ledger::OWN).await?;
    own.close().await;
    for script in first.iter().filter(|s| !applied.iter().any(|a| a.version == s.version)).chain(rest) {
        migration::apply(door, &site, script).await?;
    }
    Ok(())
}

async fn is_there(admin: &mut PgConnection, database: &str) -> Result<bool> {
    let query = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)";
    Ok(sqlx::query_scalar(query).bind(database).fetch_one(admin).await?)
}

async fn copy(admin: &mut PgConnection, name: &str, template: &str, how: &str) -> Result<()> {
    let text = format!("CREATE DATABASE {} TEMPLATE {} {how}", quoted(name), quoted(template));
    for _ in 1..TRIES {
        match admin.execute(AssertSqlSafe(text.clone())).await {
            Ok(_) => return Ok(()),
            Err(error) if code(&error) == Some("55006") => tokio::time::sleep(PAUSE).await,
            // Another process was faster.
            Err(error) if code(&error) == Some("42P04") => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    admin.execute(AssertSqlSafe(text)).await?;
    Ok(())
}

fn code(error: &sqlx::Error) -> Option<&str> {
    let error = error.as_database_error()?.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()?;
    Some(error.code())
}

/// The tenant's login, and nobody else, may connect.
async fn open_to(admin: &mut PgConnection, name: &str, secret: Option<&str>) -> Result<()> {
    let (database, password) = (quoted(name), secret.map(|s| format!("PASSWORD {}", literal(s))).unwrap_or_default());
    let text = format!(
        "DO $do$ BEGIN
             IF to_regrole('{database}') IS NULL THEN
                 CREATE ROLE {database} LOGIN NOINHERIT {password};
             ELSE
                 ALTER ROLE {database} LOGIN NOINHERIT {password};
             END IF;
             {member}
             REVOKE ALL ON DATABASE {database} FROM PUBLIC;
             GRANT CONNECT ON DATABASE {database} TO {database};
             ALTER DATABASE {database} ALLOW_CONNECTIONS true;
         END $do$",
        // Or its statements could not be stopped, nor its connections be cut off.
        member = rights::membership(name)
    );
    admin.execute(AssertSqlSafe(text)).await?;
    Ok(())
}

/// Whose database it is, and what its login may do in it.
async fn furnish(own: &mut PgConnection, names: &Names, placement: &Placement, login: &str) -> Result<()> {
    let (id, login, owner) = (placement.id, quoted(login), quoted(&names.owner()));
    let text = format!(
        "BEGIN;
         INSERT INTO tenantry.place (owner) VALUES ('{id}') ON CONFLICT DO NOTHING;
         CREATE OR REPLACE FUNCTION tenantry.tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
             AS $$ SELECT '{id}'::uuid $$;
         GRANT USAGE ON SCHEMA {TENANT}, {SHARED} TO {login};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {TENANT} TO {login};
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA {TENANT} TO {login};
         GRANT SELECT ON ALL TABLES IN SCHEMA {SHARED} TO {login};
         ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {TENANT}
             GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {login};
         ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA {TENANT} GRANT USAGE ON SEQUENCES TO {login};
         ALTER DEFAULT PRIVILEGES IN SCHEMA {SHARED} GRANT SELECT ON TABLES TO {login};
         COMMIT"
    );
    own.execute(AssertSqlSafe(text)).await?;
    require_owner(own, placement).await
}

/// A database that was restored under another tenant's name is not touched.
async fn require_owner(own: &mut PgConnection, placement: &Placement) -> Result<()> {
    let owner: sqlx::types::Uuid = sqlx::query_scalar("SELECT owner FROM tenantry.place").fetch_one(own).await?;
    if owner == placement.id.as_uuid() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Isolation, format!("the database of tenant {} is marked as another's", placement.id))
        .help("put the tenant's own database back; `tenantry doctor` lists what does not fit"))
}

/// Destroys a tenant's database and login; whoever is still connected is cut off. May be run again.
pub(crate) async fn remove(admin: &mut PgConnection, names: &Names, physical: &str) -> Result<()> {
    let name = names.of_tenant(physical);
    if roles::role_exists(admin, &name).await? {
        rights::grant_to_myself(admin, &name).await?;
    }
    admin.execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(&name)))).await?;
    schemas::role_remove(admin, &name).await
}

fn fingerprint(scripts: &[Arc<Script>], home: &Home) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&[TEMPLATE_FORM]);
    context.update(home.fingerprint().as_bytes());
    for script in scripts {
        context.update(&script.version.to_be_bytes());
        context.update(&script.checksum);
    }
    context.finish().as_ref().iter().take(8).map(|b| format!("{b:02x}")).collect()
}

/// Makes the migrated database that new ones are copied from. One at a time: it takes two of the few connections, and if
/// several had one each and waited for the other, none would go on.
async fn make_template(door: &Door, home: &Home, scripts: &[Arc<Script>], name: &str) -> Result<()> {
    let _one = door.template.lock().await;
    let mut admin = door.control.admin().await?;
    if !is_there(&mut admin, name).await? {
        make_template_anew(door, home, &mut admin, scripts, name).await?;
    }
    admin.done();
    Ok(())
}

async fn make_template_anew(
    door: &Door,
    home: &Home,
    admin: &mut PgConnection,
    scripts: &[Arc<Script>],
    name: &str,
) -> Result<()> {
    // Under another name first: one that bears the template's name is whole, even after `kill -9`.
    let half = format!("{name}_{}", scram::new_password()?.get(..8).unwrap_or("making"));
    lock(admin, "pg_try_advisory_lock", &half).await?;
    let base = door.names.base();
    let base = if is_there(admin, &base).await? { &base } else { "template0" };
    copy(admin, &half, base, "").await?;
    let made = template_fill(door, home, &half, scripts).await;
    let published = match made {
        Ok(()) => publish(admin, &half, name).await,
        Err(error) => Err(error),
    };
    if published.is_err() || !is_there(admin, name).await? {
        admin.execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(&half)))).await?;
    }
    lock(admin, "pg_advisory_unlock", &half).await?;
    published?;
    sweep(door, admin, name).await
}

/// Whoever makes a template holds this lock, which ends with the session: what nobody holds was left by `kill -9`.
async fn lock(admin: &mut PgConnection, how: &str, half: &str) -> Result<bool> {
    let text = format!("SELECT {how}(hashtextextended('tenantry template ' || $1, 0))");
    Ok(sqlx::query_scalar(AssertSqlSafe(text)).bind(half).fetch_one(admin).await?)
}

async fn template_fill(door: &Door, home: &Home, database: &str, scripts: &[Arc<Script>]) -> Result<()> {
    let mut fresh: Fresh<'_> = door.control.admin_of(Some(database)).await?;
    let filled = async {
        let connection = &mut fresh.connection;
        let names = &door.names;
        let (owner, shared_owner) = (quoted(&names.owner()), quoted(&names.shared_owner()));
        let text = format!(
            "{} {}
             CREATE FUNCTION tenantry.tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS $$ SELECT NULL::uuid $$;
             CREATE SCHEMA {TENANT} AUTHORIZATION {owner};
             CREATE SCHEMA {SHARED} AUTHORIZATION {shared_owner};
             REVOKE ALL ON SCHEMA {TENANT}, {SHARED} FROM PUBLIC;
             GRANT USAGE ON SCHEMA {SHARED} TO {owner};
             REVOKE ALL ON DATABASE {} FROM PUBLIC;
             {}",
            server::ENGINE_SCHEMA,
            ledger::SCHEMA,
            quoted(database),
            server::NO_LARGE_OBJECTS
        );
        connection.execute(AssertSqlSafe(text)).await?;
        shared::import(connection, home, Some(&names.base())).await
    }
    .await;
    // Nobody may be in it when it is copied.
    fresh.close().await;
    filled?;
    let site = Site::template(&door.names, database);
    for script in scripts {
        migration::apply(door, &site, script).await?;
    }
    Ok(())
}

async fn publish(admin: &mut PgConnection, half: &str, name: &str) -> Result<()> {
    let text = format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", quoted(half));
    admin.execute(AssertSqlSafe(text)).await?;
    let rename = format!("ALTER DATABASE {} RENAME TO {}", quoted(half), quoted(name));
    for _ in 0..TRIES {
        match admin.execute(AssertSqlSafe(rename.clone())).await {
            Ok(_) => return Ok(()),
            // Another process was faster, and its template is the same; ours is dropped.
            Err(error) if code(&error) == Some("42P04") => {
                let drop = format!("DROP DATABASE {} WITH (FORCE)", quoted(half));
                admin.execute(AssertSqlSafe(drop)).await?;
                return Ok(());
            }
            Err(error) if code(&error) == Some("55006") => tokio::time::sleep(PAUSE).await,
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::new(ErrorKind::DatabaseBusy, "somebody is connected to the template of new databases"))
}

/// Templates of other migrations are of no use any more, nor are those that a process which is gone had begun.
async fn sweep(door: &Door, admin: &mut PgConnection, newest: &str) -> Result<()> {
    let pattern = format!("{}%", door.names.template("").replace('_', "\\_"));
    let old: Vec<String> =
        sqlx::query_scalar("SELECT datname FROM pg_database WHERE datname LIKE $1 AND datname <> $2")
            .bind(pattern)
            .bind(newest)
            .fetch_all(&mut *admin)
            .await?;
    for name in old {
        if !lock(admin, "pg_try_advisory_lock", &name).await? {
            continue;
        }
        if let Err(error) = admin.execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {}", quoted(&name)))).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "an old template stays");
        }
        lock(admin, "pg_advisory_unlock", &name).await?;
    }
    Ok(())
}
