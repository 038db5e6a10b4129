//! From a tenant to a handle that reaches this tenant only: lease a connection, enter, verify.

mod copy;
mod db;
mod servers;
mod statements;
mod subject;
mod tx;
mod views;

pub use db::{Db, SharedDb, TenantDb};
pub(crate) use servers::{ServerHandle, Servers, app_url_new, is_same_engine, is_same_place, tenant_password_new};
pub use subject::{SharedScope, Subject, TenantScope};
pub use tx::{SharedTx, TenantTx, Tx};
pub use views::{PostgresDb, PostgresTx, SqliteDb, SqliteTx};
