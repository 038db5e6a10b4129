//! Foreign keys: both sides are led by `tenant_id`.

use std::ops::Range;

use super::{
    Work,
    cursor::Name,
    definition::{self, Constraint, Lead, Reference},
    names::listed,
    tables::State,
};
use crate::postgres::lex::Token;

pub(super) type Edits = Vec<(Range<usize>, String)>;

impl Work<'_, '_> {
    /// The edits of a REFERENCES and of what comes behind it; `None` if the key has to stay as it is.
    pub(super) fn reference(
        &mut self,
        constraint: &Constraint<'_, '_>,
        reference: &Reference<'_, '_>,
        lead: Lead,
    ) -> Option<Edits> {
        let target = &reference.table;
        if !self.refers_to_tenants_table(target) || self.has_odd_action(constraint) {
            return None;
        }
        let mut edits = Edits::new();
        match (&reference.list, reference.list.as_ref().map(definition::lead)) {
            (Some(list), Some(Lead::Missing)) => {
                edits.push((list.open.end()..list.open.end(), "tenant_id, ".into()));
            }
            (Some(list), Some(Lead::Behind)) => {
                self.draft.note(list.open.start, "REFERENCES: put `tenant_id` in front of the other columns");
                return None;
            }
            (Some(_), _) => {}
            (None, _) if lead == Lead::Led => {}
            (None, _) => match self.tables.get(&target.name).and_then(|table| table.key.as_deref()) {
                Some(key) => edits.push((target.end..target.end, format!(" (tenant_id, {})", listed(key)))),
                None => {
                    let what = format!(
                        "the primary key of `{}` is not known here: write `REFERENCES {0} (tenant_id, ...)`, and `tenant_id` \
                         in front of the own columns",
                        target.name
                    );
                    self.draft.note(reference.keyword.start, what);
                    return None;
                }
            },
        }
        edits.extend(set_null_lists(constraint));
        Some(edits)
    }

    fn refers_to_tenants_table(&mut self, target: &Name) -> bool {
        let name = &target.name;
        match self.tables.state(target) {
            State::Shared => return false,
            State::Left => {
                self.draft.note(target.start, format!("`{name}` was left as it is, so this reference is too"));
                return false;
            }
            State::Plain { file } => {
                self.draft.note(target.start, format!("`{name}` has no `tenant_id`: convert `{file}` first"));
                return false;
            }
            State::Unknown => {
                let what = format!("no file so far makes `{name}`: it is taken for a table of the tenant");
                self.draft.note(target.start, what);
            }
            State::Tenant => {}
        }
        self.note_schema(target);
        true
    }

    /// What cannot hold beside a column that is never null.
    fn has_odd_action(&mut self, constraint: &Constraint<'_, '_>) -> bool {
        let sees = |words: &[&str]| {
            constraint
                .tail
                .windows(words.len())
                .find(|seen| words.iter().zip(*seen).all(|(word, token)| token.is(word)))
        };
        let (at, what) = if let Some(seen) = sees(&["match", "full"]) {
            (
                seen[0].start,
                "MATCH FULL cannot hold beside `tenant_id`, which is never null: leave it out, and add \
                 `CHECK (num_nonnulls(a, b) IN (0, 2))` if the key has several columns",
            )
        } else if let Some(seen) = sees(&["on", "update", "set"]) {
            (
                seen[0].start,
                "ON UPDATE SET NULL and SET DEFAULT take no list of columns, so that they would set `tenant_id` too: use \
                 ON UPDATE CASCADE, or none",
            )
        } else {
            return false;
        };
        self.draft.note(at, what);
        true
    }
}

/// `ON DELETE SET NULL` would set `tenant_id` too, unless it names its columns.
fn set_null_lists(constraint: &Constraint<'_, '_>) -> Edits {
    let tail = constraint.tail;
    let sets = |at: &usize| {
        tail[*at..].iter().zip(["on", "delete", "set"]).filter(|(token, word)| token.is(word)).count() == 3
            && !tail.get(at + 4).is_some_and(|token| token.is_mark("("))
    };
    let what = format!(" ({})", listed(&constraint.columns()));
    let ends = (0..tail.len()).filter(sets).filter_map(|at| tail.get(at + 3)).map(Token::end);
    ends.map(|end| (end..end, what.clone())).collect()
}
