//! The extractors: what a handler takes as an argument.

use axum::extract::FromRequestParts;
use http::{Extensions, request::Parts};

use super::problem::Problem;
use crate::{
    error::{Error, ErrorKind, Result},
    identify::Claims,
    scope::{SharedDb, TenantDb},
    tenant::Tenant,
    tenantry::Tenantry,
};

/// What the layer leaves for the extractors: one thing, for a request pays for each.
#[derive(Clone)]
pub(super) struct Admitted {
    pub(super) db: TenantDb,
    pub(super) tenancy: Tenantry,
}

fn left_by_the_layer(extensions: &Extensions) -> Result<&Admitted> {
    extensions.get::<Admitted>().ok_or_else(|| {
        Error::new(ErrorKind::Internal, "this route is outside of the tenant layer")
            .help("put `.layer(tenancy.layer(...))` after the last route that takes a tenant")
    })
}

/// The tenant of the request, as its handle.
impl<S: Sync> FromRequestParts<S> for TenantDb {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(left_by_the_layer(&parts.extensions)?.db.clone())
    }
}

/// The tenant of the request, as the catalog knows it.
impl<S: Sync> FromRequestParts<S> for Tenant {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(left_by_the_layer(&parts.extensions)?.db.tenant().clone())
    }
}

/// The shared tables.
impl<S: Sync> FromRequestParts<S> for SharedDb {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let tenancy = left_by_the_layer(&parts.extensions)?.tenancy.clone();
        Ok(tenancy.shared().await?)
    }
}

/// The claims of the request's token; 401 without one.
impl<S: Sync> FromRequestParts<S> for Claims {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // A missing layer is the app's mistake (500), a missing token the client's (401).
        left_by_the_layer(&parts.extensions)?;
        let claims = parts.extensions.get::<Self>().cloned();
        Ok(claims
            .ok_or_else(|| Error::new(ErrorKind::Unauthenticated, "a handler takes claims, but there is no token"))?)
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[tokio::test]
    async fn outside_of_the_layer_nothing_is_handed_out() {
        let mut parts = Request::get("/users").body(()).unwrap().into_parts().0;
        let refusals = [
            TenantDb::from_request_parts(&mut parts, &()).await.err(),
            Tenant::from_request_parts(&mut parts, &()).await.err(),
            SharedDb::from_request_parts(&mut parts, &()).await.err(),
            Claims::from_request_parts(&mut parts, &()).await.err(),
        ];
        for problem in refusals {
            let problem = problem.expect("a refusal");
            assert_eq!(problem.error().http_status(), 500);
            assert_eq!(problem.error().client_text(), "something went wrong");
        }
    }
}
