//! One tenant's rows in another tenant's answer: never.

use std::{sync::Arc, time::Duration};

use tenantry::{Error, TenantFilter};

use crate::support::{Installation, Kind, number, run, texts, user_add, users};

pub async fn a_tenant_reads_and_writes_its_own_rows_only(place: Installation) {
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    user_add(&acme, "ann").await;
    user_add(&globex, "gus").await;
    assert_eq!(run(&acme, "UPDATE users SET username = 'mine'").await.unwrap(), 1);
    assert_eq!((users(&acme).await, users(&globex).await), (vec!["mine".into()], vec!["gus".into()]));
    assert_eq!(run(&acme, "DELETE FROM users").await.unwrap(), 1);
    assert_eq!(users(&globex).await, ["gus"]);
}

pub async fn a_unique_value_of_a_neighbour_is_free(place: Installation) {
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    user_add(&acme, "ann").await;
    user_add(&globex, "ann").await;
    let twice = run(&acme, "INSERT INTO users (username) VALUES ('ann')").await;
    assert!(Error::from(twice.unwrap_err()).is_duplicate());
}

pub async fn an_upsert_meets_rows_of_its_own_tenant_only(place: Installation) {
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    user_add(&globex, "ann").await;
    let key = if place.kind == Kind::SqliteDatabase { "username" } else { "tenant_id, username" };
    let insert = format!("INSERT INTO users (username) VALUES ('ann') ON CONFLICT ({key})");
    let update = format!("{insert} DO UPDATE SET username = 'met' RETURNING username");
    assert_eq!(texts(&acme, &update).await.unwrap(), ["ann"], "a neighbour's is no conflict");
    assert_eq!(texts(&acme, &update).await.unwrap(), ["met"]);
    assert_eq!(run(&globex, &format!("{insert} DO NOTHING")).await.unwrap(), 0);
    assert_eq!((users(&acme).await, users(&globex).await), (vec!["met".into()], vec!["ann".into()]));
}

pub async fn a_reference_to_a_neighbours_row_is_a_missing_reference(place: Installation) {
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    run(&globex, "INSERT INTO items (id, description, price) VALUES (7, 'x', 1)").await.unwrap();
    for id in [7_i64, 8] {
        let order = "INSERT INTO orders (item_id, quantity) VALUES ($1, 1)";
        let refused = on!(acme, view => sqlx::query(order).bind(id).execute(view).await.map(drop));
        let error = Error::from(refused.unwrap_err());
        assert!(error.is_missing_reference(), "the same answer whether a neighbour has it: {error:?}");
    }
    run(&globex, "INSERT INTO orders (item_id, quantity) VALUES (7, 1)").await.unwrap();
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
    for (db, name) in [(&acme, "acme"), (&globex, "globex")] {
        let found = users(db).await;
        assert!(found.len() == 20 && found.iter().all(|user| user.starts_with(name)), "{found:?}");
    }
}

pub async fn nested_work_on_two_tenants_never_mixes(place: Installation) {
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    let mut outer = acme.begin().await.unwrap();
    let insert = |name| format!("INSERT INTO users (username) VALUES ('{name}')");
    let outer_insert = sqlx::AssertSqlSafe(insert("outer"));
    on!(outer, view => sqlx::query(outer_insert).execute(view).await.map(drop)).unwrap();
    {
        let mut inner = globex.begin().await.unwrap();
        let inner_insert = sqlx::AssertSqlSafe(insert("inner"));
        on!(inner, view => sqlx::query(inner_insert).execute(view).await.map(drop)).unwrap();
        let failed = on!(inner, view => sqlx::query("INSERT INTO nowhere VALUES (1)").execute(view).await.map(drop));
        assert!(failed.is_err());
    }
    let seen: Vec<String> =
        on!(outer, view => sqlx::query_scalar("SELECT username FROM users").fetch_all(view).await.unwrap());
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
    let insert = "INSERT INTO shared.plans (name) VALUES ('free')";
    on!(shared, view => sqlx::query(insert).execute(view).await.map(drop)).unwrap();
    for text in ["SELECT name FROM shared.plans", "SELECT name FROM plans"] {
        let by_shared: Vec<String> = on!(shared, view => sqlx::query_scalar(text).fetch_all(view).await.unwrap());
        assert_eq!(
            (texts(&acme, text).await.unwrap(), by_shared),
            (vec!["free".into()], vec!["free".into()]),
            "{text}"
        );
    }
    for text in
        ["INSERT INTO shared.plans (name) VALUES ('x')", "UPDATE plans SET name = 'x'", "DELETE FROM shared.plans"]
    {
        assert!(run(&acme, text).await.is_err(), "{text}");
    }
    let of_a_tenant = on!(shared, view => sqlx::query("SELECT * FROM users").fetch_all(view).await.map(drop));
    assert!(of_a_tenant.is_err());
    assert_eq!(texts(&acme, "SELECT name FROM plans").await.unwrap(), ["free"]);
}

pub async fn an_app_cannot_change_the_schema(place: Installation) {
    let acme = place.tenant("acme").await;
    for text in [
        "CREATE TABLE mine (a INTEGER)",
        "DROP TABLE users",
        "ALTER TABLE users ADD COLUMN x TEXT",
        "CREATE INDEX i ON users (id)",
        "CREATE TEMP TABLE users (id INTEGER)",
        "CREATE VIEW mine AS SELECT 1 AS a",
    ] {
        let error = Error::from(run(&acme, text).await.unwrap_err());
        assert!(error.is_refused(), "{text}: {error:?}");
    }
    user_add(&acme, "ann").await;
}

