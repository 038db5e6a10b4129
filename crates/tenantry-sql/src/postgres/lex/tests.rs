use proptest::prelude::*;

use super::*;

fn kinds(sql: &str) -> Vec<(Kind, &str)> {
    lex(sql).expect(sql).into_iter().map(|token| (token.kind, token.text)).collect()
}

fn one(sql: &str, kind: Kind) {
    assert_eq!(kinds(sql), [(kind, sql)], "{sql}");
}

#[test]
fn each_form_of_a_text_is_one_token() {
    for sql in [
        "''",
        "'a''b'",
        r"'\'",
        r"E'\''",
        r"e'\\'",
        r"E'a''\'b'",
        "B'01'",
        "x'ff'",
        "N'ä'",
        "u&'d\\0061t'",
        "$$ ' $1 \" $x$ $$",
        "$a$ $$ $b$ $$a$",
        "$ä_1$;$ä_1$",
        "'a' \t\n 'b'",
        "'a' -- c'\r -- d\n'b'",
        "E'a'\n'\\'b'",
    ] {
        one(sql, Kind::Text);
    }
}

#[test]
fn a_text_goes_on_only_behind_a_line_break() {
    assert_eq!(kinds("'a' 'b'").len(), 2);
    assert_eq!(kinds("'a' /* \n */ 'b'").len(), 2);
    assert_eq!(kinds("'a'\nE'b'").len(), 2);
}

#[test]
fn names_hold_dollars_and_any_letter() {
    for sql in ["a$b$", "_", "Ünïcode", "名前", "a\u{a0}b", "\u{feff}a", "e", "b1"] {
        one(sql, Kind::Word);
    }
    for sql in [r#""a""b""#, "\"x y\"", r#"U&"d\0061t""#, "\"\""] {
        one(sql, Kind::Quoted);
    }
    assert_eq!(kinds("ae'\\'"), [(Kind::Word, "ae"), (Kind::Text, "'\\'")]);
    assert_eq!(kinds("u &'a'").len(), 3);
}

#[test]
fn a_name_is_read_as_the_server_keeps_it() {
    let name = |sql: &str| lex(sql).expect(sql)[0].name().map(Cow::into_owned);
    assert_eq!(name("UseRs").as_deref(), Some("users"));
    assert_eq!(name("\"Us\"\"ers\"").as_deref(), Some("Us\"ers"));
    assert_eq!(name("ÄB").as_deref(), Some("Äb"));
    assert_eq!(name(&"ä".repeat(40)), Some("ä".repeat(31)));
    assert_eq!(name("U&\"a\""), None);
    assert_eq!(name("'a'"), None);
}

#[test]
fn numbers_end_where_the_server_ends_them() {
    for sql in ["1", "1.", "1.5", ".5", "1.e5", "1e5", "1E-5", "1_000", "0xFF", "1.5e+10", "1a"] {
        one(sql, Kind::Number);
    }
    assert_eq!(kinds("1..2").len(), 4);
    assert_eq!(kinds("1-- x\n+2").len(), 3);
    assert_eq!(kinds("1$$;$$"), [(Kind::Number, "1"), (Kind::Text, "$$;$$")]);
    assert_eq!(kinds("$1$$;$$"), [(Kind::Parameter, "$1"), (Kind::Text, "$$;$$")]);
}

#[test]
fn comments_nest_and_end_where_the_server_ends_them() {
    for sql in ["/*/**/*/ a", "/***/a", "/* /* */ ' */a", "-- x\ra", "--\n--'\n a", "/**//**/a--", "/*/*/**/*/*/a"] {
        assert_eq!(kinds(sql), [(Kind::Word, "a")], "{sql}");
    }
    assert_eq!(kinds("a*/* x */b").len(), 3);
    assert_eq!(kinds("a+--b\nc").len(), 3);
    assert_eq!(kinds("a - -b").len(), 4);
}

#[test]
fn parentheses_and_brackets_are_counted() {
    let depths: Vec<_> = lex("a (b [c], (d)) e)f").expect("it is whole").iter().map(|t| t.depth).collect();
    assert_eq!(depths, [0, 0, 1, 1, 2, 1, 1, 1, 2, 1, 0, 0, 0, 0]);
}

#[test]
fn what_has_no_end_is_an_error_at_its_start() {
    for (sql, start) in [
        ("a 'b", 2),
        ("a E'\\'", 2),
        ("'a''", 0),
        ("E'\\", 0),
        ("\"a\"\"", 0),
        ("/* /* */", 0),
        ("/*/", 0),
        ("a $$ $x$", 2),
        ("$x$ $X$", 0),
        ("a\0b", 1),
        ("a '\0'", 3),
        ("a /*\0*/", 4),
        ("a --\0", 4),
        ("'a'\n'", 0),
    ] {
        assert_eq!(lex(sql).map_err(|e| e.start), Err(start), "{sql}");
    }
}

#[test]
fn nothing_comes_after_an_error() {
    assert_eq!(Lexer::new("a 'b").count(), 2);
}

/// Pieces that the scanner treats specially, more often than chance would give them.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("'"),
        Just("\""),
        Just("\\"),
        Just("$"),
        Just("$a$"),
        Just("$$"),
        Just("--"),
        Just("/*"),
        Just("*/"),
        Just("\n"),
        Just(" "),
        Just("E'"),
        Just("U&\""),
        Just(";"),
        Just("("),
        Just("]"),
        Just("1"),
        Just("."),
        Just("e"),
        Just("é"),
        Just("a"),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(sql in ".{0,200}") {
        let _ = lex(&sql);
    }

    #[test]
    fn tokens_and_the_gaps_between_them_are_the_text(sql in hostile()) {
        let mut at = 0;
        for token in Lexer::new(&sql).map_while(Result::ok) {
            prop_assert!(token.start >= at && !token.text.is_empty());
            prop_assert_eq!(&sql[token.start..token.end()], token.text);
            let gap = &sql[at..token.start];
            prop_assert!(gap.trim().is_empty() || gap.contains("--") || gap.contains("/*"), "{gap:?}");
            at = token.end();
        }
        prop_assert!(sql.is_char_boundary(at));
    }

    #[test]
    fn a_text_put_in_dollar_quotes_is_one_token(inside in hostile()) {
        let sql = format!("$q${inside}$q$");
        prop_assert_eq!(lex(&sql).map(|tokens| tokens.len()), Ok(1));
    }

    #[test]
    fn a_text_put_in_quotes_is_one_token(inside in hostile()) {
        let sql = format!("'{}'", inside.replace('\'', "''"));
        prop_assert_eq!(lex(&sql).map(|tokens| tokens.len()), Ok(1));
    }
}
