//! Which statements a file may hold, and what their words tell.

use tenantry_sql::postgres::{
    lex::{self, Lexer},
    statements::{self, Statement},
    text::{self, PgText},
};

use super::fault::at;
use crate::{
    engine::{
        Script,
        postgres::{
            administration::site::{Site, SiteKind},
            rules,
        },
    },
    error::{Error, Result},
};

/// Whether a statement makes, changes or drops an extension.
pub(super) fn is_of_extension(statement: &Statement<'_>) -> bool {
    match &Lexer::new(statement.text).take(3).flatten().collect::<Vec<_>>()[..] {
        [verb, what, ..] if verb.is_any(&["create", "alter", "drop"]) => what.is("extension"),
        [verb, on, what] if verb.is("comment") && on.is("on") => what.is("extension"),
        _ => false,
    }
}

/// Whether a file has such a statement.
pub(super) fn is_of_extensions(script: &Script) -> bool {
    statements::split(script.sql.as_str()).is_ok_and(|all| all.iter().any(is_of_extension))
}

pub(super) fn changes_rows(script: &Script, statement: &Statement<'_>) -> Error {
    at(script, statement.line, "a file of the schema changes no data".into())
        .help("move the statement to a file of its own that ends in `.data.sql`: it runs once per tenant")
}

pub(super) fn statements_of<'s>(site: &Site, script: &'s Script) -> Result<Vec<Statement<'s>>> {
    let statements = statements::split(script.sql.as_str()).map_err(|e| at(script, e.line, e.cause.what.into()))?;
    for statement in &statements {
        require_allowed(script, statement)?;
        if is_of_extension(statement) {
            return Err(at(script, statement.line, "CREATE EXTENSION belongs to the shared tables".into())
                .help("move the statement to a file of its own in migrations/shared"));
        }
        if site.kind != SiteKind::Shared && changes_data(statement) {
            return Err(changes_rows(script, statement));
        }
        require_harmless(site, script, statement)?;
    }
    Ok(statements)
}

/// What would end the transaction or leave the scope is refused in a migration as it is in a request, and so is the
/// function by which SET is said without its word.
pub(super) fn require_allowed(script: &Script, statement: &Statement<'_>) -> Result<PgText> {
    let tokens: Vec<_> = Lexer::new(statement.text).flatten().collect();
    let sets = |two: &[lex::Token<'_>]| two[0].name().as_deref() == Some("set_config") && two[1].is_mark("(");
    if tokens.windows(2).any(sets) {
        return Err(at(script, statement.line, "`set_config` cannot be called in a file".into())
            .help("a file is run with the settings of its target: leave the statement out"));
    }
    text::read(statement.text)
        .map_err(|refused| at(script, statement.line, refused.to_string()).help(refused.instead()))
}

fn first_words(statement: &Statement<'_>) -> Vec<String> {
    let tokens = Lexer::new(statement.text).take(4).flatten();
    tokens.map(|token| token.text.to_ascii_lowercase()).collect()
}

pub(super) fn makes_routine(statement: &Statement<'_>) -> bool {
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

/// Whether the server may check a reference for rows that are there: it does so by a query, which row security concerns.
pub(super) fn checks_references(statement: &Statement<'_>) -> bool {
    let words = first_words(statement);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words[..] {
        ["alter", "table", ..] => true,
        ["do", ..] => {
            let text = statement.text.to_ascii_lowercase();
            ["references", "foreign", "validate", "attach", "detach"].iter().any(|word| text.contains(word))
        }
        _ => false,
    }
}

/// Whether a statement makes something that has no rows yet. An index calls only what may not write.
pub(super) fn only_makes(statement: &Statement<'_>) -> bool {
    first_words(statement).first().is_some_and(|verb| matches!(verb.as_str(), "comment" | "create"))
}

/// Whether a statement does what its words do not say.
pub(super) fn runs_code(statement: &Statement<'_>) -> bool {
    let words = first_words(statement);
    matches!(words.first().map(String::as_str), Some("do" | "call" | "select"))
}

/// Whether a statement may make or run code: what is no plain definition.
pub(super) fn may_hold_code(statement: &Statement<'_>) -> bool {
    let words = first_words(statement);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    !matches!(
        words[..],
        [
            "create" | "alter" | "drop",
            "domain" | "index" | "policy" | "sequence" | "statistics" | "table" | "type" | "view",
            ..
        ] | ["create", "unique", "index", ..]
            | ["comment", "on", ..]
    )
}

/// Whether a statement may make code, or change what code does. The expressions of tables call what was looked at when it was made.
pub(super) fn makes_code(statement: &Statement<'_>) -> bool {
    let words = first_words(statement);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    !matches!(
        words[..],
        ["create" | "alter", "index" | "sequence" | "statistics" | "table", ..]
            | ["create", "unique", "index", ..]
            | ["drop", ..]
            | ["comment", "on", ..]
    )
}

pub(super) fn is_block(statement: &Statement<'_>) -> bool {
    first_words(statement).first().is_some_and(|verb| verb == "do")
}

pub(super) fn makes_cast(statement: &Statement<'_>) -> bool {
    is_block(statement) || first_words(statement).iter().take(2).eq(["create", "cast"])
}

/// A change of a table hands its rows, of all tenants, to whatever it calls itself.
fn require_harmless(site: &Site, script: &Script, statement: &Statement<'_>) -> Result<()> {
    if site.kind != SiteKind::Rows || first_words(statement).first().is_none_or(|verb| verb != "alter") {
        return Ok(());
    }
    let Some(name) = rules::forbidden(statement.text) else { return Ok(()) };
    Err(at(script, statement.line, format!("`{name}` cannot be used in a change of tables in common"))
        .help("give numbers with `ALTER SEQUENCE ... RESTART`, and let a statement in a `.data.sql` file do the rest"))
}

/// What cannot run in a transaction, and cannot open anything to others.
pub(super) fn needs_no_transaction(statement: &Statement<'_>) -> bool {
    let words: Vec<String> =
        Lexer::new(statement.text).take(64).flatten().map(|t| t.text.to_ascii_lowercase()).collect();
    let begins = |start: &[&str]| words.iter().zip(start).filter(|(a, b)| a == b).count() == start.len();
    let concurrently = words.iter().take(5).any(|word| word == "concurrently");
    let index = begins(&["create", "index"])
        || begins(&["create", "unique", "index"])
        || begins(&["drop", "index"])
        || words.first().is_some_and(|word| word == "reindex");
    (index && concurrently) || (begins(&["alter", "type"]) && adds_value(&words[2..]))
}

/// `[schema.]name ADD VALUE ...`: an attribute may be named `add`, and a type `value`.
fn adds_value(named: &[String]) -> bool {
    match named {
        [_, dot, _, add, value, ..] if dot == "." => add == "add" && value == "value",
        [_, add, value, ..] => add == "add" && value == "value",
        _ => false,
    }
}
