//! Statements that are never sent as text, each with what to do instead.

use super::{
    super::{lex::Token, settings},
    plain, refusal,
};
use crate::Refusal;

const SCOPE: &str = "a tenant's role, search path and id are set by its scope alone: take a `TenantDb` of the tenant that \
                     you mean";
const PREPARED: &str = "send the statement itself: the driver prepares it, and keeps it prepared";
const OPTIONS: &str = "give a transaction its options when it begins";
const LISTEN: &str = "notifications reach everybody who shares the connection: listen on a connection of your own, \
                      outside of a tenant";
const COPY: &str = "call `db.postgres()?.copy_out(..)` or `copy_in(..)`";
const HOLD: &str = "a held cursor outlives its transaction: stream the rows, or leave out WITH HOLD";
const TWO_PHASES: &str = "a transaction of two phases outlives its connection: call `tx.commit()` or `tx.rollback()`";
const RESET: &str = "the pool resets a connection when it is given back";
const STRINGS: &str = "texts are read with `standard_conforming_strings` on: write E'...' where a backslash escapes";
const ENCODING: &str = "texts are sent and read in UTF-8: leave the setting as it is";
const SEQUENCE: &str = "they tell the last value of the connection, which is shared: write `INSERT ... RETURNING id`";
const SPELLING: &str = "write the name without `U&`";
const SERVER: &str = "roles, logins and databases are the operator's: tenantry makes and checks them";
const LARGE: &str = "large objects belong to no tenant: store the bytes in a column of type `bytea`";
const OTHERS: &str = "other tenants share the login: look with the administrator's own connection";

