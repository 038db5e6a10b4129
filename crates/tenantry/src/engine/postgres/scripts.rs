//! Applying files of migrations: statement by statement, as the owner of the tables, and verified before the commit.

use sqlx::{AssertSqlSafe, Executor, Row as _, postgres::PgConnection};

use super::{
    connect::Door,
    extend, layout, ledger, link,
    names::{Names, literal, quoted},
    prelude,
    rules::{self, Breach, Rules},
    scope::path,
    server,
    site::{Site, SiteKind},
    slots,
    statements::{self, Statement},
    text,
    tries::Tries,
};
use crate::{
    engine::{Patience, Script, ScriptKind},
    error::{Error, ErrorKind, Result},
};

/// How long a change waits for a lock before it lets others pass: who comes behind it waits for no longer than this.
pub(super) const LOCK_TIMEOUT: &str = "300ms";

/// How long a change of data waits for a lock: nobody comes behind it, and it would begin all over again.
pub(super) const DATA_LOCK_TIMEOUT: &str = "10s";

/// How long what runs outside of a transaction waits: it cannot be tried again, and waits for old transactions too.
const PLAIN_LOCK_TIMEOUT: &str = "60s";

/// Applies one file and writes it down, in one transaction unless it asks for none. Applied already: nothing.
pub(super) async fn apply(door: &Door, site: &Site, script: &Script) -> Result<()> {
    apply_with(door, site, script, Patience::Long).await
}

pub(super) async fn apply_with(door: &Door, site: &Site, script: &Script, patience: Patience) -> Result<()> {
    if site.kind == SiteKind::Shared && extend::is_of_extensions(script) {
        return extend::apply(door, site, script, patience).await;
    }
    let role = match script.kind {
        ScriptKind::Schema => site.owner(&door.names),
        ScriptKind::Data => site.role.clone(),
    };
    let mut slot = slots::open(door, site, &role, &[script]).await?;
    let connection = &mut slot.connection;
    let tries = Tries::begin();
    let applied = loop {
        let tried = if script.no_transaction {
            apply_plain(connection, &door.names, site, script).await
        } else {
            apply_in_tx(connection, &door.names, site, &[script], &[], patience).await
        };
        match tried {
            Err(error) if patience == Patience::Long && tries.again(&error).await => {}
            done => break done,
        }
    };
    slot.close().await;
    applied
}

/// Applies files of the schema in one transaction, and writes down `counted` without running them.
pub(super) async fn apply_together(door: &Door, site: &Site, files: &[&Script], counted: &[&Script]) -> Result<()> {
    let all: Vec<&Script> = files.iter().chain(counted).copied().collect();
    if all.is_empty() {
        return Ok(());
    }
    let mut slot = slots::open(door, site, &site.owner(&door.names), &all).await?;
    let applied = apply_in_tx(&mut slot.connection, &door.names, site, files, counted, Patience::None).await;
    slot.close().await;
    applied
}

