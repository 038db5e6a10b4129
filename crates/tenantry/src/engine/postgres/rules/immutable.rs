//! Functions that are IMMUTABLE: the server folds their answer into a plan, which it may keep for the next tenant. They are
//! refused unless the server itself, having parsed the body, names nothing in it that the answer could depend on.
//!
//! A body that is kept as a text is parsed anew with each call, and may find other functions then: one that somebody has made
//! since, and whose arguments fit better. So what a file has made gets the same body in the form that is parsed once.

use sqlx::{
    AssertSqlSafe, Row as _,
    postgres::{PgConnection, PgRow},
};
use tenantry_sql::postgres::statements;

use super::{Binding, Breach, Rules, Subject, breach_of, rendered};

const IMMUTABLE: &str = include_str!("immutable.sql");
const READS: &str = include_str!("reads.sql");
pub(super) const CODE: &str = "immutable_reads";
pub(crate) const UNBOUND: &str = "immutable_unbound";

struct Function {
    oid: String,
    name: String,
    language: String,
    is_atomic: bool,
    body: String,
    /// As the server would write it down.
    definition: String,
    path: Option<String>,
    /// Of the schema that is looked at, and not of the shared one beside it.
    is_own: bool,
}

pub(super) async fn breaches(
    connection: &mut PgConnection,
    rules: Rules,
    subject: &Subject<'_>,
    binding: Binding,
) -> sqlx::Result<Vec<Breach>> {
    // Where tables are in common, functions of the shared schema find them too.
    let schemas = if rules == Rules::Row { "{{schema},shared}" } else { "{{schema}}" };
    let sql = rendered(&IMMUTABLE.replace("{schemas}", schemas), subject);
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut *connection).await?;
    let mut found = Vec::new();
    for row in rows {
        found.extend(breaches_of(connection, subject, &function(&row)?, binding).await?);
    }
    Ok(found)
}

/// Whether the tables that tenants have in common may have to do with an IMMUTABLE function that is not bound: planning a query
/// of them would run whatever it finds, with the rights of whoever asks.
pub(crate) async fn has_unbound(connection: &mut PgConnection) -> sqlx::Result<bool> {
    let query = "SELECT EXISTS (
        SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
          JOIN pg_catalog.pg_language l ON l.oid = p.prolang
         WHERE n.nspname IN ('tenant', 'shared') AND p.provolatile = 'i' AND p.prokind = 'f' AND p.prosqlbody IS NULL
           AND l.lanname NOT IN ('internal', 'c')
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                            WHERE e.classid = 'pg_catalog.pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e'))";
    sqlx::query_scalar(query).fetch_one(connection).await
}

fn function(row: &PgRow) -> sqlx::Result<Function> {
    Ok(Function {
        oid: row.try_get("oid")?,
        name: row.try_get("name")?,
        language: row.try_get("language")?,
        is_atomic: row.try_get("atomic")?,
        body: row.try_get("body")?,
        definition: row.try_get("definition")?,
        path: row.try_get("path")?,
        is_own: row.try_get("own")?,
    })
}

async fn breaches_of(
    connection: &mut PgConnection,
    subject: &Subject<'_>,
    function: &Function,
    binding: Binding,
) -> sqlx::Result<Vec<Breach>> {
    let reads = |what: String| {
        breach_of(CODE, function.name.clone(), Some(what), format!("ALTER ROUTINE {} STABLE", function.name))
    };
    if function.language != "sql" {
        return Ok(vec![reads(format!("in {} nobody can tell; declare it STABLE", function.language))?]);
    }
    if !function.is_atomic {
        let Some(bound) = bound(function) else { return Ok(vec![reads("its body cannot be read ahead".into())?]) };
        if binding == Binding::Look {
            return Ok(vec![breach_of(UNBOUND, function.name.clone(), None, bound)?]);
        }
        if !function.is_own {
            let correction = format!("in a file of migrations/shared: {bound}");
            return Ok(vec![breach_of(UNBOUND, function.name.clone(), None, correction)?]);
        }
        if let Some(refused) = bind(connection, subject, function, bound).await? {
            return Ok(vec![reads(format!("the server cannot read its body ahead: {refused}"))?]);
        }
    }
    let sql = rendered(&READS.replace("{oid}", &function.oid), subject);
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await?;
    rows.iter().map(|row| reads(row.try_get("what")?)).collect()
}

/// The same function with a body that the server parses when it is made.
fn bound(function: &Function) -> Option<String> {
    let Function { definition, body, .. } = function;
    let whole = definition.trim_end();
    // `AS $function$...$function$`, with a tag that is not in the body.
    let tag = &whole[whole.strip_suffix('$')?.rfind('$')?..];
    let header = whole.strip_suffix(&format!("AS {tag}{body}{tag}"))?;
    let text = format!("{header}BEGIN ATOMIC {body}\n; END");
    // An `END` of the body's own would close it, and what follows would run.
    let is_one = matches!(statements::split(&text).ok()?[..], [only] if only.text.len() == text.len());
    is_one.then_some(text)
}

/// The search path by which its body is read, as names that need no quotes: whatever the catalog has is no SQL of ours.
fn path(subject: &Subject<'_>, function: &Function) -> Option<String> {
    let known = [subject.schema.as_str(), "shared", "tenantry", "pg_catalog", "pg_temp"];
    let Some(path) = &function.path else { return Some(format!("{}, shared, pg_temp", subject.schema.as_str())) };
    let names = path.split(',').map(|name| name.trim().trim_matches('"')).filter(|name| !name.is_empty());
    let names: Option<Vec<&str>> = names.map(|name| known.into_iter().find(|known| *known == name)).collect();
    names.map(|names| if names.is_empty() { "''".to_owned() } else { names.join(", ") })
}

/// What the server says against it.
async fn bind(
    connection: &mut PgConnection,
    subject: &Subject<'_>,
    function: &Function,
    bound: String,
) -> sqlx::Result<Option<String>> {
    let Some(path) = path(subject, function) else {
        return Ok(Some("its search path has other schemas than the tenant's and the shared one".into()));
    };
    run(connection, "SAVEPOINT tenantry_bound").await?;
    let done = async {
        run(connection, &format!("SET LOCAL search_path = {path}")).await?;
        // As a prepared statement, in which the server accepts no second one.
        sqlx::query(AssertSqlSafe(bound)).persistent(false).execute(&mut *connection).await?;
        run(connection, "SET LOCAL search_path = pg_catalog, pg_temp").await
    }
    .await;
    let refused = match done {
        Ok(()) => None,
        Err(sqlx::Error::Database(refused)) => {
            run(connection, "ROLLBACK TO SAVEPOINT tenantry_bound").await?;
            Some(refused.to_string())
        }
        Err(broken) => return Err(broken),
    };
    run(connection, "RELEASE SAVEPOINT tenantry_bound").await?;
    Ok(refused)
}

async fn run(connection: &mut PgConnection, text: &str) -> sqlx::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(connection).await.map(drop)
}
