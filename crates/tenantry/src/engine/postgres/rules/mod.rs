//! What makes a schema safe, and what is not safe in it, read from the database's catalog.
//!
//! [`protect`] and [`breaches`] belong into the transaction that applied a migration, after its last statement and as the
//! owner of the tables. Both leave `search_path` at `pg_catalog` until that transaction ends. What they ask is sent as text,
//! because a prepared statement would resolve its names by the search path that a migration may have set.

use sqlx::{
    AssertSqlSafe, Row as _,
    postgres::{PgConnection, PgRow},
};
use tenantry_sql::postgres::settings;

use crate::ident::Ident;

mod audit;
mod bodies;
mod cascades;
mod immutable;
mod login;
mod reasons;
#[cfg(test)]
mod tests;
mod versions;
mod words;

pub(crate) use audit::{Roles, audit_database, audit_roles, may_write, tenant_of_scope};
pub(crate) use bodies::forbidden;
pub(crate) use immutable::{UNBOUND, has_unbound};
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

/// What is done about IMMUTABLE functions whose bodies the server would parse anew with each call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    /// They are bound, before they are looked at: for what a file has made, in its transaction and as its owner.
    Bind,
    /// They are reported. Nothing of what files have written is parsed.
    Look,
}

/// What does not hold in the shared schema; everything else does there too.
const NOT_FOR_SHARED: &[&str] = &["extension", "foreign_table", "used_from_outside"];
/// What does not hold for a tenant's own tables, which nobody else waits for.
const NOT_FOR_OWN: &[&str] = &[bodies::LOCKS, bodies::PLANS];

impl Rules {
    fn have(self, code: &str) -> bool {
        let elsewhere = match self {
            Rules::Row => &[],
            Rules::Own => NOT_FOR_OWN,
            Rules::Shared => NOT_FOR_SHARED,
        };
        !elsewhere.contains(&code)
    }
}

/// The codes of rights that somebody has beyond the tenants' own.
const RIGHTS: &[&str] = &["excess_privilege", "granted_to_others"];

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
const EXPRESSIONS: &str = include_str!("expressions.sql");
/// What nothing in a schema may use; asked by the rules and by the screen.
const BAD: &str = include_str!("bad.sql");
const SCREEN: &str = include_str!("screen.sql");
const PENDING: &str = include_str!("pending.sql");

/// Asked by the rules of tables in common and by those of the shared ones.
const COMPUTED: &str = include_str!("computed.sql");

/// Asked by the rules of row isolation and by what puts them in force.
const POLICIES: &str = include_str!("policies.sql");

/// As a pattern, the roles that sign in for a file or that all owners are members of, which own nothing.
const OWNS_NOTHING: &str = "('^' || substring('{owner}' FROM '^tn_[^_]+_') || '(authors|on_.*_m[0-9]+)$')";

/// A routine `p` as it is written where its schema is looked at first. A quoted name may hold the schema's too.
const ROUTINE: &str = "(CASE WHEN p.pronamespace = '{schema}'::regnamespace THEN '' ELSE p.pronamespace::regnamespace || '.' END
    || quote_ident(p.proname) || '(' || coalesce((SELECT string_agg(regexp_replace(format_type(a.t, NULL), '^{schema}\\.', ''), ',' ORDER BY a.n)
                                                  FROM unnest(p.proargtypes) WITH ORDINALITY a(t, n)), '') || ')')";

/// Whether the server parses the body of a routine `p` with each call, by the path of whoever calls: then it finds what an app has made.
const KEPT_AS_TEXT: &str = r#"(p.prosqlbody IS NULL AND NOT coalesce(p.proconfig::text ~* '[{,"]search_path=', false)
    AND p.prolang NOT IN (SELECT oid FROM pg_language WHERE lanname IN ('internal', 'c')))"#;

