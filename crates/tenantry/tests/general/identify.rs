//! Requests to a real router, in process and over a real socket: whose they are, and what the refused ones are told.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    extract::Request,
    response::Response,
    routing::get,
};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use tenantry::{Claims, Identify, JwtKeys, SharedDb, Tenant, TenantDb};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::ServiceExt;

use crate::support::Installation;

const SECRET: &[u8] = b"a secret of thirty-two bytes, and more";

/// `acme` (with the domain `shop.acme.com`) and `umbrella` are served, `globex` is suspended, `initech` deleted.
async fn installation() -> Installation {
    let place = Installation::new().await;
    for key in ["acme", "umbrella", "globex", "initech"] {
        place.tenant(key).await;
    }
    place.tenancy.domain_add("acme", "shop.acme.com").await.unwrap();
    place.tenancy.tenant_suspend("globex").await.unwrap();
    place.tenancy.tenant_delete("initech").await.unwrap();
    place
}

fn identify() -> Identify {
    let keys = JwtKeys::hs256(SECRET, "shop", "shop").unwrap();
    Identify::new().host("{tenant}.myapp.com").header("x-tenant-name").path().jwt(keys)
}

fn bearer(tenant: &str) -> String {
    let claims = json!({"iss": "shop", "aud": "shop", "exp": u32::MAX, "tenant": tenant, "sub": "userA"});
    format!("Bearer {}", encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET)).unwrap())
}

async fn users(db: TenantDb, tenant: Tenant, _: SharedDb) -> String {
    assert_eq!(db.tenant(), &tenant);
    tenant.key.to_string()
}

async fn me(claims: Claims) -> String {
    claims.subject().unwrap_or_default().to_owned()
}

async fn app(identify: Identify) -> Router {
    let api = Router::new().route("/users", get(users)).route("/me", get(me));
    let place = installation().await;
    let routes = Router::new().nest("/{tenant}", api.clone()).merge(api).layer(place.tenancy.layer(identify));
    // The installation's directory goes away with the router.
    routes.layer(Extension(Arc::new(place)))
}

fn request(target: &str, headers: &[(&str, &str)]) -> Request {
    let request = headers.iter().fold(Request::get(target), |r, (name, value)| r.header(*name, *value));
    request.body(Body::empty()).unwrap()
}

async fn visit(app: &Router, target: &str, headers: &[(&str, &str)]) -> (Response<()>, String) {
    let (parts, body) = app.clone().oneshot(request(target, headers)).await.unwrap().into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    (Response::from_parts(parts, ()), String::from_utf8(body.to_vec()).unwrap())
}

const BASE: (&str, &str) = ("host", "myapp.com");

#[tokio::test]
async fn a_handler_is_given_the_one_tenant_of_its_request() {
    let app = app(identify()).await;
    let token = bearer("acme");
    for (target, headers) in [
        ("/users", &[("host", "ACME.myapp.com.:8080")][..]),
        ("/users", &[("host", "shop.acme.com:0443")]),
        ("/users", &[BASE, ("x-tenant-name", "acme")]),
        ("/acme/users?tenant=umbrella", &[BASE]),
        ("/users", &[BASE, ("authorization", &token)]),
        ("/acme/users", &[("host", "acme.myapp.com"), ("x-tenant-name", "acme"), ("authorization", &token)]),
    ] {
        let (response, body) = visit(&app, target, headers).await;
        assert_eq!((response.status().as_u16(), &*body), (200, "acme"), "{target} {headers:?}");
    }
    assert_eq!(visit(&app, "/umbrella/users", &[BASE]).await.1, "umbrella");
    assert_eq!(visit(&app, "/me", &[BASE, ("authorization", &token)]).await.1, "userA");
}

#[tokio::test]
async fn a_refused_request_is_told_the_status_and_the_code() {
    let app = app(identify()).await;
    let token = bearer("umbrella");
    for (target, headers, status, code) in [
        ("/users", &[BASE][..], 400, "no_tenant"),
        ("/nobody/users", &[BASE], 404, "unknown_tenant"),
        ("/initech/users", &[BASE], 404, "unknown_tenant"),
        ("/globex/users", &[BASE], 403, "tenant_suspended"),
        ("/users", &[("host", "nobody.myapp.com")], 404, "unknown_tenant"),
        ("/users", &[("host", "a.b.myapp.com")], 404, "unknown_tenant"),
        ("/umbrella/users", &[("host", "acme.myapp.com")], 400, "signals_disagree"),
        ("/acme/users", &[BASE, ("authorization", &token)], 400, "signals_disagree"),
        ("/acme/users", &[BASE, ("authorization", "Bearer x")], 401, "unauthenticated"),
        ("/acme/me", &[BASE], 401, "unauthenticated"),
        ("/users", &[BASE, ("x-tenant-name", "Acme")], 400, "bad_signal"),
        ("/users", &[BASE, ("x-tenant-name", "acme"), ("x-tenant-name", "umbrella")], 400, "bad_signal"),
        ("/users", &[BASE, ("x-tenant-name", "acme"), ("x-tenant-name", "acme")], 400, "bad_signal"),
        ("/acme/users", &[BASE, BASE], 400, "bad_host"),
        ("/acme/users", &[("host", "acme@myapp.com")], 400, "bad_host"),
        ("/acme/users", &[], 400, "bad_host"),
    ] {
        let (response, body) = visit(&app, target, headers).await;
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((response.status().as_u16(), &problem["code"]), (status, &json!(code)), "{target} {headers:?}");
        assert_eq!(problem["status"], status);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers().contains_key("www-authenticate"), status == 401);
    }
}