/// Words that tell a client something of the database or of its rows.
const SECRETS: &str = "canary users items orders SELECT INSERT UNIQUE sqlite postgres constraint duplicate relation column \
                       syntax tn_ t_0";

pub async fn the_client_text_of_an_error_names_no_value_and_no_table(place: Installation) {
    let acme = place.tenant("acme").await;
    user_add(&acme, "canary-value").await;
    for text in [
        "INSERT INTO users (username) VALUES ('canary-value')",
        "INSERT INTO orders (item_id, quantity) VALUES (99, 1)",
        "INSERT INTO items (description, price) VALUES ('canary-value', -1)",
        "INSERT INTO items (description, price) VALUES (NULL, 1)",
        "SELECT canary_value FROM users",
        "SELECT * FROM canary_value",
        "CREATE TABLE canary_value (a)",
        "canary_value",
        "COMMIT",
    ] {
        let error = Error::from(run(&acme, text).await.unwrap_err());
        let shown = format!("{} {}", error.client_text(), error.client_code());
        for secret in SECRETS.split_whitespace() {
            assert!(!shown.contains(secret), "{text}: {shown}");
        }
    }
}

pub async fn a_broken_rule_is_named_by_its_constraint_or_its_columns(place: Installation) {
    let acme = place.tenant("acme").await;
    user_add(&acme, "ann").await;
    let broken = async |text: &str| Error::from(run(&acme, text).await.unwrap_err());

    let twice = broken("INSERT INTO users (username) VALUES ('ann')").await;
    let taken = twice.constraint().unwrap();
    assert!(taken.concerns("username") && !taken.concerns("id"), "{taken:?}");
    assert_eq!(taken.table.as_deref(), Some("users"));
    assert!(taken.name.is_some() || taken.columns == ["username"], "{taken:?}");

    let negative = broken("INSERT INTO items (description, price) VALUES ('x', -1)").await;
    assert!(negative.is_rule_violated() && negative.constraint().unwrap().name.is_some(), "{negative:?}");

    let missing = broken("INSERT INTO items (description, price) VALUES (NULL, 1)").await;
    assert_eq!(missing.constraint().unwrap().columns, ["description"], "{missing:?}");

    let nowhere = broken("INSERT INTO orders (item_id, quantity) VALUES (99, 1)").await;
    assert!(nowhere.is_missing_reference() && nowhere.constraint().is_some(), "{nowhere:?}");
    assert_eq!(broken("SELECT nothing FROM users").await.constraint(), None);

    let failure = twice.failure();
    assert_eq!((failure.code.as_str(), failure.file), ("duplicate", None));
    assert!(!failure.causes.is_empty(), "{:?}", failure.causes);
}

pub async fn a_typed_view_of_another_engine_is_a_mistake_of_the_app(place: Installation) {
    let acme = place.tenant("acme").await;
    let is_sqlite = place.kind == Kind::SqliteDatabase;
    let wrong = if is_sqlite { acme.postgres().unwrap_err() } else { acme.sqlite().unwrap_err() };
    assert_eq!((wrong.http_status(), wrong.is_wrong_engine(), wrong.client_code()), (500, true, "internal"));
    assert_eq!(wrong.help_text(), Some(format!("call `db.{}()`", acme.engine()).as_str()));
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
            let table = if db.tenant().key.as_str() == "t5" { "nowhere" } else { "users" };
            Ok(number(&db, &format!("SELECT count(*) FROM {table}")).await?)
        })
        .await
        .unwrap();
    let mut keys: Vec<_> = visited.iter().map(|visit| visit.key.as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["t0", "t1", "t2", "t4", "t5", "t6"]);
    let failed: Vec<_> = visited.iter().filter(|v| v.result.is_err()).map(|v| v.key.as_str()).collect();
    assert_eq!(failed, ["t5"], "one that fails does not stop the others");
}

pub async fn what_a_new_tenant_opened_stays_open_when_others_hear_of_the_tenant(place: Installation) {
    let opened = || place.tenancy.stats().remove(0).pool.opened;
    let acme = place.tenant("acme").await;
    user_add(&acme, "ann").await;
    let before = opened();
    // The feed has told of its creation after this.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(users(&acme).await, ["ann"]);
    assert_eq!(opened(), before);
}

pub async fn a_place_that_has_vanished_is_an_error_and_never_another_table(place: Installation) {
    let (acme, globex) = (place.tenant("acme").await, place.tenant("globex").await);
    user_add(&acme, "ann").await;
    // Where the names of the tenant's tables lead when these are not there.
    let users = "CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT NOT NULL)";
    let wider = place.neighbour_with(&[], &[("0002_users.sql", users)]).await;
    let shared = wider.shared().await.unwrap();
    let insert = "INSERT INTO users VALUES (1, 'another table')";
    on!(shared, view => sqlx::query(insert).execute(view).await.map(drop)).unwrap();
    assert_eq!(texts(&acme, "SELECT username FROM users").await.unwrap(), ["ann"]);
    place.make_vanish(&acme);
    for _ in 0..3 {
        for text in ["SELECT username FROM users", "UPDATE users SET username = username RETURNING username"] {
            assert!(texts(&acme, text).await.is_err(), "{text}");
        }
        if let Ok(mut tx) = acme.begin().await {
            let read = on!(tx, view => sqlx::query("SELECT username FROM users").fetch_all(view).await.map(drop));
            assert!(read.is_err());
        }
    }
    if place.kind != Kind::PostgresRow {
        user_add(&globex, "gus").await;
    }
}
