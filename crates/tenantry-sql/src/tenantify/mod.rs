//! The author's tool: plain single-tenant definitions, rewritten into those of tenants' tables.
//!
//! A text goes in and a text comes out; nothing of this runs when migrations are applied. Everything but the places that
//! have to change stays as its author wrote it. What cannot be decided here is said, and left for the author.

mod alter;
mod body;
mod constraint;
mod cursor;
mod definition;
mod draft;
mod index;
mod names;
mod reference;
mod table;
mod tables;
mod view;

use std::{error::Error, fmt};

use cursor::{Cursor, Name};
use draft::Draft;
use tables::{State, Tables};

use crate::postgres::{
    lex::{Lexer, Token},
    statements::{self, Statement, Unfinished},
};

/// A file after [`tenantify`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tenantified {
    /// The rewritten file.
    pub text: String,
    /// What its author has to look at, by line of the text as it was.
    pub notes: Vec<Note>,
    /// Whether the text differs from what it was.
    pub changed: bool,
}

/// Something that could not be decided, or that has changed its meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Note {
    /// The first line is 1.
    pub line: usize,
    /// What it is about, and what to do.
    pub what: String,
}

/// A file that has no end somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Which one of the files.
    pub file: String,
    /// Where in it.
    pub cause: Unfinished,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` cannot be read", self.file)
    }
}

impl Error for Unreadable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.cause)
    }
}

/// Rewrites a migration file with plain single-tenant tables into the form that is the same under every isolation.
/// `earlier` are the files of the folder that come before it, names and texts, already converted. What is converted
/// already stays as it is.
///
/// # Errors
/// If a comment, a text or a quoted name has no end.
pub fn tenantify(file_name: &str, text: &str, earlier: &[(&str, &str)]) -> Result<Tenantified, Unreadable> {
    let mut tables = Tables::default();
    for (name, text) in earlier {
        convert(Draft::new(name, without_mark(text), true), &mut tables)?;
    }
    let (rewritten, notes) = convert(Draft::new(file_name, without_mark(text), false), &mut tables)?;
    let mark = &text[..text.len() - without_mark(text).len()];
    let rewritten = format!("{mark}{rewritten}");
    Ok(Tenantified { changed: rewritten != text, text: rewritten, notes })
}

/// A text without the byte order mark that some editors put in front.
fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

fn convert(draft: Draft<'_>, tables: &mut Tables) -> Result<(String, Vec<Note>), Unreadable> {
    let (file, text) = (draft.file, draft.text);
    let mut work = Work { draft, tables, made: Vec::new(), keys: Vec::new() };
    let mut made = Vec::new();
    let failed = |cause| Unreadable { file: file.to_owned(), cause };
    for statement in statements::split(text).map_err(failed)? {
        work.statement(&tokens(&statement));
        made.extend(work.made.drain(..).map(|name| (name, statement)));
    }
    for (name, statement) in made {
        work.give_index(&name, &statement);
    }
    Ok(work.draft.finish())
}

/// The tokens of a statement, with their places in the file.
fn tokens<'a>(statement: &Statement<'a>) -> Vec<Token<'a>> {
    // The file was read as a whole, so that no statement has an error.
    let tokens = Lexer::new(statement.text).map_while(Result::ok);
    tokens.map(|token| Token { start: token.start + statement.start, ..token }).collect()
}

/// One file at work, and what is known of the tables so far.
struct Work<'a, 'w> {
    draft: Draft<'a>,
    tables: &'w mut Tables,
    /// The tables that the statement has made.
    made: Vec<Name>,
    /// The unique keys that it has made: the server makes one index of two that are the same.
    keys: Vec<String>,
}

impl Work<'_, '_> {
    fn statement(&mut self, tokens: &[Token<'_>]) {
        let Some(first) = tokens.first() else { return };
        if first.is_mark("\\") {
            let what = "commands of psql are no SQL: leave them out. Nothing up to the next semicolon was read";
            self.draft.note(first.start, what);
        } else if let Some(name) = tokens.iter().find(|token| token.is_escaped_name()) {
            self.draft.note(name.start, "write this name without `U&`: the statement was not read");
        } else if first.is("create") {
            self.create(tokens);
        } else if first.is("alter") && tokens.len() > 2 {
            match () {
                () if tokens[1].is("table") => self.alter_table(tokens),
                () if tokens[1].is("view") => self.alter_view(tokens),
                () if tokens[1].is_any(&["function", "procedure", "routine"]) => self.routine(tokens),
                () if tokens[1].is("policy") => self.note_own(first, POLICIES),
                () => {}
            }
        } else if first.is("drop") && tokens.len() > 2 {
            if tokens[1].is_any(&["table", "index"]) {
                self.drop_objects(tokens);
            }
        } else if first.is("do") {
            self.routine(tokens);
        } else if first.is_any(&["insert", "update", "delete", "merge", "with", "select", "copy", "truncate"]) {
            self.rows(tokens);
        } else {
            self.note_verb(first);
        }
    }

    fn create(&mut self, tokens: &[Token<'_>]) {
        let mut at = Cursor::new(tokens);
        at.next();
        at.take(&["or", "replace"]);
        while at.take_any(&["global", "local", "temp", "temporary", "unlogged", "recursive"]) {}
        let Some(what) = at.peek() else { return };
        match () {
            () if what.is("table") => self.create_table(tokens),
            () if what.is_any(&["unique", "index"]) => self.create_index(tokens),
            () if what.is("view") => self.create_view(tokens),
            () if what.is_any(&["function", "procedure"]) => self.routine(tokens),
            () if at.sees(&["materialized", "view"]) => self.note_own(
                &what,
                "a materialized view is a stored copy without row security: use a view, or a table that a job fills for \
                 each tenant",
            ),
            () if at.sees(&["foreign", "table"]) => {
                self.note_own(&what, "a foreign table has no row security, and its rows no tenant");
            }
            () if what.is("rule") => self.note_own(&what, "a rule rewrites queries past row security: use a trigger"),
            () if what.is("extension") => self.note_own(&what, "extensions belong to files of migrations/shared"),
            () if what.is("schema") => self.note_own(&what, "a tenant has one schema: make the objects without one"),
            () if what.is("policy") => self.note_own(&what, POLICIES),
            () => {}
        }
    }

    fn note_verb(&mut self, verb: &Token<'_>) {
        let what = match () {
            () if verb.is_any(&["begin", "start", "commit", "end", "rollback", "savepoint"]) => {
                "each file is run in a transaction of the engine's: leave this out"
            }
            () if verb.is_any(&["grant", "revoke"]) => "rights are given by the engine: leave this out",
            () if verb.is_any(&["set", "reset"]) => "a setting does not outlive the file, and some are the engine's",
            () if verb.is("refresh") => "a materialized view is a stored copy without row security",
            () => return,
        };
        self.draft.note(verb.start, what);
    }

    fn note_own(&mut self, at: &Token<'_>, what: &str) {
        self.draft.note(at.start, what);
    }

    /// Names of a tenant's objects carry no schema: it is another one in each isolation.
    fn note_schema(&mut self, name: &Name) {
        if let Some(schema) = name.schema.as_deref().filter(|schema| *schema != "shared") {
            let what = format!(
                "`{schema}.{}` names a schema, which is another one in each isolation: write `{1}`",
                name.name, name.name
            );
            self.draft.note(name.start, what);
        }
    }

    /// Row security reads by tenant, so that each table needs one index led by `tenant_id`.
    fn give_index(&mut self, name: &Name, statement: &Statement<'_>) {
        if self.tables.get(&name.name).is_none_or(|table| table.state != State::Tenant)
            || self.tables.is_led(&name.name)
        {
            return;
        }
        let text = self.draft.text;
        let end = statement.start + statement.text.len();
        let index = format!("CREATE INDEX ON {} (tenant_id)", &text[name.start..name.end]);
        let Some(semicolon) = Lexer::new(&text[end..]).next().and_then(Result::ok) else {
            return self.draft.insert(end, format!(";\n{index}"));
        };
        let end = end + semicolon.end();
        // Behind a comment on the same line.
        let line = text[end..].lines().next().unwrap_or_default();
        let comment = line.trim_start().starts_with("--");
        self.draft.insert(if comment { end + line.len() } else { end }, format!("\n{index};"));
    }
}

const POLICIES: &str = "the engine adds the policies of row isolation: one more can only narrow them";

#[cfg(test)]
mod tests;