async fn apply_in_tx(
    slot: &mut PgConnection,
    names: &Names,
    site: &Site,
    files: &[&Script],
    counted: &[&Script],
    patience: Patience,
) -> Result<()> {
    let lock_timeout = match (files, patience) {
        ([script], Patience::Long) if script.kind == ScriptKind::Data => DATA_LOCK_TIMEOUT,
        _ => LOCK_TIMEOUT,
    };
    // What is read after the lock was taken must be what its last holder has left.
    let begin = format!("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '{lock_timeout}'");
    slot.execute(AssertSqlSafe(begin)).await?;
    let applied = async {
        lock(slot, &site.target, "pg_try_advisory_xact_lock").await?;
        require_there(slot, site).await?;
        in_tx(slot, names, site, files, counted).await
    }
    .await;
    slot.execute(if applied.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    applied
}

/// The files in the transaction that is open, under the lock of its target.
async fn in_tx(
    slot: &mut PgConnection,
    names: &Names,
    site: &Site,
    files: &[&Script],
    counted: &[&Script],
) -> Result<()> {
    let missing = ledger::missing(slot).await?;
    if missing.contains(&ledger::GONE) {
        return Err(no_place(site));
    }
    let is_missing = |script: &&&Script| missing.contains(&script.version);
    let (mut done, mut changed) = (Vec::new(), Vec::new());
    for script in files.iter().filter(is_missing) {
        match script.kind {
            ScriptKind::Schema => {
                run_schema(slot, names, site, script).await?;
                changed.push(*script);
            }
            ScriptKind::Data => run_data(slot, site, script).await?,
        }
        done.push(*script);
    }
    if !changed.is_empty() {
        secure(slot, names, site, &changed).await?;
    }
    for script in done.iter().chain(counted.iter().filter(is_missing)) {
        ledger::applied_by_slot(slot, script.version).await?;
    }
    Ok(())
}

/// Two runners never work on one target. A lock is tried for and never waited for: CREATE INDEX CONCURRENTLY waits for
/// everybody who waits.
pub(super) async fn lock(connection: &mut PgConnection, target: &str, how: &str) -> Result<()> {
    let text = format!("SELECT {how}(hashtextextended('tenantry ' || current_database() || $1, 0))");
    let got: bool = sqlx::query_scalar(AssertSqlSafe(text)).bind(target).fetch_one(connection).await?;
    if got {
        return Ok(());
    }
    Err(Error::new(ErrorKind::OperationRunning, format!("another process migrates `{target}`")))
}

/// A purge takes the same lock: under it the tenant is there to the end, or is not there any more. What needs no table
/// would otherwise be written down for one that is gone.
async fn require_there(slot: &mut PgConnection, site: &Site) -> Result<()> {
    let query = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)";
    if sqlx::query_scalar(query).bind(&site.schema).fetch_one(slot).await? {
        return Ok(());
    }
    match site.kind {
        SiteKind::Schema => Err(no_place(site)),
        SiteKind::Rows | SiteKind::Shared | SiteKind::Database => Err(layout::is_gone(&site.schema)),
    }
}

fn no_place(site: &Site) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no place `{}` any more", site.target))
        .help("`tenantry tenant list` shows who is there, `tenantry doctor` what is amiss")
}

async fn run_schema(slot: &mut PgConnection, names: &Names, site: &Site, script: &Script) -> Result<()> {
    let statements = statements_of(site, script)?;
    layout::require_new(slot, names, site, script).await?;
    let settings = format!(
        "SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; SET LOCAL search_path = {}; SET LOCAL row_security = off; \
         SET LOCAL ROLE {}",
        path(&site.schema),
        quoted(&site.owner(names))
    );
    slot.execute(AssertSqlSafe(settings)).await?;
    if site.kind == SiteKind::Rows && may_check_rows(script) {
        // Under FORCE the owner sees no row, and would call a violated key valid.
        let all = statements.iter().any(runs_code);
        prelude::unforce(slot, &site.schema, script.sql.as_str(), all).await?;
    }
    let (known, before) = if site.kind == SiteKind::Shared {
        (Vec::new(), 0)
    } else {
        let known = relations(slot, &site.schema).await?;
        let before = rows_changed_in(slot, &known).await?;
        (known, before)
    };
    for statement in &statements {
        if site.kind == SiteKind::Rows && makes_routine(statement) {
            // Its body is looked at as if it were run, which reads nothing.
            slot.execute("SET LOCAL row_security = on").await?;
            run(slot, script, statement).await?;
            slot.execute("SET LOCAL row_security = off").await?;
        } else if site.kind != SiteKind::Shared && runs_code(statement) {
            let before = rows_changed(slot, &site.schema).await?;
            run(slot, script, statement).await?;
            if rows_changed(slot, &site.schema).await? != before {
                return Err(changes_rows(script, statement));
            }
        } else {
            run(slot, script, statement).await?;
        }
    }
    // A default, a constraint or a query of what is made may call a function that changes what was there.
    if site.kind != SiteKind::Shared && rows_changed_in(slot, &known).await? != before {
        return Err(at(script, 1, "a file of the schema changes no data".into())
            .help("move what changes rows to a file of its own that ends in `.data.sql`: it runs once per tenant"));
    }
    leave(slot, script).await
}

/// The relations of a schema as they are before a file.
async fn relations(slot: &mut PgConnection, schema: &str) -> Result<Vec<i64>> {
    let query =
        "SELECT c.oid::bigint FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = $1 AND c.relkind IN ('r', 'p')";
    Ok(sqlx::query_scalar(query).bind(schema).fetch_all(slot).await?)
}

