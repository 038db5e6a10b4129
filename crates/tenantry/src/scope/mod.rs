//! From a tenant to a handle that reaches this tenant only: lease a connection, enter, verify.

mod db;
mod servers;
mod statements;
mod subject;
mod texts;
mod tx;
mod views;

pub use db::{Db, SharedDb, TenantDb};
pub(crate) use servers::{ServerHandle, Servers};
pub use subject::{SharedScope, Subject, TenantScope};
pub use tx::{SharedTx, TenantTx, Tx};
pub use views::AnyDb;
#[cfg(feature = "postgres")]
pub use views::{PostgresDb, PostgresTx};
#[cfg(feature = "sqlite")]
pub use views::{SqliteDb, SqliteTx};
