//! The program, run as a user runs it: one file a subject.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod bulk;
#[cfg(feature = "failpoints")]
mod catalog_versions;
mod contract;
#[cfg(feature = "failpoints")]
mod crash;
#[cfg(feature = "failpoints")]
mod crash_postgres;
mod doctor;
mod init;
mod messages;
mod migrate;
mod names;
#[cfg(feature = "failpoints")]
mod operation;
mod postgres;
mod sql;
mod tenant;
mod tenantify;
