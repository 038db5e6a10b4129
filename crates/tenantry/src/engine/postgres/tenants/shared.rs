//! The shared tables in databases that are not their home: foreign tables that read them where they are.
//!
//! They have one home per installation. `postgres_fdw` shows them, for reading, in every tenant's own database and on the
//! other servers: nothing is copied, so nothing can be stale. Extensions, enums and functions of the schema come along.

use std::collections::HashMap;

use sqlx::{
    AssertSqlSafe, Executor, Row,
    postgres::{PgConnectOptions, PgConnection, PgSslMode},
};
use tenantry_sql::postgres::lex;

use crate::{
    engine::postgres::{
        administration::{locks, rights::Rights},
        names::{SHARED, literal, quoted},
        session::{transaction, tries::Tries},
    },
    error::{Error, ErrorKind, Result},
    secret::Secret,
};

/// Where the shared tables are at home, and how another database reads them there.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    /// The administrator's way there.
    pub(crate) admin: PgConnectOptions,
    pub(crate) reader: String,
    pub(crate) password: Option<Secret>,
    /// The form of the shared tables as they are now: what it was made of changes with every file.
    pub(crate) form: String,
    /// What makes them elsewhere.
    things: Vec<Thing>,
}

/// One object of the shared schema, and the statement that makes it elsewhere.
#[derive(Clone, Debug)]
struct Thing {
    kind: Kind,
    /// A table's name, or a routine's with the types of its arguments; none of another object.
    name: Option<String>,
    /// A table's columns; of a routine what cannot be replaced.
    form: Option<String>,
    statement: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Type,
    /// A value of an enum that may be there already.
    Label,
    Table,
    Routine,
}

impl Home {
    pub(crate) fn fingerprint(&self) -> &str {
        &self.form
    }

    /// Reads what there is at home.
    pub(crate) async fn read(
        connection: &mut PgConnection,
        admin: PgConnectOptions,
        reader: String,
        password: Option<Secret>,
    ) -> Result<Self> {
        let rows = sqlx::query(AssertSqlSafe(rendered(DESCRIBE))).fetch_all(connection).await?;
        let things: Vec<Thing> = rows.iter().map(Thing::of).collect();
        let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        for thing in &things {
            digest.update(thing.statement.as_bytes());
        }
        // Where they are and who reads them there belongs to it too.
        digest.update(format!("{:?} {} {:?}", admin.get_socket(), admin.get_host(), admin.get_database()).as_bytes());
        digest.update(format!("{} {:?} {reader}", admin.get_port(), admin.get_ssl_mode()).as_bytes());
        digest.update(password.as_ref().map_or("", Secret::expose).as_bytes());
        let form = digest.finish().as_ref().iter().take(8).map(|b| format!("{b:02x}")).collect();
        Ok(Self { admin, reader, password, form, things })
    }

    /// The options by their names; each stands for a new server and for one that has moved.
    fn server_options(&self, verb: &str) -> String {
        let mut options = vec![
            ("port", self.admin.get_port().to_string()),
            ("dbname", self.admin.get_database().unwrap_or_default().to_owned()),
            // A session of a tenant holds no second connection behind its transaction.
            ("keep_connections", "off".to_owned()),
            ("updatable", "false".to_owned()),
        ];
        match self.admin.get_socket() {
            Some(socket) => options.push(("host", socket.display().to_string())),
            None => options.push(("host", self.admin.get_host().to_owned())),
        }
        options.push(("sslmode", ssl_mode(self.admin.get_ssl_mode()).to_owned()));
        let options: Vec<String> = options.iter().map(|(k, v)| format!("{verb} {k} {}", literal(v))).collect();
        options.join(", ")
    }

    fn mapping_options(&self, verb: &str, rights: &Rights) -> String {
        let password = self.password.as_ref().map(|p| format!(", {verb} password {}", literal(p.expose())));
        // A superuser vouches for the way: a server that trusts its own machine asks for no password.
        let trusted = rights.is_superuser.then(|| format!(", {verb} password_required 'false'"));
        let (user, password) = (literal(&self.reader), password.unwrap_or_default());
        format!("{verb} user {user}{password}{}", trusted.unwrap_or_default())
    }
}