#[tokio::test]
async fn no_answer_repeats_what_a_stranger_sent() {
    let app = app(identify()).await;
    let canary = "zq7canary";
    for (target, headers) in [
        ("/zq7canary/users", &[BASE][..]),
        ("/zq7canary%3Cscript%3E/users", &[BASE]),
        ("/users", &[("host", "zq7canary.myapp.com")]),
        ("/users", &[("host", "zq7canary.x.myapp.com")]),
        ("/users", &[("host", "zq7canary@myapp.com")]),
        ("/users", &[BASE, ("x-tenant-name", "zq7canary")]),
        ("/users", &[BASE, ("x-tenant-name", "zq7canary!")]),
        ("/users", &[BASE, ("authorization", "Bearer zq7canary")]),
    ] {
        let (response, body) = visit(&app, target, headers).await;
        assert!(response.status().is_client_error(), "{target}");
        assert!(!format!("{response:?}{body}").contains(canary), "{target} {body}");
    }
}

#[tokio::test]
async fn unknown_suspended_and_deleted_tenants_get_the_same_bytes_if_asked() {
    let app = app(identify().uniform_not_found()).await;
    let mut answers = BTreeSet::new();
    for key in ["nobody", "globex", "initech", "Not%20a%20key"] {
        let (response, body) = visit(&app, &format!("/{key}/users"), &[BASE]).await;
        answers.insert(format!("{} {:?} {body}", response.status(), response.headers()));
    }
    for host in ["nobody.myapp.com", "globex.myapp.com", "initech.myapp.com"] {
        let (response, body) = visit(&app, "/users", &[("host", host)]).await;
        answers.insert(format!("{} {:?} {body}", response.status(), response.headers()));
    }
    assert_eq!(answers.len(), 1, "{answers:#?}");
    assert!(answers.iter().all(|answer| answer.starts_with("404")));
}

#[tokio::test]
async fn a_route_outside_of_the_layer_hands_nothing_out() {
    let app = Router::new().route("/{tenant}/users", get(users));
    let (response, body) = visit(&app, "/acme/users", &[BASE]).await;
    assert_eq!(response.status(), 500);
    assert!(body.contains("something went wrong") && !body.contains("layer"), "{body}");
}

#[tokio::test]
async fn two_layers_must_find_one_tenant() {
    let place = installation().await;
    let tenancy = place.tenancy.clone();
    let by_header = tenancy.layer(Identify::new().header("x-tenant-name"));
    let by_path = tenancy.layer(Identify::new().path());
    let app = Router::new().route("/{tenant}/users", get(users)).layer(by_path).layer(by_header);
    assert_eq!(visit(&app, "/acme/users", &[("x-tenant-name", "acme")]).await.1, "acme");
    assert_eq!(visit(&app, "/umbrella/users", &[("x-tenant-name", "acme")]).await.0.status(), 400);
}

/// Serves on a real socket, and sends text as it is.
async fn send(address: SocketAddr, text: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    tokio::time::timeout(Duration::from_secs(10), read).await.expect("an answer").unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    (status, body.unwrap_or_default())
}

async fn serve(identify: Identify) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = app(identify).await.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn raw(target: &str, lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("GET {target} HTTP/1.1\r\n{lines}Connection: close\r\n\r\n")
}

