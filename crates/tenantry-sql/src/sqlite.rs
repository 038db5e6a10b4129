//! What a text is for SQLite, as far as it can be told without a database.

use crate::Refusal;

/// How a text has to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqliteText {
    /// It cannot change anything: it may run outside of a transaction.
    pub reads_only: bool,
    /// Its result may change shape when the schema does, so its prepared form must not be kept.
    pub shape_follows_schema: bool,
}

impl SqliteText {
    /// Reads a text.
    ///
    /// # Errors
    /// If it would end, begin or nest a transaction behind the engine's back.
    pub fn read(sql: &str) -> Result<Self, Refusal> {
        let mut text = Self { reads_only: true, shape_follows_schema: false };
        let mut statement = Statement::default();
        for word in Words::new(sql) {
            match word {
                Word::Semicolon => text.take(std::mem::take(&mut statement))?,
                Word::Star => text.shape_follows_schema = true,
                Word::Odd => text.reads_only = false,
                Word::Name(name) => statement.see(name),
            }
        }
        text.take(statement)?;
        Ok(text)
    }

    fn take(&mut self, statement: Statement<'_>) -> Result<(), Refusal> {
        let Some(verb) = statement.verb else { return Ok(()) };
        if let Some(instead) = instead_of(verb) {
            return Err(Refusal::new(format!("`{}`", verb.to_uppercase()), instead));
        }
        let with_that_reads = is(verb, "with") && !statement.writes;
        self.reads_only &= ["select", "values", "explain", "pragma"].iter().any(|v| is(verb, v)) || with_that_reads;
        Ok(())
    }
}

fn is(word: &str, keyword: &str) -> bool {
    word.eq_ignore_ascii_case(keyword)
}

fn instead_of(verb: &str) -> Option<&'static str> {
    let any = |words: &[&str]| words.iter().any(|w| is(verb, w));
    if any(&["begin", "start"]) {
        Some("call `db.begin()`: the transaction it gives is bound to the tenant")
    } else if any(&["commit", "end"]) {
        Some("call `tx.commit()`: it fails if anything in the transaction has failed")
    } else if any(&["rollback", "abort"]) {
        Some("call `tx.rollback()`, or drop the transaction")
    } else if any(&["savepoint", "release"]) {
        Some("call `tx.begin()`: a transaction inside a transaction is a savepoint")
    } else {
        None
    }
}

#[derive(Default)]
struct Statement<'a> {
    verb: Option<&'a str>,
    writes: bool,
}

impl<'a> Statement<'a> {
    fn see(&mut self, name: &'a str) {
        if self.verb.is_none() {
            self.verb = Some(name);
        } else if ["insert", "update", "delete", "replace", "merge"].iter().any(|v| is(name, v)) {
            // `WITH ... INSERT`; a column or function of such a name only costs a transaction.
            self.writes = true;
        }
    }
}

enum Word<'a> {
    Name(&'a str),
    Star,
    Semicolon,
    /// A parameter of the form `$name(...)`: SQLite reads anything in its brackets, quotes too, as part of its name.
    Odd,
}

/// The words of a text that matter here: comments, strings, quoted names, numbers and other marks are passed over.
struct Words<'a> {
    rest: &'a str,
    /// Whether a `*` here would stand for columns, and not for a product or for `count(*)`.
    columns_may_follow: bool,
}

impl<'a> Words<'a> {
    fn new(sql: &'a str) -> Self {
        Self { rest: sql.trim_start_matches('\u{feff}'), columns_may_follow: true }
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or("");
    }

    /// Skips to behind `end`, or to the end of the text when it is not there.
    fn skip_past(&mut self, open: usize, end: &str) {
        let inside = self.rest.get(open..).unwrap_or("");
        self.rest = inside.find(end).map_or("", |at| &inside[at + end.len()..]);
    }

    fn name(&mut self) -> Word<'a> {
        let end = self.rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.columns_may_follow = ["select", "distinct", "all", "returning"].iter().any(|word| is(name, word));
        Word::Name(name)
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = Word<'a>;

