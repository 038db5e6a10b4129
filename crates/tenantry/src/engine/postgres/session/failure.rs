//! What SQLSTATE means, as this server tells it.

use sqlx::{error::DatabaseError, postgres::PgDatabaseError};

use crate::{
    engine::{Constraint, Reading},
    error::ErrorKind,
};

/// With this a server ends a transaction that waits too long for its next statement.
pub(crate) const IDLE_IN_TRANSACTION: &str = "25P03";

/// With this it ends one that is open for too long.
const OPEN_TOO_LONG: &str = "25P04";

/// `None` for an error of another engine.
pub(crate) fn read(error: &dyn DatabaseError) -> Option<Reading> {
    error.try_downcast_ref::<PgDatabaseError>().map(|error| of_state(error.code()))
}

/// Without the line of the server's own source.
pub(crate) fn words(error: &dyn DatabaseError) -> Option<String> {
    let error = error.try_downcast_ref::<PgDatabaseError>()?;
    Some(format!("error returned from database: {}", error.message()))
}

/// Names and columns are fields of the error; those of a key stand in its detail alone.
pub(crate) fn constraint(error: &dyn DatabaseError) -> Option<Constraint> {
    let error = error.try_downcast_ref::<PgDatabaseError>()?;
    if !error.code().starts_with("23") {
        return None;
    }
    let of_key = error.detail().map(columns_of_key).unwrap_or_default();
    let columns = error.column().map(|column| vec![column.to_owned()]).unwrap_or(of_key);
    Some(Constraint {
        name: error.constraint().map(str::to_owned),
        table: error.table().map(str::to_owned),
        columns: columns.into_iter().filter(|column| column != "tenant_id").collect(),
    })
}

/// `Key (tenant_id, username)=(...) already exists.`, in whatever language. An expression is no column.
fn columns_of_key(detail: &str) -> Vec<String> {
    let list = detail.split_once('(').and_then(|(_, rest)| rest.split_once(")=("));
    let columns = list.map(|(list, _)| list.split(", ").map(|column| column.trim_matches('"').to_owned()));
    columns.map(|columns| columns.filter(|column| !column.contains('(')).collect()).unwrap_or_default()
}

/// Whether an error with this SQLSTATE is the last that a server says on a connection.
pub(crate) fn ends_the_connection(state: &str) -> bool {
    state.starts_with("08") || state.starts_with("57P") || matches!(state, IDLE_IN_TRANSACTION | OPEN_TOO_LONG)
}

fn of_state(state: &str) -> Reading {
    let read = meaning(state);
    if ends_the_connection(state) { read.ends_the_connection() } else { read }
}

fn meaning(state: &str) -> Reading {
    let (class, _) = state.split_at_checked(2).unwrap_or((state, ""));
    match (class, state) {
        (_, "57014") => {
            let message = "the statement ran past `pool.statement_timeout`, or was stopped";
            Reading::new(ErrorKind::StatementTimeout, message).was_stopped()
        }
        (_, "42501") => {
            let message = "the statement was refused: it would leave the tenant's scope";
            Reading::new(ErrorKind::Refused, message).is_of_place()
        }
        (_, "23P01") => Reading::new(ErrorKind::Duplicate, "a value excludes one that is there"),
        (_, "23001") => Reading::new(ErrorKind::MissingReference, "other rows refer to this one"),
        (_, IDLE_IN_TRANSACTION) => {
            Reading::new(ErrorKind::IdleTransaction, "the transaction was idle for too long, and was ended")
        }
        (_, "25P02") => Reading::new(ErrorKind::TransactionFailed, "a statement in the transaction had failed"),
        ("40", _) | (_, "55P03") => Reading::new(ErrorKind::DatabaseBusy, "another transaction is in the way"),
        // Starting up, shutting down, out of connections, or the connection broke.
        ("08" | "53", _) | (_, "57P01" | "57P02" | "57P03") => {
            Reading::new(ErrorKind::DatabaseBusy, "the database server takes no statements now")
        }
        // No such schema or database: the tenant's place is not as it was made. Of a role the engine says so.
        (_, "3F000" | "3D000") => Reading::new(ErrorKind::Isolation, GONE).is_of_place(),
        // No way to sign in.
        ("28", _) => Reading::new(ErrorKind::Isolation, GONE),
        ("22", _) => Reading::new(ErrorKind::RuleViolated, "a value does not fit its column"),
        _ => Reading::new(ErrorKind::Database, "the database refused the statement"),
    }
}

const GONE: &str = "the tenant's scope could not be entered: its role or schema is gone";

/// How a role that is not there, or not open to the login, refuses to be set.
pub(crate) fn is_of_role(code: &str) -> bool {
    matches!(code, "22023" | "42501" | "42704")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_of_a_key_are_read_from_its_detail() {
        for (detail, columns) in [
            ("Key (tenant_id, username)=(0, ann) already exists.", ["tenant_id", "username"].as_slice()),
            ("Schlüssel »(tenant_id, \"Name\")=(0, (x)=(y))« existiert bereits.", &["tenant_id", "Name"]),
            ("Key (tenant_id, lower(username))=(0, ann) already exists.", &["tenant_id"]),
            ("Failing row contains (1, null).", &[]),
            ("", &[]),
        ] {
            assert_eq!(columns_of_key(detail), columns, "{detail}");
        }
    }
}
