//! tenantry
mod catalog;
mod engine;
mod error;
mod failpoint;
mod id;
mod ident;
mod identify;
mod key;
mod migrate;
mod pool;
mod scope;
mod secret;
mod tenant;

pub use error::{Error, Result};
pub use id::TenantId;
pub use key::{MAX_KEY_BYTES, TenantKey};
pub use tenant::{Isolation, Tenant, TenantState};
