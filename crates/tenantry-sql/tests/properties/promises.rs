//! What holds for any text whatever. Kept by the property tests and by the fuzz target.

use tenantry_sql::{
    postgres::{
        lex::{Lexer, Token},
        statements,
        text::{self, copy_direction, copy_is_plain, makes_table},
    },
    sqlite::SqliteText,
    tenantify::tenantify,
};

/// Panics where one of them is broken.
pub(crate) fn keep(sql: &str) {
    words_and_the_gaps_between_them_are_the_text(sql);
    statements_are_cut_out_of_the_file(sql);
    a_statement_alone_is_one_statement(sql);
    what_ends_a_transaction_is_refused_behind_any_text(sql);
    a_comment_changes_nothing(sql);
    the_rest_never_panics(sql);
}

fn words(sql: &str) -> Option<Vec<Token<'_>>> {
    Lexer::new(sql).collect::<Result<_, _>>().ok()
}

fn words_and_the_gaps_between_them_are_the_text(sql: &str) {
    let mut at = 0;
    for token in Lexer::new(sql).map_while(Result::ok) {
        assert!(token.start >= at && !token.text.is_empty(), "{token:?} is not behind byte {at}");
        assert_eq!(&sql[token.start..token.end()], token.text);
        let gap = &sql[at..token.start];
        let passed_over = gap.bytes().all(|byte| byte.is_ascii_whitespace() || byte == 0x0b);
        assert!(passed_over || gap.contains("--") || gap.contains("/*"), "{gap:?} is passed over");
        at = token.end();
    }
}

fn statements_are_cut_out_of_the_file(sql: &str) {
    let Ok(split) = statements::split(sql) else {
        assert!(words(sql).is_none(), "a file that can be read has statements");
        return;
    };
    let mut end = 0;
    for statement in split {
        assert!(statement.start >= end);
        assert!(sql[statement.start..].starts_with(statement.text));
        assert_eq!(statement.line, 1 + sql[..statement.start].matches('\n').count());
        end = statement.start + statement.text.len();
    }
}

fn a_statement_alone_is_one_statement(sql: &str) {
    for statement in statements::split(sql).unwrap_or_default() {
        let again = statements::split(statement.text).expect("it was read before");
        assert_eq!(again.iter().map(|s| s.text).collect::<Vec<_>>(), [statement.text]);
    }
}

/// But inside of the body of an SQL function, where the server takes it for a part of that.
fn what_ends_a_transaction_is_refused_behind_any_text(sql: &str) {
    let Some(words) = words(sql) else { return };
    if words.iter().any(|word| word.is("atomic")) {
        return;
    }
    for end in ["COMMIT", "rollback", "SET ROLE a", "RESET ALL", "BEGIN"] {
        assert!(text::read(&format!("{sql}\n;{end}")).is_err(), "{end}");
        assert!(text::read(&format!("{end};{sql}")).is_err(), "{end}");
    }
}

fn a_comment_changes_nothing(sql: &str) {
    if words(sql).is_some() {
        let commented = format!("/* ; ' $$ /* nested */ */ -- \" \n{sql}");
        assert_eq!(text::read(sql), text::read(&commented));
        assert_eq!(copy_direction(sql).is_ok(), copy_direction(&commented).is_ok());
    }
}

fn the_rest_never_panics(sql: &str) {
    let _ = (text::read(sql), copy_direction(sql), copy_is_plain(sql), makes_table(sql), SqliteText::read(sql));
    if let Ok(once) =
        tenantify("0002_new.sql", sql, &[("0001_users.sql", "CREATE TABLE users (id bigint PRIMARY KEY);")])
    {
        let _ = tenantify("0002_new.sql", &once.text, &[]);
    }
}
