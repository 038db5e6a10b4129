use std::sync::Mutex;

use axum::{Router, body::Body, extract::Request, middleware, routing::get};
use http::Response;
use jsonwebtoken::{EncodingKey, Header, encode};
use proptest::prelude::*;
use serde_json::json;
use tower::ServiceExt;

use super::*;
use crate::{
    id::TenantId,
    identify::{Claims, JwtKeys, Signal},
    tenant::{Isolation, TenantState},
};

/// A catalog of a few tenants that counts the look-ups.
struct Shelf {
    tenants: Vec<Arc<Tenant>>,
    domains: Vec<(&'static str, &'static str)>,
    looked_up: Mutex<Vec<Name>>,
}

impl Shelf {
    fn new() -> Self {
        let tenants = ["acme", "evil", "tenant_a"].map(tenant).to_vec();
        Self { tenants, domains: vec![("shop.acme.com", "acme")], looked_up: Mutex::default() }
    }

    fn id_of(&self, key: &str) -> TenantId {
        self.tenants.iter().find(|t| t.key.as_str() == key).unwrap().id
    }
}

impl Book for Shelf {
    async fn tenant_named(&self, name: &Name) -> Result<Arc<Tenant>> {
        self.looked_up.lock().unwrap().push(name.clone());
        let found = self.tenants.iter().find(|tenant| match name {
            Name::Id(id) => tenant.id == *id,
            Name::Key(key) => tenant.key == *key,
            Name::Domain(host) => self.domains.contains(&(&**host, tenant.key.as_str())),
        });
        found.cloned().ok_or_else(|| Error::new(ErrorKind::UnknownTenant, "not on the shelf"))
    }
}

fn tenant(key: &str) -> Arc<Tenant> {
    Arc::new(Tenant {
        id: TenantId::new(),
        key: key.parse().unwrap(),
        state: TenantState::Active,
        isolation: Isolation::Database,
        server: "local".into(),
        version: 0,
        created_at: 0,
        deleted_at: None,
        login: None,
        password: None,
        physical: "".into(),
        was_suspended: false,
        mark: 0,
    })
}

const SECRET: &[u8] = b"a secret of thirty-two bytes, and more";

fn keys() -> JwtKeys {
    JwtKeys::hs256(SECRET, "shop", "shop").unwrap()
}

fn bearer(tenant: &str) -> String {
    let claims = json!({"iss": "shop", "aud": "shop", "exp": u32::MAX, "tenant": tenant, "sub": "userA"});
    format!("Bearer {}", encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET)).unwrap())
}

fn every_source() -> Identify {
    Identify::new().host("{tenant}.myapp.com").header("x-tenant-name").path().jwt(keys())
}

type Answer = Result<String, ErrorKind>;

/// Sends a request through a real router and tells whose it is.
async fn visit_on(shelf: Arc<Shelf>, identify: Identify, target: &str, headers: &[(&str, &str)]) -> Answer {
    let seen = Arc::new(Mutex::new(None));
    let store = Arc::clone(&seen);
    let layer = middleware::from_fn(move |request: Request, _: middleware::Next| {
        let (identify, shelf, store) = (identify.clone(), Arc::clone(&shelf), Arc::clone(&store));
        async move {
            let (mut parts, _) = request.into_parts();
            let tenant = identify.tenant_in(&*shelf, &mut parts).await;
            let answer = tenant.map(|t| t.key.to_string()).map_err(|e| identify.answer(e).kind());
            *store.lock().unwrap() = Some(answer);
            Response::new(Body::empty())
        }
    });
    let api = Router::new().route("/users", get(async || ""));
    let app = Router::new().nest("/{tenant}", api.clone()).merge(api).layer(layer);
    let request = headers.iter().fold(Request::get(target), |r, (name, value)| r.header(*name, *value));
    app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    seen.lock().unwrap().take().unwrap()
}

async fn visit(identify: Identify, target: &str, headers: &[(&str, &str)]) -> Answer {
    visit_on(Arc::new(Shelf::new()), identify, target, headers).await
}

fn is(key: &str) -> Answer {
    Ok(key.into())
}

const BASE: (&str, &str) = ("host", "myapp.com");

#[tokio::test]
async fn each_source_alone_names_the_tenant() {
    let token = bearer("acme");
    for (target, headers) in [
        ("/users", &[("host", "ACME.myapp.com.:8080")][..]),
        ("/users", &[("host", "shop.acme.com")]),
        ("/users", &[BASE, ("x-tenant-name", "acme")]),
        ("/acme/users", &[BASE]),
        ("/acme/users", &[("host", "127.0.0.1:8080")]),
        ("/acme/users", &[("host", "unregistered.example.org")]),
        ("/users", &[BASE, ("authorization", &token)]),
        ("/users", &[BASE, ("authorization", "Basic eDp5"), ("x-tenant-name", "acme")]),
    ] {
        assert_eq!(visit(every_source(), target, headers).await, is("acme"), "{target} {headers:?}");
    }
}

