//! What is refused, with which status and code, and without a word about anybody else.

use serde_json::json;

use crate::{
    home::Engine,
    support::{Request, Shop, token, token_signed_with, users_a},
};

pub(crate) fn a_request_of_nobody_and_of_two_tenants_is_refused(on: Engine) {
    let shop = Shop::start(on);
    let get = Request::get;
    let b = || token(json!({"tenant": "tenant_b"}));
    for (request, status, code) in [
        (get("/users"), 400, "no_tenant"),
        (get("/"), 400, "no_tenant"),
        (get("/nobody/users"), 404, "unknown_tenant"),
        (get("/nobody"), 404, "unknown_tenant"),
        (get("/Tenant_a/users"), 404, "unknown_tenant"),
        (get("/tenant_a%00/users"), 404, "unknown_tenant"),
        (get("/..%2ftenant_a/users"), 404, "unknown_tenant"),
        (get("/users").header("host", "nobody.localhost"), 404, "unknown_tenant"),
        (get("/users").header("host", "a.tenant_a.localhost"), 404, "unknown_tenant"),
        (get("/users").header("x-tenant-name", "nobody"), 404, "unknown_tenant"),
        (get("/users").header("x-tenant-name", "Tenant_a"), 400, "bad_signal"),
        (get("/users").header("host", "x@tenant_a.localhost"), 400, "bad_host"),
        (get("/tenant_a/users").header("x-tenant-name", "tenant_b"), 400, "signals_disagree"),
        (get("/tenant_a/users").header("host", shop.host_of("tenant_b")), 400, "signals_disagree"),
        (get("/tenant_a/users").bearer(&b()), 400, "signals_disagree"),
        (get("/users").header("host", shop.host_of("tenant_a")).bearer(&b()), 400, "signals_disagree"),
    ] {
        shop.send(request).refused(status, code);
    }
}

pub(crate) fn a_token_that_is_not_good_is_refused_whatever_else_the_request_says(on: Engine) {
    let shop = Shop::start(on);
    let good = token(json!({}));
    let (start, _) = good.rsplit_once('.').unwrap();
    let bad = [
        token_signed_with("another secret of thirty-two bytes", json!({})),
        token(json!({"exp": 1})),
        token(json!({"exp": null})),
        token(json!({"iss": "other"})),
        token(json!({"aud": "other"})),
        token(json!({"tenant": null})),
        token(json!({"tenant": 7})),
        token(json!({"tenant": ["tenant_a"]})),
        format!("{start}."),
        "eyJhbGciOiJub25lIn0.eyJ0ZW5hbnQiOiJ0ZW5hbnRfYSJ9.".into(),
        "x".into(),
    ];
    for token in bad {
        shop.send(Request::get("/tenant_a/users").bearer(&token)).refused(401, "unauthenticated");
    }
    shop.send(Request::get("/tenant_a/users").bearer(&good)).expect(200, users_a());
}

pub(crate) fn an_address_or_a_method_that_is_none_is_a_problem_too(on: Engine) {
    let shop = Shop::start(on);
    for path in ["/tenant_a/nothing", "/tenant_a/users/1", "/tenant_a/users/", "/a/b/c/d"] {
        shop.get(path).refused(404, "no_such_address");
    }
    for path in ["/tenant_a/dashboard", "/signup", "/healthz"] {
        let refused = shop.send(Request::put(path));
        refused.refused(405, "method_not_allowed");
        assert!(refused.headers.contains_key("allow"), "{path}");
    }
    shop.get("/metrics").refused(404, "unknown_tenant");
}

