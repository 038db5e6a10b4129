//! `ALTER TABLE`, and what DROP takes away.

use super::{
    Work,
    cursor::{Cursor, Name, parts},
    definition::{Column, Element, TENANT_ID},
    tables::{State, Table},
};
use crate::postgres::lex::Token;

impl Work<'_, '_> {
    pub(super) fn alter_table(&mut self, tokens: &[Token<'_>]) {
        let mut at = Cursor::new(&tokens[2..]);
        at.take(&["if", "exists"]);
        at.take(&["only"]);
        let Some(name) = at.name() else { return };
        if at.sees_mark("*") {
            at.next();
        }
        if self.is_tenants_own(&name, at.rest()) {
            // The server drops before it adds, whatever the order.
            let drops = |action: &&[Token<'_>]| action[0].is("drop");
            let (first, then): (Vec<_>, Vec<_>) = parts(at.rest(), 0).into_iter().partition(drops);
            first.into_iter().chain(then).for_each(|action| self.action(&name.name, action));
        }
    }

    /// Whether the table is one of the tenant's, as far as the files tell; says what is in doubt.
    pub(super) fn is_tenants_own(&mut self, name: &Name, actions: &[Token<'_>]) -> bool {
        match self.tables.state(name) {
            State::Shared | State::Left => return false,
            State::Plain { .. } if gets_tenant_id(actions) => {
                if let Some(table) = self.tables.get_mut(&name.name) {
                    table.state = State::Tenant;
                }
            }
            State::Plain { file } => {
                let what = format!("`{}` has no `tenant_id`: convert `{file}` first", name.name);
                self.draft.note(name.start, what);
                return false;
            }
            State::Unknown => {
                let what = format!("no file so far makes `{}`: it is taken for a table of the tenant", name.name);
                self.draft.note(name.start, what);
                self.tables.insert(&name.name, Table { state: State::Tenant, key: None });
            }
            State::Tenant => {}
        }
        self.note_schema(name);
        true
    }

    fn action(&mut self, table: &str, action: &[Token<'_>]) {
        let mut at = Cursor::new(action);
        if at.take(&["add"]) {
            self.add(table, action, at);
        } else if at.take(&["drop"]) {
            self.dropped(table, at);
        } else if at.take(&["rename"]) {
            self.renamed(table, at);
        } else {
            self.note_action(action);
        }
    }

    fn add(&mut self, table: &str, action: &[Token<'_>], mut at: Cursor<'_, '_>) {
        let is_column = at.take(&["column"]);
        let unless_there = at.take(&["if", "not", "exists"]);
        if at.rest().is_empty() {
            return;
        }
        let element = match is_column || unless_there {
            true => Column::read(at.rest()).map_or(Element::Other, Element::Column),
            false => Element::read(at.rest()),
        };
        let moved = self.elements(table, &[element]);
        let (Some(first), Some(last)) = (action.first(), action.last()) else { return };
        if moved.is_empty() {
            return;
        }
        if unless_there {
            let what = "IF NOT EXISTS holds for the column alone: its constraints are made in any case";
            self.draft.note(first.start, what);
        }
        let between = self.draft.indent(first.start).map_or_else(|| ", ".into(), |indent| format!(",\n{indent}"));
        let more: String = moved.iter().map(|constraint| format!("{between}ADD {constraint}")).collect();
        self.draft.insert(last.end(), more);
    }

    fn dropped(&mut self, table: &str, mut at: Cursor<'_, '_>) {
        let constraint = at.take(&["constraint"]);
        if !constraint {
            at.take(&["column"]);
        }
        at.take(&["if", "exists"]);
        let Some(name) = at.word() else { return };
        if constraint { self.tables.drop_name(&name) } else { self.tables.drop_column(table, &name) }
    }

    fn renamed(&mut self, table: &str, mut at: Cursor<'_, '_>) {
        let constraint = at.take(&["constraint"]);
        if at.take(&["to"]) {
            if let Some(new) = at.word() {
                self.tables.rename_table(table, &new);
            }
            return;
        }
        if !constraint {
            at.take(&["column"]);
        }
        let (Some(old), true, Some(new)) = (at.word(), at.take(&["to"]), at.word()) else { return };
        if constraint {
            self.tables.rename_name(&old, &new);
        } else {
            self.tables.rename_column(table, &old, &new);
        }
    }

    fn note_action(&mut self, action: &[Token<'_>]) {
        let at = Cursor::new(action);
        let sees =
            |words: &[&str]| action.windows(words.len()).any(|w| w.iter().zip(words).all(|(t, word)| t.is(word)));
        let what = if sees(&["row", "level", "security"]) {
            "the engine switches row security on and forces it, in row isolation only: leave it to the engine"
        } else if at.sees(&["inherit"]) {
            "INHERIT: the rules of a parent do not cover reads of its children"
        } else if at.sees(&["set", "schema"]) {
            "a tenant's tables stay in the tenant's schema"
        } else if at.sees(&["owner", "to"]) {
            "owners are the engine's: leave this out"
        } else {
            return;
        };
        self.draft.note(action[0].start, what);
    }

    /// `DROP TABLE a, b` and `DROP INDEX a, b`
    pub(super) fn drop_objects(&mut self, tokens: &[Token<'_>]) {
        let tables = tokens.get(1).is_some_and(|token| token.is("table"));
        let mut at = Cursor::new(&tokens[2..]);
        at.take(&["concurrently"]);
        at.take(&["if", "exists"]);
        while let Some(name) = at.name() {
            if tables {
                self.tables.drop_table(&name.name)
            } else {
                self.tables.drop_name(&name.name)
            }
            if !at.sees_mark(",") {
                break;
            }
            at.next();
        }
    }
}

/// Whether an ALTER TABLE gives a plain table its `tenant_id` by hand.
fn gets_tenant_id(actions: &[Token<'_>]) -> bool {
    parts(actions, 0).into_iter().any(|action| {
        let mut at = Cursor::new(action);
        at.take(&["add"]) && {
            at.take(&["column"]);
            at.take(&["if", "not", "exists"]);
            at.peek().and_then(|token| token.name().map(|name| name == TENANT_ID)).unwrap_or(false)
        }
    })
}
