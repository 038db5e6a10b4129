//! For whoever watches over the process.

use std::time::Duration;

use axum::{extract::State, http::StatusCode};
use sea_orm::{EntityTrait, QuerySelect};
use tenantry::Tenantry;

use crate::{app::Shop, entity::account, error::AppError};

const PATIENCE: Duration = Duration::from_secs(2);

/// The listener opens when everything serves, so an answer is all there is to say.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the catalog and the server of the tenants answer, soon.
pub(crate) async fn readyz(State(shop): State<Shop>) -> Result<&'static str, AppError> {
    match tokio::time::timeout(PATIENCE, ask(&shop.tenancy)).await {
        Ok(Ok(())) => Ok("ready\n"),
        Ok(Err(error)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a database does not answer");
            Err(unready())
        }
        Err(_) => Err(unready()),
    }
}

async fn ask(tenancy: &Tenantry) -> tenantry::Result<()> {
    tenancy.server_list().await?;
    let shared = tenancy.shared().await?;
    account::Entity::find().limit(1).all(&shared).await?;
    Ok(())
}

fn unready() -> AppError {
    AppError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the service is not ready")
}
