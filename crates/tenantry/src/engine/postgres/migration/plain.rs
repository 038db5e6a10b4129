//! Files that run outside of a transaction.

use sqlx::{AssertSqlSafe, Executor, postgres::PgConnection};
use tenantry_sql::postgres::{lex, statements::Statement};

use super::{
    allowed::{needs_no_transaction, statements_of},
    fault::at,
    file::{LEFT, run},
    prelude, require_there,
    verify::secure,
};
use crate::{
    engine::{
        Script, ScriptKind,
        postgres::{
            administration::{
                layout, ledger,
                locks::{keep_apart, lock},
                site::{Site, SiteKind},
            },
            names::{Names, quoted},
            session::{scope::path, transaction},
        },
    },
    error::Result,
};

/// How long what runs outside of a transaction waits: it cannot be tried again, and waits for old transactions too.
const PLAIN_LOCK_TIMEOUT: &str = "60s";

/// `-- no-transaction`: a crash between the statements and the ledger row runs the file again, so it must bear that.
pub(super) async fn apply_plain(slot: &mut PgConnection, names: &Names, site: &Site, script: &Script) -> Result<()> {
    let applied = match lock(slot, &site.target, "pg_try_advisory_lock").await {
        Ok(()) => plain(slot, names, site, script).await,
        Err(error) => Err(error),
    };
    // Whatever came of it: it may be tried again, and the lock keeps everybody out until the server has ended the session.
    slot.execute(AssertSqlSafe(format!("RESET ROLE; {LEFT}"))).await?;
    slot.execute("SELECT pg_advisory_unlock_all()").await?;
    applied
}

async fn plain(slot: &mut PgConnection, names: &Names, site: &Site, script: &Script) -> Result<()> {
    require_there(slot, site).await?;
    keep_apart(slot, site, "").await?;
    if !ledger::missing(slot).await?.contains(&script.version) {
        return Ok(());
    }
    if script.kind == ScriptKind::Data {
        return Err(at(script, 1, "a data file runs in a transaction".into()).help("take `-- no-transaction` away"));
    }
    let statements = statements_of(site, script)?;
    if let Some(other) = statements.iter().find(|s| !needs_no_transaction(s)) {
        return Err(at(script, other.line, "this statement could not be taken back if it were unsafe".into()).help(
            "in a file with `-- no-transaction` write CREATE, DROP or REINDEX INDEX CONCURRENTLY and ALTER TYPE ... ADD \
             VALUE only; the rest belongs into a file of its own",
        ));
    }
    if let Some(open) = statements.iter().find(|s| site.kind == SiteKind::Rows && is_not_led(s)) {
        // It would hold for all tenants from the moment that it is there.
        return Err(at(script, open.line, "a unique index has to be led by tenant_id".into())
            .help("write: CREATE UNIQUE INDEX CONCURRENTLY name ON table (tenant_id, ...)"));
    }
    layout::require_new(slot, names, site, script).await?;
    let settings = format!(
        "SET lock_timeout = '{PLAIN_LOCK_TIMEOUT}'; SET search_path = pg_catalog, pg_temp; SET row_security = off; SET ROLE {}",
        quoted(&site.owner(names))
    );
    slot.execute(AssertSqlSafe(settings)).await?;
    prelude::drop_invalid_indexes(slot, &site.schema, script.sql.as_str()).await?;
    let before = indexes(slot, &site.schema).await?;
    let done = build(slot, names, site, script, &statements).await;
    let Err(error) = done else { return Ok(()) };
    // What was made is there, and nobody has found it safe.
    match take_back(slot, names, site, &before).await {
        Ok(()) => Err(error),
        Err(left) => Err(at(script, 1, format!("an index that the file has made could not be taken away ({left})"))
            .caused_by(error)
            .help(
                "`tenantry doctor` names it if it is unsafe; run `tenantry migrate up --retry-failed` once it is gone",
            )),
    }
}

async fn build(
    slot: &mut PgConnection,
    names: &Names,
    site: &Site,
    script: &Script,
    statements: &[Statement<'_>],
) -> Result<()> {
    slot.execute(AssertSqlSafe(format!("SET search_path = {}", path(&site.schema)))).await?;
    for statement in statements {
        run(slot, script, statement).await?;
    }
    slot.execute(AssertSqlSafe(format!("RESET ROLE; {LEFT}"))).await?;
    slot.execute("BEGIN").await?;
    let secured = async {
        secure(slot, names, site, &[script]).await?;
        ledger::applied_by_slot(slot, script.version).await
    }
    .await;
    transaction::end(slot, secured).await
}

async fn take_back(slot: &mut PgConnection, names: &Names, site: &Site, before: &[String]) -> Result<()> {
    slot.execute(AssertSqlSafe(format!("RESET ROLE; {LEFT}"))).await?;
    for index in indexes(slot, &site.schema).await?.iter().filter(|index| !before.contains(index)) {
        let text = format!("SET ROLE {}; DROP INDEX IF EXISTS {index}; RESET ROLE", quoted(&site.owner(names)));
        slot.execute(AssertSqlSafe(text)).await?;
    }
    Ok(())
}

/// `CREATE UNIQUE INDEX` whose first column is not the tenant's.
fn is_not_led(statement: &Statement<'_>) -> bool {
    let tokens: Vec<_> = lex::Lexer::new(statement.text).flatten().collect();
    let is_unique = tokens.len() > 2 && tokens[0].is("create") && tokens[1].is("unique");
    let on = tokens.iter().position(|token| token.is("on")).unwrap_or(tokens.len());
    let mut columns = tokens.get(on..).unwrap_or_default().iter().skip_while(|token| !token.is_mark("(")).skip(1);
    let is_tenant = columns.next().and_then(lex::Token::name).as_deref() == Some("tenant_id");
    // A function may have that name too.
    let is_column = columns
        .next()
        .is_some_and(|next| [",", ")"].iter().any(|mark| next.is_mark(mark)) || next.is_any(&["asc", "desc", "nulls"]));
    is_unique && !(is_tenant && is_column)
}

/// The indexes of a schema, by names that can be written.
async fn indexes(slot: &mut PgConnection, schema: &str) -> Result<Vec<String>> {
    let query = "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c
                   JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind IN ('i', 'I')";
    Ok(sqlx::query_scalar(query).bind(schema).fetch_all(slot).await?)
}
