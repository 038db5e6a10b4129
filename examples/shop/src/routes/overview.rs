//! `/`: a tenant and its users.

use std::collections::BTreeMap;

use axum::Json;
use sea_orm::{EntityTrait, QueryOrder, QuerySelect};
use tenantry::{TenantDb, TenantKey};

use crate::{entity::user, error::AppError};

/// `{"tenant_a":["userA","userB"]}`
pub(crate) async fn show(db: TenantDb) -> Result<Json<BTreeMap<TenantKey, Vec<String>>>, AppError> {
    let names = user::Entity::find()
        .select_only()
        .column(user::Column::Username)
        .order_by_asc(user::Column::Id)
        .into_tuple()
        .all(&db)
        .await?;
    Ok(Json(BTreeMap::from([(db.tenant().key.clone(), names)])))
}
