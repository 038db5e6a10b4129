//! `CREATE TABLE`

use super::{
    Work,
    cursor::{Cursor, Group, Name},
    definition::{Constraint, Element, Rule, TENANT_ID, elements},
    tables::{State, Table},
};
use crate::postgres::lex::Token;

const COLUMN: &str = "tenant_id uuid NOT NULL DEFAULT tenantry.tenant()";

impl Work<'_, '_> {
    pub(super) fn create_table(&mut self, tokens: &[Token<'_>]) {
        let mut at = Cursor::new(tokens);
        at.next();
        let mut temporary = false;
        while let Some(word) = at.next() {
            temporary |= word.is_any(&["temp", "temporary"]);
            if word.is("table") {
                break;
            }
        }
        at.take(&["if", "not", "exists"]);
        let Some(name) = at.name() else { return };
        if temporary {
            return self.leave(&name, None);
        }
        if name.schema.as_deref() == Some("shared") {
            let what = "shared tables are made by the files of migrations/shared";
            return self.draft.note(name.start, what);
        }
        self.note_schema(&name);
        if let Some(reason) = not_its_own(at) {
            return self.leave(&name, Some(reason));
        }
        if at.take(&["partition", "of"]) {
            return self.create_partition(&name, at);
        }
        if let Some(list) = at.group() {
            self.create_tenants_table(&name, &list, at);
        }
    }

    fn create_partition(&mut self, name: &Name, mut at: Cursor<'_, '_>) {
        let Some(parent) = at.name() else { return };
        let state = self.tables.state(&parent);
        match &state {
            State::Plain { file } => {
                let what = format!("`{}` has no `tenant_id`: convert `{file}` first", parent.name);
                self.draft.note(parent.start, what);
            }
            State::Unknown => {
                let what = format!("no file so far makes `{}`: it is taken for a table of the tenant", parent.name);
                self.draft.note(parent.start, what);
            }
            State::Tenant | State::Left | State::Shared => {}
        }
        let converts = matches!(state, State::Tenant | State::Unknown);
        let state = if converts { State::Tenant } else { state };
        let key = self.tables.get(&parent.name).and_then(|parent| parent.key.clone());
        self.tables.insert(&name.name, Table { state, key });
        if let Some(list) = at.group().filter(|_| converts) {
            let moved = self.elements(&name.name, &elements(&list));
            self.append(&list, &moved);
        }
    }

    fn create_tenants_table(&mut self, name: &Name, list: &Group<'_, '_>, mut at: Cursor<'_, '_>) {
        let elements = elements(list);
        if at.take(&["inherits"]) {
            let what = "INHERITS: the rules of a parent do not cover reads of its children; repeat the columns, or use \
                        partitions";
            return self.leave(name, Some(what));
        }
        if elements.iter().any(|element| matches!(element, Element::Like)) {
            return self.leave(name, Some("LIKE copies columns without their keys: write the columns out"));
        }
        let own = elements.iter().find_map(|element| match element {
            Element::Column(column) if column.name.name().is_some_and(|name| name == TENANT_ID) => Some(column),
            _ => None,
        });
        if own.is_some_and(|own| !own.is_proper_tenant_id()) {
            let what = format!("the column `tenant_id` is the engine's: rename it, or write `{COLUMN}`");
            return self.leave(name, Some(&what));
        }
        let missing = own.is_none();
        let state = match missing && self.draft.earlier {
            true => State::Plain { file: self.draft.file.to_owned() },
            false => State::Tenant,
        };
        // Known before its constraints are read: one may refer to the table itself.
        self.tables.insert(&name.name, Table { state, key: primary_key(&elements) });
        if missing {
            self.insert_column(list);
        }
        let moved = self.elements(&name.name, &elements);
        self.append(list, &moved);
        self.made.push(name.clone());
    }

    /// Leaves a table as it is, and remembers that.
    fn leave(&mut self, name: &Name, reason: Option<&str>) {
        self.tables.insert(&name.name, Table { state: State::Left, key: None });
        if let Some(reason) = reason {
            self.draft.note(name.start, format!("`{}` stays as it is. {reason}", name.name));
        }
    }

    /// Puts `tenant_id` in front of the other columns, on a line of its own if they have that.
    fn insert_column(&mut self, list: &Group<'_, '_>) {
        let Some(first) = list.inside.first() else { return self.draft.insert(list.open.end(), COLUMN) };
        let gap = &self.draft.text[list.open.end()..first.start];
        let newline = gap.find('\n').filter(|newline| !gap[..*newline].contains("/*"));
        match (newline, self.draft.indent(first.start)) {
            // Before the comments of the first column.
            (Some(newline), Some(indent)) => {
                self.draft.insert(list.open.end() + newline + 1, format!("{indent}{COLUMN},\n"));
            }
            _ => self.draft.insert(first.start, format!("{COLUMN}, ")),
        }
    }

    /// Puts constraints behind the last part of a table's definition.
    fn append(&mut self, list: &Group<'_, '_>, moved: &[String]) {
        let (Some(first), Some(last)) = (list.inside.first(), list.inside.last()) else { return };
        if moved.is_empty() {
            return;
        }
        let text = self.draft.text;
        let lines = text[list.open.end()..first.start].contains('\n');
        let indent = self.draft.indent(first.start).filter(|_| lines);
        let between = indent.map_or_else(|| ", ".to_owned(), |indent| format!(",\n{indent}"));
        let all = moved.join(&between);
        let own_line = self.draft.indent(list.close.start).map(|closing| list.close.start - closing.len());
        match (indent, own_line.filter(|line| *line > last.end())) {
            // Behind a comment that belongs to the last column.
            (Some(indent), Some(line)) => {
                self.draft.insert(last.end(), ",");
                self.draft.insert(line, format!("{indent}{all}\n"));
            }
            _ => self.draft.insert(last.end(), format!("{between}{all}")),
        }
    }
}

/// Why a table has to stay as it is when its columns come from elsewhere.
fn not_its_own(mut at: Cursor<'_, '_>) -> Option<&'static str> {
    if at.sees(&["of"]) {
        return Some("a table OF a type cannot have a column more: write the columns out");
    }
    at.group();
    while let Some(word) = at.next() {
        if word.is("as") && word.depth == 0 {
            return Some(
                "CREATE TABLE AS copies rows without keys: create the table, and fill it in a `*.data.sql` file",
            );
        }
    }
    None
}

fn primary_key(elements: &[Element<'_, '_>]) -> Option<Vec<String>> {
    let mut constraints = elements.iter().flat_map(Element::constraints);
    constraints.find(|constraint| constraint.rule == Rule::PrimaryKey).map(Constraint::columns)
}