/// The policy that keeps tenants' rows apart. Restrictive policies are evaluated in the order of their names: before it, an
/// app's policy would see, and could show in an error, the rows of other tenants.
pub(crate) const POLICY: &str = "!tenantry";
/// Its name in older versions.
pub(crate) const FORMER_POLICY: &str = "tenantry_isolation";
/// Which rows the policy shows: by this the planner finds an index and knows an order.
const HIDES: &str = "tenant_id = (SELECT nullif(current_setting('tenantry.tenant', true), '')::uuid)";
/// The same as PostgreSQL 15 prints it, so that most need no closer look.
const PRINTED: &str =
    "(tenant_id = ( SELECT (NULLIF(current_setting('tenantry.tenant'::text, true), ''::text))::uuid AS \"nullif\"))";

/// The policy that is looked at before every condition of a statement, where the wall is closed. The planner makes one of all that say
/// `tenant_id = ...` and puts it behind a statement's own conditions: behind a sub-select among them, which is run when the first row has
/// come so far, and whose error or time would tell what the rows of others hold.
pub(crate) const FIRST_POLICY: &str = "!tenantry_first";
/// In a CASE the comparison is merged with nothing, and it stays in front as long as everything else costs more: [`super::administration::wall`] gives the
/// function a cost below that of nothing at all, and nobody can name it, because its schema is open to nobody. IS NOT NULL leaves the
/// planner's estimate as it is.
pub(super) const HIDES_FIRST: &str = "CASE WHEN tenantry_wall.mine(tenant_id = \
    (SELECT nullif(current_setting('tenantry.tenant', true), '')::uuid), true) THEN true END IS NOT NULL";
/// The same as PostgreSQL 15 prints it.
const PRINTED_FIRST: &str = "(\nCASE\n    WHEN tenantry_wall.mine((tenant_id = ( SELECT (NULLIF(current_setting('tenantry.tenant'::text, true), ''::text))::uuid \
                             AS \"nullif\")), true) THEN true\n    ELSE NULL::boolean\nEND IS NOT NULL)";
/// What PostgreSQL adds when it prints an expression, and may print otherwise in another version.
const NOISE: &str = r#"[\s()]|::text| AS "?(nullif|may_write)"?"#;
/// The policies' expressions without it.
const ISOLATION: &str = "tenant_id=SELECTNULLIFcurrent_setting'tenantry.tenant',true,''::uuid";
const HIDDEN_FIRST: &str = "CASEWHENtenantry_wall.minetenant_id=SELECTNULLIFcurrent_setting'tenantry.tenant',true,''::uuid,trueTHENtrueELSENULL::booleanEND\
                            ISNOTNULL";

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
    binding: Binding,
) -> sqlx::Result<Vec<Breach>> {
    let mut sql = rendered(ANY, subject) + &rendered(EXPRESSIONS, subject);
    if rules == Rules::Row {
        sql.push_str(&rendered(ROW, subject));
    }
    let mut found = listed(connection, sql).await?;
    found.extend(bodies::breaches(connection, rules, subject).await?);
    found.extend(immutable::breaches(connection, rules, subject, binding).await?);
    if rules == Rules::Row {
        found.extend(cascades::breaches(connection, subject).await?);
    }
    found.retain(|breach| rules.have(breach.code));
    Ok(found)
}

/// What code of the schema says or calls that nobody may, or that the server would run unasked. For behind a single statement: what
/// is made, called and dropped or put back again is not there at the end. IMMUTABLE functions are bound.
pub(crate) async fn breaches_of_code(
    connection: &mut PgConnection,
    rules: Rules,
    subject: &Subject<'_>,
) -> sqlx::Result<Vec<Breach>> {
    let mut found = breaches(connection, rules, subject, Binding::Bind).await?;
    found.retain(|breach| bodies::CODES.contains(&breach.code) || OF_CODE.contains(&breach.code));
    Ok(found)
}

/// Beside what is read in bodies.
const OF_CODE: &[&str] = &[
    "cast_function",
    "domain_calls",
    "expression_scope",
    "immutable_depends",
    immutable::CODE,
    UNBOUND,
    "operator_partner",
    "policy_immutable",
    "range_function",
];

