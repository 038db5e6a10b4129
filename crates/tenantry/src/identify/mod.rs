//! From a request to its tenant.

mod directory;

pub(crate) use directory::Directory;
pub use directory::DirectoryLimits;
