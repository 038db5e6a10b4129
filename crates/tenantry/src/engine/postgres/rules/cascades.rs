//! Code of the app's that runs in the action of a reference, where row security does not hold.

use sqlx::{AssertSqlSafe, Row as _, postgres::PgConnection};

use super::{Breach, Subject, breach_of, rendered};
use crate::engine::postgres::lex::{Lexer, Token};

const CASCADES: &str = include_str!("cascades.sql");
#[cfg(test)]
pub(super) const CODES: &[&str] = &["code_in_cascade", "trigger_in_cascade"];

pub(super) async fn breaches(connection: &mut PgConnection, subject: &Subject<'_>) -> sqlx::Result<Vec<Breach>> {
    let rows = sqlx::raw_sql(AssertSqlSafe(rendered(CASCADES, subject))).fetch_all(connection).await?;
    let mut found = Vec::new();
    for row in rows {
        let (language, body): (String, String) = (row.try_get("language")?, row.try_get("body")?);
        let hides: bool = row.try_get("hidden")?;
        if row.try_get("harmless")? || !hides && language == "plpgsql" && only_assigns(&body) {
            continue;
        }
        let code: String = row.try_get("code")?;
        found.push(breach_of(&code, row.try_get("object")?, row.try_get("detail")?, row.try_get("correction")?)?);
    }
    Ok(found)
}

/// Words by which a body reads or changes a table, or does what its words do not say.
const READS: &[&str] = &[
    "call", "copy", "cursor", "delete", "do", "execute", "fetch", "for", "foreach", "from", "insert", "into", "lock",
    "loop", "merge", "open", "perform", "query", "select", "table", "truncate", "update", "using", "values", "with",
];

/// Functions of the server that read nothing but what they are given, or the clock.
const CALLS: &[&str] = &[
    "abs",
    "btrim",
    "clock_timestamp",
    "coalesce",
    "concat",
    "concat_ws",
    "date_trunc",
    "format",
    "gen_random_uuid",
    "greatest",
    "jsonb_build_object",
    "least",
    "left",
    "length",
    "lower",
    "ltrim",
    "md5",
    "now",
    "nullif",
    "random",
    "regexp_replace",
    "replace",
    "right",
    "round",
    "row",
    "rtrim",
    "setweight",
    "statement_timestamp",
    "substr",
    "substring",
    "to_char",
    "to_json",
    "to_jsonb",
    "to_tsvector",
    "transaction_timestamp",
    "trim",
    "upper",
];

/// Words before a parenthesis that call nothing.
const WORDS: &[&str] = &["and", "case", "else", "elsif", "if", "in", "not", "or", "return", "then", "when", "while"];

/// Whether a body does nothing but to look at the row and to change it, as one that notes the time of a change does.
fn only_assigns(body: &str) -> bool {
    let Ok(tokens) = Lexer::new(body).collect::<Result<Vec<Token<'_>>, _>>() else { return false };
    tokens.iter().enumerate().all(|(at, token)| {
        let distinct = at > 0 && tokens[at - 1].is("distinct");
        if token.is_any(READS) {
            return token.is("from") && distinct;
        }
        // `(row).name` may be a call too.
        let is_selected = token.is_mark(".") && at > 0 && (tokens[at - 1].is_mark(")") || tokens[at - 1].is_mark("]"));
        if is_selected {
            return false;
        }
        let calls = token.is_name() && tokens.get(at + 1).is_some_and(|next| next.is_mark("("));
        let qualified = at > 0 && tokens[at - 1].is_mark(".");
        !calls
            || !qualified
                && token.kind == crate::engine::postgres::lex::Kind::Word
                && (token.is_any(CALLS) || token.is_any(WORDS))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_notes_the_time_of_a_change_only_assigns() {
        for body in [
            "BEGIN NEW.updated_at = now(); RETURN NEW; END",
            "BEGIN IF (NEW.name IS DISTINCT FROM OLD.name) THEN NEW.slug := lower(trim(NEW.name)); END IF; RETURN NEW; END",
            "BEGIN IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END",
        ] {
            assert!(only_assigns(body), "{body}");
        }
    }

    #[test]
    fn a_body_that_may_read_or_change_a_table_does_not() {
        for body in [
            "BEGIN UPDATE counters SET n = n - 1; RETURN OLD; END",
            "BEGIN NEW.n := (SELECT count(*) FROM users); RETURN NEW; END",
            "BEGIN NEW.n := count_users(); RETURN NEW; END",
            "BEGIN NEW.n := \"count\" (1); RETURN NEW; END",
            "BEGIN NEW.n := shared.lower (1); RETURN NEW; END",
            "BEGIN EXECUTE 'x'; RETURN NEW; END",
            "BEGIN PERFORM 1; RETURN NEW; END",
            "BEGIN NEW.n := n FROM users LIMIT 1; RETURN NEW; END",
            "BEGIN RETURN NEW; END 'open",
            "BEGIN NEW.n := (v).seen; RETURN NEW; END",
            "BEGIN NEW.n := many[1].seen; RETURN NEW; END",
        ] {
            assert!(!only_assigns(body), "{body}");
        }
    }
}
