//! One tenant's rows in another tenant's answer: never.

use std::sync::Arc;

use tenantry::{Error, TenantFilter};

use crate::support::{Installation, user_add, users};

pub async fn a_tenant_reads_and_writes_its_own_rows_only(place: Installation) {
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    user_add(&acme, "ann").await;
    user_add(&globex, "gus").await;
    let changed = sqlx::query("UPDATE users SET username = 'mine'").execute(acme.sqlite().unwrap()).await.unwrap();
    assert_eq!(changed.rows_affected(), 1);
    assert_eq!((users(&acme).await, users(&globex).await), (vec!["mine".into()], vec!["gus".into()]));
    sqlx::query("DELETE FROM users").execute(acme.sqlite().unwrap()).await.unwrap();
    assert_eq!(users(&globex).await, ["gus"]);
}

pub async fn a_unique_value_of_a_neighbour_is_free(place: Installation) {
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    user_add(&acme, "ann").await;
    user_add(&globex, "ann").await;
    let twice = sqlx::query("INSERT INTO users (username) VALUES ('ann')").execute(acme.sqlite().unwrap()).await;
    assert!(Error::from(twice.unwrap_err()).is_duplicate());
}

pub async fn a_reference_to_a_neighbours_row_is_a_missing_reference(place: Installation) {
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    sqlx::query("INSERT INTO items (id, description, price) VALUES (7, 'x', 1)")
        .execute(globex.sqlite().unwrap())
        .await
        .unwrap();
    for id in [7, 8] {
        let order = sqlx::query("INSERT INTO orders (item_id, quantity) VALUES (?, 1)").bind(id);
        let error = Error::from(order.execute(acme.sqlite().unwrap()).await.unwrap_err());
        assert!(error.is_missing_reference(), "the same answer whether a neighbour has it: {error:?}");
    }
}

