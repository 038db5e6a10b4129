//! Bodies of functions that the server keeps as texts and reads only when they run: what in them must not run.

use std::borrow::Cow;

use sqlx::{Row as _, postgres::PgConnection};
use tenantry_sql::postgres::{
    lex::{Kind, Lexer, Token},
    settings, text,
};

use super::{Breach, Rules, Subject, breach_of, rendered, words};

const BODIES: &str = include_str!("bodies.sql");

pub(super) const CODES: &[&str] = &[SCOPE, DYNAMIC, LOCKS, DEFINES, PLANS];
const SCOPE: &str = "function_scope";
const DYNAMIC: &str = "dynamic_sql";
/// The server refuses it to whoever calls the function, but not where a reference acts as the owner.
const DEFINES: &str = "function_defines";
/// A matter of the tables in common only.
pub(super) const LOCKS: &str = "function_locks";

/// A matter of the tables in common only, too: it changes how statements are planned.
pub(super) const PLANS: &str = "function_plans";

/// How deep a text is looked for in a text.
const DEEPEST: usize = 8;

/// What is wrong in a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: &'static str,
    pub(super) detail: String,
}

fn fault(code: &'static str, detail: impl Into<String>) -> Option<Fault> {
    Some(Fault { code, detail: detail.into() })
}

/// Functions of the schema, and those that its triggers run, whose text must not run.
pub(super) async fn breaches(
    connection: &mut PgConnection,
    rules: Rules,
    subject: &Subject<'_>,
) -> sqlx::Result<Vec<Breach>> {
    let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(rendered(BODIES, subject))).fetch_all(connection).await?;
    let mut found = Vec::new();
    for row in rows {
        if let Some(fault) = read(row.try_get("body")?, row.try_get("is_sql")?, rules) {
            let name: String = row.try_get("name")?;
            let correction = format!("DROP ROUTINE {name}");
            found.push(breach_of(fault.code, name, Some(fault.detail), correction)?);
        }
    }
    Ok(found)
}

/// The first fault of a body in SQL or PL/pgSQL by these rules: behind what they allow is read on.
pub(super) fn read(body: &str, is_sql: bool, rules: Rules) -> Option<Fault> {
    let reader = Reader { rules };
    reader.text(body, 0).or_else(|| if is_sql { makes_table(body) } else { None })
}

/// In SQL, where there are no variables, SELECT INTO makes a table.
fn makes_table(body: &str) -> Option<Fault> {
    if text::makes_table(body) { fault(DEFINES, "SELECT INTO") } else { None }
}

/// Reads texts by the rules of a schema.
#[derive(Clone, Copy)]
struct Reader {
    rules: Rules,
}

