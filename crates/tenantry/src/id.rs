//! [`TenantId`]: the one name of a tenant that never changes.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::{Error, ErrorKind};

/// A tenant's immutable identity: a UUIDv7, so that ids sort by time of creation.
///
/// Physical names (files, schemas, databases, logins) derive from it, never from the key.
///
/// ```
/// use tenantry::TenantId;
/// let id = TenantId::new();
/// assert_eq!(id, id.to_string().parse().unwrap());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantId(Uuid);

impl TenantId {
    /// A new id, later in order than every id made before it by this process.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "two calls give two ids: not a default value")]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// No tenant has it.
    pub(crate) const NONE: Self = Self(Uuid::nil());

    /// The id as a plain UUID, to bind in a query of your own.
    #[must_use]
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }

    #[cfg(test)]
    pub(crate) const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantId({self})")
    }
}

impl FromStr for TenantId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let uuid = Uuid::try_parse(text)
            .map_err(|e| Error::new(ErrorKind::InvalidInput, "this is not a tenant id").caused_by(e))?;
        Ok(Self(uuid))
    }
}
