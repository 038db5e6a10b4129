//! What the administrator has to be allowed to do, where that is not a superuser: asked before anything is made.

use sqlx::{AssertSqlSafe, Executor, Row, postgres::PgConnection};

use crate::{
    engine::postgres::names::{literal, quoted},
    error::{Error, ErrorKind, Result},
};

const MEMBERSHIP_INHERITS: u32 = 160_000;

/// The administrator as the server knows it.
pub(crate) struct Rights {
    pub(crate) name: String,
    pub(crate) database: String,
    pub(crate) is_superuser: bool,
    makes_roles: bool,
    makes_databases: bool,
    inherits: bool,
    owns: bool,
}

impl Rights {
    pub(crate) async fn of(admin: &mut PgConnection) -> Result<Self> {
        let memberships_inherit = memberships_inherit(admin);
        let row = sqlx::query(
            "SELECT r.rolname::text AS name, d.datname::text AS database, rolsuper, rolcreaterole, rolcreatedb, rolinherit,
                    pg_has_role(d.datdba, 'USAGE') AS owns
               FROM pg_roles r, pg_database d WHERE r.rolname = current_user AND d.datname = current_database()",
        )
        .fetch_one(admin)
        .await?;
        Ok(Self {
            name: row.get("name"),
            database: row.get("database"),
            is_superuser: row.get("rolsuper"),
            makes_roles: row.get("rolcreaterole"),
            makes_databases: row.get("rolcreatedb"),
            inherits: memberships_inherit || row.get::<bool, _>("rolinherit"),
            owns: row.get("owns"),
        })
    }

    /// What the database of a server needs. The server itself would only warn where the owner is somebody else.
    pub(crate) fn require_for_server(&self) -> Result<()> {
        let (name, database) = (quoted(&self.name), quoted(&self.database));
        let mut lacking = Vec::new();
        if !self.makes_roles {
            lacking.push(("CREATEROLE", format!("ALTER ROLE {name} CREATEROLE")));
        }
        if !self.inherits {
            lacking.push(("INHERIT", format!("ALTER ROLE {name} INHERIT")));
        }
        if !self.owns {
            lacking.push(("the ownership of the database", format!("ALTER DATABASE {database} OWNER TO {name}")));
        }
        self.require(&lacking)
    }

    /// What tenants' own databases need besides.
    pub(crate) fn require_for_databases(&self) -> Result<()> {
        let lacking = ("CREATEDB", format!("ALTER ROLE {} CREATEDB", quoted(&self.name)));
        self.require(if self.makes_databases { &[] } else { std::slice::from_ref(&lacking) })
    }

    fn require(&self, lacking: &[(&str, String)]) -> Result<()> {
        if self.is_superuser || lacking.is_empty() {
            return Ok(());
        }
        let (what, how): (Vec<&str>, Vec<&str>) = lacking.iter().map(|(what, how)| (*what, how.as_str())).unzip();
        Err(Error::new(ErrorKind::Unsupported, format!("the administrator `{}` lacks {}", self.name, what.join(", ")))
            .help(format!("as a superuser of that server: {};", how.join("; "))))
    }
}

/// An administrator that is no superuser has to be a member of the roles that it acts as, or whose statements it stops.
pub(crate) async fn grant_to_myself(admin: &mut PgConnection, role: &str) -> Result<()> {
    admin.execute(AssertSqlSafe(format!("DO $$ BEGIN {} END $$", membership(role)))).await?;
    Ok(())
}

/// The statement of a DO block that makes an administrator a member; from version 16 on a membership says for itself what
/// it is good for, and that of a role's maker is good for nothing.
pub(crate) fn membership(role: &str) -> String {
    let (name, role) = (literal(&quoted(role)), quoted(role));
    format!(
        "IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
            AND coalesce(NOT pg_has_role(to_regrole({name})::oid, 'USAGE'), true) THEN
             IF current_setting('server_version_num')::int >= {MEMBERSHIP_INHERITS} THEN
                 EXECUTE 'GRANT {role} TO CURRENT_USER {MEMBERSHIP}';
             ELSE
                 GRANT {role} TO CURRENT_USER;
             END IF;
         END IF;"
    )
}

/// What the membership of a non-superuser has to say from that version on.
const MEMBERSHIP: &str = "WITH INHERIT TRUE, SET TRUE";

/// The operator's own login gets no right; but who stops its statements has to be a member of it.
pub(crate) async fn require_to_stop_in_tx(admin: &mut PgConnection, login: &str) -> Result<()> {
    if may_stop(admin, login).await? {
        return Ok(());
    }
    let with = if memberships_inherit(admin) { MEMBERSHIP } else { "" };
    admin.execute("SAVEPOINT rights").await?;
    let granted = admin.execute(AssertSqlSafe(format!("GRANT {} TO CURRENT_USER {with}", quoted(login)))).await;
    let Err(cause) = granted else { return Ok(()) };
    admin.execute("ROLLBACK TO rights").await?;
    let name: String = sqlx::query_scalar("SELECT current_user::text").fetch_one(admin).await?;
    Err(Error::new(
        ErrorKind::Unsupported,
        format!("the administrator `{name}` may not stop what the login `{login}` has begun"),
    )
    .caused_by(cause)
    .help(format!("as a superuser of that server: GRANT {} TO {};", quoted(login), quoted(&name))))
}

async fn may_stop(admin: &mut PgConnection, login: &str) -> Result<bool> {
    let query = "SELECT pg_has_role('pg_signal_backend', 'USAGE') OR pg_has_role($1::name, 'USAGE')";
    Ok(sqlx::query_scalar(query).bind(login).fetch_one(admin).await?)
}

/// Whether a membership says for itself what it inherits, as from version 16 on.
pub(crate) fn memberships_inherit(connection: &PgConnection) -> bool {
    connection.server_version_num().is_some_and(|version| version >= MEMBERSHIP_INHERITS)
}
