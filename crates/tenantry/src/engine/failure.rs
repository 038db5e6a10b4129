//! What a database's errors mean to a caller: each engine reads its own.

use std::error::Error as StdError;

use sqlx::error::{DatabaseError, ErrorKind as Sql};

use super::registry;
use crate::error::{Error, ErrorKind, Failure};

/// A rule of the schema that a value has broken: what the engine tells of it. PostgreSQL names the constraint, SQLite the columns, and
/// of a foreign key SQLite names nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Constraint {
    /// Its name in the schema.
    pub name: Option<String>,
    /// The table.
    pub table: Option<String>,
    /// The columns, without `tenant_id`, where the engine tells them: PostgreSQL does not in row isolation.
    pub columns: Vec<String>,
}

impl Constraint {
    /// Whether it is on that column: one of its columns is, or its name holds it between `_`, as `users_username_key` does.
    #[must_use]
    pub fn concerns(&self, column: &str) -> bool {
        let in_name = |name: &String| format!("_{name}_").replace("_tenant_id_", "_").contains(&format!("_{column}_"));
        self.columns.iter().any(|c| c == column) || (self.columns.is_empty() && self.name.as_ref().is_some_and(in_name))
    }
}

/// What an engine reads in one of its errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) kind: ErrorKind,
    /// For the operator.
    pub(crate) message: &'static str,
    /// It is the last that the server says on a connection: a broken one, a server that goes or does not come up, a
    /// transaction that was idle or open for too long.
    pub(crate) ends_the_connection: bool,
    /// The statement was stopped, or was about to wait for another and was told not to: nothing of it is stored.
    pub(crate) was_stopped: bool,
    /// The place is not there, or nothing may be written at it.
    pub(crate) is_of_place: bool,
}

impl Reading {
    pub(super) const fn new(kind: ErrorKind, message: &'static str) -> Self {
        Self { kind, message, ends_the_connection: false, was_stopped: false, is_of_place: false }
    }

    pub(super) const fn ends_the_connection(self) -> Self {
        Self { ends_the_connection: true, ..self }
    }

    pub(super) const fn was_stopped(self) -> Self {
        Self { was_stopped: true, ..self }
    }

    pub(super) const fn is_of_place(self) -> Self {
        Self { is_of_place: true, ..self }
    }
}

/// Whether an error is the last that a server says on a connection.
pub(crate) fn ends_the_connection(error: &dyn DatabaseError) -> bool {
    registry::read_error(error).is_none_or(|read| read.ends_the_connection)
}

/// Whether a statement failed because it was stopped, or because it was about to wait for another and was told not to.
pub(crate) fn was_stopped(error: &sqlx::Error) -> bool {
    reading(error).is_some_and(|read| read.was_stopped)
}

/// Whether the database refused a statement for what is written in it, and not for a value or for the state of something.
pub(crate) fn is_mistake(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(_)) && meaning(error).0 == ErrorKind::Database
}

/// Whether an error says that the place is not there, or that nothing may be written at it.
pub(crate) fn is_of_place(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::AnyDriverError(ours) => {
            ours.downcast_ref::<Error>().is_some_and(|error| error.kind() == ErrorKind::Isolation)
        }
        other => reading(other).is_some_and(|read| read.is_of_place),
    }
}

fn reading(error: &sqlx::Error) -> Option<Reading> {
    error.as_database_error().and_then(registry::read_error)
}

