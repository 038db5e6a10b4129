//! [`Error`]: the one error of the library, with a text for the operator and another for the client.

use std::{error::Error as StdError, fmt};

use serde::{Deserialize, Serialize};
use tenantry_sql::{Refusal, Unfinished};

/// The result of the library's calls.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Cause = Box<dyn StdError + Send + Sync + 'static>;

/// What went wrong, where, and what to type next.
///
/// [`Display`](fmt::Display) is the operator's text and says this layer only (the cause is the
/// [`source`](StdError::source)). What a client may read is [`Error::client_text`], and nothing else.
///
/// ```
/// let error = "Acme".parse::<tenantry::TenantKey>().unwrap_err();
/// assert!(error.is_invalid_key());
/// assert_eq!(error.http_status(), 422);
/// assert!(error.help_text().is_some());
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    client: Option<String>,
    help: Option<String>,
    cause: Option<Cause>,
    place: Option<Place>,
}

/// Where in a file something is wrong.
#[derive(Clone)]
struct Place {
    file: String,
    /// From 1.
    line: Option<usize>,
}

/// An error as a value, to be kept, sent and shown: what went wrong, where, and what to type next. Its
/// [`Display`](fmt::Display) is all of it in one line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failure {
    /// As [`Error::code`].
    pub code: String,
    /// What went wrong, for the operator.
    pub message: String,
    /// What the operator can type or change next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// As [`Error::causes`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// The file in which it is, where it is in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line in that file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}

impl StdError for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.causes.iter().try_for_each(|cause| write!(f, ": {cause}"))?;
        self.help.iter().try_for_each(|help| write!(f, "; {help}"))
    }
}