/// How many of their rows this transaction has changed, as [`rows_changed`] counts.
async fn rows_changed_in(slot: &mut PgConnection, relations: &[i64]) -> Result<i64> {
    let ids: Vec<String> = relations.iter().map(ToString::to_string).collect();
    let text = format!(
        "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_catalog.pg_stat_xact_all_tables
          WHERE relid = ANY ('{{{}}}'::pg_catalog.oid[])",
        ids.join(",")
    );
    let row = slot.fetch_one(sqlx::raw_sql(AssertSqlSafe(text))).await?;
    Ok(row.try_get(0)?)
}

/// What a file has deferred runs with its rights and not with those of what comes after it, and what it has set ends with
/// it.
async fn leave(slot: &mut PgConnection, script: &Script) -> Result<()> {
    let end = "SET CONSTRAINTS ALL IMMEDIATE";
    let ended = slot.execute(end).await;
    ended.map_err(|cause| at(script, 1, "what the file has deferred fails".into()).caused_by(cause))?;
    slot.execute(AssertSqlSafe(format!("RESET ROLE; {LEFT}; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))).await?;
    Ok(())
}

/// By other settings the server would read the engine's own texts in another way, or print expressions otherwise.
const LEFT: &str = "RESET ALL; SET standard_conforming_strings = on; SET quote_all_identifiers = off";

/// How many rows of a schema's tables this transaction has changed, as the server counts. Of a block or a function the words do
/// not tell: without a scope and without walls it would change those of all tenants.
async fn rows_changed(connection: &mut PgConnection, schema: &str) -> Result<i64> {
    let text = format!(
        "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_catalog.pg_stat_xact_all_tables
          WHERE schemaname = {}",
        literal(schema)
    );
    let row = connection.fetch_one(sqlx::raw_sql(AssertSqlSafe(text))).await?;
    Ok(row.try_get(0)?)
}

fn changes_rows(script: &Script, statement: &Statement<'_>) -> Error {
    at(script, statement.line, "a file of the schema changes no data".into())
        .help("move the statement to a file of its own that ends in `.data.sql`: it runs once per tenant")
}

/// Changes of data run once per tenant, with no more rights than its requests have.
async fn run_data(slot: &mut PgConnection, site: &Site, script: &Script) -> Result<()> {
    let Some(tenant) = &site.tenant else {
        return Err(Error::new(ErrorKind::Internal, "a data file is run for no tenant"));
    };
    let settings = format!(
        "SET LOCAL search_path = {}; SET LOCAL tenantry.tenant = '{tenant}'; SET LOCAL ROLE {}",
        path(&site.schema),
        quoted(&site.role)
    );
    slot.execute(AssertSqlSafe(settings)).await?;
    for statement in statements::split(script.sql.as_str())? {
        require_allowed(script, &statement)?;
        run(slot, script, &statement).await?;
    }
    leave(slot, script).await
}

fn statements_of<'s>(site: &Site, script: &'s Script) -> Result<Vec<Statement<'s>>> {
    let statements = statements::split(script.sql.as_str()).map_err(|e| at(script, 1, e.to_string()))?;
    for statement in &statements {
        require_allowed(script, statement)?;
        if extend::is_of_extension(statement) {
            return Err(at(script, statement.line, "CREATE EXTENSION belongs to the shared tables".into())
                .help("move the statement to a file of its own in migrations/shared"));
        }
        if site.kind != SiteKind::Shared && changes_data(statement) {
            return Err(changes_rows(script, statement));
        }
    }
    Ok(statements)
}

/// What would end the transaction or leave the scope is refused in a migration as it is in a request, and so is the
/// function by which SET is said without its word.
pub(super) fn require_allowed(script: &Script, statement: &Statement<'_>) -> Result<()> {
    let tokens: Vec<_> = super::lex::Lexer::new(statement.text).flatten().collect();
    let sets = |two: &[super::lex::Token<'_>]| two[0].name().as_deref() == Some("set_config") && two[1].is_mark("(");
    if tokens.windows(2).any(sets) {
        return Err(at(script, statement.line, "`set_config` cannot be called in a file".into())
            .help("a file is run with the settings of its target: leave the statement out"));
    }
    text::read(statement.text).map(drop).map_err(|refused| {
        let help = refused.help_text().unwrap_or_default().to_owned();
        at(script, statement.line, refused.to_string()).help(help)
    })
}

fn first_words(statement: &Statement<'_>) -> Vec<String> {
    let tokens = super::lex::Lexer::new(statement.text).take(4).flatten();
    tokens.map(|token| token.text.to_ascii_lowercase()).collect()
}

fn makes_routine(statement: &Statement<'_>) -> bool {
    let words = first_words(statement);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    matches!(
        words[..],
        ["create", "function" | "procedure", ..] | ["create", "or", "replace", "function" | "procedure"]
    )
}

fn changes_data(statement: &Statement<'_>) -> bool {
    let words = first_words(statement);
    let verb = words.first().map_or("", String::as_str);
    matches!(
        verb,
        "insert" | "update" | "delete" | "merge" | "with" | "truncate" | "explain" | "values" | "table" | "("
    )
}

/// Whether the server may have to look at rows that are there.
fn may_check_rows(script: &Script) -> bool {
    let mut words = super::lex::Lexer::new(script.sql.as_str()).flatten();
    words.any(|token| token.is_any(&["alter", "attach", "call", "do", "references", "select", "validate"]))
}

/// Whether a statement does what its words do not say.
fn runs_code(statement: &Statement<'_>) -> bool {
    let words = first_words(statement);
    matches!(words.first().map(String::as_str), Some("do" | "call" | "select"))
}

pub(super) async fn run(connection: &mut PgConnection, script: &Script, statement: &Statement<'_>) -> Result<()> {
    let words = link::own(statement.text.to_owned());
    let done = connection.execute(sqlx::raw_sql(words)).await;
    done.map(drop).map_err(|cause| refused_by_server(script, statement, cause))
}

fn refused_by_server(script: &Script, statement: &Statement<'_>, cause: sqlx::Error) -> Error {
    let server = cause.as_database_error().and_then(|e| e.try_downcast_ref::<sqlx::postgres::PgDatabaseError>());
    let reads_rows = server.is_some_and(|e| e.code() == "42501" && e.message().contains("row-level security"));
    if server.is_some_and(|e| e.code() == "55P03") {
        return at(script, statement.line, "somebody holds a lock that the statement needs".into())
            .caused_by(cause)
            .help("end the oldest transaction in pg_stat_activity and run `tenantry migrate up --retry-failed`");
    }
    let hint = server.and_then(|e| e.hint()).map(str::to_owned);
    if reads_rows {
        // The server's own advice would take the wall down.
        return at(script, statement.line, "the statement would read or store rows of all tenants".into())
            .caused_by(cause)
            .help(
                "change data in a file that ends in `.data.sql`; write no materialized view and no CREATE TABLE AS over \
                 tenant tables: what they store has no wall",
            );
    }
    if server.is_some_and(|e| e.code() == "42501" && e.message().contains("for language")) {
        return at(script, statement.line, "a data file runs no block behind a closed wall".into())
            .caused_by(cause)
            .help("write statements, or make a function in a file of the schema and call it here with SELECT");
    }
    if server.is_some_and(|e| e.code() == "42501") {
        return at(script, statement.line, "the server refused the statement".into()).caused_by(cause).help(
            "a file may change what belongs to its own target only: the tenant's tables in migrations/tenant, the shared \
             ones in migrations/shared",
        );
    }
    let help = hint.unwrap_or_else(|| "mend the file and run `tenantry migrate up --retry-failed`".into());
    at(script, statement.line, "the server refused the statement".into()).caused_by(cause).help(help)
}

pub(super) fn at(script: &Script, line: usize, what: String) -> Error {
    Error::new(ErrorKind::Migration, format!("migration {} ({}:{line}): {what}", script.version, script.file))
}

/// Puts the walls up around what the files have made, and refuses what no wall would hold.
async fn secure(slot: &mut PgConnection, names: &Names, site: &Site, scripts: &[&Script]) -> Result<()> {
    let owner =
        format!("SET LOCAL search_path = {}; SET LOCAL ROLE {}", path(&site.schema), quoted(&site.owner(names)));
    slot.execute(AssertSqlSafe(owner)).await?;
    match site.kind {
        SiteKind::Shared => {
            slot.execute(AssertSqlSafe(server::shared_grants(names))).await?;
        }
        SiteKind::Rows => rules::protect(slot, &site.subject(names)?.as_ref(), rules::EVERYTHING).await?,
        // What is made in such a schema gets its rights by default privileges.
        SiteKind::Schema | SiteKind::Database => {}
    }
    // As the owner, who may make what the server has to parse for it.
    verify(slot, names, site, scripts).await?;
    slot.execute("RESET ROLE").await?;
    Ok(())
}

/// Refuses what is unsafe in the schema.
pub(super) async fn verify(
    connection: &mut PgConnection,
    names: &Names,
    site: &Site,
    scripts: &[&Script],
) -> Result<()> {
    let Some(rules) = site.rules() else { return Ok(()) };
    let subject = site.subject(names)?;
    let mut breaches = match rules {
        // Asked at each creation of a tenant.
        Rules::Own => rules::breaches_of_new(connection, &subject.as_ref()).await?,
        Rules::Row | Rules::Shared => rules::breaches(connection, rules, &subject.as_ref()).await?,
    };
    // A table that lacks its tenant lacks everything that hangs on it too: that is said first.
    breaches.sort_by_key(|breach| breach.code != "tenant_column");
    if breaches.is_empty() { Ok(()) } else { Err(refused(scripts, &breaches)) }
}

/// What is unsafe, each with its place and with the statement to write instead.
fn refused(scripts: &[&Script], breaches: &[Breach]) -> Error {
    let mut found = breaches.iter().map(|breach| {
        let (script, line) = place_of(scripts, &breach.object);
        let what = format!("`{}`: {}", breach.object, breach.reason);
        let error = match script {
            Some(script) => at(script, line, what),
            None => Error::new(ErrorKind::Migration, what),
        };
        (error, breach.correction.as_str())
    });
    let Some((first, correction)) = found.next() else {
        return Error::new(ErrorKind::Internal, "nothing unsafe was refused");
    };
    let mut help = format!("write: {correction}");
    for (also, correction) in found {
        help.push_str(&format!("\nand {also}; write: {correction}"));
    }
    first.help(help)
}

/// The statement that speaks of the object is most likely the one to mend.
fn place_of<'s>(scripts: &[&'s Script], object: &str) -> (Option<&'s Script>, usize) {
    let found = scripts.iter().rev().find_map(|script| Some((*script, line_of(script, object)?)));
    found.map_or((scripts.last().copied(), 1), |(script, line)| (Some(script), line))
}

