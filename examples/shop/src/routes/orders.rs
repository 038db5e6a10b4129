//! `/orders`

use axum::{Json, http::StatusCode};
use sea_orm::{ActiveValue::Set, EntityTrait, QueryOrder};
use serde::Deserialize;
use tenantry::TenantDb;

use crate::{
    entity::{item, order},
    error::AppError,
    json::{Body, Created},
};

pub(crate) async fn list(db: TenantDb) -> Result<Json<Vec<order::Model>>, AppError> {
    Ok(Json(order::Entity::find().order_by_asc(order::Column::Id).all(&db).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewOrder {
    item_id: i64,
    quantity: i64,
}

/// The price is read and the order written in one transaction: nobody changes the one before the other is there.
pub(crate) async fn create(db: TenantDb, Body(new): Body<NewOrder>) -> Result<Created, AppError> {
    if new.quantity < 1 {
        return Err(AppError::invalid("`quantity` is less than one"));
    }
    let tx = db.begin().await?;
    let item = item::Entity::find_by_id(new.item_id).one(&tx).await?;
    let item = item.ok_or_else(missing_item)?;
    if item.price.times(new.quantity).is_none() {
        return Err(AppError::invalid("`quantity` is too large for the item's price"));
    }
    let row = order::ActiveModel { item_id: Set(item.id), quantity: Set(new.quantity), ..Default::default() };
    let id = order::Entity::insert(row).exec(&tx).await?.last_insert_id;
    tx.commit().await?;
    Ok(Created { message: "Order created", id })
}

/// The code that the database's own foreign key would lead to.
fn missing_item() -> AppError {
    AppError::new(StatusCode::UNPROCESSABLE_ENTITY, "missing_reference", "`item_id` is no item")
}
