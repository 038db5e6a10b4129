//! Plain SQL files, planned and applied: to one target, and to a fleet of them.

mod files;
mod fleet;
mod jobs;
mod options;
mod plan;
mod report;
mod run;
#[cfg(feature = "tenantify")]
mod tenantify;

pub use files::Migrations;
pub use fleet::Fleet;
pub use options::MigrateOptions;
pub use report::{FleetReport, MigrateEvent, Mismatch, TargetPlan, TargetReport};
#[cfg(feature = "tenantify")]
pub use tenantify::{Note, Tenantified, tenantify};