impl Thing {
    fn of(row: &sqlx::postgres::PgRow) -> Self {
        let kind = match row.get("part") {
            3 => Kind::Label,
            4 => Kind::Table,
            5 => Kind::Routine,
            _ => Kind::Type,
        };
        Self { kind, name: row.get("name"), form: row.get("columns"), statement: row.get("statement") }
    }

    fn named(&self, kind: Kind) -> Option<(&str, &str)> {
        let named = self.name.as_deref().zip(self.form.as_deref());
        named.filter(|_| self.kind == kind)
    }
}

/// The columns of a table as they are declared elsewhere: a domain as the type under it, a composite as text.
const COLUMNS: &str = "(SELECT string_agg(format('%I %s', a.attname, CASE t.typtype
        WHEN 'd' THEN (
            WITH RECURSIVE under (type, modifier, is_domain, depth) AS (
                SELECT t.oid, a.atttypmod, true, 0
                UNION ALL
                SELECT b.oid, CASE WHEN u.typtypmod >= 0 THEN u.typtypmod ELSE under.modifier END, b.typtype = 'd', depth + 1
                  FROM under JOIN pg_type u ON u.oid = under.type JOIN pg_type b ON b.oid = u.typbasetype WHERE is_domain)
            SELECT format_type(type, modifier) FROM under ORDER BY depth DESC LIMIT 1)
        WHEN 'c' THEN 'text'
        ELSE format_type(a.atttypid, a.atttypmod) END), ', ' ORDER BY a.attnum)
     FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)";

/// A routine by the types of its arguments, as DROP names it.
const ROUTINE: &str =
    "format('%I(%s)', p.proname, (SELECT string_agg(format_type(a.type, NULL), ', ' ORDER BY a.number)
        FROM unnest(p.proargtypes) WITH ORDINALITY a(type, number)))";

/// What CREATE OR REPLACE cannot change.
const FORM: &str = "concat_ws(' ', p.prokind, p.pronargdefaults, pg_get_function_identity_arguments(p.oid), '->',
        pg_get_function_result(p.oid))";

fn rendered(query: &str) -> String {
    query.replace("{columns}", COLUMNS).replace("{routine}", ROUTINE).replace("{form}", FORM)
}

/// Extensions, enums, tables and functions of the shared schema with the statements that make them elsewhere, in their
/// order. Every name is quoted by the server. A body that is parsed when it is made is given as a text: it may call what is made
/// behind it, and the administrator who makes it parses nothing that files have written.
const DESCRIBE: &str = "
WITH ns AS (SELECT 'shared'::regnamespace::oid AS oid),
     extended AS (SELECT objid FROM pg_depend WHERE deptype = 'e')
SELECT 1 AS part, e.oid::bigint AS place, NULL AS name, NULL AS columns,
       format('CREATE EXTENSION IF NOT EXISTS %I SCHEMA shared', e.extname) AS statement
  FROM pg_extension e, ns WHERE e.extnamespace = ns.oid
UNION ALL
SELECT 2, t.oid::bigint, NULL, NULL,
       format('DO %L', format('BEGIN IF to_regtype(%L) IS NULL THEN CREATE TYPE shared.%I AS ENUM (%s); END IF; END',
                              format('shared.%I', t.typname), t.typname,
                              (SELECT string_agg(quote_literal(l.enumlabel), ', ' ORDER BY l.enumsortorder)
                                 FROM pg_enum l WHERE l.enumtypid = t.oid)))
  FROM pg_type t, ns WHERE t.typnamespace = ns.oid AND t.typtype = 'e' AND t.oid NOT IN (SELECT objid FROM extended)
UNION ALL
SELECT 3, 1000000 * t.oid::bigint + row_number() OVER (PARTITION BY t.oid ORDER BY l.enumsortorder), NULL, NULL,
       format('DO %L', format('BEGIN IF to_regtype(%L) IS NOT NULL THEN ALTER TYPE shared.%I ADD VALUE IF NOT EXISTS %L; END IF; END',
                              format('shared.%I', t.typname), t.typname, l.enumlabel))
  FROM pg_type t JOIN pg_enum l ON l.enumtypid = t.oid, ns
 WHERE t.typnamespace = ns.oid AND t.oid NOT IN (SELECT objid FROM extended)
