//! The role of row isolation: what its tenants' statements run as. The login has no right but to take it on.

use sqlx::{AssertSqlSafe, Executor, postgres::PgConnection};

use super::{
    rights::{grant_to_myself, memberships_inherit},
    roles,
};
use crate::{
    engine::{
        Finding,
        postgres::names::{Names, SHARED, TENANT, literal, quoted},
    },
    error::Result,
};

/// Makes the role, and the login a member of it. May be run again. Nothing is taken from the login here: programs of older
/// versions still run on its own rights.
pub(crate) async fn make(admin: &mut PgConnection, names: &Names) -> Result<()> {
    let role = names.rows_role();
    roles::role(admin, &role, "NOLOGIN NOINHERIT", None).await?;
    grant_to_myself(admin, &role).await?;
    // The login takes the role on, and has none of its rights before it does.
    let with = if memberships_inherit(admin) { " WITH INHERIT FALSE, SET TRUE" } else { "" };
    let text = format!("GRANT {} TO {}{with}", quoted(&role), quoted(&names.rows_login()));
    admin.execute(AssertSqlSafe(text)).await?;
    Ok(())
}

/// Whether the login may take the role on: not before `migrate up` on an installation that an older version has made.
pub(crate) async fn is_made(admin: &mut PgConnection, names: &Names) -> Result<bool> {
    let query = "SELECT coalesce(pg_has_role($1::name, to_regrole($2)::oid, 'MEMBER'), false)";
    let (login, role) = (names.rows_login(), quoted(&names.rows_role()));
    Ok(sqlx::query_scalar(query).bind(login).bind(role).fetch_one(admin).await?)
}

/// Gives the role what an older version has given to the login, which keeps it until `migrate up`: both are served meanwhile.
pub(crate) async fn inherit(admin: &mut PgConnection, names: &Names) -> Result<()> {
    let (login, role) = (names.rows_login(), quoted(&names.rows_role()));
    let text = format!(
        "DO $inherit$ DECLARE todo text; BEGIN
             FOR todo IN
                 SELECT format('GRANT %s ON %s%I.%I TO {role}', string_agg(g.privilege_type, ', '),
                               CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE '' END, '{TENANT}', c.relname)
                   FROM pg_class c, aclexplode(c.relacl) g
                  WHERE c.relnamespace = '{TENANT}'::regnamespace AND g.grantee = to_regrole({login})
                  GROUP BY c.oid, c.relkind, c.relname
             LOOP EXECUTE todo; END LOOP;
         END $inherit$",
        login = literal(&quoted(&login))
    );
    admin.execute(AssertSqlSafe(text)).await?;
    Ok(())
}

/// Whether the login has rights of its own on the tables that tenants have in common.
pub(crate) async fn is_open(admin: &mut PgConnection, names: &Names) -> Result<bool> {
    let query = "SELECT EXISTS (SELECT FROM pg_namespace n, aclexplode(n.nspacl) g
                                 WHERE n.nspname = $1 AND g.grantee = to_regrole($2))";
    Ok(sqlx::query_scalar(query).bind(TENANT).bind(quoted(&names.rows_login())).fetch_one(admin).await?)
}

/// Takes from the login the rights on schemas and tables that older versions gave it: the last step of `migrate up` for the
/// tables that tenants have in common. The server refuses a program of an older version from now on.
pub(crate) async fn close(admin: &mut PgConnection, names: &Names) -> Result<()> {
    let login = quoted(&names.rows_login());
    let text = format!(
        "REVOKE ALL ON ALL TABLES IN SCHEMA {TENANT}, {SHARED} FROM {login};
         REVOKE ALL ON ALL SEQUENCES IN SCHEMA {TENANT}, {SHARED} FROM {login};
         REVOKE ALL ON SCHEMA {TENANT}, {SHARED} FROM {login}"
    );
    admin.execute(AssertSqlSafe(text)).await?;
    Ok(())
}

/// What the login may do without its role.
pub(crate) async fn findings(admin: &mut PgConnection, names: &Names) -> Result<Vec<Finding>> {
    let login = names.rows_login();
    if !is_made(admin, names).await? {
        return Ok(vec![Finding {
            code: "old_layout",
            what: format!("row isolation: the login `{login}` takes on no role, and has the rights on the rows itself"),
            repair: "tenantry migrate up".into(),
        }]);
    }
    let text = format!(
        "SELECT thing FROM (
             SELECT n.nspname::text AS thing, n.nspacl AS acl FROM pg_catalog.pg_namespace n
              WHERE n.nspname IN ('{TENANT}', '{SHARED}')
             UNION ALL
             SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), c.relacl
               FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
              WHERE n.nspname IN ('{TENANT}', '{SHARED}')) held
          WHERE EXISTS (SELECT FROM pg_catalog.aclexplode(held.acl) g WHERE g.grantee = {login}::regrole)
          ORDER BY thing LIMIT 3",
        login = literal(&quoted(&login))
    );
    let things: Vec<String> = sqlx::query_scalar(AssertSqlSafe(text)).fetch_all(admin).await?;
    let is_of_schema = |thing: &str| matches!(thing, TENANT | SHARED);
    let finding = |thing: String| Finding {
        code: "login_privilege",
        repair: format!(
            "REVOKE ALL ON {}{thing} FROM {}",
            if is_of_schema(&thing) { "SCHEMA " } else { "" },
            quoted(&login)
        ),
        what: format!("row isolation: the login `{login}` has a right on {thing} without its role"),
    };
    Ok(things.into_iter().map(finding).collect())
}
