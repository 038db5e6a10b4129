//! shop: the example app of tenantry. One program, many companies, and a database that keeps each one's data apart.
//!
//! Start reading at [`app`], which says what answers where, and then at one of the [`routes`].

mod accounts;
mod app;
mod args;
mod banner;
mod demo;
mod entity;
mod error;
mod failure;
mod files;
mod health;
mod installation;
mod json;
mod limits;
mod migrations;
mod money;
mod routes;
mod server;
mod shutdown;
mod signup;
mod text;

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use axum::Router;
use clap::Parser;
use tenantry::{JwtKeys, Tenantry};
use tracing_subscriber::EnvFilter;

use crate::{
    accounts::Accounts,
    app::{Door, Shop},
    args::Args,
    failure::Failure,
    shutdown::Stop,
};

/// How long connections to databases may take to close at the end.
const CLOSING: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    limits::raise_open_files();
    match run(&args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // With stderr closed there is nobody left to tell.
            let _ = writeln!(io::stderr(), "{failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<(), Failure> {
    let stop = Stop::listen()?;
    let started = tokio::select! {
        started = start(args) => started?,
        // The next start ends what this one had begun.
        () = stop.clone().asked() => return Ok(()),
    };
    let listener = server::listen(args.listen).await?;
    let address = listener.local_addr().map_err(|e| Failure::new("the listener has no address").caused_by(e))?;
    banner::print(address, &args.data, started.with_demo);
    server::serve(listener, started.app, args.limits(), stop).await;
    started.tenancy.shutdown(CLOSING).await;
    Ok(())
}

struct Started {
    tenancy: Tenantry,
    app: Router,
    with_demo: bool,
}

/// Everything that has to be there before the first request.
async fn start(args: &Args) -> Result<Started, Failure> {
    let keys = token_keys(args)?;
    app::check_base_domain(&args.base_domain)?;
    let tenancy = installation::open(args).await?;
    let demo = async { if args.no_demo { Ok(false) } else { demo::make(&tenancy, args.isolation).await } };
    let (with_demo, accounts) = tokio::try_join!(demo, Accounts::new(tenancy.clone()))?;
    let door = Door { base_domain: args.base_domain.clone(), keys, accounts };
    let shop = Shop { tenancy: tenancy.clone(), isolation: args.isolation };
    Ok(Started { tenancy, app: app::router(shop, &door), with_demo })
}

/// Without a secret given, one that nobody knows: a default one would open every shop that forgot to set it.
fn token_keys(args: &Args) -> Result<JwtKeys, Failure> {
    let secret = match &args.jwt_secret {
        Some(secret) => secret.clone().into_bytes(),
        None => {
            let mut random = [0_u8; 32];
            aws_lc_rs::rand::fill(&mut random).map_err(|e| Failure::new("there are no random bytes").caused_by(e))?;
            random.into()
        }
    };
    JwtKeys::hs256(secret, "shop", "shop").map_err(|e| Failure::new("`--jwt-secret` cannot be used").caused_by(e))
}
