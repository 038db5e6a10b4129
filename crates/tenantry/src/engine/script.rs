//! [`Script`]: one migration file, read.

use sqlx::SqlStr;

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
