//! Names as PostgreSQL chooses them, so that a later `DROP CONSTRAINT users_email_key` finds its constraint.

use std::borrow::Cow;

use crate::postgres::{MAX_NAME_BYTES, lex::Token};

/// The name of an unnamed constraint or index: table, columns and a word for its kind, cut to 63 bytes as the server does.
/// `taken` tells the names that are in use; then a number is put behind.
pub(super) fn chosen(table: &str, columns: &[String], label: &str, taken: impl Fn(&str) -> bool) -> String {
    let columns = joined(columns);
    let mut name = assembled(table, &columns, label);
    for number in 1.. {
        if !taken(&name) {
            break;
        }
        name = assembled(table, &columns, &format!("{label}{number}"));
    }
    name
}

/// Columns with underscores between, as many as fit a name.
fn joined(columns: &[String]) -> String {
    let mut joined = String::new();
    for column in columns {
        if !joined.is_empty() {
            joined.push('_');
        }
        joined.push_str(column);
        if joined.len() > MAX_NAME_BYTES {
            break;
        }
    }
    joined
}

/// The longer of the two parts is shortened until all fits.
fn assembled(table: &str, columns: &str, label: &str) -> String {
    if columns.is_empty() {
        return format!("{}_{label}", cut(table, MAX_NAME_BYTES - label.len() - 1));
    }
    let room = MAX_NAME_BYTES - label.len() - 2;
    let (mut first, mut second) = (table.len(), columns.len().min(MAX_NAME_BYTES));
    while first + second > room {
        if first > second {
            first -= 1;
        } else {
            second -= 1;
        }
    }
    format!("{}_{}_{label}", cut(table, first), cut(columns, second))
}

/// At most so many bytes, whole characters only.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// A name as it has to be written.
pub(super) fn written(name: &str) -> Cow<'_, str> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
    let reserved = RESERVED.split_whitespace().any(|word| word == name);
    if name.bytes().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit()) && !reserved {
        name.into()
    } else {
        format!("\"{}\"", name.replace('"', "\"\"")).into()
    }
}

/// Names in a list, as they have to be written.
pub(super) fn listed(names: &[String]) -> String {
    names.iter().map(|name| written(name)).collect::<Vec<_>>().join(", ")
}

/// Keywords that are no names without quotes.
const RESERVED: &str = "all analyse analyze and any array as asc asymmetric authorization between binary both case cast \
    check collate collation column concurrently constraint create cross current_catalog current_date current_role \
    current_schema current_time current_timestamp current_user default deferrable desc distinct do else end except false \
    fetch for foreign freeze from full grant group having ilike in initially inner intersect into is isnull join lateral \
    leading left like limit localtime localtimestamp natural not notnull null offset on only or order outer overlaps \
    placing primary references returning right select session_user similar some symmetric system_user table tablesample \
    then to trailing true union unique user using variadic verbose when where window with";

/// The name that PostgreSQL gives the column of an index; `None` for an expression whose name only the server knows.
pub(super) fn of_index_part(part: &[Token<'_>]) -> Option<String> {
    let mut name = part.first()?.name()?;
    let mut rest = &part[1..];
    while let [dot, next, ..] = rest
        && dot.is_mark(".")
    {
        name = next.name()?;
        rest = &rest[2..];
    }
    let special =
        ["case", "cast", "coalesce", "greatest", "least", "nullif", "extract", "trim", "substring", "position"];
    let called = rest.first().is_some_and(|token| token.is_mark("("));
    (!called || !special.contains(&&*name)).then(|| name.into_owned())
}

/// Two columns of one index do not share a name.
pub(super) fn distinct(names: Vec<String>) -> Vec<String> {
    let mut distinct: Vec<String> = Vec::new();
    for name in names {
        let mut candidate = name.clone();
        for number in 1.. {
            if !distinct.contains(&candidate) {
                break;
            }
            candidate = format!("{name}{number}");
        }
        distinct.push(candidate);
    }
    distinct
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(table: &str, columns: &[&str], label: &str) -> String {
        chosen(table, &columns.iter().map(ToString::to_string).collect::<Vec<_>>(), label, |_| false)
    }

    #[test]
    fn a_long_name_is_cut_where_the_server_cuts_it() {
        assert_eq!(name("users", &[], "pkey"), "users_pkey");
        assert_eq!(name("users", &["email"], "key"), "users_email_key");
        let long = "a".repeat(40);
        assert_eq!(name(&long, &["b"], "key"), format!("{long}_b_key"));
        assert_eq!(name(&long, &[&"b".repeat(40)], "key"), format!("{}_{}_key", "a".repeat(29), "b".repeat(29)));
        assert_eq!(name(&"ä".repeat(40), &["x"], "fkey"), format!("{}_x_fkey", "ä".repeat(28)));
    }

    #[test]
    fn a_taken_name_gets_a_number() {
        let taken = |name: &str| ["a_b_key", "a_b_key1"].contains(&name);
        assert_eq!(chosen("a", &["b".into()], "key", taken), "a_b_key2");
        assert_eq!(distinct(vec!["a".into(), "a".into(), "b".into(), "a".into()]), ["a", "a1", "b", "a2"]);
    }

    #[test]
    fn a_name_is_quoted_where_it_must_be() {
        assert_eq!(written("a_b1_key"), "a_b1_key");
        assert_eq!(written("order"), "\"order\"");
        assert_eq!(written("A\"b_key"), "\"A\"\"b_key\"");
    }
}
