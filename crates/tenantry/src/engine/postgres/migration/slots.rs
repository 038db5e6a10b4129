//! [`Slot`]: a session on which files of one target run, by a login that has no rights of its own.
//!
//! A file is text that somebody wrote, and may hold a block or a function that does anything. On the administrator's
//! session `RESET ROLE` would make it the administrator. So it runs on a session of a login of its own, a *slot*, which
//! inherits nothing and is a member of one role: the owner of the one target, or the role that its data files have, and
//! that for this one run. Whatever the file says, the server refuses what that role may not do.

use std::time::{Duration, Instant};

use sqlx::{
    AssertSqlSafe, Connection as _, Executor,
    postgres::{PgConnection, PgQueryResult},
};

use crate::{
    engine::{
        Script,
        postgres::{
            administration::{ledger, rights, roles, server, site::Site},
            names::{literal, quoted},
            session::{
                connect::Door,
                control::Admin,
                dial::{has_wrong_password, in_time},
                scope::OURS,
                scram,
            },
        },
    },
    error::{Error, ErrorKind, Result},
};

/// How many files may run at once on one server, over all processes.
const MOST: u32 = 64;

/// How long the session of a program that was killed may take to end, in milliseconds.
const END_OF_FORMER_MS: u32 = 5_000;

/// How long the login's one session is tried for, which a former one may still have.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// A leased slot with its session. Dropped before [`Slot::close`] it ends with its connections, and what it was granted
/// goes before its next use.
pub(crate) struct Slot<'d> {
    /// Holds the lease, which is a lock of its session.
    admin: Admin<'d>,
    pub(crate) connection: PgConnection,
    login: String,
    role: String,
    database: Option<String>,
}

/// Opens a session that may become `role` and nothing else, and may write `scripts` down as applied to the site.
pub(crate) async fn open<'d>(door: &'d Door, site: &Site, role: &str, scripts: &[&Script]) -> Result<Slot<'d>> {
    let mut admin = door.control.admin().await?;
    let login = lease(&mut admin, door).await?;
    sweep(&mut admin, door, &login).await?;
    match &site.database {
        None => ledger::assign(&mut admin, &login, &site.target, scripts).await?,
        Some(database) => {
            let mut own = in_time(&door.control.options().clone().database(database)).await?;
            server::ledger_renew(&mut own).await?;
            ledger::assign(&mut own, &login, &site.target, scripts).await?;
            own.close().await?;
        }
    }
    ready(door, admin, login, role, site.database.clone()).await
}

/// Opens a session that deletes the rows of a tenant which is gone, as the owner of the tables in common. Where the
/// administrator may say so, no trigger of the app's runs in it, but one that is said to run always: it might keep rows, or
/// write others. Dropping a schema or a database runs none either.
pub(crate) async fn open_for_end<'d>(door: &'d Door, target: &str, owner: &str) -> Result<Slot<'d>> {
    let mut admin = door.control.admin().await?;
    let login = lease(&mut admin, door).await?;
    sweep(&mut admin, door, &login).await?;
    ledger::assign_end(&mut admin, &login, target).await?;
    let is_superuser = rights::Rights::of(&mut admin).await?.is_superuser;
    let of_login = |what: &str| format!("ALTER ROLE {} {what}", quoted(&login));
    if is_superuser {
        let setting = of_login("SET session_replication_role = replica");
        admin.execute(AssertSqlSafe(setting)).await?;
    }
    let reset = of_login("RESET session_replication_role");
    let mut slot = ready(door, admin, login, owner, None).await?;
    if is_superuser {
        slot.admin.execute(AssertSqlSafe(reset)).await?;
    }
    Ok(slot)
}

/// Opens a session that counts rows as a role that may read them, and writes nothing down. To plan a query runs what files have
/// written, in an index or a policy: not with an administrator's rights.
pub(crate) async fn open_to_look<'d>(door: &'d Door, role: &str) -> Result<Slot<'d>> {
    let mut admin = door.control.admin().await?;
    let login = lease(&mut admin, door).await?;
    sweep(&mut admin, door, &login).await?;
    ledger::assign(&mut admin, &login, "", &[]).await?;
    let mut slot = ready(door, admin, login, role, None).await?;
    let begin = format!("BEGIN READ ONLY; {}; SET LOCAL ROLE {}", OURS, quoted(role));
    slot.connection.execute(AssertSqlSafe(begin)).await?;
    Ok(slot)
}