/// `Err` if the statement must not be sent.
pub(super) fn check(statement: &[Token<'_>]) -> Result<(), Refusal> {
    let [verb, rest @ ..] = statement else { return Ok(()) };
    if verb.is("explain") {
        return check(plain::explained(rest).statement);
    }
    let two_phases =
        rest.first().is_some_and(|token| token.is(if verb.is("prepare") { "transaction" } else { "prepared" }));
    // The names of others' prepared statements can be guessed.
    let runs_prepared = verb.is("create") && rest.windows(2).any(|two| two[0].is("as") && two[1].is("execute"));
    let instead = if runs_prepared {
        Some(PREPARED)
    } else if verb.is_any(&["prepare", "commit", "rollback"]) && two_phases {
        Some(TWO_PHASES)
    } else if verb.is("set") {
        setting(rest)
    } else if verb.is("reset") {
        resetting(rest)
    } else if verb.is("declare") {
        holds(rest).then_some(HOLD)
    } else {
        instead_of(verb)
    };
    match instead {
        Some(instead) => Err(refusal(&format!("`{}`", verb.text.to_ascii_uppercase()), instead)),
        None if changes_the_server(statement) => Err(refusal(&format!("`{}`", verb.text.to_ascii_uppercase()), SERVER)),
        None => check_looks(statement),
    }
}

/// `Err` if the statement, whatever its verb, looks at what other users of the connection or the login have done.
pub(super) fn check_looks(statement: &[Token<'_>]) -> Result<(), Refusal> {
    if asks_the_session(statement) {
        return Err(refusal("`currval` or `lastval`", SEQUENCE));
    }
    reaches_others(statement)
}

/// `ALTER ROLE`, `ALTER SYSTEM` and their kin, and what changes all that a login owns: it would outlive every reset.
fn changes_the_server(statement: &[Token<'_>]) -> bool {
    match statement {
        [verb, what, ..] if verb.is("alter") => {
            what.is_any(&["database", "default", "group", "role", "system", "user"])
        }
        [verb, what, ..] if verb.is("drop") => what.is_any(&["owned", "role", "user", "group"]),
        [verb, ..] => verb.is("reassign"),
        [] => false,
    }
}

/// `SELECT ... INTO`, of what it finds.
pub(super) fn makes_a_table(statement: &[Token<'_>]) -> bool {
    statement.iter().any(|token| token.is("into")) && !plain::query(statement).plain
}

/// Whether it is of the verbs that need the ownership of something.
pub(super) fn defines(statement: &[Token<'_>]) -> bool {
    let verbs = [
        "alter", "analyse", "analyze", "cluster", "comment", "create", "drop", "grant", "import", "reassign",
        "refresh", "reindex", "revoke", "security", "truncate", "vacuum",
    ];
    let [verb, rest @ ..] = statement else { return false };
    let makes_table = verb.is_any(&["select", "table", "values", "with"]) || verb.is_mark("(");
    makes_table && makes_a_table(statement)
        || verb.is_any(&verbs)
        || verb.is("explain") && defines(plain::explained(rest).statement)
}

/// Functions and views by which a shared login sees, or stops, what others do on it.
fn reaches_others(statement: &[Token<'_>]) -> Result<(), Refusal> {
    for (at, token) in statement.iter().enumerate() {
        if token.is_escaped_name() {
            return Err(refusal("a name in `U&`", SPELLING));
        }
        let Some(name) = token.name() else { continue };
        let name = name.to_ascii_lowercase();
        // The server refuses all of them to everybody, in any spelling.
        let is_written = statement.get(at + 1).is_some_and(|next| next.is_mark("("));
        if is_written && (name.starts_with("lo_") || name == "loread" || name == "lowrite") {
            return Err(refusal("a function of large objects", LARGE));
        }
        if OF_OTHERS.contains(&name.as_str()) || OF_OTHERS_BEGIN.iter().any(|begin| name.starts_with(begin)) {
            return Err(refusal(&format!("`{name}`"), OTHERS));
        }
    }
    Ok(())
}

/// Whether the word at a place is `xmax`, and says more than whether it is 0. Where two statements have locked a row, it is a number of
/// the server's own, counted on whenever any two lock any row: each reference to a shared row that others make while one holds it.
pub fn shows_lockers(statement: &[Token<'_>], at: usize) -> bool {
    if statement[at].name().as_deref() != Some("xmax") {
        return false;
    }
    let mut begin = at;
    while begin >= 2 && statement[begin - 1].is_mark(".") && statement[begin - 2].is_name() {
        begin -= 2;
    }
    let Some(before) = begin.checked_sub(1).map(|before| &statement[before]) else { return true };
    let begins = before.is_mark("(")
        || before.is_mark(",")
        || before.is_any(&["and", "not", "or", "returning", "select", "when", "where"]);
    // Whose AND is another one, and binds tighter than a comparison.
    let is_bound = statement.iter().any(|word| word.is("between"));
    !begins || is_bound || !is_compared_with_zero(&statement[at + 1..])
}

/// `= 0` or `::text = '0'`, and nothing else that is computed with it. What another type makes of the number may fail, and show it.
fn is_compared_with_zero(rest: &[Token<'_>]) -> bool {
    let rest = match rest {
        [first, second, cast, behind @ ..] if first.is_mark(":") && second.is_mark(":") && cast.is("text") => behind,
        [first, ..] if first.is_mark(":") => return false,
        _ => rest,
    };
    let rest = match rest {
        [less, more, rest @ ..] if less.is_mark("<") && more.is_mark(">") => rest,
        [not, equal, rest @ ..] if not.is_mark("!") && equal.is_mark("=") => rest,
        [compared, rest @ ..] if compared.is_mark("=") => rest,
        _ => return false,
    };
    match rest {
        [zero, behind @ ..] if matches!(zero.text, "0" | "'0'") => behind.first().is_none_or(|next| {
            [")", ",", ";"].iter().any(|mark| next.is_mark(mark))
                || next.is_any(&["and", "as", "else", "end", "from", "into", "or", "then"])
        }),
        _ => false,
    }
}

/// What shows the texts of others on the login, or on the connection before, or stops them. What is locked tells which rows a
/// statement has met before row security has hidden them.
const OF_OTHERS: [&str; 28] = [
    "datminmxid",
    "mxid_age",
    "pg_blocking_pids",
    "pg_cancel_backend",
    "pg_column_toast_chunk_id",
    "pg_control_checkpoint",
    "pg_database_size",
    "pg_get_multixact_members",
    "pg_get_replication_slots",
    "pg_indexes_size",
    "pg_isolation_test_session_is_blocked",
    "pg_lock_status",
    "pg_locks",
    "pg_logical_emit_message",
    "pg_prepared_statement",
    "pg_prepared_statements",
    "pg_prepared_xact",
    "pg_prepared_xacts",
    "pg_relation_size",
    "pg_replication_slots",
    "pg_safe_snapshot_blocking_pids",
    "pg_sequence_last_value",
    "pg_sequences",
    "pg_table_size",
    "pg_tablespace_size",
    "pg_terminate_backend",
    "pg_total_relation_size",
    "relminmxid",
];
/// Counters tell how many rows of all tenants a statement has met; how far the log has grown tells what an insert has found in an index.
const OF_OTHERS_BEGIN: [&str; 7] = [
    "pg_available_wal_",
    "pg_current_wal_",
    "pg_get_wal_summarizer_",
    "pg_last_wal_",
    "pg_stat_",
    "pg_statio_",
    "pg_wal_summary_",
];

/// What a sequence gave last is the session's, and the session may have served another tenant before.
fn asks_the_session(statement: &[Token<'_>]) -> bool {
    let asks = |at: usize| statement[at].name().is_some_and(|name| matches!(&*name, "currval" | "lastval"));
    (0..statement.len()).any(|at| asks(at) && is_called(statement, at))
}

/// Whether the name at a place is, or may be, that of a function which is called: `(x).f` is another spelling of `f(x)`.
fn is_called(statement: &[Token<'_>], at: usize) -> bool {
    statement.get(at + 1).is_some_and(|next| next.is_mark("(")) || at > 0 && statement[at - 1].is_mark(".")
}

fn instead_of(verb: &Token<'_>) -> Option<&'static str> {
    let table: [(&[&str], &str); 8] = [
        (&["begin", "start"], "call `db.begin()`: the transaction it gives is bound to the tenant"),
        (&["commit", "end"], "call `tx.commit()`: it fails if anything in the transaction has failed"),
        (&["rollback", "abort"], "call `tx.rollback()`, or drop the transaction"),
        (&["savepoint", "release"], "call `tx.begin()`: a transaction inside a transaction is a savepoint"),
        (&["prepare", "execute", "deallocate"], PREPARED),
        (&["listen", "unlisten"], LISTEN),
        (&["copy"], COPY),
        (&["discard"], RESET),
    ];
    table.into_iter().find(|(verbs, _)| verb.is_any(verbs)).map(|(_, instead)| instead)
}

/// Whether it sets what decides how statements are planned.
pub(super) fn steers_plans(statement: &[Token<'_>]) -> bool {
    let [verb, rest @ ..] = statement else { return false };
    verb.is("set") && settings::steers_plans(&name_of(behind_extent(rest)).unwrap_or_default())
}

/// What follows `SESSION` or `LOCAL`, which may be left out, and may be the name itself: `local.x`.
fn behind_extent<'a, 'b>(rest: &'b [Token<'a>]) -> &'b [Token<'a>] {
    match rest {
        [extent, behind @ ..] if extent.is_any(&["session", "local"]) => match behind {
            [name, ..] if !name.is_mark(".") => behind,
            _ => rest,
        },
        _ => rest,
    }
}

/// What follows SET: `[SESSION | LOCAL] name ...`
fn setting(rest: &[Token<'_>]) -> Option<&'static str> {
    let special = |rest: &[Token<'_>]| match rest {
        [session, what, ..] if session.is("session") && what.is("authorization") => Some(SCOPE),
        [session, what, ..] if session.is("session") && what.is("characteristics") => Some(OPTIONS),
        [first, ..] if first.is("transaction") => Some(OPTIONS),
        [first, ..] if first.is_any(&["role", "schema"]) => Some(SCOPE),
        [first, ..] if first.is("names") => Some(ENCODING),
        _ => None,
    };
    let refused = special(rest);
    let rest = behind_extent(rest);
    refused.or_else(|| special(rest)).or_else(|| named(rest).filter(|why| *why != ENCODING || !says_utf8(rest)))
}

/// `client_encoding = 'UTF8'`, as a dump begins: what holds anyway.
fn says_utf8(rest: &[Token<'_>]) -> bool {
    let [_, is, value] = rest else { return false };
    let value = value.text.trim_matches('\'').to_ascii_lowercase();
    (is.is_mark("=") || is.is("to")) && matches!(value.as_str(), "utf8" | "utf-8")
}

/// What follows RESET.
fn resetting(rest: &[Token<'_>]) -> Option<&'static str> {
    match rest {
        [all, ..] if all.is("all") => Some(RESET),
        [session, what, ..] if session.is("session") && what.is("authorization") => Some(SCOPE),
        _ => named(rest).filter(|why| *why != ENCODING),
    }
}

/// A setting's name in small letters, however it is spelled: the server compares without case even what is quoted, and `"a.b"` is
/// `a.b`. `None` if it is escaped.
fn name_of(rest: &[Token<'_>]) -> Option<String> {
    let mut name = String::new();
    for token in rest {
        match token.name() {
            _ if token.is_mark(".") => name.push('.'),
            Some(part) if name.is_empty() || name.ends_with('.') => name.push_str(&part),
            None if token.is_escaped_name() => return None,
            _ => break,
        }
    }
    name.make_ascii_lowercase();
    Some(name)
}

/// What to do instead of setting this, if it must not be set.
fn named(rest: &[Token<'_>]) -> Option<&'static str> {
    let Some(name) = name_of(rest) else { return Some(SPELLING) };
    match name.as_str() {
        "role" | "search_path" | "session_authorization" | "row_security" => Some(SCOPE),
        "standard_conforming_strings" => Some(STRINGS),
        // In some encodings a backslash or a quote is the second half of a letter: the server would read other words than we.
        "client_encoding" => Some(ENCODING),
        name if name.starts_with("tenantry.") => Some(SCOPE),
        _ => None,
    }
}

/// `DECLARE name CURSOR WITH HOLD`
fn holds(rest: &[Token<'_>]) -> bool {
    rest.windows(3).any(|three| three[0].is("cursor") && three[1].is("with") && three[2].is("hold"))
}