/// Rights that files never give: to everybody, or such as the tenants' role has in no isolation. [`protect`] would take them
/// back and say nothing, and the same file would be refused for tenants of other isolations.
pub(crate) async fn excess_rights(connection: &mut PgConnection, subject: &Subject<'_>) -> sqlx::Result<Vec<Breach>> {
    let mut found = listed(connection, rendered(ANY, subject)).await?;
    found.retain(|breach| RIGHTS.contains(&breach.code));
    Ok(found)
}

/// The same for a tenant's own tables, for where it is asked often: most have nothing doubtful, which a smaller query tells.
pub(crate) async fn breaches_of_new(
    connection: &mut PgConnection,
    subject: &Subject<'_>,
    binding: Binding,
) -> sqlx::Result<Vec<Breach>> {
    match screened(connection, subject).await? {
        Screen::Doubtful => breaches(connection, Rules::Own, subject, binding).await,
        Screen::Immutable => immutable::breaches(connection, Rules::Own, subject, binding).await,
        Screen::Clean => Ok(Vec::new()),
    }
}

/// What the smaller query tells.
#[derive(Debug, PartialEq, Eq)]
enum Screen {
    Clean,
    /// There is nothing but IMMUTABLE functions to look at.
    Immutable,
    Doubtful,
}

/// The texts of functions come with the answer: they are read here, by the same reader.
async fn screened(connection: &mut PgConnection, subject: &Subject<'_>) -> sqlx::Result<Screen> {
    let rows = sqlx::raw_sql(AssertSqlSafe(rendered(SCREEN, subject))).fetch_all(&mut *connection).await?;
    let mut screen = Screen::Clean;
    for row in &rows {
        let (body, is_sql): (Option<&str>, bool) = (row.try_get("body")?, row.try_get("is_sql")?);
        if row.try_get("doubtful")? || body.is_some_and(|body| bodies::read(body, is_sql, Rules::Own).is_some()) {
            return Ok(Screen::Doubtful);
        }
        if row.try_get("immutable")? {
            screen = Screen::Immutable;
        }
    }
    Ok(screen)
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
    breach_of(row.try_get("code")?, row.try_get("object")?, row.try_get("detail")?, row.try_get("correction")?)
}

/// A code that nobody knows is an error: what it stands for must not pass as something else.
fn breach_of(code: &str, object: String, detail: Option<String>, correction: String) -> sqlx::Result<Breach> {
    let (code, reason) =
        reasons::of(code).ok_or_else(|| sqlx::Error::Protocol(format!("the rules have no reason for `{code}`")))?;
    let reason = match detail.filter(|detail| !detail.is_empty()) {
        Some(detail) => format!("{reason} ({detail})"),
        None => reason.to_owned(),
    };
    Ok(Breach { code, object, reason, correction })
}

/// Fills in the names. An [`Ident`] needs no quotes, neither as a name nor as a text; the rest are our own constants.
fn rendered(sql: &str, Subject { schema, owner, role }: &Subject<'_>) -> String {
    let literal = |text: &str| text.replace('\'', "''");
    sql.replace("{bad}", &words::rendered(BAD))
        .replace("{computed}", COMPUTED)
        .replace("{owns_nothing}", OWNS_NOTHING)
        .replace("{routine}", ROUTINE)
        .replace("{kept_as_text}", KEPT_AS_TEXT)
        .replace("{policies}", POLICIES)
        .replace("{free_settings}", &settings::free_in_functions())
        .replace("{noise}", &literal(NOISE))
        .replace("{printed_first}", &literal(PRINTED_FIRST))
        .replace("{hidden_first}", &literal(HIDDEN_FIRST))
        .replace("{hides}", &literal(HIDES))
        .replace("{printed}", &literal(PRINTED))
        .replace("{isolation}", &literal(ISOLATION))
        .replace("{first_policy}", FIRST_POLICY)
        .replace("{policy}", POLICY)
        .replace("{former_policy}", FORMER_POLICY)
        .replace("{schema}", schema.as_str())
        .replace("{owner}", owner.as_str())
        .replace("{role}", role.as_str())
}