UNION ALL
SELECT 4, c.oid::bigint, c.relname, {columns},
       format('CREATE FOREIGN TABLE shared.%I (%s) SERVER tenantry_home OPTIONS (schema_name %L, table_name %L)',
              c.relname, {columns}, 'shared', c.relname)
  FROM pg_class c, ns WHERE c.relnamespace = ns.oid AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
   AND c.oid NOT IN (SELECT objid FROM extended)
UNION ALL
SELECT 5, p.oid::bigint, {routine}, {form}, CASE WHEN p.prosqlbody IS NULL THEN d ELSE
         left(d, length(rtrim(d, chr(10))) - length(b)) || 'AS ' || quote_literal(
             CASE WHEN b ^@ 'RETURN ' THEN 'SELECT ' || substr(b, 8)
                  ELSE regexp_replace(regexp_replace(b, '^BEGIN ATOMIC', ''), 'END$', '') END) END
  FROM pg_proc p, ns, pg_get_functiondef(p.oid) d, pg_get_function_sqlbody(p.oid) b WHERE p.pronamespace = ns.oid AND p.prokind IN ('f', 'p') AND p.oid NOT IN (SELECT objid FROM extended)
ORDER BY 1, 2";

/// The form of the shared tables that a database shows.
pub(crate) async fn form(connection: &mut PgConnection) -> Result<Option<String>> {
    let query = "SELECT obj_description(oid, 'pg_namespace') FROM pg_namespace WHERE nspname = 'shared'";
    Ok(sqlx::query_scalar(query).fetch_optional(connection).await?.flatten())
}

/// Makes the shared tables of another database show what is at home now. May be run again. A database that is being made
/// can be made of a `base` that somebody has prepared.
pub(crate) async fn import(connection: &mut PgConnection, home: &Home, base: Option<&str>) -> Result<()> {
    if form(connection).await?.as_deref() == Some(home.fingerprint()) {
        return Ok(());
    }
    let rights = Rights::of(connection).await?;
    let tries = Tries::begin();
    loop {
        match try_import(connection, home, &rights, base).await {
            // Whoever reads a table that is shown anew is waited for as in a migration.
            Err(error) if tries.again(&error).await => {}
            done => return done,
        }
    }
}

async fn try_import(connection: &mut PgConnection, home: &Home, rights: &Rights, base: Option<&str>) -> Result<()> {
    // Nothing may use a value of an enum before the transaction that has added it is over.
    for label in home.things.iter().filter(|thing| thing.kind == Kind::Label) {
        connection.execute(AssertSqlSafe(label.statement.clone())).await?;
    }
    connection.execute(AssertSqlSafe(format!("BEGIN; SET LOCAL lock_timeout = '{}'", locks::LOCK_TIMEOUT))).await?;
    let imported = import_in_tx(connection, home, rights, base).await;
    transaction::end(connection, imported).await
}

async fn import_in_tx(connection: &mut PgConnection, home: &Home, rights: &Rights, base: Option<&str>) -> Result<()> {
    if !home.things.is_empty() {
        lead_home(connection, home, rights).await.map_err(|cause| no_fdw(cause, rights, base))?;
    }
    drop_routines(connection, home).await?;
    let mut there = tables(connection).await?;
    for thing in home.things.iter().filter(|thing| matches!(thing.kind, Kind::Type | Kind::Table)) {
        if let Some((name, columns)) = thing.named(Kind::Table) {
            match there.remove(name) {
                Some(same) if same == *columns => continue,
                Some(before) => match added(&before, columns) {
                    // A view of a tenant's may stand on it.
                    Some(added) => {
                        let text = format!("ALTER FOREIGN TABLE {SHARED}.{} {added}", quoted(name));
                        change_table(connection, name, text).await?;
                        continue;
                    }
                    None => drop_table(connection, name).await?,
                },
                None => {}
            }
        }
        connection.execute(AssertSqlSafe(thing.statement.clone())).await?;
    }
    make_routines(connection, home).await?;
    for gone in there.keys() {
        drop_table(connection, gone).await?;
    }
    try_the_way(connection, home, rights).await?;
    let mark = format!("COMMENT ON SCHEMA {SHARED} IS {}", literal(&home.form));
    connection.execute(AssertSqlSafe(mark)).await?;
    Ok(())
}