#[tokio::test]
async fn hosts_that_conflict_on_the_wire_are_refused() {
    let address = serve(identify()).await;
    assert_eq!(send(address, &raw("/users", &["Host: acme.myapp.com"])).await, (200, "acme".into()));
    let absolute = raw("http://acme.myapp.com/users", &["Host: acme.myapp.com"]);
    assert_eq!(send(address, &absolute).await, (200, "acme".into()));
    for (target, lines) in [
        ("/users", &["Host: acme.myapp.com", "Host: umbrella.myapp.com"][..]),
        ("/users", &["Host: acme.myapp.com", "host: acme.myapp.com"]),
        ("http://umbrella.myapp.com/users", &["Host: acme.myapp.com"]),
        ("http://x@acme.myapp.com/users", &["Host: acme.myapp.com"]),
        ("http://acme.myapp.com/users", &[]),
        ("/users", &["Host: acme.myapp.com", "x-tenant-name: acme", "X-Tenant-Name: acme"]),
        ("/users", &["Host:"]),
        ("/users", &["Host: acme.myapp.com, umbrella.myapp.com"]),
        ("/users", &["Host: acme.myapp.com/.."]),
        ("/users", &["Host: acme.myapp.com:99999"]),
        ("/users", &["Host: acme.myapp.com\0"]),
        ("/users", &["Host: acme.myapp.com\u{3002}"]),
        ("/users", &[]),
    ] {
        assert_eq!(send(address, &raw(target, lines)).await.0, 400, "{target} {lines:?}");
    }
}

#[tokio::test]
async fn a_forwarded_host_is_taken_from_a_trusted_proxy_only() {
    let forged = raw("/users", &["Host: acme.myapp.com", "X-Forwarded-Host: umbrella.myapp.com"]);
    let stranger = serve(identify().trusted_proxies(["10.0.0.0/8"])).await;
    assert_eq!(send(stranger, &forged).await.1, "acme");
    let proxy = serve(identify().trusted_proxies(["127.0.0.0/8"])).await;
    assert_eq!(send(proxy, &forged).await.1, "umbrella");
    let standard = raw("/users", &["Host: inner", "Forwarded: for=1.2.3.4;host=\"acme.myapp.com:443\""]);
    assert_eq!(send(proxy, &standard).await.1, "acme");
    let two = raw("/users", &["Host: inner", "X-Forwarded-Host: acme.myapp.com, umbrella.myapp.com"]);
    assert_eq!(send(proxy, &two).await.0, 400);
}

fn bearer_with_id(tenant: &str, id: tenantry::TenantId) -> String {
    let claims = json!({"iss": "shop", "aud": "shop", "exp": u32::MAX, "tenant": tenant, "tenant_id": id});
    format!("Bearer {}", encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET)).unwrap())
}

#[tokio::test]
async fn a_token_with_a_tenants_id_never_opens_another_tenant_that_was_given_its_key() {
    let place = Installation::new().await;
    let first = place.tenant("acme").await.tenant().id;
    let (with_id, with_key_alone) = (bearer_with_id("acme", first), bearer("acme"));
    let app = Router::new().route("/users", get(users)).layer(place.tenancy.layer(identify()));
    assert_eq!(visit(&app, "/users", &[BASE, ("authorization", &with_id)]).await.1, "acme");
    place.tenancy.tenant_delete("acme").await.unwrap();
    place.tenancy.tenant_purge("acme").await.unwrap();
    let created = async {
        while place.tenancy.tenant_create(tenantry::NewTenant::new("acme").unwrap()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), created).await.expect("the key's quarantine ends");
    let second = place.tenancy.tenant("acme").await.unwrap().tenant().id;
    let (response, body) = visit(&app, "/users", &[BASE, ("authorization", &with_id)]).await;
    assert_eq!(response.status(), 401, "{body}");
    assert!(!body.contains(&second.to_string()), "{body}");
    // Documented: a key alone opens whoever has it.
    assert_eq!(visit(&app, "/users", &[BASE, ("authorization", &with_key_alone)]).await.1, "acme");
    assert_eq!(visit(&app, "/users", &[BASE, ("authorization", &bearer_with_id("acme", second))]).await.1, "acme");
    let keys = JwtKeys::hs256(SECRET, "shop", "shop").unwrap().require_id();
    let strict = Router::new().route("/users", get(users)).layer(place.tenancy.layer(Identify::new().jwt(keys)));
    assert_eq!(visit(&strict, "/users", &[("authorization", &with_key_alone)]).await.0.status(), 401);
}

#[tokio::test]
async fn requests_that_are_refused_are_counted_by_their_cause() {
    let place = installation().await;
    let app = Router::new().route("/{tenant}/users", get(users)).layer(place.tenancy.layer(identify()));
    for _ in 0..56 {
        visit(&app, "/umbrella/users", &[("host", "acme.myapp.com")]).await;
    }
    visit(&app, "/globex/users", &[BASE]).await;
    visit(&app, "/initech/users", &[BASE]).await;
    visit(&app, "/acme/users", &[BASE, ("authorization", "Bearer x")]).await;
    visit(&app, "/acme/users", &[BASE]).await;
    let refused = place.tenancy.refused();
    assert_eq!((refused.disagreeing, refused.suspended, refused.unknown), (56, 1, 1), "{refused:?}");
    assert_eq!((refused.unauthenticated, refused.throttled), (1, 0), "{refused:?}");
}
