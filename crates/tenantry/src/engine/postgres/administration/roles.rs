//! Making roles and logins.

use sqlx::{AssertSqlSafe, Executor, postgres::PgConnection};

use super::rights::{self, grant_to_myself};
use crate::{
    engine::postgres::names::{Names, literal, quoted},
    error::{Error, ErrorKind, Result},
};

/// Held to the end of a transaction that makes logins or changes the rights on a database: one at a time.
pub(crate) const LOCK: &str = "pg_advisory_xact_lock(7463205553)";

/// Statements of a DO block that make the owner of one target, unless it is there.
pub(crate) fn owner_make(names: &Names, owner: &str) -> String {
    format!(
        "IF to_regrole('{role}') IS NULL THEN
             CREATE ROLE {role} NOLOGIN INHERIT;
             GRANT {authors} TO {role};
         END IF;
         {member}",
        role = quoted(owner),
        authors = quoted(&names.authors()),
        member = rights::membership(owner)
    )
}

/// A login of ours; one that the operator has made is left as it is, and checked at every connect.
pub(crate) async fn login_make(
    admin: &mut PgConnection,
    names: &Names,
    login: &str,
    secret: Option<&str>,
) -> Result<()> {
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
pub(crate) async fn role(admin: &mut PgConnection, name: &str, attributes: &str, secret: Option<&str>) -> Result<()> {
    let verb = if role_exists(admin, name).await? { "ALTER" } else { "CREATE" };
    let password = secret.map(|s| format!(" PASSWORD {}", literal(s))).unwrap_or_default();
    let text = format!("{verb} ROLE {} {attributes}{password}", quoted(name));
    admin.execute(AssertSqlSafe(text)).await?;
    Ok(())
}

pub(crate) async fn role_exists(admin: &mut PgConnection, name: &str) -> Result<bool> {
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)")
        .bind(name)
        .fetch_one(admin)
        .await?)
}
