//! How a statement has ended: whether the server is done with it, and what its error says of the scope and the connection.

use super::wire::Wire;
use crate::{
    engine::ends_the_connection,
    error::{Error, ErrorKind},
};

/// How the statement that enters a scope fails if its schema does not come first.
const DIVISION_BY_ZERO: &str = "22012";

/// What really happened when a statement failed: its scope may not have been entered.
pub(super) fn explain(wire: Option<&mut Wire>, error: sqlx::Error) -> sqlx::Error {
    match wire.and_then(|wire| wire.orders_mut().take_failure()).as_deref() {
        Some(DIVISION_BY_ZERO) => schema_is_gone().into(),
        Some(code) if is_of_role(code) => role_is_gone(error).into(),
        _ => error,
    }
}

/// The same where the scope was entered by words of its own.
pub(crate) fn not_entered(error: sqlx::Error) -> sqlx::Error {
    match error.as_database_error().and_then(|e| e.code()) {
        Some(code) if is_of_role(&code) => role_is_gone(error).into(),
        _ => error,
    }
}

/// How a role that is not there, or not open to the login, refuses to be set.
pub(super) fn is_of_role(code: &str) -> bool {
    matches!(code, "22023" | "42501" | "42704")
}

fn role_is_gone(cause: sqlx::Error) -> Error {
    Error::new(
        ErrorKind::Isolation,
        "the tenant's scope could not be entered: its role is gone, or closed to the login",
    )
    .caused_by(cause)
    .help("tenantry doctor")
}

pub(super) fn schema_is_gone() -> Error {
    Error::new(ErrorKind::Isolation, "the tenant's schema is gone, or closed to its role").help("tenantry doctor")
}

/// Whether the server has answered to the end, so that nothing of the statement runs on.
pub(super) fn at_rest<T>(result: &Result<T, sqlx::Error>) -> bool {
    match result {
        Ok(_) => true,
        Err(error) => matches!(error, sqlx::Error::Database(_)) && !is_lost(error),
    }
}

/// Whether the connection is gone: the server has ended it, or nothing comes over it any more.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| ends_the_connection(&code)),
        _ => false,
    }
}
