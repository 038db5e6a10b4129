//! `/items`

use axum::Json;
use sea_orm::{ActiveValue::Set, EntityTrait, QueryOrder};
use serde::Deserialize;
use tenantry::TenantDb;

use crate::{
    entity::item,
    error::AppError,
    json::{Body, Created},
    money::Money,
    text,
};

pub(crate) async fn list(db: TenantDb) -> Result<Json<Vec<item::Model>>, AppError> {
    Ok(Json(item::Entity::find().order_by_asc(item::Column::Id).all(&db).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewItem {
    description: String,
    price: Money,
}

pub(crate) async fn create(db: TenantDb, Body(new): Body<NewItem>) -> Result<Created, AppError> {
    text::check("description", &new.description, 200)?;
    let row = item::ActiveModel { description: Set(new.description), price: Set(new.price), ..Default::default() };
    let id = item::Entity::insert(row).exec(&db).await?.last_insert_id;
    Ok(Created { message: "Item created", id })
}
