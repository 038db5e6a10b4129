//! [`TenantLayer`]: finds the tenant of each request before the app sees it.

use std::{
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    extract::MatchedPath,
    response::{IntoResponse, Response},
};
use http::{Request, request::Parts};
use tower_layer::Layer;
use tower_service::Service;
use tracing::{Instrument, Span};

use super::{extract::Admitted, problem::Problem};
use crate::{
    error::{Error, ErrorKind, Result},
    identify::Identify,
    scope::TenantDb,
    tenant::Tenant,
    tenantry::Tenantry,
};

/// Finds the tenant of each request, and hands the request on with its [`TenantDb`], [`Tenant`] and, if there is a
/// token, [`Claims`](crate::Claims) for the extractors; a request without one served tenant is answered here.
///
/// [`Tenantry::layer`] makes one. Around the inner service there is a span `request` with the tenant, the method and
/// the route that matched, never the address itself.
///
/// ```
/// use axum::{Router, routing::get};
/// use tenantry::{Identify, Tenant, Tenantry};
///
/// async fn home(tenant: Tenant) -> String {
///     format!("this is {}", tenant.key)
/// }
///
/// fn app(tenancy: &Tenantry) -> Router {
///     let api = Router::new().route("/home", get(home));
///     Router::new()
///         .nest("/{tenant}", api.clone())
///         .merge(api)
///         .layer(tenancy.layer(Identify::new().host("{tenant}.myapp.com").path()))
///         .route("/healthz", get(|| async { "ok" })) // added after the layer: outside of it
/// }
/// ```
#[derive(Clone)]
pub struct TenantLayer(Arc<Gate>);

struct Gate {
    tenancy: Tenantry,
    identify: Identify,
}

impl TenantLayer {
    /// A layer that finds tenants of `tenancy` as `identify` says. If [`Identify::check`] fails, it refuses everything.
    #[must_use]
    pub fn new(tenancy: Tenantry, identify: Identify) -> Self {
        if let Err(error) = identify.check() {
            tracing::error!("{error}: every request will be refused");
        }
        Self(Arc::new(Gate { tenancy, identify }))
    }
}

// Here and not beside `Tenantry`, which stands a floor below and knows nothing of the web.
impl Tenantry {
    /// The layer that finds the tenant of each request; see [`TenantLayer`].
    #[must_use]
    pub fn layer(&self, identify: Identify) -> TenantLayer {
        TenantLayer::new(self.clone(), identify)
    }
}

impl Gate {
    /// Puts into the extensions what the extractors take out of them.
    async fn admit(&self, parts: &mut Parts) -> Result<Span> {
        let db = self.served(parts).await.map_err(|error| {
            let route = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
            self.tenancy.directory().refused.note(&error, route);
            self.identify.answer(error)
        })?;
        let span = span_of(db.tenant(), parts);
        parts.extensions.insert(Admitted { db, tenancy: self.tenancy.clone() });
        Ok(span)
    }

    async fn served(&self, parts: &mut Parts) -> Result<TenantDb> {
        let tenant = self.identify.tenant_of(self.tenancy.directory(), parts).await?;
        // Under two layers, the inner one must not lead to another tenant than the outer one.
        if parts.extensions.get::<Admitted>().is_some_and(|outer| outer.db.tenant().id != tenant.id) {
            return Err(Error::new(ErrorKind::Disagreement, "two tenant layers found two tenants for one request"));
        }
        self.tenancy.tenant_db(tenant).await
    }
}

fn span_of(tenant: &Tenant, parts: &Parts) -> Span {
    tracing::info_span!(
        "request",
        tenant.id = %tenant.id,
        tenant.key = %tenant.key,
        http.method = %parts.method,
        http.route = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str),
    )
}

impl<S> Layer<S> for TenantLayer {
    type Service = TenantService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        TenantService { gate: Arc::clone(&self.0), inner }
    }
}

/// The service that [`TenantLayer`] makes.
#[derive(Clone)]
pub struct TenantService<S> {
    gate: Arc<Gate>,
    inner: S,
}

impl<S, B> Service<Request<B>> for TenantService<S>
where
    S: Service<Request<B>, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let gate = Arc::clone(&self.gate);
        // The one that was polled ready serves this request; the clone is for the next.
        let next = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, next);
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            match gate.admit(&mut parts).await {
                Ok(span) => {
                    let answer = span.in_scope(|| inner.call(Request::from_parts(parts, body)));
                    answer.instrument(span).await
                }
                Err(error) => Ok(Problem::from(error).into_response()),
            }
        })
    }
}

impl fmt::Debug for TenantLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TenantLayer").field(&self.0.identify).finish()
    }
}

impl<S> fmt::Debug for TenantService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantService").field("identify", &self.gate.identify).finish_non_exhaustive()
    }
}