/// What adds the columns that came behind those of before; `None` if more has changed.
fn added(before: &str, now: &str) -> Option<String> {
    let rest = now.strip_prefix(before)?.strip_prefix(", ")?;
    let commas =
        lex::Lexer::new(rest).map(|token| token.ok().map(|t| (t.is_mark(",") && t.depth == 0).then_some(t.start)));
    let commas: Option<Vec<Option<usize>>> = commas.collect();
    let mut text = String::from("ADD COLUMN ");
    let mut from = 0;
    for comma in commas?.into_iter().flatten() {
        text.push_str(&rest[from..=comma]);
        text.push_str(" ADD COLUMN");
        from = comma + 1;
    }
    text.push_str(&rest[from..]);
    Some(text)
}

/// Makes the way by which foreign tables are read, or brings it to where home is now.
async fn lead_home(connection: &mut PgConnection, home: &Home, rights: &Rights) -> Result<(), sqlx::Error> {
    connection.execute("CREATE EXTENSION IF NOT EXISTS postgres_fdw SCHEMA tenantry").await?;
    let text = format!(
        "SET LOCAL search_path = pg_catalog, pg_temp;
         SET LOCAL check_function_bodies = off;
         DO $home$ BEGIN
             IF EXISTS (SELECT FROM pg_foreign_server WHERE srvname = 'tenantry_home') THEN
                 ALTER SERVER tenantry_home OPTIONS ({});
                 ALTER USER MAPPING FOR PUBLIC SERVER tenantry_home OPTIONS ({});
             ELSE
                 CREATE SERVER tenantry_home FOREIGN DATA WRAPPER postgres_fdw OPTIONS ({});
                 CREATE USER MAPPING FOR PUBLIC SERVER tenantry_home OPTIONS ({});
             END IF;
         END $home$",
        home.server_options("SET"),
        home.mapping_options("SET", rights),
        home.server_options(""),
        home.mapping_options("", rights)
    );
    connection.execute(QUIET).await?;
    connection.execute(AssertSqlSafe(text)).await?;
    Ok(())
}

/// Nobody vouches for the way of an administrator who is no superuser: whether it leads home is known now, and not when an
/// app reads.
async fn try_the_way(connection: &mut PgConnection, home: &Home, rights: &Rights) -> Result<()> {
    let table = home.things.iter().find_map(|thing| thing.named(Kind::Table));
    let Some((table, _)) = table.filter(|_| !rights.is_superuser) else { return Ok(()) };
    let read = connection.execute(AssertSqlSafe(format!("SELECT FROM shared.{} LIMIT 0", quoted(table)))).await;
    read.map(drop).map_err(|cause| {
        Error::new(ErrorKind::Unsupported, "the shared tables cannot be read from a tenant's own database")
            .caused_by(cause)
            .help(format!(
                "the database has to be reached from its own server at the address in the admin URL, and pg_hba.conf has to \
                 ask the login `{}` for its password (scram-sha-256)",
                home.reader
            ))
    })
}

/// Takes away what is not at home any more, or cannot become what it is there.
async fn drop_routines(connection: &mut PgConnection, home: &Home) -> Result<()> {
    let query = rendered(
        "SELECT {routine}, {form} FROM pg_proc p WHERE p.pronamespace = 'shared'::regnamespace AND p.prokind IN ('f', 'p')
            AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')",
    );
    let there: Vec<(String, String)> = sqlx::query_as(AssertSqlSafe(query)).fetch_all(&mut *connection).await?;
    let is_kept = |of: &(String, String)| {
        let mut routines = home.things.iter().filter_map(|thing| thing.named(Kind::Routine));
        routines.any(|known| known == (of.0.as_str(), of.1.as_str()))
    };
    let changed: Vec<String> = there.into_iter().filter(|of| !is_kept(of)).map(|(name, _)| name).collect();
    if changed.is_empty() {
        return Ok(());
    }
    // All at once: the default of one may call another.
    let all: Vec<String> = changed.iter().map(|name| format!("{SHARED}.{name}")).collect();
    let dropped = connection.execute(AssertSqlSafe(format!("DROP ROUTINE {}", all.join(", ")))).await;
    dropped.map(drop).map_err(|cause| {
        let named = changed.join("`, `");
        Error::new(
            ErrorKind::Migration,
            format!("the shared function `{named}` has changed, and something of a tenant's needs its old form"),
        )
        .caused_by(cause)
        .help("drop what calls it in a tenant migration, change the shared function, and make the other again")
    })
}

