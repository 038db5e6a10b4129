//! Code of the app's that runs in the action of a reference, where row security does not hold.

use sqlx::{AssertSqlSafe, Row as _, postgres::PgConnection};

use super::{Breach, Subject, breach_of, rendered};
use tenantry_sql::postgres::lex::{Kind, Lexer, Token};

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

/// Words of a body that looks at its row and changes it. Everything else may stand for something that reads.
const WORDS: &[&str] = &[
    "and",
    "begin",
    "between",
    "case",
    "distinct",
    "else",
    "elsif",
    "end",
    "exception",
    "false",
    "if",
    "ilike",
    "in",
    "interval",
    "is",
    "like",
    "not",
    "notice",
    "null",
    "or",
    "raise",
    "return",
    "then",
    "true",
    "when",
    "while",
    // The trigger's own, and the clock without a call.
    "current_date",
    "current_timestamp",
    "localtimestamp",
    "new",
    "old",
    "tg_name",
    "tg_op",
    "tg_table_name",
    "tg_when",
];

/// Functions of the server that read nothing but what they are given, or the clock. The app has none of these names.
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

/// Types of the server's own, behind `::`. No schema of the app's is looked at before the server's.
const TYPES: &[&str] = &[
    "bigint",
    "boolean",
    "date",
    "integer",
    "int",
    "jsonb",
    "numeric",
    "text",
    "timestamptz",
    "timestamp",
    "tsvector",
    "uuid",
];

/// Whether a body does nothing but to look at the row and to change it, as one that notes the time of a change does.
fn only_assigns(body: &str) -> bool {
    let Ok(tokens) = Lexer::new(body).collect::<Result<Vec<Token<'_>>, _>>() else { return false };
    (0..tokens.len()).all(|at| is_harmless(&tokens[..at], &tokens[at], &tokens[at + 1..]))
}

fn is_harmless(before: &[Token<'_>], token: &Token<'_>, after: &[Token<'_>]) -> bool {
    match token.kind {
        Kind::Text | Kind::Number => return true,
        Kind::Parameter => return false,
        // `(row).name` and `list[1].name` may be calls.
        Kind::Mark => return !token.is_mark(".") || before.last().is_some_and(|row| row.is_any(&["new", "old"])),
        Kind::Word | Kind::Quoted => {}
    }
    let is_called = after.first().is_some_and(|next| next.is_mark("("));
    let next_is = |mark: &str| after.first().is_some_and(|next| next.is_mark(mark));
    // Past row security, a row that gets another tenant is that tenant's.
    if token.is_any(&["new", "old"]) && (next_is(":") || next_is("=")) {
        return false;
    }
    if token.is("return") {
        let is_row = after.first().is_some_and(|row| row.is_any(&["new", "null", "old"]));
        return is_row && after.get(1).is_none_or(|end| end.is_mark(";"));
    }
    match before {
        [.., row, dot] if dot.is_mark(".") && row.is("new") && token.name().as_deref() == Some("tenant_id") => false,
        [.., row, dot] if dot.is_mark(".") && row.is_any(&["new", "old"]) => {
            !is_called && !after.first().is_some_and(|next| next.is_mark("."))
        }
        [.., a, b] if a.is_mark(":") && b.is_mark(":") => token.is_any(TYPES),
        [.., distinct] if token.is("from") => distinct.is("distinct"),
        _ if token.is_any(CALLS) && is_called => true,
        _ => token.is_any(WORDS),
    }
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
            "BEGIN IF NEW IS DISTINCT FROM OLD AND OLD.tenant_id IS NOT NULL THEN NEW.changed := now(); END IF; RETURN NULL; END",
            "BEGIN NEW.\"Changed\" := clock_timestamp()::timestamptz + interval '1 day'; RETURN NEW; END",
            "BEGIN NEW.words := setweight(to_tsvector('simple', coalesce(NEW.name, '')), 'A'); RETURN NEW; END",
            "BEGIN IF OLD.state IN ('a', 'b') THEN RAISE EXCEPTION 'not now: %', OLD.state; END IF; RETURN OLD; END",
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
            "BEGIN NEW.n := \"upper\"(NEW.n); RETURN NEW; END",
            "BEGIN NEW.n := NEW.row.seen; RETURN NEW; END",
            "BEGIN NEW.n := NEW.n::odd; RETURN NEW; END",
            "BEGIN NEW.n := NEW.n::pg_catalog.text; RETURN NEW; END",
            "BEGIN NEW.n := CAST(NEW.n AS odd); RETURN NEW; END",
            "BEGIN NEW.n := odd 'x'; RETURN NEW; END",
            "DECLARE o odd := OLD.n; BEGIN RETURN NEW; END",
            "BEGIN NEW.n := 1 OPERATOR(tenant.+) 1; RETURN NEW; END",
            "BEGIN NEW.n := users; RETURN NEW; END",
            "BEGIN NEW.tenant_id := coalesce(NEW.whom, OLD.tenant_id); RETURN NEW; END",
            "BEGIN NEW.\"tenant_id\" := NEW.whom; RETURN NEW; END",
            "BEGIN NEW := OLD; RETURN NEW; END",
            "BEGIN NEW = OLD; RETURN NEW; END",
            "BEGIN RETURN row(NEW.whom, NEW.id); END",
            "BEGIN RETURN (NEW.whom, NEW.id); END",
        ] {
            assert!(!only_assigns(body), "{body}");
        }
    }
}
