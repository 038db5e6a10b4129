//! `/products`

use axum::Json;
use sea_orm::{ActiveValue::Set, EntityTrait, QueryOrder};
use serde::Deserialize;
use tenantry::TenantDb;

use crate::{
    entity::product,
    error::AppError,
    json::{Body, Created},
    money::Money,
    text,
};

pub(crate) async fn list(db: TenantDb) -> Result<Json<Vec<product::Model>>, AppError> {
    Ok(Json(product::Entity::find().order_by_asc(product::Column::Id).all(&db).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewProduct {
    name: String,
    price: Money,
}

pub(crate) async fn create(db: TenantDb, Body(new): Body<NewProduct>) -> Result<Created, AppError> {
    text::check("name", &new.name, 200)?;
    let row = product::ActiveModel { name: Set(new.name), price: Set(new.price), ..Default::default() };
    let id = product::Entity::insert(row).exec(&db).await?.last_insert_id;
    Ok(Created { message: "Product created", id })
}
