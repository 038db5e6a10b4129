//! What SQLite's result codes mean.

use sqlx::{error::DatabaseError, sqlite::SqliteError};

use crate::{
    engine::{Constraint, Reading},
    error::ErrorKind,
};

/// `None` for an error of another engine.
pub(super) fn read(error: &dyn DatabaseError) -> Option<Reading> {
    error.try_downcast_ref::<SqliteError>()?;
    Some(of_code(error.code().as_deref()))
}

/// SQLite names what is broken in its message only: `UNIQUE constraint failed: users.username`.
pub(super) fn constraint(error: &dyn DatabaseError) -> Option<Constraint> {
    error.try_downcast_ref::<SqliteError>()?;
    read_constraint(error.message())
}

fn read_constraint(message: &str) -> Option<Constraint> {
    let mut found = Constraint::default();
    let (kind, what) = message.split_once(" constraint failed")?;
    let what = what.trim_start_matches(": ");
    if let Some(index) = what.strip_prefix("index '") {
        found.name = Some(index.trim_end_matches('\'').to_owned());
    } else if kind == "CHECK" {
        found.name = Some(what.to_owned());
    } else {
        let columns = what.split(", ").filter_map(|column| column.split_once('.'));
        for (table, column) in columns {
            found.table = Some(table.to_owned());
            found.columns.push(column.to_owned());
        }
    }
    Some(found)
}

/// Whether another connection is in the way.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    let read = error.as_database_error().and_then(read);
    read.is_some_and(|read| read.kind == ErrorKind::DatabaseBusy)
}

fn of_code(code: Option<&str>) -> Reading {
    let locked = Reading::new(ErrorKind::DatabaseBusy, "the database is locked by another writer");
    match code {
        // SQLITE_BUSY, and two of its extended codes.
        Some("5" | "261" | "517") => locked.was_stopped(),
        // SQLITE_BUSY_TIMEOUT, SQLITE_LOCKED and its extended code.
        Some("773" | "6" | "262") => locked,
        // SQLITE_INTERRUPT.
        Some("9") => Reading::new(ErrorKind::StatementTimeout, "the statement was interrupted").was_stopped(),
        // SQLITE_AUTH: the guard said no.
        Some("23") => Reading::new(ErrorKind::Refused, "the statement was refused: it would leave the tenant's scope"),
        _ => Reading::new(ErrorKind::Database, "the database refused the statement"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_names_is_read() {
        let read =
            |message: &str| read_constraint(message).map(|found| (found.name, found.table, found.columns.join(" ")));
        let (users, text) = (|| Some("users".to_owned()), str::to_owned);
        assert_eq!(read("UNIQUE constraint failed: users.a, users.b"), Some((None, users(), text("a b"))));
        assert_eq!(read("NOT NULL constraint failed: users.a"), Some((None, users(), text("a"))));
        assert_eq!(
            read("UNIQUE constraint failed: index 'lower_name'"),
            Some((Some(text("lower_name")), None, text("")))
        );
        assert_eq!(read("CHECK constraint failed: price >= 0"), Some((Some(text("price >= 0")), None, text(""))));
        assert_eq!(read("FOREIGN KEY constraint failed"), Some((None, None, text(""))));
        assert_eq!(read("no such table: users"), None);
    }
}
