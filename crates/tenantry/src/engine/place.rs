//! Where data lies: [`Placement`], [`Place`], [`Target`].

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use crate::{
    id::TenantId,
    tenant::{Isolation, Tenant},
};

/// Where on its server a tenant's data is, under its physical name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placement {
    pub(crate) id: TenantId,
    pub(crate) isolation: Isolation,
    pub(crate) physical: Arc<str>,
    /// Which of the shared logins reaches it, where one login cannot reach all tenants.
    pub(crate) login: Option<i32>,
    /// The sealed password of the tenant's own login, where it has one.
    pub(crate) password: Option<Arc<str>>,
}

impl Hash for Placement {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The id says it all; the rest only follows from it.
        self.id.hash(state);
    }
}

// Here and not beside `Tenant`, whose floor knows no places.
impl Tenant {
    pub(crate) fn placement(&self) -> Placement {
        Placement {
            id: self.id,
            isolation: self.isolation,
            physical: Arc::clone(&self.physical),
            login: self.login,
            password: self.password.clone(),
        }
    }
}

/// What a physical connection is bound to for its whole life.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// One tenant's own database.
    Tenant(Placement),
    /// The tables that tenants of row isolation have in common.
    Rows,
    /// A login by which some tenants of schema isolation reach theirs.
    Schemas(i32),
    /// The shared tables of the installation.
    Shared,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(placement) => write!(f, "tenant {}", placement.id),
            Self::Rows => f.write_str("the tenants of row isolation"),
            Self::Schemas(login) => write!(f, "the tenants of schema login {login}"),
            Self::Shared => f.write_str("the shared tables"),
        }
    }
}

/// What a file of migrations is applied to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Shared,
    /// The tables that tenants of row isolation have in common.
    Rows,
    Tenant(Placement),
}
