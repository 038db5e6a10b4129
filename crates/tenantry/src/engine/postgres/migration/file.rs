//! Running the statements of one file, with the rights of its target and no others.

use sqlx::{AssertSqlSafe, Executor, Row as _, postgres::PgConnection};
use tenantry_sql::postgres::statements::{self, Statement};

use super::{
    allowed::{
        changes_rows, checks_references, is_block, makes_cast, makes_code, makes_routine, only_makes, require_allowed,
        runs_code, statements_of,
    },
    beside::require_uncalled,
    fault::at,
    standing::Standing,
    verify::require_harmless_code,
};
use crate::{
    engine::{
        RETRY, Script,
        postgres::{
            administration::{
                layout,
                locks::LOCK_TIMEOUT,
                site::{Site, SiteKind},
            },
            names::{Names, literal, quoted},
            session::{
                failure, link,
                scope::{OURS, path},
            },
        },
    },
    error::{Error, ErrorKind, Result},
};

pub(super) async fn run_schema(slot: &mut PgConnection, names: &Names, site: &Site, script: &Script) -> Result<()> {
    let statements = statements_of(site, script)?;
    layout::require_new(slot, names, site, script).await?;
    let settings = format!(
        "{OURS}; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; SET LOCAL row_security = off; SET LOCAL ROLE {}",
        quoted(&site.owner(names))
    );
    slot.execute(AssertSqlSafe(settings)).await?;
    let before = Rows::read(slot, site).await?;
    let standing = Standing::before(slot, site).await?;
    for statement in &statements {
        if site.kind == SiteKind::Shared && is_block(statement) {
            require_uncalled(slot, script, statement).await?;
        }
        run_one(slot, site, script, statement).await?;
        // A reference to a shared table runs a cast as the owner of that.
        let asks = match site.kind {
            SiteKind::Rows | SiteKind::Shared => makes_code(statement),
            SiteKind::Schema | SiteKind::Database => makes_cast(statement),
        };
        if asks {
            require_harmless_code(slot, names, site, script, statement).await?;
        }
        if let Some(standing) = &standing {
            standing.require(slot, site, script, statement).await?;
        }
    }
    leave(slot, site, script).await?;
    before.require_same(slot, site, script).await
}

/// The path of what a file says.
fn theirs(site: &Site) -> String {
    format!("SET LOCAL search_path = {}", path(&site.schema))
}

async fn run_one(slot: &mut PgConnection, site: &Site, script: &Script, statement: &Statement<'_>) -> Result<()> {
    // In tables in common behind each statement that the server may hand rows to: a table that it has filled may be dropped by
    // the next one.
    let counts = match site.kind {
        SiteKind::Rows => !only_makes(statement),
        SiteKind::Schema | SiteKind::Database => runs_code(statement),
        SiteKind::Shared => false,
    };
    let before = if counts { rows_changed(slot, &site.schema).await? } else { 0 };
    // Row security is forced, so what reads the rows of all tenants fails. The body of a routine is looked at as if it were run,
    // and reads nothing; a reference is checked as if there were no rows, and once more behind the file.
    let reads_none = site.kind == SiteKind::Rows && (makes_routine(statement) || checks_references(statement));
    let looks = if reads_none { ["on", "off"] } else { ["off"; 2] };
    slot.execute(AssertSqlSafe(format!("{}; SET LOCAL row_security = {}", theirs(site), looks[0]))).await?;
    run(slot, script, statement).await?;
    slot.execute(AssertSqlSafe(format!("{OURS}; SET LOCAL row_security = {}", looks[1]))).await?;
    if counts && rows_changed(slot, &site.schema).await? != before {
        return Err(changes_rows(script, statement));
    }
    Ok(())
}

/// How many rows were changed before a file ran: of the relations that were there, and of all.
struct Rows {
    known: Vec<i64>,
    in_known: i64,
    in_all: i64,
}

impl Rows {
    async fn read(slot: &mut PgConnection, site: &Site) -> Result<Self> {
        let known = relations(slot, &site.schema).await?;
        let (in_known, in_all) = (rows_changed_in(slot, &known).await?, rows_changed(slot, &site.schema).await?);
        Ok(Self { known, in_known, in_all })
    }

