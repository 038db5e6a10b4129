//! New tenants at run time.

use std::{sync::Barrier, thread};

use serde_json::json;

use crate::{
    home::{Engine, Home},
    support::Request,
};

pub(crate) fn whoever_signs_up_is_served_at_once_by_every_way(on: Engine) {
    let shop = Home::on(on).start(&["--no-demo"]);
    shop.get("/acme/users").refused(404, "unknown_tenant");
    let created = shop.post("/signup", json!({"tenant": "acme"}));
    created.expect(201, json!({"message": "Tenant created", "tenant": "acme"}));
    shop.get("/acme/users").expect(200, json!([]));
    shop.post("/acme/users", json!({"username": "x"})).expect(201, json!({"message": "User created", "id": 1}));
    let users = json!([{"id": 1, "username": "x"}]);
    shop.send(Request::get("/users").header("host", shop.host_of("acme"))).expect(200, users.clone());
    shop.send(Request::get("/users").header("x-tenant-name", "acme")).expect(200, users);
    shop.post("/signup", json!({"tenant": "acme"})).refused(409, "taken");
    shop.post("/signup", json!({"tenant": "own-place", "isolation": "database"}))
        .expect(201, json!({"message": "Tenant created", "tenant": "own-place"}));
}

pub(crate) fn a_key_that_is_none_is_refused(on: Engine) {
    let shop = Home::on(on).start(&["--no-demo"]);
    let long = "a".repeat(41);
    let keys = [
        "",
        " ",
        ".",
        "..",
        "/",
        "a/b",
        "../x",
        "a b",
        "Acme",
        "ACME",
        "-a",
        "a-",
        "_a",
        "a_",
        "a__b",
        "a.b",
        "a%b",
        "a\0",
        "a\r\nb",
        "a'b",
        "a\"b",
        "a;b",
        "a`b",
        "a\\b",
        "é",
        "аcme",
        "acme\u{200b}",
        "ａcme",
        "xn--acme",
        "pg_x",
        "sqlite_x",
        "public",
        "postgres",
        "mysql",
        "information_schema",
        "con",
        "nul",
        "com1",
        "www",
        "localhost",
        "tenantry",
        "!canary-1",
        "users",
        "products",
        "items",
        "orders",
        "dashboard",
        "me",
        "signup",
        "admin",
        "console",
        "healthz",
        "readyz",
        "metrics",
        "openapi",
        "openapi.json",
        &long,
    ];
    for key in keys {
        shop.post("/signup", json!({"tenant": key})).refused(422, "invalid_key");
    }
    for body in ["", "{}", "nonsense", r#"{"tenant":7}"#, r#"{"tenant":null}"#, r#"{"tenant":"a","x":1}"#] {
        shop.send(Request::post("/signup", body)).refused(422, "invalid_body");
    }
    let longest = "a".repeat(40);
    assert_eq!(shop.post("/signup", json!({"tenant": longest})).status, 201);
}

pub(crate) fn of_many_who_sign_up_under_one_key_at_once_one_gets_it(on: Engine) {
    let shop = Home::on(on).start(&["--no-demo"]);
    let (crowd, start) = (12, Barrier::new(12));
    let statuses: Vec<u16> = thread::scope(|scope| {
        let one = || {
            start.wait();
            shop.post("/signup", json!({"tenant": "wanted"})).status
        };
        let all: Vec<_> = (0..crowd).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|&&s| s == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|&&s| s == 409).count(), crowd - 1, "{statuses:?}");
    shop.get("/wanted/users").expect(200, json!([]));
}

pub(crate) fn many_who_sign_up_at_once_are_all_served(on: Engine) {
    let shop = Home::on(on).start(&["--no-demo"]);
    thread::scope(|scope| {
        for number in 0..12 {
            let shop = &shop;
            scope.spawn(move || {
                let key = format!("crowd-{number}");
                assert_eq!(shop.post("/signup", json!({"tenant": key})).status, 201);
                shop.post(&format!("/{key}/users"), json!({"username": key}));
                shop.get(&format!("/{key}")).expect(200, json!({ key.clone(): [key] }));
            });
        }
    });
}
