//! What makes a schema safe, and what is not safe in it, read from the database's catalog.
//!
//! [`protect`] and [`breaches`] belong into the transaction that applied a migration, after its last statement and as the
//! owner of the tables. Both leave `search_path` at `pg_catalog` until that transaction ends. What they ask is sent as text,
//! because a prepared statement would resolve its names by the search path that a migration may have set.

use sqlx::{
    AssertSqlSafe, Row as _,
    postgres::{PgConnection, PgRow},
};

use crate::ident::Ident;

mod audit;
mod login;
mod reasons;
#[cfg(test)]
mod tests;
mod versions;

pub(crate) use audit::{Roles, audit_database, audit_roles, may_write};
pub(crate) use login::{Expect, login_breaches};

/// Whose schema it is.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) schema: &'a Ident,
    /// The role that owns all tables.
    pub(crate) owner: &'a Ident,
    /// Who works with them: the restricted login of row isolation, a tenant's role or a tenant's own login.
    pub(crate) role: &'a Ident,
}

/// Which rules hold in a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rules {
    /// The tables of all tenants.
    Row,
    /// One tenant's own tables, in a schema or a database.
    Own,
    /// The shared tables, which everybody may use and build on.
    Shared,
}

/// What holds in the shared schema as it does in a tenant's.
const SHARED_TOO: &[&str] = &[
    "child_elsewhere",
    "expression_scope",
    "function_scope",
    "function_search_path",
    "function_setting",
    "invalid_index",
    "leakproof_function",
    "reaches_other_schema",
    "reaches_other_tenant",
    "reads_outside",
    "security_definer",
    "trigger_function",
    "untrusted_language",
    "wrong_owner",
];

/// Something in a schema by which tenants could meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    pub(crate) code: &'static str,
    pub(crate) object: String,
    pub(crate) reason: String,
    /// A statement to put in place of the one that was refused.
    pub(crate) correction: String,
}

/// All relations of a schema, as a pattern.
pub(crate) const EVERYTHING: &str = "%";

const PROTECT: &str = include_str!("protect.sql");
const ANY: &str = include_str!("any.sql");
const ROW: &str = include_str!("row.sql");
const SCREEN: &str = include_str!("screen.sql");
const PENDING: &str = include_str!("pending.sql");

/// The policy that keeps tenants' rows apart. Restrictive policies are evaluated in the order of their names: before it, an
/// app's policy would see, and could show in an error, the rows of other tenants.
const POLICY: &str = "!tenantry";
/// Its name in older versions.
const FORMER_POLICY: &str = "tenantry_isolation";
/// The policy's expression as PostgreSQL 15 prints it, so that most need no closer look.
const PRINTED: &str = concat!(
    "(tenant_id = (( SELECT NULLIF(current_setting('tenantry.tenant'::text, true), ''::text)",
    r#" AS "nullif"))::uuid)"#
);
/// What PostgreSQL adds when it prints an expression, and may print otherwise in another version.
const NOISE: &str = r#"[\s()]|::text| AS "?(nullif|may_write)"?"#;
/// The policy's expression without it.
const ISOLATION: &str = "tenant_id=SELECTNULLIFcurrent_setting'tenantry.tenant',true,''::uuid";
/// What changes the scope in a function's text. `UPDATE t SET role = ...` has to pass, so a bare `SET role =` counts only
/// where a statement begins.
const SCOPE_WORDS: &str = concat!(
    r"(?i)set_config|row_security|session\s+authorization|tenantry\.tenant\M(?!\s*\()",
    r#"|\mset\s+(?:local\s+|session\s+)?"?tenantry"?\s*\."#,
    r"|\mset\s+(?:local|session)\s+role\M|\mset\s+role\s+[^=\s]",
    r#"|(?:^|;|\m(?:begin|then|else|loop)\M|['$])\s*set\s+role\M|\mreset\s+(?:role|all)\M"#,
    // What outlives the transaction: a setting without LOCAL, where a statement begins, and locks of the session.
    r#"|(?:^|;|\m(?:begin|then|else|loop)\M|['$])\s*set\s+(?!local\M|constraints\M|transaction\M)(?:session\s+)?[a-z_."]+\s*(?:=|\mto\M)"#,
    // Statements of the session: one of them enters the scope.
    r#"|(?:^|;|\m(?:begin|then|else|loop)\M|['$])\s*(?:prepare|deallocate|discard)\M"#,
    r"|\mpg_(?:try_)?advisory_(?:un)?lock(?:_shared|_all)?\M"
);

/// Row isolation: row security, policies and rights as they have to be, on every relation of the schema.
/// Changes, and locks, only what is not so already.
pub(crate) async fn protect(
    connection: &mut PgConnection,
    subject: &Subject<'_>,
    relations: &'static str,
) -> sqlx::Result<()> {
    let sql = rendered(PROTECT, subject).replace("{relations}", relations);
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}

/// Everything unsafe in a schema, in one round trip; empty if nothing is.
pub(crate) async fn breaches(
    connection: &mut PgConnection,
    rules: Rules,
    subject: &Subject<'_>,
) -> sqlx::Result<Vec<Breach>> {
    let mut sql = rendered(ANY, subject);
    if rules == Rules::Row {
        sql.push_str(&rendered(ROW, subject));
    }
    let mut found = listed(connection, sql).await?;
    if rules == Rules::Shared {
        found.retain(|breach| SHARED_TOO.contains(&breach.code));
    }
    Ok(found)
}

/// The same for a tenant's own tables, for where it is asked often: most have nothing doubtful, which a smaller query tells.
pub(crate) async fn breaches_of_new(connection: &mut PgConnection, subject: &Subject<'_>) -> sqlx::Result<Vec<Breach>> {
    let screen = sqlx::raw_sql(AssertSqlSafe(rendered(SCREEN, subject))).fetch_one(&mut *connection).await?;
    if screen.try_get("doubtful")? { breaches(connection, Rules::Own, subject).await } else { Ok(Vec::new()) }
}

/// Foreign keys that wait for their validation: right while files follow each other, a finding when they stay.
pub(crate) async fn unvalidated(connection: &mut PgConnection, subject: &Subject<'_>) -> sqlx::Result<Vec<Breach>> {
    listed(connection, rendered(PENDING, subject)).await
}

async fn listed(connection: &mut PgConnection, sql: String) -> sqlx::Result<Vec<Breach>> {
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await?;
    rows.iter().map(breach).collect()
}

fn breach(row: &PgRow) -> sqlx::Result<Breach> {
    let (code, reason) = reasons::of(row.try_get("code")?);
    let detail: Option<String> = row.try_get("detail")?;
    Ok(Breach {
        code,
        object: row.try_get("object")?,
        reason: match detail.filter(|detail| !detail.is_empty()) {
            Some(detail) => format!("{reason} ({detail})"),
            None => reason.to_owned(),
        },
        correction: row.try_get("correction")?,
    })
}

/// Fills in the names. An [`Ident`] needs no quotes, neither as a name nor as a text; the rest are our own constants.
fn rendered(sql: &str, Subject { schema, owner, role }: &Subject<'_>) -> String {
    let literal = |text: &str| text.replace('\'', "''");
    sql.replace("{noise}", &literal(NOISE))
        .replace("{printed}", &literal(PRINTED))
        .replace("{isolation}", &literal(ISOLATION))
        .replace("{policy}", POLICY)
        .replace("{former_policy}", FORMER_POLICY)
        .replace("{scope_words}", &literal(SCOPE_WORDS))
        .replace("{schema}", schema.as_str())
        .replace("{owner}", owner.as_str())
        .replace("{role}", role.as_str())
}
