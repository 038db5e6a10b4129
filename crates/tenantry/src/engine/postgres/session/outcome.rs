//! How a statement has ended: whether the server is done with it, and what its error says of the scope and the connection.

use std::io;

use super::{
    failure::{IDLE_IN_TRANSACTION, ends_the_connection, is_of_role},
    wire::Wire,
};
use crate::error::{Error, ErrorKind};

/// How the statement that enters a scope fails if its schema does not come first.
const DIVISION_BY_ZERO: &str = "22012";

/// What really happened when a statement failed: its scope may not have been entered, or its transaction was over before.
/// `too_late`: the transaction has waited for it for longer than the server lets it.
pub(crate) fn explain(wire: Option<&mut Wire>, error: sqlx::Error, too_late: bool) -> sqlx::Error {
    if was_idle(wire.as_deref(), &error, too_late) {
        return ended_idle(error).into();
    }
    match wire.and_then(|wire| wire.orders_mut().take_failure()).as_deref() {
        Some(DIVISION_BY_ZERO) => schema_is_gone().into(),
        Some(code) if is_of_role(code) => role_is_gone(error).into(),
        _ => error,
    }
}

/// Whether the server has ended the transaction because it was idle. It says so, but a driver that could not send its words
/// does not read what was said before: the wire does. Without one the words tell it: what could not be sent, after a wait that
/// no server takes, did nothing.
fn was_idle(wire: Option<&Wire>, error: &sqlx::Error, too_late: bool) -> bool {
    match error {
        sqlx::Error::Database(error) => error.code().as_deref() == Some(IDLE_IN_TRANSACTION),
        sqlx::Error::Io(error) => match wire {
            Some(wire) => wire.orders().lost_by() == Some(IDLE_IN_TRANSACTION),
            None => too_late && error.kind() == io::ErrorKind::BrokenPipe,
        },
        _ => false,
    }
}

fn ended_idle(cause: sqlx::Error) -> Error {
    Error::new(
        ErrorKind::IdleTransaction,
        "the transaction was ended: it waited for its next statement for longer than `pool.idle_in_transaction`, and nothing \
         of it is stored",
    )
    .caused_by(cause)
    .help(
        "run it again, do before it or after it what takes long, or raise `idle_in_transaction` under `[pool]` \
         (TENANTRY_POOL_IDLE_IN_TRANSACTION)",
    )
}

/// The same where the scope was entered by words of its own.
pub(crate) fn not_entered(error: sqlx::Error) -> sqlx::Error {
    match error.as_database_error().and_then(|e| e.code()) {
        Some(code) if is_of_role(&code) => role_is_gone(error).into(),
        _ => error,
    }
}

fn role_is_gone(cause: sqlx::Error) -> Error {
    Error::new(
        ErrorKind::Isolation,
        "the tenant's scope could not be entered: its role is gone, or closed to the login",
    )
    .caused_by(cause)
    .help("tenantry doctor")
}

pub(crate) fn schema_is_gone() -> Error {
    Error::new(ErrorKind::Isolation, "the tenant's schema is gone, or closed to its role").help("tenantry doctor")
}

/// Whether a session still knows a type that is not there any more. PL/pgSQL keeps those of a function's variables with the
/// session, whichever tenant called it first, and no reset takes that back: after a purge the function fails for everybody.
pub(crate) fn is_of_what_is_gone(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    error.code().as_deref() == Some("XX000") && error.message().starts_with("cache lookup failed for type")
}

pub(crate) fn holds_what_is_gone<T>(result: &Result<T, sqlx::Error>) -> bool {
    result.as_ref().err().is_some_and(is_of_what_is_gone)
}

/// Whether the server has answered to the end, so that nothing of the statement runs on.
pub(crate) fn at_rest<T>(result: &Result<T, sqlx::Error>) -> bool {
    match result {
        Ok(_) => true,
        Err(error) => matches!(error, sqlx::Error::Database(_)) && !is_lost(error),
    }
}

/// Whether the connection is gone: the server has ended it, or nothing comes over it any more.
pub(crate) fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| ends_the_connection(&code)),
        _ => false,
    }
}