macro_rules! kinds {
    ($( $(#[doc = $doc:literal])* $kind:ident $($is:ident)?: $status:literal, $code:literal $(as $client_code:literal)?, $client:literal, $retry:literal; )*) => {
        /// What an error is about. One line a kind: its predicate, the status, the code (and another one for clients, who are not
        /// to learn what is wrong with the service), the client's text, and whether a retry may help.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum ErrorKind { $( $(#[doc = $doc])* $kind, )* }

        impl ErrorKind {
            #[cfg(test)]
            const ALL: &'static [Self] = &[$( Self::$kind, )*];

            const fn status(self) -> u16 { match self { $( Self::$kind => $status, )* } }
            const fn code(self) -> &'static str { match self { $( Self::$kind => $code, )* } }
            const fn client_code(self) -> Option<&'static str> { match self { $( Self::$kind => kinds!(@ $($client_code)?), )* } }
            const fn client(self) -> &'static str { match self { $( Self::$kind => $client, )* } }
            const fn retryable(self) -> bool { match self { $( Self::$kind => $retry, )* } }
        }

        $( kinds!(@predicate $kind, $($is)?, $($doc)*); )*

        #[cfg(test)]
        impl Error {
            fn predicates(&self) -> Vec<bool> {
                vec![$($( self.$is(), )?)*]
            }
        }
    };
    (@predicate $kind:ident, , $($doc:literal)*) => {};
    (@predicate $kind:ident, $is:ident, $($doc:literal)*) => {
        impl Error {
            $(#[doc = $doc])*
            #[must_use]
            pub fn $is(&self) -> bool {
                self.0.kind == ErrorKind::$kind
            }
        }
    };
    (@ $client_code:literal) => { Some($client_code) };
    (@) => { None };
}

kinds! {
    /// The request names no tenant.
    NoTenant is_no_tenant: 400, "no_tenant", "this request names no tenant", false;
    /// Two signals of one request name two tenants.
    Disagreement is_disagreement: 400, "signals_disagree", "the signals of this request name different tenants", false;
    /// The host of a request is missing, doubled or malformed.
    BadHost is_bad_host: 400, "bad_host", "the host of this request cannot be read", false;
    /// A signal is there but malformed.
    BadSignal is_bad_signal: 400, "bad_signal", "the tenant of this request cannot be read", false;
    /// The body of a request is larger than the limit.
    BodyTooLarge is_body_too_large: 413, "body_too_large", "the body of this request is too large", false;
    /// The client did not send the body of its request in time.
    BodyTooSlow is_body_too_slow: 408, "body_too_slow", "the body of this request did not arrive in time", true;
    /// A request that only reads ran past its limit.
    RequestTooSlow is_request_too_slow: 503, "request_too_slow" as "too_slow", "the request took too long", true;
    /// Credentials are missing or not valid.
    Unauthenticated is_unauthenticated: 401, "unauthenticated", "valid credentials are needed", false;
    /// No tenant of that name.
    UnknownTenant is_unknown_tenant: 404, "unknown_tenant", "there is no such tenant", false;
    /// The tenant is suspended.
    Suspended is_suspended: 403, "tenant_suspended", "this tenant is suspended", false;
    /// The tenant is not at the version that this program needs.
    NotMigrated is_not_migrated: 503, "tenant_migrating", "this tenant is being updated; try again soon", true;
    /// The tenant is being created, deleted or moved.
    NotReady is_not_ready: 503, "tenant_not_ready", "this tenant is not ready; try again soon", true;
    /// The catalog cannot be reached, or has not been for too long.
    CatalogUnavailable is_catalog_unavailable: 503, "catalog_unavailable" as "unavailable", "the service is unavailable; try again soon", true;
    /// Too many look-ups of unknown names.
    Throttled is_throttled: 503, "throttled" as "busy", "the service is busy; try again soon", true;
    /// No connection became free in time.
    PoolTimeout is_pool_timeout: 503, "pool_timeout" as "busy", "the service is busy; try again soon", true;
    /// A statement ran past its limit.
    StatementTimeout is_statement_timeout: 503, "statement_timeout" as "too_slow", "the request took too long", true;
    /// The database refused or failed, and nothing of it may be shown.
    Database is_database: 500, "database" as "internal", "something went wrong", false;
    /// A unique value is taken.
    Duplicate is_duplicate: 409, "duplicate" as "taken", "this is taken", false;
    /// A row refers to one that does not exist.
    MissingReference is_missing_reference: 422, "missing_reference", "this refers to something that does not exist", false;
    /// Another rule of the schema refused a value.
    RuleViolated is_rule_violated: 422, "rule_violated", "a value breaks a rule", false;
    /// The database is locked or was restarted; the statement did nothing.
    DatabaseBusy is_database_busy: 503, "database_busy" as "busy", "the service is busy; try again soon", true;
    /// The connection broke before the database had answered. A statement that writes may have been done or not: look
    /// before it is sent again.
    OutcomeUnknown is_outcome_unknown: 503, "outcome_unknown", "it is not known whether this was done", false;
    /// A statement was refused before it ran, because it would leave the tenant's scope.
    Refused is_refused: 500, "refused" as "internal", "something went wrong", false;
    /// A transaction in which something failed was to be committed.
    TransactionFailed: 500, "transaction_failed" as "internal", "something went wrong", false;
    /// The server has ended a transaction that waited too long for its next statement (`pool.idle_in_transaction`); nothing of
    /// it is stored.
    IdleTransaction is_idle_transaction: 503, "idle_transaction" as "too_slow", "the request took too long", true;
    /// The engine or the isolation has no such thing; [`Error::help_text`] names what to use instead.
    Unsupported is_unsupported: 422, "unsupported", "this is not supported here", false;
    /// The data lies on another engine than the typed view that was asked for: a mistake of the app.
    WrongEngine is_wrong_engine: 500, "wrong_engine" as "internal", "something went wrong", false;
    /// The text is not a tenant key.
    InvalidKey is_invalid_key: 422, "invalid_key", "this is not a tenant key", false;
    /// The text is not what the call takes.
    InvalidInput is_invalid_input: 422, "invalid_input", "this input is not valid", false;
    /// The key, domain or name is held by another.
    Taken: 409, "taken", "this name is taken", false;
    /// The name was given up a moment ago.
    Quarantined is_quarantined: 409, "quarantined", "this name was given up a moment ago; try again soon", true;
    /// The state does not allow this.
    WrongState is_wrong_state: 409, "wrong_state", "the tenant's state does not allow this", false;
    /// The operation was given up because somebody asked for that:
    /// [`Tenantry::operation_cancel`](crate::Tenantry::operation_cancel).
    Cancelled is_cancelled: 409, "cancelled", "this was cancelled", false;
    /// Another process works on this tenant.
    OperationRunning is_operation_running: 409, "operation_running", "another operation works on this tenant", true;
    /// No server, domain or other thing of that name.
    NotFound is_not_found: 404, "not_found", "there is no such thing", false;
    /// No server has room.
    NoCapacity is_no_capacity: 503, "no_capacity", "there is no room for another tenant", false;
    /// A migration cannot be applied, or its history does not fit.
    Migration is_migration: 500, "migration" as "internal", "something went wrong", false;
    /// The configuration, the key file or a directory is not usable.
    Configuration is_configuration: 500, "configuration" as "internal", "something went wrong", false;
    /// A file operation failed.
    Io is_io: 500, "io" as "internal", "something went wrong", true;
    /// The isolation of a place could not be proven.
    Isolation is_isolation: 500, "isolation" as "internal", "something went wrong", false;
    /// A defect of this library.
    Internal is_internal: 500, "internal", "something went wrong", false;
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), client: None, help: None, cause: None, place: None }))
    }

    pub(crate) fn caused_by(mut self, cause: impl Into<Cause>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// What the operator can type or change next.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// Where in a file it is; lines begin with 1.
    pub(crate) fn at(mut self, file: &str, line: Option<usize>) -> Self {
        self.0.place = Some(Place { file: file.to_owned(), line });
        self
    }

    /// The file in which it is, and the line, where it is in one.
    pub(crate) fn place(&self) -> (Option<String>, Option<usize>) {
        let place = self.0.place.as_ref();
        (place.map(|place| place.file.clone()), place.and_then(|place| place.line))
    }

    /// Replaces the client's text. It must name nothing that the client did not send itself.
    pub(crate) fn for_client(mut self, text: impl Into<String>) -> Self {
        self.0.client = Some(text.into());
        self
    }

    /// The same error for another caller who waited for the same answer.
    pub(crate) fn shared(&self) -> Self {
        let Inner { kind, message, client, help, cause, place } = &*self.0;
        Self(Box::new(Inner {
            kind: *kind,
            message: message.clone(),
            client: client.clone(),
            help: help.clone(),
            cause: cause.as_ref().map(|c| c.to_string().into()),
            place: place.clone(),
        }))
    }

    pub(crate) const fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What a client may read: no SQL, no value of another tenant, no name of a machine.
    #[must_use]
    pub fn client_text(&self) -> &str {
        self.0.client.as_deref().unwrap_or_else(|| self.0.kind.client())
    }

    /// A stable word for programs, such as `unknown_tenant`: one for each kind of error. It is the operator's.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.kind.code()
    }

    /// The same for clients: of what is wrong with the service itself it says no more than `internal`, `busy`, `too_slow` or
    /// `unavailable`.
    #[must_use]
    pub fn client_code(&self) -> &'static str {
        self.0.kind.client_code().unwrap_or_else(|| self.0.kind.code())
    }

    /// The HTTP status that fits.
    #[must_use]
    pub fn http_status(&self) -> u16 {
        self.0.kind.status()
    }

    /// What the operator can do about it.
    #[must_use]
    pub fn help_text(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// Whether the same call may succeed later without a change.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.kind.retryable()
    }

    /// The name belongs to another, or was given up a moment ago ([`Error::is_quarantined`]).
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Taken | ErrorKind::Quarantined)
    }

    /// A transaction was not committed, because something in it had failed, or because it waited too long for its next
    /// statement ([`Error::is_idle_transaction`]).
    #[must_use]
    pub fn is_transaction_failed(&self) -> bool {
        matches!(self.0.kind, ErrorKind::TransactionFailed | ErrorKind::IdleTransaction)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("help", &self.0.help)
            .field("cause", &self.0.cause)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.cause.as_deref().map(|c| c as &(dyn StdError + 'static))
    }
}

/// Wraps one of ours so that it passes through an API whose error is `sqlx`'s.
impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::new(ErrorKind::Refused, refusal.to_string()).help(refusal.instead())
    }
}