/// The default of an argument may call a routine that is made behind it.
async fn make_routines(connection: &mut PgConnection, home: &Home) -> Result<()> {
    let mut left: Vec<&Thing> = home.things.iter().filter(|thing| thing.kind == Kind::Routine).collect();
    while !left.is_empty() {
        let (before, mut missing) = (left.len(), None);
        let mut later = Vec::new();
        for thing in left {
            connection.execute("SAVEPOINT routine").await?;
            match connection.execute(AssertSqlSafe(thing.statement.clone())).await {
                Ok(_) => {
                    connection.execute("RELEASE routine").await?;
                }
                Err(error) if error.as_database_error().and_then(|e| e.code()).as_deref() == Some("42883") => {
                    connection.execute("ROLLBACK TO routine; RELEASE routine").await?;
                    later.push(thing);
                    missing = Some(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(error) = missing.filter(|_| later.len() == before) {
            return Err(error.into());
        }
        left = later;
    }
    Ok(())
}

/// The tables that are shown already, by name, with their columns.
async fn tables(connection: &mut PgConnection) -> Result<HashMap<String, String>> {
    let text = format!(
        "SELECT c.relname, {COLUMNS} FROM pg_class c WHERE c.relnamespace = 'shared'::regnamespace AND c.relkind = 'f'"
    );
    let rows = sqlx::query(AssertSqlSafe(text)).fetch_all(connection).await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

async fn drop_table(connection: &mut PgConnection, name: &str) -> Result<()> {
    change_table(connection, name, format!("DROP FOREIGN TABLE {SHARED}.{}", quoted(name))).await
}

async fn change_table(connection: &mut PgConnection, name: &str, text: String) -> Result<()> {
    connection.execute(AssertSqlSafe(text)).await.map(drop).map_err(|cause| {
        if cause.as_database_error().is_some_and(|e| e.code().as_deref() == Some("55P03")) {
            return Error::new(
                ErrorKind::Migration,
                format!("somebody reads the shared table `{name}`, which has changed"),
            )
            .caused_by(cause)
            .help("end the oldest transaction in pg_stat_activity and run `tenantry migrate up`");
        }
        Error::new(
            ErrorKind::Migration,
            format!("the shared table `{name}` has changed, and a tenant's view needs its old form"),
        )
        .caused_by(cause)
        .help("drop the view in a tenant migration, change the shared table, and make the view again")
    })
}

/// Said by itself, so that the text with the password is never logged. Others than superusers may not say so; the password
/// opens the shared tables to readers and nothing else.
const QUIET: &str = "
DO $quiet$ BEGIN
    PERFORM set_config('log_statement', 'none', true), set_config('log_min_error_statement', 'panic', true),
            set_config('log_min_duration_statement', '-1', true);
EXCEPTION WHEN insufficient_privilege THEN NULL;
END $quiet$";

const fn ssl_mode(mode: PgSslMode) -> &'static str {
    match mode {
        PgSslMode::Disable => "disable",
        PgSslMode::Allow => "allow",
        PgSslMode::Prefer => "prefer",
        // The certificate's authority is named by a file of this machine, which the server may not have.
        PgSslMode::Require | PgSslMode::VerifyCa | PgSslMode::VerifyFull => "require",
    }
}

fn no_fdw(cause: sqlx::Error, rights: &Rights, base: Option<&str>) -> Error {
    let (name, database) = (quoted(&rights.name), quoted(base.unwrap_or(&rights.database)));
    let make = base.map(|_| format!("CREATE DATABASE {database} OWNER {name} TEMPLATE template0;\n"));
    Error::new(ErrorKind::Unsupported, "the shared tables cannot be shown in a tenant's own database")
        .caused_by(cause)
        .help(format!(
            "use schema or row isolation, or let a superuser of that server say, once:\n{}\\connect {database}\nCREATE \
             EXTENSION IF NOT EXISTS postgres_fdw;\nGRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO {name};",
            make.unwrap_or_default()
        ))
}