#[tokio::test]
async fn a_request_that_names_nobody_has_no_tenant() {
    for host in ["myapp.com", "127.0.0.1", "[::1]:80", "unregistered.example.org", "localhost:8080", "notmyapp.com"] {
        assert_eq!(visit(every_source(), "/users", &[("host", host)]).await, Err(ErrorKind::NoTenant), "{host}");
    }
}

#[tokio::test]
async fn a_host_under_the_base_domain_that_is_no_tenant_is_unknown() {
    for host in ["nobody.myapp.com", "a.b.myapp.com", "www.myapp.com", "xn--acme.myapp.com", "a_.myapp.com"] {
        let named_otherwise = [("host", host), ("x-tenant-name", "acme")];
        assert_eq!(visit(every_source(), "/users", &named_otherwise).await, Err(ErrorKind::UnknownTenant), "{host}");
    }
}

#[tokio::test]
async fn signals_that_agree_are_one_look_up_and_signals_that_differ_are_refused() {
    let shelf = Arc::new(Shelf::new());
    let (acme, evil) = (bearer("acme"), bearer("evil"));
    let all = [("host", "acme.myapp.com"), ("x-tenant-name", "acme"), ("authorization", &*acme)];
    assert_eq!(visit_on(Arc::clone(&shelf), every_source(), "/acme/users", &all).await, is("acme"));
    assert_eq!(shelf.looked_up.lock().unwrap().len(), 1);

    let by_domain = [("host", "shop.acme.com"), ("authorization", &*acme)];
    assert_eq!(visit(every_source(), "/acme/users", &by_domain).await, is("acme"));

    for (target, headers) in [
        ("/evil/users", &[("host", "acme.myapp.com")][..]),
        ("/evil/users", &[("host", "shop.acme.com")]),
        ("/evil/users", &[BASE, ("x-tenant-name", "acme")]),
        ("/acme/users", &[BASE, ("authorization", &evil)]),
        ("/users", &[BASE, ("x-tenant-name", "acme"), ("authorization", &evil)]),
    ] {
        assert_eq!(visit(every_source(), target, headers).await, Err(ErrorKind::Disagreement), "{target}");
    }
}

#[tokio::test]
async fn a_rejection_is_never_outvoted() {
    for identify in [every_source(), every_source().first_wins()] {
        let bad_token = [("host", "acme.myapp.com"), ("authorization", "Bearer garbage")];
        assert_eq!(visit(identify.clone(), "/acme/users", &bad_token).await, Err(ErrorKind::Unauthenticated));
        let bad_header = [("host", "acme.myapp.com"), ("x-tenant-name", "Acme!")];
        assert_eq!(visit(identify.clone(), "/acme/users", &bad_header).await, Err(ErrorKind::BadSignal));
        let bad_host = [("host", "acme.myapp.com"), ("host", "evil.myapp.com")];
        assert_eq!(visit(identify.clone(), "/acme/users", &bad_host).await, Err(ErrorKind::BadHost));
        let bad_path = [("host", "acme.myapp.com")];
        assert_eq!(visit(identify, "/%2e%2e/users", &bad_path).await, Err(ErrorKind::UnknownTenant));
    }
}

#[tokio::test]
async fn the_first_name_wins_only_if_asked_and_never_over_a_token() {
    let identify = || every_source().first_wins();
    let (acme, evil) = (bearer("acme"), bearer("evil"));
    let host = ("host", "acme.myapp.com");
    assert_eq!(visit(identify(), "/evil/users", &[host]).await, is("acme"));
    assert_eq!(visit(identify(), "/nobody/users", &[host]).await, is("acme"));
    assert_eq!(visit(identify(), "/evil/users", &[host, ("authorization", &acme)]).await, is("acme"));
    for required in [identify(), identify().require_jwt()] {
        let outvoted = visit(required.clone(), "/users", &[host, ("authorization", &evil)]).await;
        assert_eq!(outvoted, Err(ErrorKind::Disagreement));
        // The header, which loses, has the token's name: that look-up must not stand in for the token's.
        let hidden = [host, ("x-tenant-name", "evil"), ("authorization", &*evil)];
        assert_eq!(visit(required, "/users", &hidden).await, Err(ErrorKind::Disagreement));
    }
}

#[tokio::test]
async fn a_required_token_is_asked_for_and_must_be_the_tenants_own() {
    let identify = || every_source().require_jwt();
    let host = ("host", "acme.myapp.com");
    assert_eq!(visit(identify(), "/users", &[host]).await, Err(ErrorKind::Unauthenticated));
    assert_eq!(
        visit(identify(), "/users", &[host, ("authorization", "Basic eDp5")]).await,
        Err(ErrorKind::Unauthenticated)
    );
    assert_eq!(
        visit(identify(), "/users", &[host, ("authorization", &bearer("evil"))]).await,
        Err(ErrorKind::Disagreement)
    );
    assert_eq!(visit(identify(), "/users", &[host, ("authorization", &bearer("acme"))]).await, is("acme"));
    assert_eq!(
        visit(identify(), "/users", &[BASE, ("authorization", &bearer("gone"))]).await,
        Err(ErrorKind::UnknownTenant)
    );
}

