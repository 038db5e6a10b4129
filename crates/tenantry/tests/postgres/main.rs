//! Tests of what is PostgreSQL's own: one file a subject.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../support/counted.rs"]
mod counted;
#[path = "../support/mod.rs"]
#[macro_use]
mod support;

mod admin;
mod closed_wall;
mod doctor;
mod enums;
mod faults;
mod files;
mod fleet_lives;
mod fleet_locks;
mod fleet_purge;
mod kept;
mod load;
mod migrate;
mod places;
mod policies;
mod pooler;
mod purge_late;
mod purge_rows;
mod refused;
mod round_trips;
mod secrets;
mod servers;
mod signup;
mod sql;
mod state;
mod statistics;
#[cfg(feature = "testing")]
mod testing;
mod tls;
mod walls;
mod wire;
