//! The tables as SeaORM sees them. None of them names a tenant: the handle that a query runs on does.

#![expect(unreachable_pub, reason = "SeaORM's derives write `pub` themselves")]

pub(crate) mod account;
pub(crate) mod item;
pub(crate) mod order;
pub(crate) mod product;
pub(crate) mod user;