fn line_of(script: &Script, object: &str) -> Option<usize> {
    let names: Vec<&str> = object.split(['.', ' ', '(', '"']).filter(|name| !name.is_empty()).collect();
    let statements = statements::split(script.sql.as_str()).ok()?;
    let says = |statement: &Statement<'_>, name: &str| {
        super::lex::Lexer::new(statement.text).flatten().any(|t| t.name().as_deref() == Some(name))
    };
    // The most special name is the last one: a constraint behind its table.
    let by_name = |name: &&str| statements.iter().rev().find(|s| says(s, name)).map(|s| s.line);
    names.iter().rev().find_map(by_name)
}

/// `-- no-transaction`: a crash between the statements and the ledger row runs the file again, so it must bear that.
async fn apply_plain(slot: &mut PgConnection, names: &Names, site: &Site, script: &Script) -> Result<()> {
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
    layout::require_new(slot, names, site, script).await?;
    let settings = format!(
        "SET lock_timeout = '{PLAIN_LOCK_TIMEOUT}'; SET search_path = {}; SET row_security = off; SET ROLE {}",
        path(&site.schema),
        quoted(&site.owner(names))
    );
    slot.execute(AssertSqlSafe(settings)).await?;
    prelude::drop_invalid_indexes(slot, &site.schema, script.sql.as_str()).await?;
    for statement in &statements {
        run(slot, script, statement).await?;
    }
    slot.execute(AssertSqlSafe(format!("RESET ROLE; {LEFT}"))).await?;
    slot.execute("BEGIN").await?;
    let secured = async {
        secure(slot, names, site, &[script]).await?;
        ledger::applied_by_slot(slot, script.version).await
    }
    .await;
    slot.execute(if secured.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    secured
}

/// What cannot run in a transaction, and cannot open anything to others.
fn needs_no_transaction(statement: &Statement<'_>) -> bool {
    let words: Vec<String> =
        super::lex::Lexer::new(statement.text).take(64).flatten().map(|t| t.text.to_ascii_lowercase()).collect();
    let begins = |start: &[&str]| words.iter().zip(start).filter(|(a, b)| a == b).count() == start.len();
    let concurrently = words.iter().take(5).any(|word| word == "concurrently");
    let index = begins(&["create", "index"])
        || begins(&["create", "unique", "index"])
        || begins(&["drop", "index"])
        || words.first().is_some_and(|word| word == "reindex");
    (index && concurrently) || (begins(&["alter", "type"]) && words.windows(2).any(|two| two == ["add", "value"]))
}
