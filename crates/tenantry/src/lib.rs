#![doc = include_str!("../../../README.md")]

mod catalog;
mod config;
mod doctor;
mod engine;
mod error;
mod failpoint;
mod id;
mod ident;
mod identify;
mod key;
mod migrate;
mod operate;
mod orm;
mod pool;
mod scope;
mod seconds;
mod secret;
mod tenant;
mod tenantry;
mod web;

pub use catalog::{AuditEntry, Domain, NewServer, OperationFilter, OperationStatus, Server, TenantFilter};
pub use config::{CatalogConfig, Config, MigrationsConfig, TenantsConfig};
pub use doctor::{DoctorOptions, DoctorReport};
pub use engine::{Capabilities, Constraint, Finding, StatelessExtension, Wall};
pub use error::{Error, Failure, Result};
pub use id::TenantId;
pub use identify::{Claims, DirectoryLimits, Identify, JwtKeys, RefusedStats, Signal};
pub use key::{MAX_KEY_BYTES, TenantKey};
pub use migrate::{
    Fleet, FleetReport, MigrateEvent, MigrateOptions, Migrations, Mismatch, Note, TargetPlan, TargetReport,
    Tenantified, tenantify,
};
pub use operate::{NewTenant, Recovered};
pub use pool::{PoolLimits, PoolStats};
pub use scope::{
    AnyDb, Db, PostgresDb, PostgresTx, SharedDb, SharedScope, SharedTx, SqliteDb, SqliteTx, Subject, TenantDb,
    TenantScope, TenantTx, Tx,
};
pub use seconds::{Days, Seconds};
pub use secret::SecretKey;
pub use tenant::{Isolation, Tenant, TenantState};
pub use tenantry::{FailedMigration, ServerStats, TenantRef, Tenantry, TenantryBuilder, Visit};
pub use web::{LimitsLayer, LimitsService, Problem, RequestLimits, TenantLayer, TenantService};
