//! `CREATE VIEW`: it has to read as who asks, not as its owner.

use super::{Work, cursor::Cursor};
use crate::postgres::lex::Token;

impl Work<'_, '_> {
    pub(super) fn create_view(&mut self, tokens: &[Token<'_>]) {
        let view = tokens.iter().position(|token| token.is("view")).unwrap_or_default();
        let mut at = Cursor::new(&tokens[view + 1..]);
        let Some(name) = at.name() else { return };
        self.note_schema(&name);
        at.group();
        if at.take(&["with"]) {
            if let Some(options) = at.group() {
                let names_it = |part: &[Token<'_>]| part[0].name().is_some_and(|name| name == "security_invoker");
                match options.items().into_iter().find(|part| names_it(part)) {
                    None => self.draft.insert(options.open.end(), "security_invoker = true, "),
                    Some(part) if is_off(part) => self.draft.note(part[0].start, OFF),
                    Some(_) => {}
                }
            }
        } else if let Some(word) = at.peek().filter(|token| token.is("as")) {
            self.draft.insert(word.start, "WITH (security_invoker = true) ");
        }
        if let Some(star) = star(at.rest()) {
            let what = "`*` gives `tenant_id` too now, and fails when two tables have it: name the columns";
            self.draft.note(star.start, what);
        }
    }

    pub(super) fn alter_view(&mut self, tokens: &[Token<'_>]) {
        let at = tokens.iter().position(|token| token.is("security_invoker"));
        let reset = tokens.iter().any(|token| token.is("reset"));
        if let Some(at) = at.filter(|at| reset || is_off(&tokens[*at..])) {
            self.draft.note(tokens[at].start, OFF);
        }
    }
}

const OFF: &str = "a view without `security_invoker` reads as its owner, who sees every tenant";

/// Whether `security_invoker = ...` switches it off.
fn is_off(option: &[Token<'_>]) -> bool {
    let value = option.iter().skip(1).find(|token| !token.is_mark("=")).map(|token| token.text.to_ascii_lowercase());
    value.is_some_and(|value| ["false", "off", "no", "0", "f"].contains(&value.trim_matches('\'')))
}

/// A star that stands for columns: not one of a product or of `count(*)`.
pub(super) fn star<'a>(tokens: &[Token<'a>]) -> Option<Token<'a>> {
    let columns = |before: &Token<'_>| {
        before.is_any(&["select", "distinct", "all"]) || before.is_mark(".") || before.is_mark(",")
    };
    tokens.windows(2).find(|two| two[1].is_mark("*") && columns(&two[0])).map(|two| two[1])
}
