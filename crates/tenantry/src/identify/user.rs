//! The organisation of the signed-in user, by a closure of the app.

use std::{pin::Pin, sync::Arc};

use http::request::Parts;

use super::jwt::refused;
use crate::{catalog::Name, error::Result, id::TenantId, key::TenantKey};

/// What the closure of [`Identify::user`](crate::Identify::user) finds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signal {
    /// Nobody is signed in, or the user belongs to no tenant.
    Abstain,
    /// The tenant with this key.
    Key(TenantKey),
    /// The tenant with this id.
    Id(TenantId),
    /// The credentials are not valid: 401.
    Refuse,
}

impl Signal {
    fn into_name(self) -> Result<Option<Name>> {
        match self {
            Self::Abstain => Ok(None),
            Self::Key(key) => Ok(Some(Name::Key(key))),
            Self::Id(id) => Ok(Some(Name::Id(id))),
            Self::Refuse => Err(refused("the app refused the credentials of a request")),
        }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Signal>> + Send>>;

#[derive(Clone)]
pub(super) struct User(Arc<dyn Fn(Parts) -> Answer + Send + Sync>);

impl User {
    pub(super) fn new<F, A>(organisation: F) -> Self
    where
        F: Fn(Parts) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Signal>> + Send + 'static,
    {
        Self(Arc::new(move |parts| Box::pin(organisation(parts))))
    }

    pub(super) async fn named(&self, parts: &Parts) -> Result<Option<Name>> {
        (self.0)(parts.clone()).await?.into_name()
    }
}