impl Reader {
    fn text(self, body: &str, nesting: usize) -> Option<Fault> {
        let Ok(tokens) = Lexer::new(body).collect::<Result<Vec<_>, _>>() else {
            return fault(SCOPE, "a text without an end");
        };
        if nesting > DEEPEST {
            return fault(DYNAMIC, "texts in texts");
        }
        let mut begin = 0;
        for at in 0..tokens.len() {
            let (before, rest) = tokens.split_at(at);
            if starts_statement(before) {
                begin = at;
                if let Some(found) = self.statement(rest) {
                    return Some(found);
                }
            }
            let verb = &tokens[begin];
            let found = self
                .nested(before, rest)
                .or_else(|| name(before, rest))
                .or_else(|| if text::shows_lockers(&tokens, at) { fault(SCOPE, "xmax") } else { None })
                .or_else(|| self.texts(verb, &tokens[at], nesting))
                .or_else(|| self.execute(verb, before, rest));
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// A statement inside of one of PL/pgSQL: `RETURN QUERY ...`, `FOR x IN ...`, `OPEN c FOR ...`, `c CURSOR IS ...`.
    fn nested(self, before: &[Token<'_>], rest: &[Token<'_>]) -> Option<Fault> {
        let [verb, next, ..] = rest else { return None };
        // It says what the planner knows of all rows, and may run what is no plain statement.
        let is_column = before.last().is_some_and(|last| last.is_mark("."));
        if verb.is("explain") && !is_column && (next.name().is_some() || next.is_mark("(")) {
            return fault(DEFINES, "EXPLAIN");
        }
        // `FOR lock IN ...` has a variable of the name.
        let begins = before.last().is_some_and(|last| last.is_any(&["for", "in", "is", "query"])) && !next.is("in");
        if begins { self.statement(rest) } else { None }
    }

    /// A statement whose effect outlives the call, or that ends the scope.
    fn statement(self, tokens: &[Token<'_>]) -> Option<Fault> {
        let [verb, rest @ ..] = tokens else { return None };
        // In PL/pgSQL a variable may have any of these names: `load := 1`.
        if rest.first().is_some_and(|next| [":", "=", ".", "["].iter().any(|mark| next.is_mark(mark))) {
            return None;
        }
        let word = verb.text.to_ascii_uppercase();
        if verb.is("set") {
            return setting(rest).filter(|found| self.rules.have(found.code));
        }
        if verb.is_any(&["commit", "rollback", "abort", "savepoint", "start"]) {
            return fault(SCOPE, format!("{word}, which ends the scope"));
        }
        if verb.is("do") && !is_plpgsql(rest) {
            return fault(DYNAMIC, "DO in another language than plpgsql");
        }
        if verb.is("lock") && self.rules.have(LOCKS) {
            return fault(LOCKS, word);
        }
        let alters = verb.is("alter")
            && rest.first().is_some_and(|what| what.is_any(&["database", "group", "role", "system", "user"]));
        let drops = verb.is("drop") && rest.first().is_some_and(|what| what.is("owned"));
        let outlives =
            ["reset", "listen", "unlisten", "notify", "discard", "prepare", "deallocate", "load", "reassign"];
        if alters || drops || verb.is_any(&outlives) {
            return fault(SCOPE, word);
        }
        defines(verb, rest).then_some(Fault { code: DEFINES, detail: word })
    }

    /// A text in the body: the scope's name in it is a way around its check, and some statements run it.
    fn texts(self, verb: &Token<'_>, token: &Token<'_>, nesting: usize) -> Option<Fault> {
        if token.kind != Kind::Text {
            return None;
        }
        let lower = token.text.to_ascii_lowercase();
        let names_scope = lower.match_indices("tenantry.tenant").any(|(at, found)| {
            let after = lower[at + found.len()..].trim_start();
            !after.starts_with('(') && !after.starts_with(|c: char| c.is_alphanumeric() || c == '_')
        });
        if names_scope || lower.contains("row_security") {
            return fault(SCOPE, "the scope's setting");
        }
        if matches!(lower.as_str(), "'57014'" | "'57000'" | "'57p01'") {
            return fault(SCOPE, "query_canceled");
        }
        if !verb.is_any(&["alter", "create", "do"]) {
            return None;
        }
        match literal(token) {
            Some(inside) => self.text(&inside, nesting + 1),
            None => fault(DYNAMIC, "a text with escapes"),
        }
    }

    /// `EXECUTE` of a text: it has to stand there as it is run.
    fn execute(self, verb: &Token<'_>, before: &[Token<'_>], tokens: &[Token<'_>]) -> Option<Fault> {
        let [word, rest @ ..] = tokens else { return None };
        let is_column = before.last().is_some_and(|last| last.is_mark("."));
        if !word.is("execute") || is_column {
            return None;
        }
        match rest {
            [what, ..] if verb.is("create") && what.is_any(&["function", "procedure"]) => None,
            [what, ..] if verb.is_any(&["alter", "grant", "revoke"]) && what.is("on") => None,
            [run, after @ ..] if run.kind == Kind::Text && ends_text(after) => match literal(run) {
                Some(inside) => self.text(&inside, 1),
                None => fault(DYNAMIC, "EXECUTE of a text with escapes"),
            },
            _ => fault(DYNAMIC, "EXECUTE"),
        }
    }
}

/// Whether a statement may start behind these tokens.
fn starts_statement(before: &[Token<'_>]) -> bool {
    match before {
        [] => true,
        [.., a, b] if a.is_mark(">") && b.is_mark(">") => true,
        [.., last] => last.is_mark(";") || last.is_any(&["atomic", "begin", "else", "loop", "then"]),
    }
}

/// Whether a block, behind its DO, is in the language in which its text is read.
fn is_plpgsql(block: &[Token<'_>]) -> bool {
    let mut words = block.iter().take_while(|token| !token.is_mark(";")).skip_while(|token| !token.is("language"));
    words.next().is_none() || words.next().is_some_and(|name| name.is("plpgsql"))
}

/// Whether a statement changes what there is, or who may use it. Behind THEN and ELSE of a CASE its verb may be a column.
fn defines(verb: &Token<'_>, rest: &[Token<'_>]) -> bool {
    let Some(next) = rest.first() else { return false };
    let goes_on = ["and", "as", "else", "end", "from", "in", "is", "like", "not", "or", "then", "when"];
    if verb.is("comment") {
        return next.is("on");
    }
    let replaces = verb.is("create") && next.is("or") && rest.get(1).is_some_and(|word| word.is("replace"));
    let has_options = verb.is_any(&["analyse", "analyze", "cluster", "copy", "reindex", "vacuum"]) && next.is_mark("(");
    // Of everything.
    let is_all = verb.is_any(&["analyse", "analyze", "cluster", "vacuum"]) && next.is_mark(";");
    replaces
        || is_all
        || has_options
        || (verb.is("copy") || verb.is_any(&DEFINING)) && next.name().is_some() && !next.is_any(&goes_on)
}

/// Verbs that change what there is, or who may use it.
const DEFINING: [&str; 13] = [
    "alter", "analyse", "analyze", "cluster", "create", "drop", "grant", "import", "refresh", "reindex", "revoke",
    "truncate", "vacuum",
];

/// What follows SET. Only what ends with the transaction, and is not the scope, may be set.
fn setting(rest: &[Token<'_>]) -> Option<Fault> {
    // `local.x` is a setting of the name.
    let is_qualified = rest.get(1).is_some_and(|next| next.is_mark("."));
    match rest {
        [first, ..] if first.is_any(&["constraints", "transaction"]) && !is_qualified => None,
        [first, named @ ..] if first.is("local") && !is_qualified => local_setting(named),
        _ => fault(SCOPE, "SET without LOCAL"),
    }
}

fn local_setting(named: &[Token<'_>]) -> Option<Fault> {
    let mut setting = String::new();
    for token in named {
        match token.name() {
            _ if token.is_mark(".") => setting.push('.'),
            Some(part) if setting.is_empty() || setting.ends_with('.') => setting.push_str(&part),
            None if token.is_escaped_name() => return fault(SCOPE, "a name in U&"),
            _ => break,
        }
    }
    setting.make_ascii_lowercase();
    let of_scope = [
        "client_encoding",
        "names",
        "role",
        "row_security",
        "schema",
        "search_path",
        // That of random() outlives the transaction.
        "seed",
        "session",
        "session_authorization",
        "session_replication_role",
        "standard_conforming_strings",
    ];
    let code = if of_scope.contains(&setting.as_str()) || setting.starts_with("tenantry.") { SCOPE } else { PLANS };
    (code == SCOPE || settings::steers_plans(&setting)).then(|| Fault { code, detail: format!("SET LOCAL {setting}") })
}

/// A name in a statement that nobody may use.
pub(crate) fn forbidden(statement: &str) -> Option<String> {
    let tokens: Vec<_> = Lexer::new(statement).flatten().collect();
    (0..tokens.len()).find_map(|at| name(&tokens[..at], &tokens[at..])).map(|fault| fault.detail)
}

/// A name that nobody may use, at the front of these tokens. `(x).f` is another spelling of `f(x)`.
fn name(before: &[Token<'_>], tokens: &[Token<'_>]) -> Option<Fault> {
    let [token, rest @ ..] = tokens else { return None };
    if token.is("sqlstate") && rest.first().is_some_and(|code| code.kind == Kind::Text && !is_caught(code)) {
        return fault(SCOPE, "query_canceled");
    }
    if token.is_escaped_name() {
        return fault(SCOPE, "a name in U&");
    }
    let name = token.name()?.to_ascii_lowercase();
    let is_called = |rest: &[Token<'_>]| rest.first().is_some_and(|next| next.is_mark("("));
    let is_held = token.is("with") && rest.first().is_some_and(|next| next.is("hold"));
    let is_user = token.is("session") && rest.first().is_some_and(|next| next.is("authorization"));
    let is_tenant = name == "tenantry"
        && matches!(rest, [dot, tenant, after @ ..]
            if dot.is_mark(".") && tenant.name().as_deref() == Some("tenant") && !is_called(after));
    let bad = is_held
        || is_user
        || is_tenant
        || name == "row_security"
        // Whoever stops the statement would be caught: a suspension, a limit of time.
        || matches!(&*name, "query_canceled" | "operator_intervention" | "admin_shutdown")
        || name == "tenantry.tenant"
        || words::is_relation(&name)
        || is_called(rest) && words::is_function(&name)
        || before.last().is_some_and(|last| last.is_mark(".")) && words::is_attribute(&name);
    bad.then_some(Fault { code: SCOPE, detail: name })
}

/// Whether a handler may catch what has this code. What stops a statement, a suspension or a limit of time, is of class 57.
fn is_caught(code: &Token<'_>) -> bool {
    literal(code).is_some_and(|code| code.len() == 5 && !code.starts_with("57"))
}

fn ends_text(after: &[Token<'_>]) -> bool {
    after.first().is_none_or(|next| next.is_mark(";") || next.is_any(&["into", "loop", "using"]))
}

/// What a text says; `None` if it has escapes, or goes on in another line.
fn literal<'a>(token: &Token<'a>) -> Option<Cow<'a, str>> {
    if let Some(quoted) = token.text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        let is_one = !quoted.replace("''", "").contains('\'');
        return is_one.then(|| if quoted.contains('\'') { quoted.replace("''", "'").into() } else { quoted.into() });
    }
    let tag = token.text.strip_prefix('$')?.find('$')? + 2;
    token.text.get(tag..token.text.len().checked_sub(tag)?).map(Cow::Borrowed)
}

#[cfg(test)]
mod tests;
