//! Plain SQL files, planned and applied: to one target, and to a fleet of them.

mod files;
mod fleet;
mod plan;
mod tenantify;

pub use files::Migrations;
pub use fleet::{Fleet, FleetReport, MigrateEvent, MigrateOptions, TargetPlan, TargetReport};
pub use tenantify::{Note, Tenantified, tenantify};