async fn ready<'d>(
    door: &'d Door,
    mut admin: Admin<'d>,
    login: String,
    role: &str,
    database: Option<String>,
) -> Result<Slot<'d>> {
    if let Some(database) = &database {
        // Two that change the rights on one database at once fail.
        let text =
            format!("SELECT {}; GRANT CONNECT ON DATABASE {} TO {}", roles::LOCK, quoted(database), quoted(&login));
        admin.execute(AssertSqlSafe(text)).await?;
    }
    let connection = connect(&mut admin, door, &login, database.as_deref()).await?;
    // Only now: by a password that a file has set somebody may try to sign in, and a session that has taken on the owner's role
    // keeps it. The login's only session is ours, and when that ends, however it does, nobody may sign in.
    grant(&mut admin, &login, role).await?;
    Ok(Slot { admin, connection, login, role: role.to_owned(), database })
}

/// The password of a slot follows from that of the server's other logins, which the operator may have changed since the
/// slot was made.
async fn connect(admin: &mut PgConnection, door: &Door, login: &str, database: Option<&str>) -> Result<PgConnection> {
    // A file could prepare an answer of its own under the name of a statement that the engine asks once more.
    let mut options = door.control.options().clone().username(login).statement_cache_capacity(0);
    if let Some(secret) = &door.secret {
        options = options.password(&scram::password_of(secret.expose(), login));
    }
    if let Some(database) = database {
        options = options.database(database);
    }
    let mut connected = in_time(&options).await;
    let begun = Instant::now();
    while let Err(error) = &connected
        && (has_wrong_password(error) || has_too_many(error))
        && begun.elapsed() < PATIENCE
    {
        if has_wrong_password(error) {
            // A file may have set it.
            admin.execute(AssertSqlSafe(format!("ALTER ROLE {}{}", quoted(login), password(door, login)?))).await?;
        }
        // Somebody may have signed in by it since the sweep; or the former session is not quite gone.
        let end = format!(
            "SELECT pg_terminate_backend(pid, {END_OF_FORMER_MS}) FROM pg_stat_activity WHERE usename = {}",
            literal(login)
        );
        admin.execute(AssertSqlSafe(end)).await?;
        tokio::time::sleep(PAUSE).await;
        connected = in_time(&options).await;
    }
    connected.map_err(|cause| {
        Error::new(ErrorKind::DatabaseBusy, format!("no session for migrations could be opened as `{login}`"))
            .caused_by(cause)
            .help("let that login sign in from here, in pg_hba.conf, as the server's other logins of tenantry do")
    })
}

fn has_too_many(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(|e| e.code()).as_deref() == Some("53300")
}

fn password(door: &Door, login: &str) -> Result<String> {
    let secret = door.secret.as_ref().map(|p| scram::secret(&scram::password_of(p.expose(), login))).transpose()?;
    Ok(secret.map(|s| format!(" PASSWORD {}", literal(&s))).unwrap_or_default())
}

/// The first slot that nobody has; made with its first use.
async fn lease(admin: &mut PgConnection, door: &Door) -> Result<String> {
    for number in 0..MOST {
        let login = door.names.slot(number);
        let query = "SELECT pg_try_advisory_lock(hashtextextended('tenantry slot ' || $1, 0)), to_regrole(quote_ident($1)) IS NULL";
        let (got, missing): (bool, bool) = sqlx::query_as(query).bind(&login).fetch_one(&mut *admin).await?;
        if got {
            if missing {
                make(admin, door, &login).await?;
            }
            return Ok(login);
        }
    }
    Err(Error::new(ErrorKind::OperationRunning, format!("{MOST} files of migrations run on this server already"))
        .help("run the command again when they have ended: tenantry migrate status"))
}

async fn make(admin: &mut PgConnection, door: &Door, login: &str) -> Result<()> {
    let password = password(door, login)?;
    let text = format!(
        "DO $do$ BEGIN
             PERFORM {lock};
             CREATE ROLE {name} NOLOGIN NOINHERIT CONNECTION LIMIT 1{password};
             {member}
             EXECUTE format('GRANT CONNECT ON DATABASE %I TO {name}', current_database());
         END $do$",
        lock = roles::LOCK,
        name = quoted(login),
        // Or a session that was left could not be ended.
        member = rights::membership(login)
    );
    admin.execute(AssertSqlSafe(text)).await?;
    Ok(())
}

