//! SeaORM: a handle is a connection, a transaction is one too.

use futures_util::TryStreamExt;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, DbErr, EntityTrait, StreamTrait, TransactionTrait, entity::prelude::*,
};

use crate::support::{Installation, Kind};

mod user {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "users")]
    pub struct Model {
        #[sea_orm(primary_key)]
        pub id: i64,
        pub username: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

fn named(name: &str) -> user::ActiveModel {
    user::ActiveModel { username: Set(name.to_owned()), ..Default::default() }
}

async fn names(db: &impl ConnectionTrait) -> Vec<String> {
    user::Entity::find().all(db).await.unwrap().into_iter().map(|u| u.username).collect()
}

pub async fn entities_work_on_a_handle_and_in_a_transaction(place: Installation) {
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    let ann = named("ann").insert(&acme).await.unwrap();
    assert_eq!((ann.id, names(&acme).await), (1, vec!["ann".to_owned()]));
    assert!(names(&globex).await.is_empty());
    let tx = TransactionTrait::begin(&acme).await.unwrap();
    let bob = named("bob").insert(&tx).await.unwrap();
    let mut changed: user::ActiveModel = bob.into();
    changed.username = Set("bea".into());
    changed.update(&tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(names(&acme).await, ["ann", "bea"]);
    let taken = named("ann").insert(&acme).await.unwrap_err();
    assert!(tenantry::Error::from(taken).is_duplicate());
}

pub async fn a_closure_transaction_commits_or_rolls_back(place: Installation) {
    let acme = place.tenant("acme").await;
    acme.transaction::<_, _, DbErr>(|tx| Box::pin(async move { named("ann").insert(tx).await })).await.unwrap();
    let failed = acme
        .transaction::<_, (), DbErr>(|tx| {
            Box::pin(async move {
                named("bob").insert(tx).await?;
                Err(DbErr::Custom("changed my mind".into()))
            })
        })
        .await;
    assert!(failed.is_err());
    let swallowed = acme
        .transaction::<_, (), DbErr>(|tx| {
            Box::pin(async move {
                named("cid").insert(tx).await?;
                assert!(named("cid").insert(tx).await.is_err(), "and nobody looks at it");
                Ok(())
            })
        })
        .await;
    assert!(swallowed.is_err(), "a failure that was not handled fails the commit");
    assert_eq!(names(&acme).await, ["ann"]);
}

pub async fn a_stream_of_models_gives_all_rows(place: Installation) {
    let acme = place.tenant("acme").await;
    for n in 0..120 {
        named(&format!("u{n}")).insert(&acme).await.unwrap();
    }
    let models: Vec<user::Model> = user::Entity::find().stream(&acme).await.unwrap().try_collect().await.unwrap();
    assert_eq!(models.len(), 120);
    let tx = acme.begin().await.unwrap();
    let models: Vec<user::Model> = user::Entity::find().stream(&tx).await.unwrap().try_collect().await.unwrap();
    assert_eq!(models.len(), 120);
    tx.commit().await.unwrap();
    let backend = StreamTrait::get_database_backend(&acme);
    let expected = match place.kind {
        Kind::SqliteDatabase => sea_orm::DbBackend::Sqlite,
        Kind::PostgresRow | Kind::PostgresSchema | Kind::PostgresDatabase => sea_orm::DbBackend::Postgres,
    };
    assert_eq!(backend, expected);
}
