//! What the log says of requests. It has a process of its own: a subscriber is seen by every thread.

use std::{
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Router, body::Body, extract::Request, routing::get};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};
use tenantry::{Identify, JwtKeys, TenantDb};
use tower::ServiceExt;

use crate::support::Installation;

const SECRET: &[u8] = b"a secret of thirty-two bytes, and more";

/// `acme` is served.
async fn installation() -> Installation {
    let place = Installation::new().await;
    place.tenant("acme").await;
    place
}

async fn users(_: TenantDb) {
    tracing::info!("in the handler");
}

async fn visit(app: &Router, target: &str, token: Option<&str>) {
    let request = token.into_iter().fold(Request::get(target), |r, token| r.header("authorization", token));
    app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn broken(db: TenantDb) -> tenantry::Result<String> {
    Ok(sqlx::query_scalar("SELECT nickname FROM users").fetch_one(db.sqlite()?).await?)
}

#[tokio::test]
async fn the_log_names_the_tenant_of_each_line_and_never_the_query_or_the_token() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .json()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let keys = JwtKeys::hs256(SECRET, "shop", "shop").unwrap();
    let place = installation().await;
    let layer = place.tenancy.layer(Identify::new().path().jwt(keys));
    let app = Router::new().route("/users", get(users)).route("/{tenant}/users", get(users));
    let app = app.route("/{tenant}/broken", get(broken)).layer(layer);

    let claims = json!({"iss": "shop", "aud": "shop", "exp": u32::MAX, "tenant": "acme"});
    let token = format!("Bearer {}", encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET)).unwrap());
    visit(&app, "/acme/users?password=hunter2", Some(&token)).await;
    let text = log.text();
    let line = text.lines().find(|line| line.contains("in the handler")).expect("the handler's line");
    let span = &serde_json::from_str::<Value>(line).unwrap()["span"];
    assert_eq!(span["tenant.key"], "acme");
    assert!(span["tenant.id"].as_str().is_some_and(|id| id.len() == 36), "{span}");
    assert_eq!((&span["http.method"], &span["http.route"]), (&json!("GET"), &json!("/{tenant}/users")));

    visit(&app, "/evil%0d%0aforged/users?password=hunter2", None).await;
    visit(&app, "/users", Some(&format!("{token}x"))).await;
    let text = log.text();
    assert!(!text.contains("hunter2") && !text.contains(&token[10..]), "{text}");
    let all_json = text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok());
    assert!(all_json && text.matches("\"status\":404,\"code\":\"unknown_tenant\"").count() == 1, "{text}");

    // A column that is not there: the database's text once, and the statement.
    visit(&app, "/acme/broken", None).await;
    let text = log.text();
    assert_eq!(text.matches("no such column: nickname").count(), 1, "{text}");
    let line = text.lines().find(|line| line.contains("SELECT nickname FROM users")).expect("the statement's line");
    let told: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&told["level"], &told["fields"]["tenant"]), (&json!("WARN"), &json!("acme")), "{line}");

    // A request whose signals disagree leaves a line for the operator, without either tenant's name.
    place.tenant("umbrella").await;
    visit(&app, "/umbrella/users", Some(&token)).await;
    let text = log.text();
    let line = text
        .lines()
        .find(|line| line.contains("requests were refused") && line.contains("disagree"))
        .expect("a line for the operator");
    let told: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&told["level"], &told["fields"]["code"]), (&json!("WARN"), &json!("signals_disagree")), "{line}");
    assert_eq!(told["fields"]["route"], "/{tenant}/users");
    assert!(!line.contains("acme") && !line.contains("umbrella"), "{line}");
}
