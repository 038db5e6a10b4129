//! What the README promises of the shop, asked one by one.

use serde_json::{Value, json};

use super::client::{Client, Request};
use crate::Result;

/// A promise, and how to ask for it.
pub(crate) type Check = (&'static str, fn(&Client) -> Result);

/// On an empty folder. Those that write come last.
pub(crate) const FIRST: &[Check] = &[
    ("the same request of two tenants has two answers", by_path),
    ("a header names the tenant", by_header),
    ("a host names the tenant", by_host),
    ("a header and a path that agree are fine", agreement),
    ("a header and a path that disagree are 400", disagreement),
    ("a host and a path that disagree are 400", host_disagreement),
    ("a request without a tenant is 400", no_tenant),
    ("an unknown tenant is 404 with a code", unknown_tenant),
    ("a tenant signs up and is served at once", sign_up),
    ("a key that is taken is 409", taken_key),
    ("a key that is reserved is 422", reserved_key),
    ("what one tenant wrote no other tenant reads", by_path),
];

/// On the folder that the first run left.
pub(crate) const SECOND: &[Check] = &[
    ("the demo tenants are there once", by_path),
    ("the tenant that signed up is served, with its user", signed_up_before),
];

fn users_a() -> Value {
    json!([{"id": 1, "username": "userA"}, {"id": 2, "username": "userB"}])
}

fn users_b() -> Value {
    json!([{"id": 1, "username": "userA"}, {"id": 2, "username": "userC"}])
}

fn by_path(shop: &Client) -> Result {
    shop.send(Request::get("/tenant_a/users"))?.expect_json(&users_a())?;
    shop.send(Request::get("/tenant_b/users"))?.expect_json(&users_b())
}

fn by_header(shop: &Client) -> Result {
    shop.send(Request::get("/users").header("X-Tenant-Name", "tenant_a"))?.expect_json(&users_a())?;
    shop.send(Request::get("/users").header("X-Tenant-Name", "tenant_b"))?.expect_json(&users_b())
}

fn by_host(shop: &Client) -> Result {
    shop.send(Request::get("/users").header("Host", shop.host_of("tenant_a")))?.expect_json(&users_a())?;
    shop.send(Request::get("/users").header("Host", shop.host_of("tenant_b")))?.expect_json(&users_b())
}

fn agreement(shop: &Client) -> Result {
    shop.send(Request::get("/tenant_a/users").header("X-Tenant-Name", "tenant_a"))?.expect_json(&users_a())
}

fn disagreement(shop: &Client) -> Result {
    shop.send(Request::get("/tenant_a/users").header("X-Tenant-Name", "tenant_b"))?.expect_problem(400)
}

fn host_disagreement(shop: &Client) -> Result {
    shop.send(Request::get("/tenant_a/users").header("Host", shop.host_of("tenant_b")))?.expect_problem(400)
}

fn no_tenant(shop: &Client) -> Result {
    shop.send(Request::get("/users"))?.expect_problem(400)
}

fn unknown_tenant(shop: &Client) -> Result {
    shop.send(Request::get("/nobody/users"))?.expect_problem(404)
}

fn sign_up(shop: &Client) -> Result {
    shop.send(Request::post("/signup", json!({"tenant": "smoke-1"})))?.expect_status(201)?;
    shop.send(Request::get("/smoke-1/users"))?.expect_json(&json!([]))?;
    let created = shop.send(Request::post("/smoke-1/users", json!({"username": "x"})))?.expect_status(201)?;
    shop.send(Request::get("/smoke-1/users"))?.expect_json(&json!([{"id": created.body["id"], "username": "x"}]))
}

fn taken_key(shop: &Client) -> Result {
    shop.send(Request::post("/signup", json!({"tenant": "tenant_a"})))?.expect_problem(409)
}

fn reserved_key(shop: &Client) -> Result {
    shop.send(Request::post("/signup", json!({"tenant": "signup"})))?.expect_problem(422)
}

fn signed_up_before(shop: &Client) -> Result {
    let users = shop.send(Request::get("/smoke-1/users"))?.expect_status(200)?.body;
    match users.as_array().map(Vec::as_slice) {
        Some([user]) if user["username"] == "x" => Ok(()),
        _ => Err(format!("the users are {users}").into()),
    }
}
