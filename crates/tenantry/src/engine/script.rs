//! [`Script`]: one migration file, read.

use sqlx::SqlStr;

/// What an operator types once the cause of a failed migration is gone.
pub(crate) const RETRY: &str = "run `tenantry migrate up --retry-failed`";

/// Where a file of migrations runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ScriptKind {
    /// Changes the schema.
    Schema,
    /// `*.data.sql`: changes data, once per tenant, inside that tenant's scope.
    Data,
}

/// One file of migrations.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) version: i64,
    pub(crate) description: String,
    pub(crate) kind: ScriptKind,
    pub(crate) sql: SqlStr,
    pub(crate) checksum: Vec<u8>,
    /// `-- no-transaction` stands at its top.
    pub(crate) no_transaction: bool,
    /// Its path, for error messages.
    pub(crate) file: String,
}

/// One row of a target's ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) version: i64,
    pub(crate) description: String,
    pub(crate) checksum: Vec<u8>,
}

/// What a target has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// The files that were applied, oldest first.
    pub(crate) applied: Vec<Applied>,
    /// The form of the shared tables that it shows, where it shows them.
    pub(crate) shared_form: Option<String>,
    /// A program of an older version has made the target, and [`Engine::renew`](super::Engine::renew) brings it to the form
    /// of this one.
    pub(crate) is_old: bool,
}

impl From<Vec<Applied>> for Ledger {
    fn from(applied: Vec<Applied>) -> Self {
        Self { applied, shared_form: None, is_old: false }
    }
}
