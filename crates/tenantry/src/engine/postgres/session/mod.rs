//! Connections: how they are opened, what is put on them for a tenant, and how statements go through them.

pub(super) mod connect;
pub(super) mod control;
pub(super) mod dial;
pub(super) mod driver;
pub(super) mod extensions;
pub(super) mod failure;
pub(super) mod link;
pub(super) mod outcome;
pub(super) mod process;
pub(super) mod scope;
pub(super) mod scram;
pub(super) mod text;
pub(super) mod transaction;
pub(super) mod tries;
pub(super) mod types;
pub(super) mod url;
pub(super) mod wire;
