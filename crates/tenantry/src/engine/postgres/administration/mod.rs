//! What an administrator makes and puts right on a server: roles, schemas, rights, the ledger, the walls.

pub(super) mod layout;
pub(super) mod ledger;
pub(super) mod locks;
pub(super) mod rights;
pub(super) mod roles;
pub(super) mod rows_role;
pub(super) mod server;
pub(super) mod shared_grants;
pub(super) mod site;
pub(super) mod statistics;
pub(super) mod wall;
