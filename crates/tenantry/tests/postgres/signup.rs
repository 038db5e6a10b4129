//! Tenants that are made while others are served.

use futures_util::{StreamExt, stream};

use crate::support::{Installation, Kind, user_add, users};

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_made_on_postgres_while_many_others_are_is_served_at_once() {
    // The server's sessions keep lists of a login's roles, and one that was read while a role was granted lacks it.
    let place = Installation::on(Kind::PostgresSchema).await;
    let served = stream::iter(0..120)
        .map(|n| {
            let place = &place;
            async move {
                let db = place.tenant(&format!("t{n}")).await;
                user_add(&db, "ann").await;
                let tx = db.begin().await.unwrap();
                tx.commit().await.unwrap();
                users(&db).await.len()
            }
        })
        .buffer_unordered(8)
        .collect::<Vec<_>>()
        .await;
    assert_eq!(served, vec![1; 120]);
}
