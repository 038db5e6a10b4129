//! The catalog's own schema, by version.
//!
//! A program never opens a catalog that is newer than itself, but one that is running when another upgrades the catalog
//! goes on with its old statements. So each change is additive: a nullable column, an index, a table; and what an old
//! program leaves out must have a meaning. `catalog_versions` of the program tests each version's dump, and a process of
//! the old version beside the new one.

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, Schema,
    sea_query::{ColumnDef, Expr, ExprTrait, Index, Table},
};

use super::{
    entity::{audit, domain, installation, operation, quarantine, server, tenant},
    store::{Durability, Store},
    unavailable,
};
use crate::{
    error::{Error, ErrorKind, Result},
    id::TenantId,
    secret::SecretKey,
};

/// The version that this program writes. Raise it together with a new arm in [`step`].
const VERSION: i32 = 4;

const KEY_CHECK: &str = "key check";

/// Brings the schema to [`VERSION`] and checks the key; returns whose catalog this is, and the epoch.
pub(super) async fn migrate(store: &Store, key: &SecretKey) -> Result<(TenantId, u64)> {
    let fresh_check = key.seal(KEY_CHECK, KEY_CHECK)?;
    let (installation, _) =
        store.write(Durability::Acknowledged, move |tx| Box::pin(to_newest(&tx.tx, fresh_check))).await?;
    key.open(KEY_CHECK, &installation.key_check)?;
    Ok((installation.id.parse()?, u64::try_from(installation.epoch).unwrap_or(0)))
}

async fn to_newest(tx: &sea_orm::DatabaseTransaction, key_check: String) -> Result<installation::Model> {
    let schema = Schema::new(tx.get_database_backend());
    let mut table = schema.create_table_from_entity(installation::Entity);
    tx.execute(table.if_not_exists()).await.map_err(unavailable)?;
    let found = installation::Entity::find().one(tx).await.map_err(unavailable)?;
    let installation = match found {
        Some(found) => found,
        None => first(tx, key_check).await?,
    };
    if installation.schema_version > VERSION {
        return Err(Error::new(
            ErrorKind::Configuration,
            format!("the catalog has version {}, this program knows {VERSION}", installation.schema_version),
        )
        .help("use the newer program that wrote this catalog"));
    }
    if installation.schema_version == 0 {
        create_all(tx).await?;
    } else {
        for version in installation.schema_version + 1..=VERSION {
            step(tx, version).await?;
        }
    }
    installation::Entity::update_many()
        .col_expr(installation::Column::SchemaVersion, Expr::value(VERSION))
        .filter(installation::Column::One.eq(1))
        .exec(tx)
        .await
        .map_err(unavailable)?;
    Ok(installation)
}

async fn first(tx: &sea_orm::DatabaseTransaction, key_check: String) -> Result<installation::Model> {
    let row = installation::ActiveModel {
        one: Set(1),
        id: Set(TenantId::new().to_string()),
        schema_version: Set(0),
        epoch: Set(0),
        key_check: Set(key_check),
    };
    row.insert(tx).await.map_err(unavailable)
}

async fn create_all(tx: &sea_orm::DatabaseTransaction) -> Result<()> {
    create(tx, tenant::Entity).await?;
    create(tx, domain::Entity).await?;
    create(tx, server::Entity).await?;
    create(tx, operation::Entity).await?;
    create(tx, audit::Entity).await?;
    create(tx, quarantine::Entity).await?;
    index(tx, "idx-tenants-state", &[tenant::Column::State]).await?;
    index(tx, "idx-tenants-login", &[tenant::Column::Server, tenant::Column::Login]).await
}

/// From the version before to this one, for catalogs that are older than the program.
async fn step(tx: &sea_orm::DatabaseTransaction, version: i32) -> Result<()> {
    match version {
        // Logins of tenants: those that they share, and the passwords of their own.
        2 => {
            add_column(tx, tenant::Entity, ColumnDef::new(tenant::Column::Login).integer().null()).await?;
            add_column(tx, tenant::Entity, ColumnDef::new(tenant::Column::Password).text().null()).await?;
            index(tx, "idx-tenants-login", &[tenant::Column::Server, tenant::Column::Login]).await
        }
        // Steps of operations by their name.
        3 => add_column(tx, operation::Entity, ColumnDef::new(operation::Column::StepName).text().null()).await,
        // Operations with arguments.
        4 => {
            use operation::Column;
            for column in [Column::Input, Column::Kept, Column::Progress, Column::Result] {
                add_column(tx, operation::Entity, ColumnDef::new(column).text().null()).await?;
            }
            add_column(tx, operation::Entity, ColumnDef::new(Column::CancelAt).big_integer().null()).await
        }
        other => Err(Error::new(ErrorKind::Internal, format!("no step leads to catalog version {other}"))),
    }
}

async fn add_column(tx: &sea_orm::DatabaseTransaction, entity: impl EntityTrait, column: &mut ColumnDef) -> Result<()> {
    let mut change = Table::alter();
    tx.execute(change.table(entity).add_column(column)).await.map_err(unavailable)?;
    Ok(())
}

async fn index(tx: &sea_orm::DatabaseTransaction, name: &str, columns: &[tenant::Column]) -> Result<()> {
    let mut index = Index::create();
    index.name(name).table(tenant::Entity);
    for column in columns {
        index.col(*column);
    }
    tx.execute(&index).await.map_err(unavailable)?;
    Ok(())
}

async fn create<E: EntityTrait>(tx: &sea_orm::DatabaseTransaction, entity: E) -> Result<()> {
    let schema = Schema::new(tx.get_database_backend());
    let table: sea_orm::sea_query::TableCreateStatement = schema.create_table_from_entity(entity);
    tx.execute(&table).await.map_err(unavailable)?;
    for index in schema.create_index_from_entity(entity) {
        tx.execute(&index).await.map_err(unavailable)?;
    }
    Ok(())
}

/// `epoch + 1`, for the transaction that changes something.
pub(super) async fn epoch_raise(tx: &impl ConnectionTrait) -> Result<i64> {
    let raised = installation::Entity::update_many()
        .col_expr(installation::Column::Epoch, Expr::col(installation::Column::Epoch).add(1))
        .filter(installation::Column::One.eq(1));
    let row = if tx.support_returning() {
        raised.exec_with_returning(tx).await.map_err(unavailable)?.into_iter().next()
    } else {
        raised.exec(tx).await.map_err(unavailable)?;
        installation::Entity::find().one(tx).await.map_err(unavailable)?
    };
    row.map(|r| r.epoch).ok_or_else(|| Error::new(ErrorKind::Internal, "the catalog has no installation row"))
}