#[tokio::test]
async fn a_host_source_reads_the_host_and_nothing_else_does() {
    let no_host = Identify::new().header("x-tenant-name");
    assert_eq!(visit(no_host, "/users", &[("x-tenant-name", "acme")]).await, is("acme"));
    assert_eq!(visit(every_source(), "/acme/users", &[]).await, Err(ErrorKind::BadHost));
    assert_eq!(visit(Identify::new().domain(), "/users", &[("host", "Shop.Acme.com:443")]).await, is("acme"));
    assert_eq!(
        visit(Identify::new().domain(), "/users", &[("host", "a@shop.acme.com")]).await,
        Err(ErrorKind::BadHost)
    );
}

#[tokio::test]
async fn the_signed_in_user_names_a_tenant_and_sees_the_claims() {
    let shelf = Arc::new(Shelf::new());
    let evil = shelf.id_of("evil");
    let identify = every_source().user(move |request| async move {
        if let Some(claims) = request.extensions.get::<Claims>() {
            assert_eq!(claims.subject(), Some("userA"));
        }
        Ok(match request.headers.get("x-user").map(|user| user.as_bytes()) {
            Some(b"of acme") => Signal::Key("acme".parse()?),
            Some(b"of evil") => Signal::Id(evil),
            Some(b"broken") => Signal::Key("Not a key".parse()?),
            Some(_) => Signal::Refuse,
            None => Signal::Abstain,
        })
    });
    let as_user = async |user, target| {
        let headers = [BASE, ("x-user", user)];
        visit_on(Arc::clone(&shelf), identify.clone(), target, &headers).await
    };
    assert_eq!(as_user("of acme", "/users").await, is("acme"));
    assert_eq!(as_user("of evil", "/users").await, is("evil"));
    assert_eq!(as_user("of evil", "/acme/users").await, Err(ErrorKind::Disagreement));
    assert_eq!(as_user("unknown", "/acme/users").await, Err(ErrorKind::Unauthenticated));
    assert_eq!(as_user("broken", "/acme/users").await, Err(ErrorKind::InvalidKey));
    let token = [BASE, ("x-user", "of acme"), ("authorization", &*bearer("acme"))];
    assert_eq!(visit_on(Arc::clone(&shelf), identify.clone(), "/users", &token).await, is("acme"));
    // Declared first, the user wins over what was declared later.
    let user_first = Identify::new().user(async |_| Ok(Signal::Key("evil".parse()?))).path().first_wins();
    assert_eq!(visit(user_first, "/acme/users", &[]).await, is("evil"));
}

#[tokio::test]
async fn one_answer_for_unknown_and_suspended_if_asked() {
    let identify = every_source().uniform_not_found();
    let unknown = Err(ErrorKind::UnknownTenant);
    assert_eq!(visit(identify.clone(), "/nobody/users", &[BASE]).await, unknown);
    assert_eq!(visit(identify.clone(), "/acme/users", &[("host", "evil.myapp.com")]).await, unknown);
    assert_eq!(visit(identify.clone(), "/users", &[BASE]).await, unknown);
    let texts = [ErrorKind::Suspended, ErrorKind::UnknownTenant, ErrorKind::Disagreement].map(|kind| {
        let answer = identify.answer(Error::new(kind, "secret detail").for_client("another text"));
        (answer.http_status(), answer.code(), answer.client_text().to_owned(), answer.help_text().is_none())
    });
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:?}");
    assert_eq!(every_source().answer(Error::new(ErrorKind::Suspended, "")).http_status(), 403);
}

#[tokio::test]
async fn an_identify_that_cannot_work_says_so_and_lets_nobody_in() {
    for bad in [
        Identify::new(),
        Identify::new().host("myapp.com").path(),
        Identify::new().header("x tenant").path(),
        Identify::new().path().trusted_proxies(["proxy"]),
        Identify::new().path().require_jwt(),
        Identify::new().jwt(keys()).jwt(keys()),
    ] {
        assert!(bad.check().is_err(), "{bad:?}");
        assert_eq!(visit(bad, "/acme/users", &[BASE]).await, Err(ErrorKind::Configuration));
    }
    assert!(every_source().check().is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_host_and_header_are_answered(host in any::<Vec<u8>>(), header in any::<Vec<u8>>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (mut parts, ()) = Request::get("/").body(()).unwrap().into_parts();
        for (name, bytes) in [("host", host), ("x-tenant-name", header)] {
            if let Ok(value) = http::HeaderValue::from_bytes(&bytes) {
                parts.headers.append(name, value);
            }
        }
        let shelf = Shelf::new();
        let answer = runtime.block_on(every_source().tenant_in(&shelf, &mut parts));
        prop_assert!(answer.is_err());
    }
}
