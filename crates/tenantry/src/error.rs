//! [`Error`]: the one error of the library, with a text for the operator and another for the client.

use std::{error::Error as StdError, fmt};

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
}

macro_rules! kinds {
    ($( $(#[doc = $doc:literal])* $kind:ident, $status:literal, $code:literal, $client:literal, $retry:literal; )*) => {
        /// What an error is about. One line a kind: status, code, the client's text, and whether a retry may help.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum ErrorKind { $( $(#[doc = $doc])* $kind, )* }

        impl ErrorKind {
            const fn status(self) -> u16 { match self { $( Self::$kind => $status, )* } }
            const fn code(self) -> &'static str { match self { $( Self::$kind => $code, )* } }
            const fn client(self) -> &'static str { match self { $( Self::$kind => $client, )* } }
            const fn retryable(self) -> bool { match self { $( Self::$kind => $retry, )* } }
        }
    };
}

kinds! {
    /// The request names no tenant.
    NoTenant, 400, "no_tenant", "this request names no tenant", false;
    /// Two signals of one request name two tenants.
    Disagreement, 400, "signals_disagree", "the signals of this request name different tenants", false;
    /// The host of a request is missing, doubled or malformed.
    BadHost, 400, "bad_host", "the host of this request cannot be read", false;
    /// A signal is there but malformed.
    BadSignal, 400, "bad_signal", "the tenant of this request cannot be read", false;
    /// The body of a request is larger than the limit.
    BodyTooLarge, 413, "body_too_large", "the body of this request is too large", false;
    /// The client did not send the body of its request in time.
    BodyTooSlow, 408, "body_too_slow", "the body of this request did not arrive in time", true;
    /// A request that only reads ran past its limit.
    RequestTooSlow, 503, "too_slow", "the request took too long", true;
    /// Credentials are missing or not valid.
    Unauthenticated, 401, "unauthenticated", "valid credentials are needed", false;
    /// No tenant of that name.
    UnknownTenant, 404, "unknown_tenant", "there is no such tenant", false;
    /// The tenant is suspended.
    Suspended, 403, "tenant_suspended", "this tenant is suspended", false;
    /// The tenant is not at the version that this program needs.
    NotMigrated, 503, "tenant_migrating", "this tenant is being updated; try again soon", true;
    /// The tenant is being created, deleted or moved.
    NotReady, 503, "tenant_not_ready", "this tenant is not ready; try again soon", true;
    /// The catalog cannot be reached, or has not been for too long.
    CatalogUnavailable, 503, "unavailable", "the service is unavailable; try again soon", true;
    /// Too many look-ups of unknown names.
    Throttled, 503, "busy", "the service is busy; try again soon", true;
    /// No connection became free in time.
    PoolTimeout, 503, "busy", "the service is busy; try again soon", true;
    /// A statement ran past its limit.
    StatementTimeout, 503, "too_slow", "the request took too long", true;
    /// The database refused or failed, and nothing of it may be shown.
    Database, 500, "internal", "something went wrong", false;
    /// A unique value is taken.
    Duplicate, 409, "taken", "this is taken", false;
    /// A row refers to one that does not exist.
    MissingReference, 422, "missing_reference", "this refers to something that does not exist", false;
    /// Another rule of the schema refused a value.
    RuleViolated, 422, "rule_violated", "a value breaks a rule", false;
    /// The database is locked or was restarted; the statement did nothing.
    DatabaseBusy, 503, "busy", "the service is busy; try again soon", true;
    /// The connection broke between a statement and its answer.
    OutcomeUnknown, 503, "outcome_unknown", "it is not known whether this was done", false;
    /// A statement that the isolation does not allow.
    Refused, 500, "refused", "something went wrong", false;
    /// A transaction in which something failed was to be committed.
    TransactionFailed, 500, "internal", "something went wrong", false;
    /// The server has ended a transaction that waited too long for its next statement; nothing of it is stored.
    IdleTransaction, 503, "too_slow", "the request took too long", true;
    /// What was asked for does not exist on this engine.
    Unsupported, 422, "unsupported", "this is not supported here", false;
    /// The text is not a tenant key.
    InvalidKey, 422, "invalid_key", "this is not a tenant key", false;
    /// The text is not what the call takes.
    InvalidInput, 422, "invalid_input", "this input is not valid", false;
    /// The key, domain or name is held by another.
    Taken, 409, "taken", "this name is taken", false;
    /// The name was given up a moment ago.
    Quarantined, 409, "quarantined", "this name was given up a moment ago; try again soon", true;
    /// The state does not allow this.
    WrongState, 409, "wrong_state", "the tenant's state does not allow this", false;
    /// The operation was given up because somebody asked for that.
    Cancelled, 409, "cancelled", "this was cancelled", false;
    /// Another process works on this tenant.
    OperationRunning, 409, "operation_running", "another operation works on this tenant", true;
    /// No server, domain or other thing of that name.
    NotFound, 404, "not_found", "there is no such thing", false;
    /// No server has room.
    NoCapacity, 503, "no_capacity", "there is no room for another tenant", false;
    /// A migration cannot be applied, or its history does not fit.
    Migration, 500, "internal", "something went wrong", false;
    /// The configuration, the key file or a directory is not usable.
    Configuration, 500, "internal", "something went wrong", false;
    /// A file operation failed.
    Io, 500, "internal", "something went wrong", true;
    /// The isolation of a place could not be proven.
    Isolation, 500, "internal", "something went wrong", false;
    /// A defect of this library.
    Internal, 500, "internal", "something went wrong", false;
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), client: None, help: None, cause: None }))
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

    /// Replaces the client's text. It must name nothing that the client did not send itself.
    pub(crate) fn for_client(mut self, text: impl Into<String>) -> Self {
        self.0.client = Some(text.into());
        self
    }

    /// The same error for another caller who waited for the same answer.
    pub(crate) fn shared(&self) -> Self {
        let Inner { kind, message, client, help, cause } = &*self.0;
        Self(Box::new(Inner {
            kind: *kind,
            message: message.clone(),
            client: client.clone(),
            help: help.clone(),
            cause: cause.as_ref().map(|c| c.to_string().into()),
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

    /// A stable word for programs, such as `unknown_tenant`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.kind.code()
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

    /// No tenant has this key, id or domain.
    #[must_use]
    pub fn is_unknown_tenant(&self) -> bool {
        self.0.kind == ErrorKind::UnknownTenant
    }

    /// The tenant is suspended.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.0.kind == ErrorKind::Suspended
    }

    /// The text is not a tenant key.
    #[must_use]
    pub fn is_invalid_key(&self) -> bool {
        self.0.kind == ErrorKind::InvalidKey
    }

    /// The name belongs to another, or was given up a moment ago.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Taken | ErrorKind::Quarantined)
    }

    /// A unique value exists already.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        self.0.kind == ErrorKind::Duplicate
    }

    /// A row refers to one that does not exist.
    #[must_use]
    pub fn is_missing_reference(&self) -> bool {
        self.0.kind == ErrorKind::MissingReference
    }

    /// No connection became free in time.
    #[must_use]
    pub fn is_pool_timeout(&self) -> bool {
        self.0.kind == ErrorKind::PoolTimeout
    }

    /// The connection broke before the database had answered. A statement that writes may have been done or not: look
    /// before it is sent again.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        self.0.kind == ErrorKind::OutcomeUnknown
    }

    /// A statement was refused before it ran, because it would leave the tenant's scope.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.0.kind == ErrorKind::Refused
    }

    /// A transaction was not committed, because something in it had failed, or because it waited too long for its next
    /// statement (`pool.idle_in_transaction`).
    #[must_use]
    pub fn is_transaction_failed(&self) -> bool {
        matches!(self.0.kind, ErrorKind::TransactionFailed | ErrorKind::IdleTransaction)
    }

    /// The engine or the isolation has no such thing; [`Error::help_text`] names what to use instead.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        self.0.kind == ErrorKind::Unsupported
    }

    /// The catalog cannot be reached.
    #[must_use]
    pub fn is_catalog_unavailable(&self) -> bool {
        self.0.kind == ErrorKind::CatalogUnavailable
    }

    /// The request names no tenant.
    #[must_use]
    pub fn is_no_tenant(&self) -> bool {
        self.0.kind == ErrorKind::NoTenant
    }

    /// The tenant's state does not allow the call.
    #[must_use]
    pub fn is_wrong_state(&self) -> bool {
        self.0.kind == ErrorKind::WrongState
    }

    /// The operation was given up because somebody asked for that: [`Tenantry::operation_cancel`](crate::Tenantry::operation_cancel).
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.kind == ErrorKind::Cancelled
    }

    /// Another process works on the same tenant.
    #[must_use]
    pub fn is_operation_running(&self) -> bool {
        self.0.kind == ErrorKind::OperationRunning
    }

    /// A migration or its history was refused.
    #[must_use]
    pub fn is_migration(&self) -> bool {
        self.0.kind == ErrorKind::Migration
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
impl From<Error> for sqlx::Error {
    fn from(error: Error) -> Self {
        Self::AnyDriverError(Box::new(error))
    }
}
