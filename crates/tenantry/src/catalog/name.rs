//! [`Name`]: what a request may call a tenant by.

use std::fmt;

use crate::{id::TenantId, key::TenantKey};

/// A way to name one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Name {
    Id(TenantId),
    Key(TenantKey),
    /// A custom domain in its canonical form: lower-case ASCII, no port, no trailing dot.
    Domain(Box<str>),
}

impl Name {
    /// As it stands in the change log.
    pub(crate) fn to_log(&self) -> String {
        match self {
            Self::Id(id) => format!("id:{id}"),
            Self::Key(key) => format!("key:{key}"),
            Self::Domain(host) => format!("domain:{host}"),
        }
    }

    pub(crate) fn from_log(text: &str) -> Option<Self> {
        let (kind, name) = text.split_once(':')?;
        match kind {
            "id" => name.parse().ok().map(Self::Id),
            "key" => TenantKey::from_catalog(name).ok().map(Self::Key),
            "domain" => Some(Self::Domain(name.into())),
            _ => None,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "the id {id}"),
            Self::Key(key) => write!(f, "the key `{key}`"),
            Self::Domain(host) => write!(f, "the domain `{host}`"),
        }
    }
}
