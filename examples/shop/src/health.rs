//! For whoever watches over the process.

use std::time::Duration;

use axum::{extract::State, http::StatusCode};

use crate::{app::Shop, error::AppError};

const PATIENCE: Duration = Duration::from_secs(2);

/// The listener opens when everything serves, so an answer is all there is to say.
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether the catalog answers, soon.
pub(crate) async fn readyz(State(shop): State<Shop>) -> Result<&'static str, AppError> {
    match tokio::time::timeout(PATIENCE, shop.tenancy.server_list()).await {
        Ok(Ok(_)) => Ok("ready\n"),
        Ok(Err(error)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the catalog does not answer");
            Err(unready())
        }
        Err(_) => Err(unready()),
    }
}

fn unready() -> AppError {
    AppError::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the service is not ready")
}
