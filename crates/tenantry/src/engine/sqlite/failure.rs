//! What SQLite's result codes mean.

use sqlx::{error::DatabaseError, sqlite::SqliteError};

use crate::{engine::Reading, error::ErrorKind};

/// `None` for an error of another engine.
pub(super) fn read(error: &dyn DatabaseError) -> Option<Reading> {
    error.try_downcast_ref::<SqliteError>()?;
    Some(of_code(error.code().as_deref()))
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
