//! From a tenant to a handle that reaches this tenant only: lease a connection, enter, verify.

mod db;
mod servers;
mod sqlite;
mod subject;
mod tx;

pub use db::{Db, SharedDb, TenantDb};
pub(crate) use servers::{ServerHandle, Servers, engine_of, is_same_place};
pub use sqlite::{SqliteDb, SqliteTx};
pub use subject::{SharedScope, Subject, TenantScope};
pub use tx::{SharedTx, TenantTx, Tx};
