//! [`Party`]: whose turn it can be.

use crate::{engine::Place, id::TenantId};

/// Who asks for connections of a place: a tenant, or nobody in particular. Parties take turns.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Party {
    pub(super) place: Place,
    pub(super) tenant: Option<TenantId>,
}
