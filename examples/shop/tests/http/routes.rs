//! Every address, and every way to say whose it is.

use serde_json::{Value, json};

use crate::{
    home::{Engine, Home},
    support::{Request, Shop, token, users_a, users_b},
};

pub(crate) fn the_same_request_of_two_tenants_has_two_answers(on: Engine) {
    let shop = Shop::start(on);
    shop.get("/tenant_a/users").expect(200, users_a());
    shop.get("/tenant_b/users").expect(200, users_b());
}

/// The four ways to ask for an address of a tenant.
fn ways(shop: &Shop, tenant: &str, path: &str) -> [Request; 4] {
    let bare = if path.is_empty() { "/" } else { path };
    [
        Request::get(&format!("/{tenant}{path}")),
        Request::get(bare).header("host", shop.host_of(tenant)),
        Request::get(bare).header("X-Tenant-Name", tenant),
        Request::get(bare).bearer(&token(json!({"tenant": tenant}))),
    ]
}

pub(crate) fn every_address_is_reached_by_path_host_header_and_token(on: Engine) {
    let shop = Shop::start(on);
    let answers = [
        ("", json!({"tenant_b": ["userA", "userC"]})),
        ("/users", users_b()),
        ("/products", json!([{"id": 1, "name": "Puncture repair", "price": 15.0}])),
        (
            "/items",
            json!([
                {"id": 1, "description": "Inner tube", "price": 6.95},
                {"id": 2, "description": "Chain oil", "price": 9.99},
            ]),
        ),
        ("/orders", json!([{"id": 1, "item_id": 1, "quantity": 4}])),
        ("/dashboard", json!({"tenant": "tenant_b", "users": 2, "products": 1, "orders": 1})),
    ];
    for (path, answer) in answers {
        for request in ways(&shop, "tenant_b", path) {
            let got = shop.send(request);
            got.expect(200, answer.clone());
            assert_eq!(got.headers["cache-control"], "no-store");
        }
    }
}

pub(crate) fn what_is_created_is_read_back_by_every_way(on: Engine) {
    let shop = Shop::start(on);
    let creations = [
        ("/users", json!({"username": "új felhasználó"}), "User created", 3),
        ("/products", json!({"name": "Tea", "price": 1.5}), "Product created", 3),
        ("/items", json!({"description": "Pot", "price": 20}), "Item created", 3),
        ("/orders", json!({"item_id": 1, "quantity": 7}), "Order created", 3),
    ];
    for (path, body, message, id) in creations {
        let created = shop.post(&format!("/tenant_a{path}"), body.clone());
        created.expect(201, json!({"message": message, "id": id}));
        for request in ways(&shop, "tenant_a", path) {
            let rows = shop.send(request).json();
            let mut expected = body.clone();
            expected["id"] = json!(id);
            let row = rows.as_array().unwrap().last().unwrap().clone();
            assert_eq!(with_floats(row), with_floats(expected), "{path}");
        }
    }
    shop.get("/tenant_a/dashboard").expect(200, json!({"tenant": "tenant_a", "users": 3, "products": 3, "orders": 3}));
    shop.get("/tenant_b/dashboard").expect(200, json!({"tenant": "tenant_b", "users": 2, "products": 1, "orders": 1}));
}

/// 20 and 20.00 are one number.
fn with_floats(mut row: Value) -> Value {
    if let Some(price) = row.get("price").and_then(Value::as_f64) {
        row["price"] = json!(price);
    }
    row
}

pub(crate) fn writing_works_by_every_way_too(on: Engine) {
    let shop = Shop::start(on);
    let body = |name: &str| json!({"username": name});
    let requests = [
        Request::post("/client1/users", body("by path")),
        Request::post("/users", body("by host")).header("host", shop.host_of("client1")),
        Request::post("/users", body("by header")).header("x-tenant-name", "client1"),
        Request::post("/users", body("by token")).bearer(&token(json!({"tenant": "client1"}))),
    ];
    for (at, request) in requests.into_iter().enumerate() {
        shop.send(request).expect(201, json!({"message": "User created", "id": at + 3}));
    }
    let names = json!({"client1": ["anna", "ben", "by path", "by host", "by header", "by token"]});
    shop.get("/client1").expect(200, names);
}

pub(crate) fn prices_are_shown_as_exact_decimal_numbers(on: Engine) {
    let shop = Shop::start(on);
    for price in ["12.5", "0", "0.0001", "100000000000000.1", "0.3"] {
        let body = format!(r#"{{"name":"x","price":{price}}}"#);
        assert_eq!(shop.send(Request::post("/tenant_a/products", body)).status, 201);
    }
    let text = shop.get("/tenant_a/products").text;
    for shown in ["12.50}", ":0.00}", "0.0001}", "100000000000000.10}", "0.30}"] {
        assert!(text.contains(shown), "{shown} {text}");
    }
}

pub(crate) fn signals_that_agree_are_fine(on: Engine) {
    let shop = Shop::start(on);
    let request = Request::get("/tenant_a/users")
        .header("host", shop.host_of("tenant_a"))
        .header("x-tenant-name", "tenant_a")
        .bearer(&token(json!({})));
    shop.send(request).expect(200, users_a());
}

pub(crate) fn a_base_domain_of_the_operator_takes_the_place_of_localhost(on: Engine) {
    let shop = Home::on(on).start(&["--base-domain", "shop.example"]);
    shop.send(Request::get("/users").header("host", "tenant_b.shop.example")).expect(200, users_b());
    shop.send(Request::get("/users").header("host", "shop.example")).refused(400, "no_tenant");
    shop.send(Request::get("/users").header("host", "tenant_b.localhost")).refused(400, "no_tenant");
}

pub(crate) fn health_is_asked_without_a_tenant(on: Engine) {
    let shop = Shop::start(on);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(shop.get(path).status, 200);
        assert_eq!(shop.send(Request::get(path).header("x-tenant-name", "nobody")).status, 200);
    }
}
