//! Functions that are IMMUTABLE: the server folds their answer into a plan, which it may keep for the next tenant. They are
//! refused unless the server itself, having parsed the body, names nothing in it that the answer could depend on.

use sqlx::{
    AssertSqlSafe, Row as _,
    postgres::{PgConnection, PgRow},
};

use super::{Breach, Rules, Subject, breach_of, rendered};
use crate::{engine::postgres::statements, id::TenantId};

const IMMUTABLE: &str = include_str!("immutable.sql");
const READS: &str = include_str!("reads.sql");
pub(super) const CODE: &str = "immutable_reads";

struct Function {
    oid: String,
    name: String,
    language: String,
    is_atomic: bool,
    body: String,
    arguments: String,
    result: String,
    path: Option<String>,
    /// A schema in which this role may make the twin.
    home: Option<String>,
}

pub(super) async fn breaches(
    connection: &mut PgConnection,
    rules: Rules,
    subject: &Subject<'_>,
) -> sqlx::Result<Vec<Breach>> {
    // Where tables are in common, functions of the shared schema find them too.
    let schemas = if rules == Rules::Row { "{{schema},shared}" } else { "{{schema}}" };
    let sql = rendered(&IMMUTABLE.replace("{schemas}", schemas), subject);
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut *connection).await?;
    let mut found = Vec::new();
    for row in rows {
        let function = function(&row)?;
        for what in reads(connection, subject, &function).await? {
            let correction = format!("ALTER ROUTINE {} STABLE", function.name);
            found.push(breach_of(CODE, function.name.clone(), Some(what), correction)?);
        }
    }
    Ok(found)
}

fn function(row: &PgRow) -> sqlx::Result<Function> {
    Ok(Function {
        oid: row.try_get("oid")?,
        name: row.try_get("name")?,
        language: row.try_get("language")?,
        is_atomic: row.try_get("atomic")?,
        body: row.try_get("body")?,
        arguments: row.try_get("arguments")?,
        result: row.try_get("result")?,
        path: row.try_get("path")?,
        home: row.try_get("home")?,
    })
}

/// What its answer may depend on beside its arguments.
async fn reads(connection: &mut PgConnection, subject: &Subject<'_>, function: &Function) -> sqlx::Result<Vec<String>> {
    if function.language != "sql" {
        return Ok(vec![format!("in {} nobody can tell; declare it STABLE", function.language)]);
    }
    if function.is_atomic {
        return parsed(connection, subject, &function.oid).await;
    }
    let Some((name, twin)) = twin(function) else { return Ok(vec!["its body cannot be read ahead".into()]) };
    run(connection, "SAVEPOINT tenantry_twin").await?;
    let read = async {
        let path = function.path.clone().unwrap_or_else(|| format!("{}, shared, pg_temp", subject.schema.as_str()));
        run(connection, &format!("SET LOCAL search_path = {path}")).await?;
        // As a prepared statement, in which the server accepts no second one.
        sqlx::query(AssertSqlSafe(twin)).persistent(false).execute(&mut *connection).await?;
        parsed(connection, subject, &format!("'{name}'::regproc")).await
    }
    .await;
    let refused = match read {
        Err(sqlx::Error::Database(refused)) => vec![format!("the server cannot read its body ahead: {refused}")],
        read => read?,
    };
    run(connection, "ROLLBACK TO SAVEPOINT tenantry_twin; RELEASE SAVEPOINT tenantry_twin").await?;
    Ok(refused)
}

/// The same function with a body that the server parses when it is made, and its name: there for as long as it is read.
fn twin(function: &Function) -> Option<(String, String)> {
    // No process waits for another's.
    let name = format!("{}.twin_{}", function.home.as_ref()?, TenantId::new().as_uuid().as_simple());
    let Function { arguments, result, body, .. } = function;
    let text = format!("CREATE FUNCTION {name}({arguments}) RETURNS {result} LANGUAGE sql BEGIN ATOMIC {body}\n; END");
    // An `END` of the body's own would close it, and what follows would run.
    let is_one = matches!(statements::split(&text).ok()?[..], [only] if only.text.len() == text.len());
    is_one.then_some((name, text))
}

async fn parsed(connection: &mut PgConnection, subject: &Subject<'_>, oid: &str) -> sqlx::Result<Vec<String>> {
    let sql = rendered(&READS.replace("{oid}", oid), subject);
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await?;
    rows.iter().map(|row| row.try_get("what")).collect()
}

async fn run(connection: &mut PgConnection, text: &str) -> sqlx::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(connection).await.map(drop)
}
