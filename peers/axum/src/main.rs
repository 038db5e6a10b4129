//! The scenario of the comparison behind axum, in one of several styles: `peer-axum --style tenantry-schema`.
//!
//! Everything that a style does not need is the same in all of them, so that what differs is the tenancy.

#![expect(clippy::print_stderr, reason = "a program that somebody starts by hand or by `cargo xtask compare`")]

mod by_hand;
mod native;
mod scenario;
mod tenanted;

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use axum::Router;
use clap::{Parser, ValueEnum};
use tokio::net::TcpListener;

use crate::native::Around;

type Result<T = (), E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

/// The scenario of the comparison behind axum.
#[derive(Parser)]
struct Args {
    #[arg(long, value_enum)]
    style: Style,
    #[arg(long, default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// Of a database that is filled; for tenantry the administrator's, of an empty one.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database: String,
    #[arg(long, default_value_t = 32)]
    connections: u32,
    /// How many tenants tenantry makes before it serves.
    #[arg(long, default_value_t = 1_000)]
    tenants: usize,
    /// Where tenantry keeps its catalog and key.
    #[arg(long, default_value = "target/peers/tenantry")]
    data: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Style {
    /// Bare sqlx and one schema: what there is to lose.
    Untenanted,
    /// `BEGIN; SET LOCAL search_path`, the statement, `COMMIT`.
    SqlxSchema,
    /// The same with row security by a setting.
    SqlxRow,
    TenantryRow,
    TenantrySchema,
    TenantryDatabase,
    /// tokio-postgres, untenanted.
    NativeUntenanted,
    /// tokio-postgres, with the scope in the same flush.
    NativeRow,
    NativeSchema,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result {
    let app = app(args).await?;
    let listener = TcpListener::bind(args.listen).await?;
    Ok(axum::serve(listener, app).await?)
}

async fn app(args: &Args) -> Result<Router> {
    use tenantry::Isolation;
    match args.style {
        Style::Untenanted => by_hand::untenanted(args).await,
        Style::SqlxSchema => by_hand::schema(args).await,
        Style::SqlxRow => by_hand::row(args).await,
        Style::TenantryRow => tenanted::app(args, Isolation::Row).await,
        Style::TenantrySchema => tenanted::app(args, Isolation::Schema).await,
        Style::TenantryDatabase => tenanted::app(args, Isolation::Database).await,
        Style::NativeUntenanted => native::app(args, Around::Nothing).await,
        Style::NativeRow => native::app(args, Around::Row).await,
        Style::NativeSchema => native::app(args, Around::Schema).await,
    }
}
