//! [`Ident`]: the only door by which a name enters SQL.

use std::fmt;

use crate::{
    error::{Error, ErrorKind, Result},
    id::TenantId,
};

/// The longest identifier, in bytes.
const MAX_IDENT_BYTES: usize = tenantry_sql::MAX_NAME_BYTES;

/// A name that is safe as a quoted identifier and as a file name on every engine:
/// ASCII lower-case letters, digits and underscores, 1 to 63 bytes, a letter or underscore first.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ident(String);

impl Ident {
    pub(crate) fn new(text: impl Into<String>) -> Result<Self> {
        let text = text.into();
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
        let rest = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if first && rest && text.len() <= MAX_IDENT_BYTES {
            Ok(Self(text))
        } else {
            Err(Error::new(ErrorKind::InvalidInput, format!("{text:?} cannot be a name in a database")))
        }
    }

    /// The physical name of a tenant. It derives from the id alone, so it is injective and survives a rename.
    pub(crate) fn of_tenant(id: TenantId) -> Self {
        Self(format!("t_{}", id.as_uuid().as_simple()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ident({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_with_a_quote_a_dot_or_63_bytes_too_many_is_refused() {
        for bad in ["", "a\"b", "a`b", "a.b", "../a", "A", "1a", "a b", "a\0", &"a".repeat(64)] {
            assert!(Ident::new(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn two_tenants_never_share_a_physical_name(a in any::<u128>(), b in any::<u128>()) {
            let name = |n| Ident::of_tenant(TenantId::from_uuid(uuid::Uuid::from_u128(n)));
            prop_assert_eq!(a == b, name(a) == name(b));
            prop_assert!(Ident::new(name(a).as_str()).is_ok());
        }
    }
}
