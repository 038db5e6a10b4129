//! `/users`

use axum::Json;
use sea_orm::{ActiveValue::Set, EntityTrait, QueryOrder};
use serde::Deserialize;
use tenantry::TenantDb;

use crate::{
    entity::user,
    error::AppError,
    json::{Body, Created},
    text,
};

pub(crate) async fn list(db: TenantDb) -> Result<Json<Vec<user::Model>>, AppError> {
    Ok(Json(user::Entity::find().order_by_asc(user::Column::Id).all(&db).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    username: String,
}

/// A taken username needs no look-up before: the unique index says so, and the answer is 409.
pub(crate) async fn create(db: TenantDb, Body(new): Body<NewUser>) -> Result<Created, AppError> {
    text::check("username", &new.username, 100)?;
    let row = user::ActiveModel { username: Set(new.username), ..Default::default() };
    let id = user::Entity::insert(row).exec(&db).await?.last_insert_id;
    Ok(Created { message: "User created", id })
}
