//! [`Problem`]: an error as the client sees it.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use crate::error::Error;

/// An [`Error`] as a response: problem JSON (RFC 9457) with the client's text and a `code`. The operator's text, with
/// its causes, goes to the log, once.
///
/// A handler may return [`Error`] itself, or wrap it in an error of its own:
///
/// ```
/// use axum::response::{IntoResponse, Response};
/// use tenantry::{Problem, TenantKey};
///
/// enum AppError {
///     Tenantry(tenantry::Error),
///     OutOfStock,
/// }
///
/// impl IntoResponse for AppError {
///     fn into_response(self) -> Response {
///         match self {
///             Self::Tenantry(error) => Problem::from(error).into_response(),
///             Self::OutOfStock => axum::http::StatusCode::CONFLICT.into_response(),
///         }
///     }
/// }
///
/// async fn is_key(text: String) -> Result<String, tenantry::Error> {
///     let key: TenantKey = text.parse()?; // 422 with the reason
///     Ok(key.to_string())
/// }
/// ```
#[derive(Debug)]
pub struct Problem(Error);

impl Problem {
    /// The error behind it.
    #[must_use]
    pub const fn error(&self) -> &Error {
        &self.0
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn body(&self) -> String {
        let status = self.status();
        json!({
            "type": "about:blank",
            "title": status.canonical_reason().unwrap_or("Error"),
            "status": status.as_u16(),
            "detail": self.0.client_text(),
            "code": self.0.client_code(),
        })
        .to_string()
    }

    fn log(&self) {
        let (status, code) = (self.0.http_status(), self.0.code());
        let help = self.0.help_text();
        if status >= 500 {
            tracing::warn!(status, code, help, "{}", with_causes(&self.0));
        } else {
            tracing::debug!(status, code, help, "{}", with_causes(&self.0));
        }
    }
}

/// `this: its cause: the cause of that`, on one line, each text once.
fn with_causes(error: &Error) -> String {
    std::iter::once(error.to_string()).chain(error.causes()).collect::<Vec<_>>().join(": ")
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.log();
        let status = self.status();
        let mut response = Response::new(Body::from(self.body()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        // A proxy that kept `404` would go on saying so after the tenant was made.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE && self.0.is_retryable() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::error::ErrorKind;

    async fn answer(error: Error) -> (Response<()>, Value) {
        let (parts, body) = error.into_response().into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (Response::from_parts(parts, ()), serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn a_problem_tells_the_client_its_text_and_nothing_of_the_operators() {
        let cause = std::io::Error::other("password=hunter2");
        let error = Error::new(ErrorKind::Database, "SELECT secret FROM t_1").caused_by(cause).help("tenantry doctor");
        let (response, body) = answer(error).await;
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(
            body,
            json!({
                "type": "about:blank",
                "title": "Internal Server Error",
                "status": 500,
                "detail": "something went wrong",
                "code": "internal",
            })
        );
    }

    #[tokio::test]
    async fn a_problem_says_when_to_come_again_and_with_what() {
        let (busy, _) = answer(Error::new(ErrorKind::NotReady, "")).await;
        assert_eq!((busy.status().as_u16(), &busy.headers()["retry-after"]), (503, &HeaderValue::from_static("1")));
        let (full, _) = answer(Error::new(ErrorKind::NoCapacity, "")).await;
        assert!(!full.headers().contains_key("retry-after"));
        let (stranger, body) = answer(Error::new(ErrorKind::Unauthenticated, "")).await;
        assert_eq!(
            (stranger.status().as_u16(), &stranger.headers()["www-authenticate"]),
            (401, &HeaderValue::from_static("Bearer"))
        );
        assert_eq!(body["code"], "unauthenticated");
    }

    #[test]
    fn the_log_holds_the_causes_in_their_order() {
        let error =
            Error::new(ErrorKind::Io, "outer").caused_by(Error::new(ErrorKind::Io, "inner").caused_by("innermost"));
        assert_eq!(with_causes(&error), "outer: inner: innermost");
    }
}