// Here and not beside `Error`, whose floor knows no engines.
impl Error {
    /// The error as a value.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let (file, line) = self.place();
        Failure {
            code: self.code().into(),
            message: self.to_string(),
            help: self.help_text().map(str::to_owned),
            causes: self.causes(),
            file,
            line,
        }
    }

    /// Which rule of the schema a value has broken, as the database tells it: of [`Error::is_duplicate`],
    /// [`Error::is_missing_reference`] and [`Error::is_rule_violated`].
    ///
    /// ```no_run
    /// # fn example(error: tenantry::Error) -> tenantry::Result<&'static str> {
    /// let taken = error.constraint().is_some_and(|broken| broken.concerns("username"));
    /// # let _ = taken;
    /// # Err(error)
    /// # }
    /// ```
    #[must_use]
    pub fn constraint(&self) -> Option<Constraint> {
        let mut next = self.source();
        while let Some(cause) = next {
            if let Some(sqlx::Error::Database(error)) = cause.downcast_ref() {
                return registry::constraint(&**error);
            }
            next = cause.source();
        }
        None
    }

    /// The causes behind it, outermost first, for the operator. Drivers repeat their cause in their own text: what was
    /// said already is left out, and so is the line of its own source that PostgreSQL names.
    #[must_use]
    pub fn causes(&self) -> Vec<String> {
        let message = self.to_string();
        let (mut said, mut next) = (Vec::<String>::new(), self.source());
        while let Some(cause) = next {
            let text = own_words(cause);
            if !message.contains(&text) && !said.iter().any(|before| before.contains(&text)) {
                said.push(text);
            }
            // Behind the driver's error stands the server's, in the same words.
            next = cause.source().filter(|_| !matches!(cause.downcast_ref(), Some(sqlx::Error::Database(_))));
        }
        said
    }
}

/// Takes ours out again, or files sqlx's under what it means; its text never reaches [`Error::client_text`].
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::AnyDriverError(cause) => match cause.downcast::<Self>() {
                Ok(ours) => *ours,
                Err(other) => Self::new(ErrorKind::Database, "the database driver failed").caused_by(other),
            },
            other => {
                let (kind, message) = meaning(&other);
                Self::new(kind, message).caused_by(other)
            }
        }
    }
}

/// What a driver's error means to a caller. The engines agree on these; what only one of them has it reads itself.
fn meaning(error: &sqlx::Error) -> (ErrorKind, &'static str) {
    match error {
        sqlx::Error::Database(database) => match database.kind() {
            Sql::UniqueViolation => (ErrorKind::Duplicate, "a unique value is taken"),
            Sql::ForeignKeyViolation => {
                (ErrorKind::MissingReference, "a foreign key refers to a row that is not there")
            }
            Sql::NotNullViolation | Sql::CheckViolation => {
                (ErrorKind::RuleViolated, "a value breaks a rule of the schema")
            }
            _ => registry::read_error(&**database)
                .map_or((ErrorKind::Database, "the database refused the statement"), |read| (read.kind, read.message)),
        },
        sqlx::Error::RowNotFound => (ErrorKind::Database, "a row that was expected is not there"),
        sqlx::Error::Io(_) => (
            ErrorKind::OutcomeUnknown,
            "the connection to the database broke before the answer: it is unknown whether the statement took effect",
        ),
        _ => (ErrorKind::Database, "the database failed"),
    }
}

fn own_words(cause: &(dyn StdError + 'static)) -> String {
    match cause.downcast_ref::<sqlx::Error>() {
        Some(sqlx::Error::Database(error)) => registry::error_words(&**error).unwrap_or_else(|| cause.to_string()),
        _ => cause.to_string(),
    }
}

impl From<sea_orm::DbErr> for Error {
    fn from(error: sea_orm::DbErr) -> Self {
        use sea_orm::{DbErr, RuntimeErr};
        match error {
            DbErr::Conn(RuntimeErr::SqlxError(e))
            | DbErr::Exec(RuntimeErr::SqlxError(e))
            | DbErr::Query(RuntimeErr::SqlxError(e)) => match std::sync::Arc::try_unwrap(e) {
                Ok(e) => e.into(),
                Err(shared) => {
                    let (kind, message) = meaning(&shared);
                    Self::new(kind, message).caused_by(shared.to_string())
                }
            },
            DbErr::Custom(text) => Self::new(ErrorKind::Database, "the statement failed").caused_by(text),
            other => Self::new(ErrorKind::Database, "the object mapper failed").caused_by(other),
        }
    }
}
