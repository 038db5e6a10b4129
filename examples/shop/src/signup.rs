//! `POST /signup`: a new tenant, served when the answer comes.

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use tenantry::{Isolation, NewTenant, TenantKey};

use crate::{app::Shop, error::AppError, json::Body};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignUp {
    tenant: String,
    isolation: Option<Isolation>,
}

#[derive(Serialize)]
pub(crate) struct SignedUp {
    message: &'static str,
    tenant: TenantKey,
}

pub(crate) async fn sign_up(
    State(shop): State<Shop>,
    Body(wish): Body<SignUp>,
) -> Result<(StatusCode, Json<SignedUp>), AppError> {
    let mut new = NewTenant::with_key(shop.tenancy.tenant_key(&wish.tenant)?);
    if let Some(isolation) = wish.isolation.or(shop.isolation) {
        new = new.isolation(isolation);
    }
    let tenant = shop.tenancy.tenant_create(new).await?;
    Ok((StatusCode::CREATED, Json(SignedUp { message: "Tenant created", tenant: tenant.key })))
}