pub(crate) fn a_bad_body_is_422_and_writes_nothing(on: Engine) {
    let shop = Shop::start(on);
    let long = "x".repeat(201);
    let bodies = [
        ("users", "", "invalid_body"),
        ("users", "not json", "invalid_body"),
        ("users", "{}", "invalid_body"),
        ("users", "[]", "invalid_body"),
        ("users", "null", "invalid_body"),
        ("users", r#"{"username":7}"#, "invalid_body"),
        ("users", r#"{"username":null}"#, "invalid_body"),
        ("users", r#"{"username":"x""#, "invalid_body"),
        ("users", r#"{"username":"x","username":"y"}"#, "invalid_body"),
        ("users", r#"{"username":"x","tenant_id":"tenant_b"}"#, "invalid_body"),
        ("users", r#"{"username":"\ud800"}"#, "invalid_body"),
        ("users", r#"{"username":""}"#, "invalid_input"),
        ("users", r#"{"username":"  "}"#, "invalid_input"),
        ("users", r#"{"username":"a\nb"}"#, "invalid_input"),
        ("users", r#"{"username":"a\u0000b"}"#, "invalid_input"),
        ("users", &format!(r#"{{"username":"{}"}}"#, &long[..101]), "invalid_input"),
        ("products", r#"{"name":"x"}"#, "invalid_body"),
        ("products", r#"{"name":"x","price":"1.50"}"#, "invalid_body"),
        ("products", r#"{"name":"x","price":null}"#, "invalid_body"),
        ("products", r#"{"name":"x","price":-1}"#, "invalid_body"),
        ("products", r#"{"name":"x","price":0.00001}"#, "invalid_body"),
        ("products", r#"{"name":"x","price":1e300}"#, "invalid_body"),
        ("products", r#"{"name":"","price":1}"#, "invalid_input"),
        ("items", &format!(r#"{{"description":"{long}","price":1}}"#), "invalid_input"),
        ("items", r#"{"name":"x","price":1}"#, "invalid_body"),
        ("orders", r#"{"item_id":1}"#, "invalid_body"),
        ("orders", r#"{"item_id":1,"quantity":1.5}"#, "invalid_body"),
        ("orders", r#"{"item_id":"1","quantity":1}"#, "invalid_body"),
        ("orders", r#"{"item_id":1,"quantity":99999999999999999999}"#, "invalid_body"),
        ("orders", r#"{"item_id":1,"quantity":0}"#, "invalid_input"),
        ("orders", r#"{"item_id":1,"quantity":-1}"#, "invalid_input"),
        ("orders", r#"{"item_id":1,"quantity":9223372036854775807}"#, "invalid_input"),
        ("orders", r#"{"item_id":99,"quantity":1}"#, "missing_reference"),
        ("orders", r#"{"item_id":-1,"quantity":1}"#, "missing_reference"),
    ];
    for (path, body, code) in bodies {
        shop.send(Request::post(&format!("/tenant_a/{path}"), body)).refused(422, code);
    }
    shop.get("/tenant_a/dashboard").expect(200, json!({"tenant": "tenant_a", "users": 2, "products": 2, "orders": 2}));
}

pub(crate) fn a_body_that_is_too_large_is_refused_and_one_that_is_no_utf8_too(on: Engine) {
    let shop = Shop::start(on);
    let body = json!({"username": "x".repeat(100_000)});
    shop.post("/tenant_a/users", body).refused(413, "body_too_large");
    use std::io::{Read, Write};
    let mut stream = shop.connect();
    let head = "POST /tenant_a/users HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 18\r\n\r\n";
    stream.write_all(&[head.as_bytes(), b"{\"username\":\"\xff\xfe\xfd\"}"].concat()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 422 "), "{answer}");
}

pub(crate) fn a_username_is_taken_within_its_tenant_only(on: Engine) {
    let shop = Shop::start(on);
    shop.post("/tenant_a/users", json!({"username": "userA"})).refused(409, "taken");
    shop.post("/tenant_a/users", json!({"username": "userC"})).expect(201, json!({"message": "User created", "id": 3}));
    shop.post("/tenant_b/users", json!({"username": "userC"})).refused(409, "taken");
}

pub(crate) fn no_answer_repeats_what_a_stranger_sent(on: Engine) {
    let shop = Shop::start(on);
    let canary = "zq7canary";
    for request in [
        Request::get("/zq7canary/users"),
        Request::get("/tenant_a/zq7canary"),
        Request::get("/users").header("x-tenant-name", canary),
        Request::get("/users").bearer(canary),
        Request::post("/signup", r#"{"tenant":"zq7canary!"}"#),
        Request::post("/signup", r#"{"zq7canary":"x"}"#),
        Request::post("/tenant_a/users", r#"{"zq7canary":"x"}"#),
        Request::post("/tenant_a/orders", r#"{"item_id":"zq7canary","quantity":1}"#),
    ] {
        let answer = shop.send(request);
        assert!((400..500).contains(&answer.status) && !answer.text.contains(canary), "{answer:?}");
    }
    assert!(!shop.log().contains(canary), "{}", shop.log());
}