pub async fn a_spawned_task_keeps_the_tenant_of_its_handle(place: Installation) {
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    let tasks: Vec<_> = (0..40)
        .map(|n| {
            let db = if n % 2 == 0 { acme.clone() } else { globex.clone() };
            tokio::spawn(async move { user_add(&db, &format!("{}{n}", db.tenant().key)).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert!(users(&acme).await.iter().all(|name| name.starts_with("acme")));
    assert!(users(&globex).await.iter().all(|name| name.starts_with("globex")));
}

pub async fn nested_work_on_two_tenants_never_mixes(place: Installation) {
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    let mut outer = acme.begin().await.unwrap();
    sqlx::query("INSERT INTO users (username) VALUES ('outer')").execute(outer.sqlite().unwrap()).await.unwrap();
    {
        let mut inner = globex.begin().await.unwrap();
        sqlx::query("INSERT INTO users (username) VALUES ('inner')").execute(inner.sqlite().unwrap()).await.unwrap();
        assert!(sqlx::query("INSERT INTO nowhere VALUES (1)").execute(inner.sqlite().unwrap()).await.is_err());
    }
    let seen: Vec<String> =
        sqlx::query_scalar("SELECT username FROM users").fetch_all(outer.sqlite().unwrap()).await.unwrap();
    assert_eq!(seen, ["outer"]);
    outer.commit().await.unwrap();
    assert_eq!((users(&acme).await.len(), users(&globex).await.len()), (1, 0));
}

pub async fn many_tenants_on_few_connections_never_meet(place: Installation) {
    let mut tenants = Vec::new();
    for n in 0..12 {
        let db = place.tenant(&format!("t{n}")).await;
        user_add(&db, &format!("canary-{n}")).await;
        tenants.push(db);
    }
    let tenants = Arc::new(tenants);
    let tasks: Vec<_> = (0..8)
        .map(|worker| {
            let tenants = Arc::clone(&tenants);
            tokio::spawn(async move {
                for round in 0..100 {
                    let n = (worker * 31 + round * 7) % tenants.len();
                    assert_eq!(users(&tenants[n]).await, [format!("canary-{n}")]);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

pub async fn shared_tables_are_read_by_all_and_written_by_none_of_the_tenants(place: Installation) {
    let acme = place.tenant("acme").await;
    let shared = place.tenancy.shared().await.unwrap();
    sqlx::query("INSERT INTO shared.plans (name) VALUES ('free')").execute(shared.sqlite().unwrap()).await.unwrap();
    for text in ["SELECT name FROM shared.plans", "SELECT name FROM plans"] {
        let by_tenant: Vec<String> = sqlx::query_scalar(text).fetch_all(acme.sqlite().unwrap()).await.unwrap();
        let by_shared: Vec<String> = sqlx::query_scalar(text).fetch_all(shared.sqlite().unwrap()).await.unwrap();
        assert_eq!((by_tenant, by_shared), (vec!["free".into()], vec!["free".into()]), "{text}");
    }
    for text in
        ["INSERT INTO shared.plans (name) VALUES ('x')", "UPDATE plans SET name = 'x'", "DELETE FROM shared.plans"]
    {
        assert!(sqlx::query(text).execute(acme.sqlite().unwrap()).await.is_err(), "{text}");
    }
    assert!(sqlx::query("SELECT * FROM users").fetch_all(shared.sqlite().unwrap()).await.is_err());
    let names: Vec<String> =
        sqlx::query_scalar("SELECT name FROM plans").fetch_all(acme.sqlite().unwrap()).await.unwrap();
    assert_eq!(names, ["free"]);
}

pub async fn an_app_cannot_change_the_schema(place: Installation) {
    let acme = place.tenant("acme").await;
    for text in [
        "CREATE TABLE mine (a INTEGER)",
        "DROP TABLE users",
        "ALTER TABLE users ADD COLUMN x TEXT",
        "CREATE INDEX i ON users (id)",
    ] {
        let error = Error::from(sqlx::query(text).execute(acme.sqlite().unwrap()).await.unwrap_err());
        assert!(error.is_refused(), "{text}: {error:?}");
    }
    user_add(&acme, "ann").await;
}

pub async fn the_client_text_of_an_error_names_no_value_and_no_table(place: Installation) {
    let acme = place.tenant("acme").await;
    user_add(&acme, "canary-value").await;
    for text in [
        "INSERT INTO users (username) VALUES ('canary-value')",
        "INSERT INTO orders (item_id, quantity) VALUES (99, 1)",
        "INSERT INTO items (description, price) VALUES ('canary-value', -1)",
        "SELECT canary_value FROM users",
        "SELECT * FROM canary_value",
        "CREATE TABLE canary_value (a)",
        "canary_value",
    ] {
        let error = Error::from(sqlx::query(text).execute(acme.sqlite().unwrap()).await.unwrap_err());
        let shown = format!("{} {}", error.client_text(), error.code());
        for secret in ["canary", "users", "items", "orders", "SELECT", "INSERT", "UNIQUE", "sqlite"] {
            assert!(!shown.contains(secret), "{text}: {shown}");
        }
    }
}

pub async fn each_visits_every_served_tenant_once(place: Installation) {
    for n in 0..7 {
        let db = place.tenant(&format!("t{n}")).await;
        user_add(&db, "ann").await;
    }
    place.tenancy.tenant_suspend("t3").await.unwrap();
    let visited = place
        .tenancy
        .each(TenantFilter::all(), 3, async |db| {
            if db.tenant().key.as_str() == "t5" {
                return Ok(sqlx::query_scalar("SELECT 1 FROM nowhere").fetch_one(db.sqlite()?).await?);
            }
            Ok(sqlx::query_scalar::<_, i64>("SELECT count(*) FROM users").fetch_one(db.sqlite()?).await?)
        })
        .await
        .unwrap();
    let mut keys: Vec<_> = visited.iter().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["t0", "t1", "t2", "t4", "t5", "t6"]);
    let failed: Vec<_> = visited.iter().filter(|(_, r)| r.is_err()).map(|(key, _)| key.as_str()).collect();
    assert_eq!(failed, ["t5"], "one that fails does not stop the others");
}
