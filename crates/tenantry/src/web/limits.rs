//! [`RequestLimits`]: how much of an app one request may take.

use std::{
    fmt, mem,
    num::NonZeroU32,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::Body,
    extract::DefaultBodyLimit,
    response::{IntoResponse, Response},
};
use http::{Method, Request};
use http_body::Body as _;
use serde::{Deserialize, Serialize};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    body::{BodyState, BodyWatch, LimitedBody},
    problem::Problem,
};
use crate::{
    error::{Error, ErrorKind},
    seconds::Seconds,
};

/// How long one request may take and how large its body may be. What goes past a limit is answered with a [`Problem`]:
///
/// | limit | answer |
/// |---|---|
/// | `header_timeout` | none: the connection is closed |
/// | `body_bytes` | 413 `body_too_large`, at once where the client says the length |
/// | `body_timeout` | 408 `body_too_slow` |
/// | `total_timeout` | 503 `too_slow`; 503 `outcome_unknown` if the method may change something |
///
/// A handler that ran out of time is dropped. A transaction that it had open is rolled back; a statement or a commit that it
/// was waiting for may still take effect, and `outcome_unknown` says so.
///
/// [`RequestLimits::serve`] keeps all of them. An app that is served in another way takes [`RequestLimits::layer`], which
/// knows nothing of headers:
///
/// ```
/// use axum::{Router, routing::get};
/// use tenantry::{RequestLimits, Seconds};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let limits = RequestLimits { total_timeout: Seconds::new(10.0)?, ..RequestLimits::default() };
/// let app = Router::new().route("/healthz", get(|| async { "ok" }));
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
/// limits.serve(listener, app, std::future::pending()).await;
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestLimits {
    /// How long a client may take over the headers of a request, in seconds. So long a connection is kept for its next request
    /// too.
    pub header_timeout: Seconds,
    /// For how long all in all the handler waits for the client to send the body, in seconds.
    pub body_timeout: Seconds,
    /// How long it may take from the headers to the beginning of the answer, in seconds.
    pub total_timeout: Seconds,
    /// The largest body of a request, in bytes. It overrides axum's own limit of 2 MB.
    pub body_bytes: NonZeroU32,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            header_timeout: Seconds::whole(10),
            body_timeout: Seconds::whole(20),
            total_timeout: Seconds::whole(30),
            body_bytes: const { NonZeroU32::new(2 * 1024 * 1024).unwrap() },
        }
    }
}

impl RequestLimits {
    /// The layer that keeps all limits but `header_timeout`. It belongs outside of every other layer.
    #[must_use]
    pub const fn layer(self) -> LimitsLayer {
        LimitsLayer(self)
    }

    fn most_bytes(&self) -> usize {
        usize::try_from(self.body_bytes.get()).unwrap_or(usize::MAX)
    }

    fn body_too_large(&self) -> Error {
        let message = format!("the body of a request is larger than {} bytes", self.body_bytes);
        Error::new(ErrorKind::BodyTooLarge, message)
            .help("raise `body_bytes` of the request limits if it should be taken")
    }

    fn body_too_slow(&self) -> Error {
        Error::new(ErrorKind::BodyTooSlow, "the client did not send the body of its request in time")
            .help("raise `body_timeout` and `total_timeout` of the request limits if such clients should be served")
    }

    /// Dropping the handler rolls an open transaction back, but what was just being committed may be stored.
    fn handler_too_slow(&self, method: &Method) -> Error {
        let kind = if method.is_safe() { ErrorKind::RequestTooSlow } else { ErrorKind::OutcomeUnknown };
        Error::new(kind, format!("the handler of a {method} request was stopped after {} s", self.total_timeout))
            .help("raise `total_timeout` of the request limits, or do the work in a task of its own")
    }

    /// What the client has to hear in the place of the handler's answer.
    fn verdict(&self, watch: &BodyWatch, response: &Response) -> Option<Error> {
        let failed = response.status().is_client_error() || response.status().is_server_error();
        match watch.state() {
            // A handler that was content with a part of the body knows what it did.
            BodyState::TooLarge if failed => Some(self.body_too_large()),
            BodyState::TooSlow if failed => Some(self.body_too_slow()),
            _ => None,
        }
    }
}

/// Keeps a request within its [`RequestLimits`]; made by [`RequestLimits::layer`].
#[derive(Clone, Copy, Debug)]
pub struct LimitsLayer(RequestLimits);

impl<S> Layer<S> for LimitsLayer {
    type Service = LimitsService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        LimitsService { limits: self.0, inner }
    }
}

/// The service that [`LimitsLayer`] makes.
#[derive(Clone)]
pub struct LimitsService<S> {
    limits: RequestLimits,
    inner: S,
}

impl<S> Service<Request<Body>> for LimitsService<S>
where
    S: Service<Request<Body>, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let limits = self.limits;
        // The one that was polled ready serves this request; the clone is for the next.
        let next = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, next);
        Box::pin(async move {
            if request.body().size_hint().lower() > u64::from(limits.body_bytes.get()) {
                return Ok(Problem::from(limits.body_too_large()).into_response());
            }
            let method = request.method().clone();
            let (request, watch) = limited(&limits, request);
            let Ok(answer) = tokio::time::timeout(limits.total_timeout.duration(), inner.call(request)).await else {
                let error = match watch.state() {
                    BodyState::Awaited | BodyState::TooSlow => limits.body_too_slow(),
                    BodyState::Fine | BodyState::TooLarge => limits.handler_too_slow(&method),
                };
                return Ok(Problem::from(error).into_response());
            };
            let response = answer?;
            let verdict = limits.verdict(&watch, &response);
            Ok(verdict.map_or(response, |error| Problem::from(error).into_response()))
        })
    }
}

/// The request with a body that keeps the limits, also in axum's extractors.
fn limited(limits: &RequestLimits, request: Request<Body>) -> (Request<Body>, BodyWatch) {
    let (parts, body) = request.into_parts();
    let (body, watch) = LimitedBody::new(body, limits.most_bytes(), limits.body_timeout.duration());
    let mut request = Request::from_parts(parts, Body::new(body));
    DefaultBodyLimit::max(limits.most_bytes()).apply(&mut request);
    (request, watch)
}

impl<S> fmt::Debug for LimitsService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitsService").field("limits", &self.limits).finish_non_exhaustive()
    }
}
