//! Files of extensions: what needs more than the owner of the shared tables has.
//!
//! An extension's script runs with the administrator's rights, so such a file runs on the administrator's session. It
//! therefore holds nothing else, and only these forms of it: nothing in it can name anything of a tenant's.

use sqlx::{AssertSqlSafe, Executor, postgres::PgConnection};
use tenantry_sql::postgres::{
    lex::{Kind, Lexer, Token},
    statements::{self, Statement},
};

use super::{allowed::is_of_extension, fault::at, file::run, verify::verify};
use crate::{
    engine::{
        ExtensionClass, Patience, Script, extension_class,
        postgres::{
            administration::{ledger, locks, shared_grants, site::Site, wall},
            names::SHARED,
            rules::Binding,
            session::{
                connect::Door,
                scope::{OURS, path},
                transaction,
                tries::Tries,
            },
        },
    },
    error::Result,
};

pub(crate) async fn apply(door: &Door, site: &Site, script: &Script, patience: Patience) -> Result<()> {
    let statements = statements_of(script)?;
    let tries = Tries::begin();
    loop {
        // A connection of its own: an extension's script may leave anything behind.
        let mut own = door.control.admin_of(None).await?;
        let tried = apply_in_tx(&mut own.connection, door, site, script, &statements).await;
        own.close().await;
        match tried {
            Err(error) if patience == Patience::Long && tries.again(&error).await => {}
            done => return done,
        }
    }
}

async fn apply_in_tx(
    admin: &mut PgConnection,
    door: &Door,
    site: &Site,
    script: &Script,
    statements: &[Statement<'_>],
) -> Result<()> {
    let settings =
        format!("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '{}'; {OURS}", locks::LOCK_TIMEOUT);
    admin.execute(AssertSqlSafe(settings)).await?;
    let applied = async {
        locks::lock(admin, &site.target, "pg_try_advisory_xact_lock").await?;
        if ledger::has(admin, &site.target, script.version).await? {
            return Ok(());
        }
        for statement in statements {
            // Where it says no schema of its own.
            admin.execute(AssertSqlSafe(format!("SET LOCAL search_path = {}", path(SHARED)))).await?;
            run(admin, script, statement).await?;
            admin.execute(OURS).await?;
        }
        require_none_refused(admin, script).await?;
        admin.execute(AssertSqlSafe(shared_grants::shared_grants(&door.names))).await?;
        // It may have brought a language, which everybody may use then.
        wall::close(admin, &door.names).await?;
        verify(admin, &door.names, site, &[script], Binding::Look).await?;
        ledger::write(admin, &site.target, &[script]).await
    }
    .await;
    transaction::end(admin, applied).await
}

/// CASCADE makes what an extension needs, too.
async fn require_none_refused(admin: &mut PgConnection, script: &Script) -> Result<()> {
    let all: Vec<String> =
        sqlx::query_scalar("SELECT extname::text FROM pg_catalog.pg_extension").fetch_all(admin).await?;
    for name in all {
        if let ExtensionClass::Refused(why) = extension_class(&name) {
            return Err(at(script, 1, format!("the extension `{name}` is in the database: {why}"))
                .help(format!("DROP EXTENSION \"{name}\"")));
        }
    }
    Ok(())
}

fn statements_of(script: &Script) -> Result<Vec<Statement<'_>>> {
    let statements = statements::split(script.sql.as_str()).map_err(|e| at(script, e.line, e.cause.what.into()))?;
    for statement in &statements {
        let tokens: Vec<Token<'_>> = Lexer::new(statement.text).flatten().collect();
        if !is_of_extension(statement) {
            return Err(at(script, statement.line, "a file of extensions holds nothing else".into()).help(
                "move the statements of extensions to a file of their own in migrations/shared, before this one",
            ));
        }
        if let Some((name, why)) = refused(&tokens) {
            return Err(at(script, statement.line, format!("the extension `{name}` cannot be made: {why}"))
                .help("do without it, or give its users database isolation and a database of their own server"));
        }
        if !is_allowed(&tokens) {
            return Err(at(
                script,
                statement.line,
                "this form of the statement is not for a file of migrations".into(),
            )
            .help(
                "write CREATE EXTENSION [IF NOT EXISTS] name [SCHEMA shared] [VERSION 'v'] [CASCADE], ALTER EXTENSION \
                     name UPDATE [TO 'v'], DROP EXTENSION [IF EXISTS] name, or COMMENT ON EXTENSION name IS '...'",
            ));
        }
    }
    Ok(statements)
}

/// The extension that a statement makes, if it is a way around the walls.
fn refused(statement: &[Token<'_>]) -> Option<(String, &'static str)> {
    statement.iter().skip(2).find_map(|token| {
        let name = token.name()?.into_owned();
        match extension_class(&name) {
            ExtensionClass::Refused(why) | ExtensionClass::Telling(why) => Some((name, why)),
            ExtensionClass::Stateless | ExtensionClass::Stateful(_) | ExtensionClass::Unknown => None,
        }
    })
}

/// The forms that are written above, and no other.
fn is_allowed(statement: &[Token<'_>]) -> bool {
    let [verb, ..] = statement else { return false };
    let rest = |from: usize| statement.get(from..).unwrap_or_default();
    if verb.is("create") {
        let rest = without(rest(2), &["if", "not", "exists"]);
        rest.split_first().is_some_and(|(name, options)| name.name().is_some() && are_options(options))
    } else if verb.is("alter") {
        match rest(2) {
            [name, update] => name.name().is_some() && update.is("update"),
            [name, update, to, version] => {
                name.name().is_some() && update.is("update") && to.is("to") && is_version(version)
            }
            _ => false,
        }
    } else if verb.is("drop") {
        let names = without(rest(2), &["if", "exists"]);
        let names = match names {
            [rest @ .., last] if last.is("restrict") => rest,
            all => all,
        };
        !names.is_empty()
            && names.iter().all(|token| token.name().is_some() && !token.is("cascade") || token.is_mark(","))
    } else {
        matches!(rest(3), [name, is, text] if name.name().is_some() && is.is("is")
            && (text.kind == Kind::Text || text.is("null")))
    }
}

fn is_version(token: &Token<'_>) -> bool {
    token.kind == Kind::Text || token.name().is_some()
}

/// `[WITH] [SCHEMA shared] [VERSION v] [CASCADE]`, in any order.
fn are_options(mut options: &[Token<'_>]) -> bool {
    if let [with, rest @ ..] = options
        && with.is("with")
    {
        options = rest;
    }
    loop {
        options = match options {
            [] => return true,
            [schema, name, rest @ ..] if schema.is("schema") && name.name().as_deref() == Some(SHARED) => rest,
            [version, value, rest @ ..] if version.is("version") && is_version(value) => rest,
            [cascade, rest @ ..] if cascade.is("cascade") => rest,
            _ => return false,
        };
    }
}

fn without<'a, 'b>(tokens: &'b [Token<'a>], words: &[&str]) -> &'b [Token<'a>] {
    let begins = tokens.len() >= words.len() && tokens.iter().zip(words).all(|(token, word)| token.is(word));
    if begins { &tokens[words.len()..] } else { tokens }
}
