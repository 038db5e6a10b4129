//! The shop as its users meet it: the program itself, started on an empty directory and asked over HTTP.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod accounts;
mod durability;
mod isolation;
mod lifecycle;
mod refusals;
mod routes;
mod signup;
mod support;
