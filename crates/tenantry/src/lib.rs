//! tenantry
mod error;
mod id;
mod ident;
mod key;
mod tenant;

pub use error::{Error, Result};
pub use id::TenantId;
pub use key::{MAX_KEY_BYTES, TenantKey};
pub use tenant::{Isolation, Tenant, TenantState};