impl From<Unfinished> for Error {
    fn from(file: Unfinished) -> Self {
        Self::new(ErrorKind::Migration, file.to_string()).caused_by(file.cause)
    }
}

impl From<Error> for sqlx::Error {
    fn from(error: Error) -> Self {
        Self::AnyDriverError(Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_kind_has_a_code_of_its_own_and_a_client_learns_nothing_of_the_service() {
        let codes: HashSet<_> = ErrorKind::ALL.iter().map(|kind| kind.code()).collect();
        assert_eq!(codes.len(), ErrorKind::ALL.len());
        for kind in ErrorKind::ALL {
            let error = Error::new(*kind, "x");
            if kind.status() == 500 {
                assert_eq!(
                    (error.client_code(), error.client_text()),
                    ("internal", "something went wrong"),
                    "{kind:?}"
                );
            }
        }
    }

    #[test]
    fn every_kind_is_told_by_exactly_its_predicates() {
        let told = |error: &Error| {
            let [all, combined] = [error.predicates(), vec![error.is_taken(), error.is_transaction_failed()]];
            all.into_iter().filter(|yes| *yes).count() + combined.into_iter().filter(|yes| *yes).count()
        };
        for kind in ErrorKind::ALL {
            let both = matches!(kind, ErrorKind::Quarantined | ErrorKind::IdleTransaction);
            assert_eq!(told(&Error::new(*kind, "x")), if both { 2 } else { 1 }, "{kind:?}");
        }
    }
}
