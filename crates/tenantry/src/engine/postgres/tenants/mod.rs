//! Where tenants are: rows of common tables, schemas, databases, and the shared tables that all of them see.

pub(super) mod databases;
pub(super) mod places;
pub(super) mod rows;
pub(super) mod schemas;
pub(super) mod shared;
pub(super) mod targets;
pub(super) mod writers;
