//! `CREATE INDEX`

use std::borrow::Cow;

use super::{
    Work,
    cursor::{Cursor, Group},
    definition::{Lead, all_columns, lead},
    names::{chosen, distinct, of_index_part, written},
    tables::Holder,
};
use crate::postgres::lex::Token;

impl Work<'_, '_> {
    pub(super) fn create_index(&mut self, tokens: &[Token<'_>]) {
        let mut at = Cursor::new(tokens);
        at.next();
        let unique = at.take(&["unique"]);
        at.take(&["index"]);
        at.take(&["concurrently"]);
        at.take(&["if", "not", "exists"]);
        let name = if at.sees(&["on"]) { None } else { at.name() };
        let Some(on) = at.next().filter(|token| token.is("on")) else { return };
        at.take(&["only"]);
        let Some(table) = at.name() else { return };
        let method = at.take(&["using"]).then(|| at.next()).flatten();
        let Some(list) = at.group() else { return };
        if !self.is_tenants_own(&table, &[]) {
            return;
        }
        let partial = at.rest().iter().any(|token| token.is("where") && token.depth == 0);
        // Other access methods take no `uuid`, or one column only; none of them can be unique.
        if let Some(method) = method.filter(|method| !method.is("btree")) {
            if let Some(note) = advice(method, partial, lead(&list)) {
                self.draft.note(list.open.start, note);
            }
            return self.remember_index(&table.name, name.map(|name| name.name), &list, false);
        }
        match lead(&list) {
            Lead::Led => {}
            Lead::Behind if !unique => {}
            Lead::Behind => return self.draft.note(list.open.start, "put `tenant_id` in front of the other columns"),
            Lead::Missing => self.draft.insert(list.open.end(), "tenant_id, "),
        }
        let leads = !partial && lead(&list) != Lead::Behind;
        let name = name.map(|name| name.name).or_else(|| self.name_index(&table.name, on, &list, at));
        self.remember_index(&table.name, name, &list, leads);
    }

    /// Names an index that its author left to the server: with `tenant_id` in front that would choose another name.
    fn name_index(
        &mut self,
        table: &str,
        on: Token<'_>,
        list: &Group<'_, '_>,
        mut at: Cursor<'_, '_>,
    ) -> Option<String> {
        let mut names: Option<Vec<_>> = list.items().into_iter().map(of_index_part).collect();
        let included = at.take(&["include"]).then(|| at.group()).flatten();
        if let (Some(names), Some(included)) = (&mut names, included) {
            names.extend(all_columns(&included));
        }
        let Some(names) = names else {
            self.draft.note(on.start, "an index of an expression without a name gets another one now: name it");
            return None;
        };
        let name = chosen(table, &distinct(names), "idx", |name| self.tables.name_is_taken(name));
        if lead(list) == Lead::Missing {
            self.draft.insert(on.start, format!("{} ", written(&name)));
        }
        Some(name)
    }

    fn remember_index(&mut self, table: &str, name: Option<String>, list: &Group<'_, '_>, leads: bool) {
        // One whose name only the server knows is kept under a name that no other can have.
        let name = name.unwrap_or_else(|| format!("\0{}", list.open.start));
        let columns = list.inside.iter().filter_map(|token| token.name().map(Cow::into_owned)).collect();
        self.tables.take_name(name, Holder { table: table.to_owned(), columns, leads });
    }
}

/// What to write instead of an index by an access method to which `tenant_id` cannot simply be given.
fn advice(method: Token<'_>, partial: bool, lead: Lead) -> Option<&'static str> {
    let name = method.name()?;
    match &*name {
        "hash" => Some("a hash index has one column: write `USING btree (tenant_id, ...)`"),
        "brin" => Some("a brin index keeps a summary of all tenants' values: write `USING btree (tenant_id, ...)`"),
        "spgist" => Some("an spgist index has one column, and without `tenant_id` it is refused: leave it out"),
        "gist" if lead == Lead::Missing => {
            Some("put `tenant_id` in front: it needs `CREATE EXTENSION btree_gist` in a file of migrations/shared")
        }
        "gin" if partial && lead == Lead::Missing => Some(
            "put `tenant_id` in front, by `CREATE EXTENSION btree_gin` in a file of migrations/shared, or leave WHERE out",
        ),
        _ => None,
    }
}
