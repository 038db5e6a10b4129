#![doc = include_str!("../../../README.md")]
#![cfg_attr(
    not(all(feature = "axum", feature = "postgres", feature = "sea-orm", feature = "sqlite")),
    allow(dead_code, unused_imports, reason = "some of what every feature uses has no user where one is left out")
)]

#[cfg(not(any(feature = "postgres", feature = "sqlite")))]
compile_error!("tenantry needs an engine: turn on its feature `postgres` or `sqlite`");

mod catalog;
mod config;
mod doctor;
mod engine;
mod error;
mod failpoint;
#[cfg(all(doctest, feature = "testing"))]
mod guide;
mod id;
mod ident;
mod identify;
mod key;
mod migrate;
mod operate;
#[cfg(feature = "sea-orm")]
mod orm;
mod pool;
mod scope;
mod seconds;
mod secret;
mod tenant;
mod tenantry;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "axum")]
mod web;

pub use catalog::{AuditEntry, Domain, NewServer, OperationFilter, OperationStatus, Server, TenantFilter};
pub use config::{CatalogConfig, Config, MigrationsConfig, TenantsConfig};
pub use doctor::{DoctorOptions, DoctorReport};
pub use engine::{Capabilities, Constraint, Finding, StatelessExtension, Wall};
pub use error::{Error, Failure, Result};
pub use id::TenantId;
#[cfg(feature = "axum")]
pub use identify::{Claims, Identify, JwtKeys, Signal};
pub use identify::{DirectoryLimits, RefusedStats};
pub use key::{MAX_KEY_BYTES, TenantKey};
pub use migrate::{Fleet, FleetReport, MigrateEvent, MigrateOptions, Migrations, Mismatch, TargetPlan, TargetReport};
#[cfg(feature = "tenantify")]
pub use migrate::{Note, Tenantified, tenantify};
pub use operate::{NewTenant, Recovered};
pub use pool::{PoolLimits, PoolStats};
pub use scope::{AnyDb, Db, SharedDb, SharedScope, SharedTx, Subject, TenantDb, TenantScope, TenantTx, Tx};
#[cfg(feature = "postgres")]
pub use scope::{PostgresDb, PostgresTx};
#[cfg(feature = "sqlite")]
pub use scope::{SqliteDb, SqliteTx};
pub use seconds::{Days, Seconds};
pub use secret::SecretKey;
pub use tenant::{Isolation, Tenant, TenantState};
pub use tenantry::{FailedMigration, ServerStats, TenantRef, Tenantry, TenantryBuilder, Visit};
#[cfg(feature = "axum")]
pub use web::{LimitsLayer, LimitsService, Problem, RequestLimits, TenantLayer, TenantService};