    /// A default, a constraint or a query of what is made may call a function that changes what was there.
    async fn require_same(&self, slot: &mut PgConnection, site: &Site, script: &Script) -> Result<()> {
        if site.kind != SiteKind::Shared && rows_changed_in(slot, &self.known).await? != self.in_known {
            return Err(at(script, 1, "a file of the schema changes no data".into()).help(
                "move what changes rows to a file of its own that ends in `.data.sql`: it runs once per tenant",
            ));
        }
        // Of tables in common that would be rows of all tenants, whoever is written down as theirs.
        if site.kind == SiteKind::Rows && rows_changed(slot, &site.schema).await? != self.in_all {
            return Err(at(script, 1, "a file of the schema stores no rows in tables that tenants have in common".into())
                .help(
                    "make the table empty, without CREATE TABLE AS, and fill it in a file of its own that ends in `.data.sql`: \
                     it runs once per tenant",
                ));
        }
        Ok(())
    }
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
async fn leave(slot: &mut PgConnection, site: &Site, script: &Script) -> Result<()> {
    slot.execute(AssertSqlSafe(theirs(site))).await?;
    // What runs then may defer something once more.
    for _ in 0..2 {
        let settled = slot.execute("SET CONSTRAINTS ALL IMMEDIATE").await;
        settled.map_err(|cause| at(script, 1, "what the file has deferred fails".into()).caused_by(cause))?;
    }
    let text = format!("RESET ROLE; {LEFT}; {OURS}; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'");
    slot.execute(AssertSqlSafe(text)).await?;
    Ok(())
}

/// A held cursor of a block would be filled at the commit, by code that nobody looks at any more. By other settings the
/// server would read the engine's own texts in another way, or print expressions otherwise.
pub(super) const LEFT: &str =
    "CLOSE ALL; RESET ALL; SET standard_conforming_strings = on; SET quote_all_identifiers = off";

/// How many rows of a schema's tables this transaction has changed, as the server counts. Of a block or a function the words do
/// not tell: without a scope and without walls it would change those of all tenants.
async fn rows_changed(connection: &mut PgConnection, schema: &str) -> Result<i64> {
    let text = format!(
        "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::bigint FROM pg_catalog.pg_stat_xact_all_tables
          WHERE schemaname = {}
            AND NOT EXISTS (SELECT FROM pg_catalog.pg_class m WHERE m.oid = relid AND m.relkind = 'm')",
        literal(schema)
    );
    let row = connection.fetch_one(sqlx::raw_sql(AssertSqlSafe(text))).await?;
    Ok(row.try_get(0)?)
}

/// Changes of data run once per tenant, with no more rights than its requests have.
pub(super) async fn run_data(slot: &mut PgConnection, site: &Site, script: &Script) -> Result<()> {
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
        if require_allowed(script, &statement)?.locks_tables && site.kind == SiteKind::Rows {
            return Err(at(script, statement.line, "`LOCK` would make all tenants wait".into())
                .help("lock rows with `SELECT ... FOR UPDATE`"));
        }
        run(slot, script, &statement).await?;
    }
    leave(slot, site, script).await
}

pub(super) async fn run(connection: &mut PgConnection, script: &Script, statement: &Statement<'_>) -> Result<()> {
    // As one that is prepared: whatever the server reads in the text, it takes one statement and no second one behind it.
    let words = sqlx::query(link::own(statement.text.to_owned())).persistent(false);
    let done = connection.execute(words).await;
    done.map(drop).map_err(|cause| refused_by_server(script, statement, cause))
}

/// The connection broke, or the server ended it, while a statement ran.
fn cut_off(script: &Script, statement: &Statement<'_>, state: Option<String>, cause: sqlx::Error) -> Error {
    let state = state.map(|state| format!(" (SQLSTATE {state})")).unwrap_or_default();
    let (stored, first) = if script.no_transaction {
        ("it is unknown whether the statement took effect", "look whether it did, then ")
    } else {
        ("nothing of the file is stored", "")
    };
    at(script, statement.line, format!("the connection ended while the statement ran{state}; {stored}"))
        .caused_by(cause)
        .help(format!("{first}{RETRY}"))
}

fn refused_by_server(script: &Script, statement: &Statement<'_>, cause: sqlx::Error) -> Error {
    let server = cause.as_database_error().and_then(|e| e.try_downcast_ref::<sqlx::postgres::PgDatabaseError>());
    let reads_rows = server.is_some_and(|e| e.code() == "42501" && e.message().contains("row-level security"));
    if server.is_some_and(|e| e.code() == "55P03") {
        return at(script, statement.line, "somebody holds a lock that the statement needs".into())
            .caused_by(cause)
            .help(format!("end the oldest transaction in pg_stat_activity and {RETRY}"));
    }
    let state = server.map(|e| e.code().to_owned());
    if state.as_deref().map_or(!matches!(cause, sqlx::Error::Database(_)), failure::ends_the_connection) {
        return cut_off(script, statement, state, cause);
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
    let help = hint.unwrap_or_else(|| format!("fix the file and {RETRY}"));
    at(script, statement.line, "the server refused the statement".into()).caused_by(cause).help(help)
}
