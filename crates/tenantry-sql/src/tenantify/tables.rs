//! What the files so far tell about the tables.

use std::collections::HashMap;

use super::cursor::Name;

/// How a table takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It has the column `tenant_id`, or gets it.
    Tenant,
    /// An earlier file made it without `tenant_id`.
    Plain { file: String },
    /// It was left as it is, for a reason that a note tells.
    Left,
    /// It belongs to the shared tables.
    Shared,
    /// No file so far makes it.
    Unknown,
}

#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) state: State,
    /// The columns of its primary key without `tenant_id`.
    pub(super) key: Option<Vec<String>>,
}

/// Who has a name of a constraint or an index.
pub(super) struct Holder {
    pub(super) table: String,
    /// Without `tenant_id`.
    pub(super) columns: Vec<String>,
    /// Whether it is an index over all rows, led by `tenant_id`.
    pub(super) leads: bool,
}

#[derive(Default)]
pub(super) struct Tables {
    tables: HashMap<String, Table>,
    names: HashMap<String, Holder>,
}

impl Tables {
    pub(super) fn insert(&mut self, name: &str, table: Table) {
        self.tables.insert(name.to_owned(), table);
    }

    pub(super) fn state(&self, name: &Name) -> State {
        if name.schema.as_deref() == Some("shared") {
            return State::Shared;
        }
        self.tables.get(&name.name).map_or(State::Unknown, |table| table.state.clone())
    }

    pub(super) fn get(&self, name: &str) -> Option<&Table> {
        self.tables.get(name)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Table> {
        self.tables.get_mut(name)
    }

    pub(super) fn name_is_taken(&self, name: &str) -> bool {
        self.names.contains_key(name) || self.tables.contains_key(name)
    }

    pub(super) fn take_name(&mut self, name: String, holder: Holder) {
        self.names.insert(name, holder);
    }

    /// Whether an index over all rows of a table is led by `tenant_id`.
    pub(super) fn is_led(&self, table: &str) -> bool {
        self.names.values().any(|holder| holder.leads && holder.table == table)
    }

    /// A constraint or index is gone; the primary key may have been it.
    pub(super) fn drop_name(&mut self, name: &str) {
        let Some(holder) = self.names.remove(name) else { return };
        if let Some(table) = self.tables.get_mut(&holder.table)
            && table.key.as_ref() == Some(&holder.columns)
        {
            table.key = None;
        }
    }

    pub(super) fn drop_table(&mut self, name: &str) {
        self.tables.remove(name);
        self.names.retain(|_, holder| holder.table != name);
    }

    /// A column is gone, and every constraint over it.
    pub(super) fn drop_column(&mut self, table: &str, column: &str) {
        let over_it = |columns: &[String]| columns.iter().any(|name| name == column);
        self.names.retain(|_, holder| holder.table != table || !over_it(&holder.columns));
        if let Some(table) = self.tables.get_mut(table) {
            table.key.take_if(|key| over_it(key));
        }
    }

    pub(super) fn rename_table(&mut self, old: &str, new: &str) {
        if let Some(table) = self.tables.remove(old) {
            self.tables.insert(new.to_owned(), table);
        }
        for holder in self.names.values_mut().filter(|holder| holder.table == old) {
            new.clone_into(&mut holder.table);
        }
    }

    pub(super) fn rename_column(&mut self, table: &str, old: &str, new: &str) {
        let rename = |columns: &mut Vec<String>| {
            columns.iter_mut().filter(|name| *name == old).for_each(|name| new.clone_into(name));
        };
        self.names.values_mut().filter(|holder| holder.table == table).for_each(|holder| rename(&mut holder.columns));
        if let Some(key) = self.tables.get_mut(table).and_then(|table| table.key.as_mut()) {
            rename(key);
        }
    }

    pub(super) fn rename_name(&mut self, old: &str, new: &str) {
        if let Some(holder) = self.names.remove(old) {
            self.names.insert(new.to_owned(), holder);
        }
    }
}
