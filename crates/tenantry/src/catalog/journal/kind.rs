//! [`OperationKind`] and [`Subject`]: what an operation does, and on what.

use std::fmt;

use crate::{
    error::{Error, ErrorKind, Result},
    id::TenantId,
};

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperationKind {
    /// Makes a tenant.
    Provision,
    /// Destroys a deleted tenant.
    Purge,
    /// Brings a fleet to the newest version.
    Migrate,
}

impl OperationKind {
    pub(crate) const ALL: [Self; 3] = [Self::Provision, Self::Purge, Self::Migrate];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Provision => "provision",
            Self::Purge => "purge",
            Self::Migrate => "migrate",
        }
    }

    /// Whether it can be given up half way: what a purge has destroyed nothing brings back.
    pub(super) const fn can_be_cancelled(self) -> bool {
        match self {
            Self::Provision | Self::Migrate => true,
            Self::Purge => false,
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            Error::new(ErrorKind::Internal, format!("the journal holds an unknown operation `{text}`"))
                .help("a newer program wrote it: use that one")
        })
    }
}

/// What an operation works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Tenant(TenantId),
    /// All tenants, or some of them.
    Fleet,
}

impl Subject {
    /// As a row holds it: the column is older than operations on a fleet, and may not be empty.
    pub(super) fn to_column(self) -> String {
        match self {
            Self::Tenant(id) => id.to_string(),
            Self::Fleet => TenantId::NONE.to_string(),
        }
    }

    pub(super) fn from_column(text: &str) -> Result<Self> {
        let id: TenantId = text.parse()?;
        Ok(if id == TenantId::NONE { Self::Fleet } else { Self::Tenant(id) })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(id) => write!(f, "tenant {id}"),
            Self::Fleet => f.write_str("the fleet"),
        }
    }
}