    fn next(&mut self) -> Option<Word<'a>> {
        loop {
            let first = self.rest.chars().next()?;
            match first {
                '-' if self.rest.starts_with("--") => self.skip_past(2, "\n"),
                '/' if self.rest.starts_with("/*") => self.skip_past(2, "*/"),
                // A doubled quote inside closes and opens again at once, which comes to the same.
                '\'' | '"' | '`' | '[' => {
                    self.columns_may_follow = false;
                    self.skip_past(
                        1,
                        match first {
                            '\'' => "'",
                            '"' => "\"",
                            '`' => "`",
                            _ => "]",
                        },
                    );
                }
                '$' | '@' | '#' | ':' => {
                    self.skip(1);
                    self.columns_may_follow = false;
                    let name = self.rest.trim_start_matches(|c: char| c.is_alphanumeric() || "_$:".contains(c));
                    if name.len() < self.rest.len() && name.starts_with('(') {
                        return Some(Word::Odd);
                    }
                }
                c if c.is_alphabetic() || c == '_' => return Some(self.name()),
                c => {
                    self.skip(c.len_utf8());
                    let columns = self.columns_may_follow;
                    if !c.is_whitespace() {
                        self.columns_may_follow = !matches!(c, '(' | ')' | '?') && !c.is_ascii_digit();
                    }
                    match c {
                        '*' if columns => return Some(Word::Star),
                        ';' => return Some(Word::Semicolon),
                        _ => {}
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reads_only(sql: &str) -> bool {
        SqliteText::read(sql).expect(sql).reads_only
    }

    #[test]
    fn a_plain_read_needs_no_transaction() {
        for sql in [
            "SELECT 1",
            "  -- c\n select a from b",
            "/* x; BEGIN */ VALUES (1)",
            "WITH a AS (SELECT 1) SELECT 1",
            ";;",
            "",
        ] {
            assert!(reads_only(sql), "{sql}");
        }
    }

    #[test]
    fn what_may_write_runs_in_a_transaction() {
        for sql in [
            "INSERT INTO a VALUES (1)",
            "with a as (select 1) insert into b select 1",
            "SELECT 1; DELETE FROM a",
            "create table a (b)",
            "'x' replace into a values (1)",
        ] {
            assert!(!reads_only(sql), "{sql}");
        }
    }

    #[test]
    fn a_parameter_that_hides_text_in_brackets_is_taken_with_care() {
        for sql in ["SELECT $x('); COMMIT; --'", "SELECT @a::b('); INSERT INTO t VALUES (1); --')", "SELECT #x(1)"] {
            assert!(!SqliteText::read(sql).is_ok_and(|text| text.reads_only), "{sql}");
        }
        assert!(reads_only("SELECT $1, :name, @x, ?2 FROM a WHERE b = $c"));
    }

    #[test]
    fn a_transaction_cannot_be_steered_by_text() {
        for sql in [
            "BEGIN",
            "select 1; commit",
            "/**/ ROLLBACK",
            "-- \n end",
            "savepoint a",
            "; release a",
            "select ';'; begin",
        ] {
            let error = SqliteText::read(sql).expect_err(sql);
            assert!(!error.instead().is_empty(), "{sql}");
        }
        assert!(SqliteText::read("SELECT 'BEGIN; COMMIT' AS \"COMMIT\", begin_at FROM commits").is_ok());
    }

    #[test]
    fn a_star_marks_a_result_whose_shape_follows_the_schema() {
        let follows = |sql: &str| SqliteText::read(sql).expect(sql).shape_follows_schema;
        for sql in [
            "SELECT * FROM a",
            "select distinct /* */ * from a",
            "SELECT 1, t.* FROM t",
            "DELETE FROM a RETURNING *",
            "SELECT\n*",
        ] {
            assert!(follows(sql), "{sql}");
        }
        for sql in ["SELECT a, '*' FROM b -- *", "SELECT count(*), price * 2, 2 * price, (a) * b, \"a\" * ? FROM b"] {
            assert!(!follows(sql), "{sql}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(sql in ".{0,200}") {
            let _ = SqliteText::read(&sql);
        }

        #[test]
        fn a_commit_behind_any_string_is_seen(inside in "[^']{0,40}") {
            let sql = format!("SELECT '{inside}'; COMMIT");
            prop_assert!(SqliteText::read(&sql).is_err());
        }
    }
}