/// Ends what the slot's last user has left, and takes back what that one was granted.
async fn sweep(admin: &mut PgConnection, door: &Door, login: &str) -> Result<()> {
    let query = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE usename = $1)";
    if sqlx::query_scalar(query).bind(login).fetch_one(&mut *admin).await? {
        // Whoever signs in by a password that a file had set does so no more.
        admin.execute(AssertSqlSafe(format!("ALTER ROLE {} LOGIN{}", quoted(login), password(door, login)?))).await?;
    }
    let by_grantor = if rights::memberships_inherit(admin) { "' GRANTED BY ' || held.grantor" } else { "''" };
    let text = format!(
        "DO $do$ DECLARE held record; BEGIN
             PERFORM pg_terminate_backend(pid, {END_OF_FORMER_MS}) FROM pg_stat_activity WHERE usename = {login};
             PERFORM pg_stat_clear_snapshot();
             IF EXISTS (SELECT FROM pg_stat_activity WHERE usename = {login}) THEN
                 RAISE lock_not_available USING MESSAGE = 'the last session of ' || {login} || ' has not ended';
             END IF;
             FOR held IN SELECT quote_ident(r.rolname) AS role, quote_ident(g.rolname) AS grantor
                   FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles g ON g.oid = m.grantor
                  WHERE m.member = to_regrole({name}) LOOP
                 EXECUTE 'REVOKE ' || held.role || ' FROM {quoted}' || {by_grantor};
             END LOOP;
             -- Any login may set its own settings, and a file's session is one.
             FOR held IN SELECT coalesce(' IN DATABASE ' || quote_ident(b.datname), '') AS place
                   FROM pg_db_role_setting s LEFT JOIN pg_database b ON b.oid = s.setdatabase
                  WHERE s.setrole = to_regrole({name}) LOOP
                 EXECUTE 'ALTER ROLE {quoted}' || held.place || ' RESET ALL';
             END LOOP;
             FOR held IN SELECT quote_ident(b.datname) AS database
                   FROM pg_shdepend d JOIN pg_database b ON b.oid = d.objid
                  WHERE d.refclassid = 'pg_authid'::regclass AND d.refobjid = to_regrole({name})
                    AND d.classid = 'pg_database'::regclass AND b.datname <> current_database() LOOP
                 PERFORM {lock};
                 EXECUTE 'REVOKE ALL ON DATABASE ' || held.database || ' FROM {quoted}';
             END LOOP;
             -- For one session, that of the run which begins; then nobody may sign in any more.
             ALTER ROLE {quoted} LOGIN CONNECTION LIMIT 1;
         END $do$",
        login = literal(login),
        name = literal(&quoted(login)),
        quoted = quoted(login),
        lock = roles::LOCK
    );
    admin.execute(AssertSqlSafe(text)).await?;
    Ok(())
}

async fn grant(admin: &mut PgConnection, login: &str, role: &str) -> Result<()> {
    let how = if rights::memberships_inherit(admin) { " WITH INHERIT FALSE, SET TRUE" } else { "" };
    let login = quoted(login);
    let text = format!("ALTER ROLE {login} NOLOGIN; GRANT {} TO {login}{how}", quoted(role));
    admin.execute(AssertSqlSafe(text)).await?;
    Ok(())
}

impl Slot<'_> {
    /// Takes back what was granted, and ends the session. Where that fails it is ended all the same, and the next user of the
    /// slot sweeps.
    pub(crate) async fn close(self) {
        let Self { mut admin, connection, login, role, database } = self;
        let revoked = take_back(&mut admin, &login, &role, database.as_deref()).await;
        if let Err(error) = connection.close().await {
            tracing::debug!(error = &error as &dyn std::error::Error, "a session of migrations did not close cleanly");
        }
        let unlocked = admin.execute("SELECT pg_advisory_unlock_all()").await;
        match revoked.and(unlocked) {
            Ok(_) => admin.done(),
            // Dropped, the administrator's connection is closed, and the lease ends with it.
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                login,
                "what a session of migrations was granted stays until the slot's next use"
            ),
        }
    }
}

/// The database may have been dropped meanwhile, with its tenant.
async fn take_back(
    admin: &mut PgConnection,
    login: &str,
    role: &str,
    database: Option<&str>,
) -> Result<PgQueryResult, sqlx::Error> {
    let connect = database.map(|database| {
        format!(
            "IF EXISTS (SELECT FROM pg_database WHERE datname = {}) THEN
                 PERFORM {};
                 REVOKE CONNECT ON DATABASE {} FROM {};
             END IF;",
            literal(database),
            roles::LOCK,
            quoted(database),
            quoted(login)
        )
    });
    let text = format!("REVOKE {} FROM {}", quoted(role), quoted(login));
    let revoked = admin.execute(AssertSqlSafe(text)).await?;
    match connect {
        Some(connect) => admin.execute(AssertSqlSafe(format!("DO $do$ BEGIN {connect} END $do$"))).await,
        None => Ok(revoked),
    }
}
