//! [`Tenant`] and its states.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, ErrorKind, Result},
    id::TenantId,
    key::TenantKey,
};

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $( $(#[$doc:meta])* $variant:ident = $word:literal ),* $(,)? } $what:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum $name { $( $(#[$doc])* $variant, )* }

        impl $name {
            /// Every value, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$( Self::$variant, )*];

            /// The word for it, as the catalog and the program write it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word, )* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self> {
                Self::ALL.iter().copied().find(|v| v.as_str() == text).ok_or_else(|| {
                    let known: Vec<_> = Self::ALL.iter().map(|v| v.as_str()).collect();
                    let message = format!("{text:?} is no {}: use one of {}", $what, known.join(", "));
                    Error::new(ErrorKind::InvalidInput, message).for_client(concat!("this is no ", $what))
                })
            }
        }
    };
}

words! {
    /// How a tenant's data is kept apart from that of the others.
    Isolation {
        /// Shared tables; the database filters the rows.
        Row = "row",
        /// An own schema in a shared database.
        Schema = "schema",
        /// An own database with an own login; on SQLite an own file.
        Database = "database",
    } "isolation"
}

words! {
    /// Where a tenant is in its life.
    TenantState {
        /// Being created; nothing reaches it yet.
        Provisioning = "provisioning",
        /// Served.
        Active = "active",
        /// Kept, but not served.
        Suspended = "suspended",
        /// Deleted, its data kept for the grace time.
        Deleted = "deleted",
        /// Its data is being destroyed.
        Purging = "purging",
    } "tenant state"
}

/// What may be asked of a tenant's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transition {
    Activate,
    Suspend,
    Resume,
    Delete,
    Undelete,
    Purge,
}

impl Transition {
    #[cfg(test)]
    pub(crate) const ALL: &'static [Self] =
        &[Self::Activate, Self::Suspend, Self::Resume, Self::Delete, Self::Undelete, Self::Purge];

    pub(crate) const fn verb(self) -> &'static str {
        match self {
            Self::Activate => "activate",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Delete => "delete",
            Self::Undelete => "undelete",
            Self::Purge => "purge",
        }
    }

    /// As in "cannot be suspended".
    pub(crate) const fn participle(self) -> &'static str {
        match self {
            Self::Activate => "activated",
            Self::Suspend => "suspended",
            Self::Resume => "resumed",
            Self::Delete => "deleted",
            Self::Undelete => "brought back",
            Self::Purge => "purged",
        }
    }
}

impl TenantState {
    /// The one place that knows which state follows which. `None`: not allowed from here.
    pub(crate) const fn after(self, transition: Transition) -> Option<Self> {
        use TenantState as S;
        use Transition as T;
        match (self, transition) {
            (S::Provisioning, T::Activate) | (S::Suspended, T::Resume) => Some(S::Active),
            (S::Active, T::Suspend) => Some(S::Suspended),
            (S::Active | S::Suspended, T::Delete) => Some(S::Deleted),
            // Undelete brings it back suspended or active: the catalog remembers which (`was_suspended`).
            (S::Deleted, T::Undelete) => Some(S::Active),
            (S::Provisioning | S::Deleted | S::Purging, T::Purge) => Some(S::Purging),
            _ => None,
        }
    }

    /// Whether a tenant in this state is already what an operator asks for: asked twice, it is done once.
    pub(crate) const fn is_reached_by(self, transition: Transition) -> bool {
        use TenantState as S;
        use Transition as T;
        matches!((self, transition), (S::Suspended, T::Suspend) | (S::Active, T::Resume) | (S::Deleted, T::Delete))
    }

    /// Whether requests of a tenant in this state are served.
    #[must_use]
    pub const fn is_served(self) -> bool {
        matches!(self, Self::Active)
    }
}

/// A tenant as the catalog knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Tenant {
    /// Its identity, for ever.
    pub id: TenantId,
    /// Its name for people; may be renamed.
    pub key: TenantKey,
    /// Where it is in its life.
    pub state: TenantState,
    /// How its data is kept apart.
    pub isolation: Isolation,
    /// The name of the server that holds its data.
    pub server: String,
    /// The version of the newest migration that was applied to it; 0 for none.
    pub version: i64,
    /// When it was created, in milliseconds since 1970.
    pub created_at: i64,
    /// When it was deleted, in milliseconds since 1970.
    pub deleted_at: Option<i64>,
    /// Its physical name on the server.
    #[serde(skip)]
    pub(crate) physical: Arc<str>,
    /// Which of the server's shared logins reaches it, where one login cannot reach all tenants.
    #[serde(skip)]
    pub(crate) login: Option<i32>,
    /// The sealed password of its own login, where it has one.
    #[serde(skip)]
    pub(crate) password: Option<Arc<str>>,
    /// Whether it was suspended when it was deleted.
    #[serde(skip)]
    pub(crate) was_suspended: bool,
    /// What stands here is at least as new as this epoch of the catalog.
    #[serde(skip)]
    pub(crate) mark: u64,
}

impl Tenant {
    /// Whether its creation failed and is being undone: it was never served, and never deleted by anybody.
    pub(crate) fn is_given_up(&self) -> bool {
        self.state == TenantState::Purging && self.deleted_at.is_none()
    }

    /// `Ok` if the tenant may be served now, else the error that says why not.
    pub(crate) fn check_served(&self) -> Result<()> {
        let key = &self.key;
        match self.state {
            TenantState::Active => Ok(()),
            TenantState::Suspended => Err(Error::new(ErrorKind::Suspended, format!("tenant `{key}` is suspended"))
                .help(format!("tenantry tenant resume {key}"))),
            TenantState::Provisioning => {
                Err(Error::new(ErrorKind::UnknownTenant, format!("tenant `{key}` is still being created")))
            }
            TenantState::Deleted | TenantState::Purging => {
                Err(Error::new(ErrorKind::UnknownTenant, format!("tenant `{key}` is deleted"))
                    .help(format!("tenantry tenant undelete {key}")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_active_tenant_is_served_and_only_a_purge_is_final() {
        for &state in TenantState::ALL {
            assert_eq!(state.is_served(), state == TenantState::Active);
            let next: Vec<_> = Transition::ALL.iter().filter_map(|&t| state.after(t)).collect();
            assert!(!next.is_empty(), "{state} leads nowhere");
            if state == TenantState::Purging {
                assert_eq!(next, [TenantState::Purging]);
            }
        }
    }

    #[test]
    fn a_served_tenant_cannot_be_purged_without_being_deleted_first() {
        assert_eq!(TenantState::Active.after(Transition::Purge), None);
        assert_eq!(TenantState::Suspended.after(Transition::Purge), None);
        assert_eq!(TenantState::Active.after(Transition::Delete), Some(TenantState::Deleted));
        assert_eq!(TenantState::Deleted.after(Transition::Purge), Some(TenantState::Purging));
    }

    #[test]
    fn every_word_reads_back_and_others_are_refused() {
        for state in TenantState::ALL {
            assert_eq!(state.as_str().parse::<TenantState>().ok(), Some(*state));
        }
        assert!("Active".parse::<TenantState>().is_err());
    }
}
