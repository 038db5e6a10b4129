//! From a request to its tenant. Each source abstains, names a tenant, or rejects.

#[cfg(feature = "axum")]
mod builder;
#[cfg(feature = "axum")]
mod chain;
mod directory;
#[cfg(feature = "axum")]
mod forwarded;
#[cfg(feature = "axum")]
mod header;
mod host;
#[cfg(feature = "axum")]
mod jwt;
#[cfg(feature = "axum")]
mod path;
mod refused;
#[cfg(feature = "axum")]
mod user;

#[cfg(feature = "axum")]
pub use self::{
    builder::Identify,
    jwt::{Claims, JwtKeys},
    user::Signal,
};
pub(crate) use self::{directory::Directory, host::canonical_domain};
pub use self::{directory::DirectoryLimits, refused::RefusedStats};
