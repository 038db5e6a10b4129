//! What is said about statements that are left as they are: functions, data changes, and what the engine does itself.

use super::{Work, cursor::Cursor, definition::TENANT_ID};
use crate::postgres::lex::{Kind, Lexer, Token};

impl Work<'_, '_> {
    /// A function, procedure or `DO` block, with the statements in its body.
    pub(super) fn routine(&mut self, tokens: &[Token<'_>]) {
        let find =
            |words: &[&str]| tokens.windows(words.len()).find(|w| w.iter().zip(words).all(|(t, word)| t.is(word)));
        if let Some(seen) = find(&["security", "definer"]) {
            let what = "SECURITY DEFINER: the function reads as its owner, who sees every tenant; leave it out";
            self.draft.note(seen[0].start, what);
        }
        for setting in ["role", "row_security", "session_authorization", "search_path", "tenantry"] {
            if let Some(seen) = find(&["set", setting]) {
                self.draft.note(seen[0].start, format!("a function must not set `{setting}`: the tenant's scope does"));
            }
        }
        self.data_change(tokens);
        for text in tokens.iter().filter(|token| token.kind == Kind::Text) {
            self.body(text);
        }
        let changes = |token: &Token<'_>| token.is_any(&["create", "alter", "execute"]);
        if tokens[0].is("do") && tokens.iter().filter_map(body_of).any(|body| body.iter().any(changes)) {
            self.draft.note(tokens[0].start, "definitions in a DO block are not converted: write them as statements");
        }
    }

    fn body(&mut self, text: &Token<'_>) {
        if let Some(mut tokens) = body_of(text) {
            let start = text.start + opening(text);
            tokens.iter_mut().for_each(|token| token.start += start);
            self.data_change(&tokens);
        }
    }

    /// Says what `tenant_id` changes for INSERTs, upserts and TRUNCATE.
    pub(super) fn data_change(&mut self, tokens: &[Token<'_>]) {
        for at in 0..tokens.len() {
            let mut from = Cursor::new(&tokens[at..]);
            let start = tokens[at].start;
            if from.take(&["on", "conflict"]) {
                let leads = |list: &[Token<'_>]| list[0].name().is_some_and(|name| name == TENANT_ID);
                if from.group().is_some_and(|list| !list.items().first().is_some_and(|first| leads(first))) {
                    self.draft.note(start, "write `ON CONFLICT (tenant_id, ...)`: uniques are led by `tenant_id` now");
                }
            } else if from.take(&["insert", "into"]) {
                let name = from.name();
                if name.is_some() && from.sees_any(&["values", "select", "with", "table"]) {
                    self.draft.note(start, "name the columns of this INSERT: the first one is `tenant_id` now");
                }
            } else if tokens[at].is("truncate")
                && (at == 0 || tokens[at - 1].is_mark(";") || tokens[at - 1].is("begin"))
            {
                self.draft.note(start, "TRUNCATE empties the table of every tenant in row isolation: use DELETE");
            }
        }
    }

    /// A statement that changes rows.
    pub(super) fn rows(&mut self, tokens: &[Token<'_>]) {
        if !self.draft.file.ends_with(".data.sql") {
            let what = "data changes run once for each tenant: put them into a file of their own, `*.data.sql`";
            self.draft.note(tokens[0].start, what);
        }
        self.data_change(tokens);
    }
}

/// The tokens in the body of a function, as far as it is SQL or PL/pgSQL.
fn body_of<'a>(text: &Token<'a>) -> Option<Vec<Token<'a>>> {
    let opening = opening(text);
    let inside = text.text.get(opening..text.text.len().checked_sub(opening)?)?;
    (text.kind == Kind::Text).then(|| Lexer::new(inside).map_while(Result::ok).collect())
}

/// The bytes of a text's opening quote or tag.
fn opening(text: &Token<'_>) -> usize {
    match text.text.strip_prefix('$').and_then(|rest| rest.find('$')) {
        Some(tag) => tag + 2,
        None => 1,
    }
}
