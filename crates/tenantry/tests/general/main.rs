//! Tests of what holds on every engine, of SQLite, and of several processes: one file a subject.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
#[macro_use]
mod support;

mod cancel;
mod guard;
mod identify;
mod identify_log;
mod lifecycle;
mod migrate;
mod names;
mod pool;
mod pool_limits;
mod processes;
mod request_limits;
#[cfg(feature = "testing")]
mod testing;
