//! What a tenant's address answers, a file a subject. No handler names its tenant: its [`TenantDb`](tenantry::TenantDb)
//! reaches that tenant only.

pub(crate) mod dashboard;
pub(crate) mod items;
pub(crate) mod me;
pub(crate) mod orders;
pub(crate) mod overview;
pub(crate) mod products;
pub(crate) mod users;
