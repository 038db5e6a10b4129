//! People who sign in, and the priced orders of their organisation.

use serde_json::json;

use crate::{
    home::Engine,
    support::{Request, Shop, token},
};

const ORDERS: &str = "/me/priced-orders";

pub(crate) fn a_person_who_signs_in_sees_the_orders_of_the_own_organisation_with_exact_totals(on: Engine) {
    let shop = Shop::start(on);
    let one = json!([
        {"item": "Desk", "price": 349.0, "quantity": 2, "total": 698.0},
        {"item": "Lamp", "price": 39.95, "quantity": 3, "total": 119.85},
    ]);
    let two = json!([
        {"item": "Flour, 25 kg", "price": 21.75, "quantity": 8, "total": 174.0},
        {"item": "Salt, 1 kg", "price": 0.89, "quantity": 5, "total": 4.45},
        {"item": "Flour, 25 kg", "price": 21.75, "quantity": 1, "total": 21.75},
    ]);
    let answer = shop.send(Request::get(ORDERS).basic("client1@shop.test", "demo"));
    answer.expect(200, one.clone());
    assert!(answer.text.contains(r#""total":698.00"#), "{}", answer.text);
    shop.send(Request::get(ORDERS).basic("client2@shop.test", "demo")).expect(200, two.clone());
    let claims = json!({"tenant": "client2", "sub": "client2@shop.test"});
    shop.send(Request::get(ORDERS).bearer(&token(claims))).expect(200, two);
    let agreeing = Request::get("/client1/me/priced-orders")
        .header("host", shop.host_of("client1"))
        .basic("client1@shop.test", "demo");
    shop.send(agreeing).expect(200, one);
}

pub(crate) fn an_order_is_priced_as_soon_as_it_is_there(on: Engine) {
    let shop = Shop::start(on);
    let item = shop.send(Request::post("/client1/items", r#"{"description":"Screw","price":0.0375}"#)).json();
    shop.post("/client1/orders", json!({"item_id": item["id"], "quantity": 1000})).json();
    let text = shop.send(Request::get(ORDERS).basic("client1@shop.test", "demo")).text;
    assert!(text.ends_with(r#"{"item":"Screw","price":0.0375,"quantity":1000,"total":37.50}]"#), "{text}");
}

pub(crate) fn whoever_does_not_sign_in_is_told_how(on: Engine) {
    let shop = Shop::start(on);
    let get = || Request::get(ORDERS);
    for request in [
        get(),
        get().header("x-tenant-name", "client1"),
        get().basic("client1@shop.test", "wrong"),
        get().basic("client1@shop.test", ""),
        get().basic("nobody@shop.test", "demo"),
        get().basic("CLIENT1@shop.test", "demo"),
        get().basic("' OR 1=1 --", "demo"),
        get().header("authorization", "Basic ?"),
        get().header("authorization", "Digest x"),
        get().bearer(&token(json!({"tenant": "client1"}))),
        get().bearer(&token(json!({"tenant": "client1", "sub": null}))),
        get().bearer(&token(json!({"tenant": "client1", "sub": "client1@shop.test", "exp": 1}))),
        Request::get("/client1/me/priced-orders"),
    ] {
        let answer = shop.send(request);
        answer.refused(401, "unauthenticated");
        let ways: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
        assert!(ways.len() == 2 && ways[1].to_str().unwrap().starts_with("Basic realm="), "{ways:?}");
    }
}

pub(crate) fn an_organisation_that_differs_from_any_other_signal_is_refused(on: Engine) {
    let shop = Shop::start(on);
    let claims = json!({"tenant": "tenant_a", "sub": "client1@shop.test"});
    shop.send(Request::get(ORDERS).bearer(&token(claims))).refused(400, "signals_disagree");
    let signed_in = |request: Request| request.basic("client1@shop.test", "demo");
    shop.send(signed_in(Request::get("/client2/me/priced-orders"))).refused(400, "signals_disagree");
    let other_host = Request::get(ORDERS).header("host", shop.host_of("client2"));
    shop.send(signed_in(other_host)).refused(400, "signals_disagree");
    let other_header = Request::get(ORDERS).header("x-tenant-name", "client2");
    shop.send(signed_in(other_header)).refused(400, "signals_disagree");
}
