//! What only PostgreSQL has: a catalog on a server, isolations side by side, and a server that may be gone.

use std::{
    thread,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::json;
use tenantry::{DoctorOptions, TenantFilter};
use tenantry_testbed::{Postgres, TestDatabase};

use crate::{
    home::{Engine, Home},
    startup::refusal,
    support::{Request, Shop, users_a, users_b},
};

fn database() -> TestDatabase {
    Postgres::shared().unwrap().database().unwrap()
}

/// The isolation of each tenant, by key.
fn isolations(shop: &Shop) -> Vec<(String, String)> {
    let mut found = Vec::new();
    shop.operate(async |tenancy| {
        let tenants = tenancy.tenant_list(&TenantFilter::all()).await.unwrap();
        found = tenants.iter().map(|t| (t.key.to_string(), t.isolation.to_string())).collect();
    });
    found
}

#[test]
fn the_catalog_may_live_on_postgres_too() {
    let (catalog, tenants) = (database(), database());
    for server in [&catalog, &tenants] {
        let home = Home::with(vec![("--catalog", catalog.tcp_url()), ("--server", server.tcp_url())]);
        if server.name() == tenants.name() {
            catalog.sql("DROP SCHEMA tenantry_catalog CASCADE").unwrap();
        }
        let mut home = home.start(&[]).stop(Signal::KILL);
        assert!(home.path().join("data/tenantry.toml").exists() && !home.path().join("data/catalog.db").exists());
        // From here on tenantry.toml says where it is.
        home.forget_options();
        let shop = home.start(&[]);
        shop.get("/tenant_a/users").expect(200, users_a());
        shop.get("/tenant_b/users").expect(200, users_b());
        assert_eq!(shop.post("/signup", json!({"tenant": "acme"})).status, 201);
        shop.get("/acme/users").expect(200, json!([]));
        shop.is_healthy();
    }
}

#[test]
fn a_warm_read_costs_one_round_trip_to_the_database_in_every_isolation() {
    for isolation in ["row", "schema", "database"] {
        let database = database();
        let (proxy, url) = database.proxied().unwrap();
        let shop = Home::with(vec![("--server", url), ("--isolation", isolation.into())]).start(&[]);
        let ask = || {
            shop.get("/tenant_a/users").expect(200, users_a());
            shop.get("/tenant_b/users").expect(200, users_b());
        };
        (0..3).for_each(|_| ask());
        let before = proxy.trips();
        (0..10).for_each(|_| ask());
        assert_eq!(proxy.trips() - before, 20, "{isolation}");
    }
}

#[test]
fn every_form_of_a_url_is_taken() {
    let forms: [fn(&TestDatabase) -> String; 4] = [
        TestDatabase::url,
        TestDatabase::tcp_url,
        |database| database.tcp_url().replace("postgres://", "postgresql://"),
        |database| {
            let (_, rest) = database.tcp_url().split_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
            format!("postgres://{rest}?user=admin&password=admin-password&sslmode=prefer")
        },
    ];
    for form in forms {
        let database = database();
        let shop = Home::with(vec![("--server", form(&database))]).start(&["--no-demo"]);
        assert_eq!(shop.post("/signup", json!({"tenant": "acme"})).status, 201);
        shop.get("/acme/users").expect(200, json!([]));
        // Without a word on the command line it is a schema of its own.
        assert_eq!(isolations(&shop), [("acme".into(), "schema".into())]);
    }
}

#[test]
fn one_app_mixes_all_isolations() {
    let home = Home::on(Engine::PostgresRow);
    let shop = home.start(&["--no-demo"]);
    let kinds = ["row", "schema", "database"];
    let keys: Vec<String> = ["a", "b"].iter().flat_map(|n| kinds.map(|kind| format!("{kind}-{n}"))).collect();
    for key in &keys {
        let (kind, _) = key.split_once('-').unwrap();
        assert_eq!(shop.post("/signup", json!({"tenant": key, "isolation": kind})).status, 201);
        fill(&shop, key);
    }
    assert_eq!(shop.post("/signup", json!({"tenant": "other"})).status, 201);
    assert!(isolations(&shop).iter().all(|(key, kind)| key == "other" && kind == "row" || key.starts_with(kind)));
    for key in &keys {
        shop.get(&format!("/{key}")).expect(200, json!({ key.clone(): ["everybody", key] }));
        let dashboard = json!({"tenant": key, "users": 2, "products": 0, "orders": 1});
        shop.get(&format!("/{key}/dashboard")).expect(200, dashboard);
        shop.get(&format!("/{key}/items")).expect(200, json!([{"id": 1, "description": key, "price": 1.5}]));
    }
    shop.post("/signup", json!({"tenant": "cell", "isolation": "cell"})).refused(422, "invalid_body");
    shop.operate(async |tenancy| {
        let report = tenancy.doctor(DoctorOptions::new()).await.unwrap();
        assert!(report.findings.is_empty(), "{report:#?}");
    });
}

/// Ids count from 1 in each tenant, whatever others do, and what fails uses up none.
fn fill(shop: &Shop, key: &str) {
    let users = format!("/{key}/users");
    shop.post(&users, json!({"username": "everybody"})).expect(201, json!({"message": "User created", "id": 1}));
    shop.post(&users, json!({"username": "everybody"})).refused(409, "taken");
    shop.post(&users, json!({"username": key})).expect(201, json!({"message": "User created", "id": 2}));
    shop.post(&format!("/{key}/orders"), json!({"item_id": 1, "quantity": 1})).refused(422, "missing_reference");
    shop.post(&format!("/{key}/items"), json!({"description": key, "price": 1.5}));
    shop.post(&format!("/{key}/orders"), json!({"item_id": 1, "quantity": 3}))
        .expect(201, json!({"message": "Order created", "id": 1}));
}

#[test]
fn a_database_that_another_installation_has_is_refused() {
    let first = Shop::start(Engine::PostgresSchema);
    let text = refusal(&first.home.beside(), &[]);
    assert!(text.contains("belongs to another installation") && text.contains("help:"), "{text}");
    first.get("/tenant_a/users").expect(200, users_a());
    first.is_healthy();
}

#[test]
fn what_keeps_it_from_starting_on_postgres_is_told_without_the_password() {
    let database = database();
    let good = database.tcp_url();
    for (url, what) in [
        (good.replace("admin-password", "hunter2"), "password authentication failed"),
        (good.replace(database.name(), "no_such_database"), "does not exist"),
        (format!("{good}?sslmode=require"), "does not support TLS"),
        ("postgres://admin:hunter2@127.0.0.1:99999/x".into(), "cannot be read"),
    ] {
        let text = refusal(&Home::with(vec![("--server", url)]), &[]);
        assert!(text.contains(what) && text.contains("help:") && !text.contains("admin-password"), "{text}");
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(15), "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn while_the_server_is_gone_answers_are_503_and_good_again_when_it_is_back() {
    let server = Postgres::private(&[]).unwrap();
    let shop = Home::with(vec![("--server", server.tcp_url("postgres")), ("--isolation", "row".into())]).start(&[]);
    shop.get("/tenant_a/users").expect(200, users_a());
    assert_eq!(shop.get("/readyz").status, 200);
    server.stop_immediately().unwrap();
    until("it calls itself ready", || shop.get("/readyz").status == 503);
    shop.get("/readyz").refused(503, "unavailable");
    shop.get("/tenant_a/users").refused(503, "busy");
    shop.post("/tenant_a/users", json!({"username": "x"})).refused(503, "busy");
    // The catalog is elsewhere and knows who is who.
    shop.get("/nobody/users").refused(404, "unknown_tenant");
    assert_eq!(shop.get("/healthz").status, 200);
    server.start().unwrap();
    until("it does not come back", || shop.get("/readyz").status == 200);
    // A connection of the old server is found out by whoever uses it first.
    until("it does not serve again", || shop.get("/tenant_a/users").status == 200);
    shop.get("/tenant_a/users").expect(200, users_a());
    let signed_in = Request::get("/me/priced-orders").basic("client1@shop.test", "demo");
    assert_eq!(shop.send(signed_in).status, 200);
}
