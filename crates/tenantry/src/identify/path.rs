//! The tenant named by the matched path parameter `{tenant}`.

use axum::extract::{FromRequestParts, RawPathParams, rejection::RawPathParamsRejection};
use http::request::Parts;

use crate::{
    catalog::Name,
    error::{Error, ErrorKind, Result},
    key::TenantKey,
};

/// The name of the parameter in a route: `/{tenant}/users`.
pub(crate) const PARAMETER: &str = "tenant";

/// Reads what the router matched and decoded, once; the URI is neither parsed again nor rewritten, so that handler
/// and engine never see two tenants.
pub(crate) async fn named_by_path(parts: &mut Parts) -> Result<Option<Name>> {
    let parameters = match RawPathParams::from_request_parts(parts, &()).await {
        Ok(parameters) => parameters,
        Err(RawPathParamsRejection::MissingPathParams(_)) => return Ok(None),
        Err(_) => return Err(Error::new(ErrorKind::BadSignal, "a path parameter is no UTF-8")),
    };
    let mut values = parameters.iter().filter(|(name, _)| *name == PARAMETER).map(|(_, value)| value);
    let Some(first) = values.next() else { return Ok(None) };
    if values.any(|other| other != first) {
        return Err(Error::new(ErrorKind::BadSignal, "the route matched `{tenant}` twice, with two values"));
    }
    key_of_address(first).map(Some)
}

/// What stands in an address and is no key is the address of no tenant: 404, and the text is not sent back.
pub(crate) fn key_of_address(text: &str) -> Result<Name> {
    let key = text.parse::<TenantKey>();
    key.map(Name::Key).map_err(|e| Error::new(ErrorKind::UnknownTenant, "an address holds no tenant key").caused_by(e))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::{Router, body::Body, extract::Request, middleware, routing::get};
    use tower::ServiceExt;

    use super::*;

    /// What the source says of a request to a router like the shop's, and the status of the answer.
    async fn visit(target: &str) -> (Option<Result<Option<Name>, ErrorKind>>, u16) {
        let seen = Arc::new(Mutex::new(None));
        let store = Arc::clone(&seen);
        let read = middleware::from_fn(move |request: Request, next: middleware::Next| {
            let store = Arc::clone(&store);
            async move {
                let (mut parts, body) = request.into_parts();
                let uri = parts.uri.clone();
                let found = named_by_path(&mut parts).await.map_err(|e| e.kind());
                assert_eq!(parts.uri, uri);
                *store.lock().unwrap() = Some(found);
                next.run(Request::from_parts(parts, body)).await
            }
        });
        let api = Router::new().route("/users", get(async || "")).route("/items/{id}", get(async || ""));
        let app = Router::new().nest("/{tenant}", api.clone()).merge(api).layer(read);
        let request = Request::get(target).body(Body::empty()).unwrap();
        let status = app.oneshot(request).await.unwrap().status().as_u16();
        let found = seen.lock().unwrap().take();
        (found, status)
    }

    #[tokio::test]
    async fn the_matched_segment_names_the_tenant() {
        let named = |key: &str| Some(Ok(Some(Name::Key(key.parse().unwrap()))));
        assert_eq!(visit("/tenant_a/users").await.0, named("tenant_a"));
        assert_eq!(visit("/acme/items/7?tenant=evil").await.0, named("acme"));
        assert_eq!(visit("/users").await.0, Some(Ok(None)));
        assert_eq!(visit("/items/7").await.0, Some(Ok(None)));
    }

    #[tokio::test]
    async fn a_hostile_segment_names_nobody() {
        for target in [
            "/%2e%2e/users",
            "/../users",
            "/..%2facme/users",
            "/acme%2f..%2fevil/users",
            "/acme%2Fusers/users",
            "/acme;x=1/users",
            "/acme%3bx/users",
            "/%2561cme/users",
            "/acme%00/users",
            "/acme%0d%0a/users",
            "/acme%20/users",
            "/ACME/users",
            "/acme./users",
            "/acme%ff/users",
            "/%ef%bc%a1cme/users",
            "/xn--acme/users",
            "/public/users",
            "//users",
            "//acme/users",
            "/acme//users",
            "/./users",
        ] {
            let (found, status) = visit(target).await;
            let refused = matches!(found, Some(Err(ErrorKind::UnknownTenant | ErrorKind::BadSignal)));
            let unrouted = matches!(found, None | Some(Ok(None))) && status == 404;
            assert!(refused || unrouted, "{target}: {found:?} {status}");
        }
    }
}
