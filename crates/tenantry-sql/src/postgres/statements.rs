//! The statements of a file, each with the line of its first word.

use std::{error::Error, fmt};

use super::lex::{Lexer, Token, Unterminated};

/// One statement without its semicolon and without the comments before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    /// As it is written.
    pub text: &'a str,
    /// The byte of the file at which it starts.
    pub start: usize,
    /// The line of its first word; the first line is 1.
    pub line: usize,
}

/// Splits a file at its top-level semicolons; empty statements are left out.
///
/// # Errors
/// If a comment, a text or a quoted name has no end.
pub fn split(sql: &str) -> Result<Vec<Statement<'_>>, Unfinished> {
    let mut ends = Ends::default();
    let mut lines = Lines::new(sql);
    let mut statements = Vec::new();
    let mut open: Option<(usize, usize)> = None;
    for token in Lexer::new(sql) {
        let token = token.map_err(|cause| Unfinished { line: Lines::new(sql).of(cause.start), cause })?;
        if ends.is_end(&token) {
            if let Some((start, end)) = open.take() {
                statements.push(Statement { text: &sql[start..end], start, line: lines.of(start) });
            }
        } else {
            open = Some((open.map_or(token.start, |(start, _)| start), token.end()));
        }
    }
    if let Some((start, end)) = open {
        statements.push(Statement { text: &sql[start..end], start, line: lines.of(start) });
    }
    Ok(statements)
}

/// A file in which a comment, a text or a quoted name has no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// The line on which it starts; the first line is 1.
    pub line: usize,
    /// What it is.
    pub cause: Unterminated,
}

impl fmt::Display for Unfinished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.cause.what)
    }
}

impl Error for Unfinished {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

/// Tells the semicolon that ends a statement from one in parentheses (`CREATE RULE ... DO (a; b)`) and from one in the
/// body of an SQL function (`BEGIN ATOMIC a; b; END`).
#[derive(Default)]
pub(crate) struct Ends {
    /// How many tokens of the statement were seen that decide whether it creates a function.
    head: usize,
    creates_routine: bool,
    after_begin: bool,
    in_body: bool,
    /// Whether a statement of the body may start here: only there its `END` may stand, which tells it from that of a
    /// `CASE`, and from a column of that name.
    body_may_end: bool,
}

impl Ends {
    /// Whether the tokens seen so far end inside of the body of an SQL function.
    pub(crate) const fn in_body(&self) -> bool {
        self.in_body
    }

    /// Takes the tokens one by one.
    pub(crate) fn is_end(&mut self, token: &Token<'_>) -> bool {
        let semicolon = token.is_mark(";") && token.depth == 0;
        if self.in_body {
            if self.body_may_end && token.is("end") {
                self.in_body = false;
            }
            self.body_may_end = semicolon;
            return false;
        }
        if semicolon {
            *self = Self::default();
            return true;
        }
        self.see_head(token);
        self.in_body = self.creates_routine && self.after_begin && token.is("atomic");
        self.body_may_end = self.in_body;
        self.after_begin = token.depth == 0 && token.is("begin");
        false
    }

    /// `CREATE [OR REPLACE] FUNCTION | PROCEDURE`
    fn see_head(&mut self, token: &Token<'_>) {
        let expected: &[&str] = match self.head {
            0 => &["create"],
            1 => &["or", "function", "procedure"],
            2 => &["replace"],
            3 => &["function", "procedure"],
            _ => return,
        };
        self.head = if token.is_any(expected) { self.head + 1 } else { usize::MAX };
        if token.is_any(&["function", "procedure"]) && self.head != usize::MAX {
            self.creates_routine = true;
            self.head = usize::MAX;
        }
    }
}

/// Counts lines, going forward only.
struct Lines<'a> {
    sql: &'a str,
    at: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    const fn new(sql: &'a str) -> Self {
        Self { sql, at: 0, line: 1 }
    }

    fn of(&mut self, place: usize) -> usize {
        let between = self.sql.as_bytes().get(self.at..place).unwrap_or_default();
        self.line += between.iter().filter(|b| **b == b'\n').count();
        self.at = place;
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<&str> {
        split(sql).expect(sql).into_iter().map(|statement| statement.text).collect()
    }

    #[test]
    fn statements_end_at_semicolons_outside_of_texts_and_parentheses() {
        assert_eq!(
            texts("a; b ';' \"x;\" $$;$$ /* ; */ c -- ;\n ; (d; e)"),
            ["a", "b ';' \"x;\" $$;$$ /* ; */ c", "(d; e)"]
        );
        assert_eq!(
            texts("create rule r as on insert to t do also (insert into a values (1); select 2); select 3").len(),
            2
        );
        assert!(texts(" ;; /* nothing */ ; -- at all").is_empty());
    }

    #[test]
    fn a_statement_has_the_line_of_its_first_word() {
        let lines: Vec<_> = split("\n-- why\n/* two\nlines */ a\n b;c\n;\n\n d").expect("it is whole");
        assert_eq!(lines.iter().map(|s| (s.text, s.line)).collect::<Vec<_>>(), [("a\n b", 4), ("c", 5), ("d", 8)]);
        assert!(lines.iter().all(|s| s.start > 0));
    }

    #[test]
    fn the_body_of_an_sql_function_is_one_statement() {
        for body in [
            "begin atomic end",
            "BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; END",
            "begin /* */ atomic select 1 as case; select 2 as \"end\", 3 as end; end",
            "begin atomic; end",
        ] {
            let sql = format!("create or replace function f(begin atomic) returns int {body}; commit");
            assert_eq!(texts(&sql).last(), Some(&"commit"), "{sql}");
            assert_eq!(texts(&sql).len(), 2, "{sql}");
        }
    }

    #[test]
    fn begin_atomic_elsewhere_hides_nothing() {
        for sql in [
            "create function f(begin atomic) returns int as 'x'; commit",
            "create table begin atomic; commit",
            "begin atomic; commit",
            "create or table function begin atomic; commit",
        ] {
            assert_eq!(texts(sql).len(), 2, "{sql}");
        }
    }

    #[test]
    fn what_has_no_end_is_an_error_with_its_line() {
        let error = split("a;\n 'b").expect_err("the text is open");
        assert_eq!(error.to_string(), "line 2: a text without its closing quote");
    }
}
