//! What was planned for a fleet, what happens, and what came of it.

use serde::Serialize;

use crate::error::Failure;

/// What is to be applied to one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TargetPlan {
    /// `shared`, or a tenant's key.
    pub target: String,
    /// The version it has.
    pub version: i64,
    /// The files to apply, as `version description`.
    pub pending: Vec<String>,
    /// Why nothing can be applied to it: its file or its database is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
}

/// How it went with one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TargetReport {
    /// `shared`, or a tenant's key.
    pub target: String,
    /// The version it has now.
    pub version: i64,
    /// How many files were applied.
    pub applied: usize,
    /// Why it failed.
    pub error: Option<Failure>,
}

/// How it went with a fleet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FleetReport {
    /// Those to which something was applied, and those that failed.
    pub targets: Vec<TargetReport>,
    /// How many had nothing to apply.
    pub up_to_date: usize,
    /// How many failed.
    pub failed: usize,
    /// How many were not tried, because too much had failed before.
    pub not_tried: usize,
    /// Tenants that were purged before anything could be applied to them: nothing of them is left to migrate.
    pub gone: Vec<String>,
    /// Somebody asked that it stop: what was not tried is migrated when it is run again.
    pub cancelled: bool,
}

/// Something that happened while a fleet is migrated.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum MigrateEvent {
    /// So many targets have something to apply.
    Planned(usize),
    /// A wave of so many targets begins.
    Wave {
        /// Its number, from 1.
        number: usize,
        /// How many targets are in it.
        targets: usize,
    },
    /// A target is done, or has failed.
    Done(TargetReport),
}

/// A target whose history does not fit the files, or that lacks some of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Mismatch {
    /// `shared`, the rows of a server, or a tenant's key; `None` where it is not even known which.
    pub target: Option<String>,
    /// What does not fit.
    pub failure: Failure,
}
