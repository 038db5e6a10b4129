//! `/me`: for people who sign in. Their organisation is the tenant.

use axum::Json;
use sea_orm::{EntityTrait, QueryOrder};
use serde::Serialize;
use tenantry::TenantDb;

use crate::{
    entity::{item, order},
    error::AppError,
    money::Money,
};

#[derive(Serialize)]
pub(crate) struct PricedOrder {
    item: String,
    price: Money,
    quantity: i64,
    total: Money,
}

impl PricedOrder {
    /// `None` if the total cannot be counted, which `POST /orders` does not let happen.
    fn of(order: &order::Model, item: item::Model) -> Option<Self> {
        let total = item.price.times(order.quantity)?;
        Some(Self { item: item.description, price: item.price, quantity: order.quantity, total })
    }
}

pub(crate) async fn priced_orders(db: TenantDb) -> Result<Json<Vec<PricedOrder>>, AppError> {
    let orders = order::Entity::find().find_also_related(item::Entity).order_by_asc(order::Column::Id).all(&db).await?;
    let priced = orders.into_iter().map(|(order, item)| item.and_then(|item| PricedOrder::of(&order, item)));
    priced.collect::<Option<_>>().map(Json).ok_or_else(|| AppError::impossible("an order has no total"))
}
