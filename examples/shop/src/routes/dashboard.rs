//! `/dashboard`

use axum::Json;
use sea_orm::{EntityTrait, PaginatorTrait};
use serde::Serialize;
use tenantry::{TenantDb, TenantKey};

use crate::{
    entity::{order, product, user},
    error::AppError,
};

#[derive(Serialize)]
pub(crate) struct Dashboard {
    tenant: TenantKey,
    users: u64,
    products: u64,
    orders: u64,
}

/// Three counts of one moment: they are read in one transaction.
pub(crate) async fn show(db: TenantDb) -> Result<Json<Dashboard>, AppError> {
    let moment = db.begin_read().await?;
    let dashboard = Dashboard {
        tenant: db.tenant().key.clone(),
        users: user::Entity::find().count(&moment).await?,
        products: product::Entity::find().count(&moment).await?,
        orders: order::Entity::find().count(&moment).await?,
    };
    moment.commit().await?;
    Ok(Json(dashboard))
}
