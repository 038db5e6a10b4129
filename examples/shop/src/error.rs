//! [`AppError`]: whatever a handler fails with, as problem JSON (RFC 9457).

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use sea_orm::DbErr;
use serde_json::json;
use tenantry::Problem;

/// What a request is refused with. The engine's errors know their own answer; the shop adds a few of its own.
#[derive(Debug)]
pub(crate) enum AppError {
    /// From the engine or the database. The client is told no SQL and no value.
    Tenantry(tenantry::Error),
    /// From the shop itself.
    Shop { status: StatusCode, code: &'static str, detail: String },
}

impl AppError {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self::Shop { status, code, detail: detail.into() }
    }

    /// 422: the body can be read, and says something that cannot be.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_input", detail)
    }

    /// 500: what is stored breaks a rule that the shop keeps.
    pub(crate) fn impossible(what: &str) -> Self {
        tracing::error!("{what}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong")
    }
}

impl From<tenantry::Error> for AppError {
    fn from(error: tenantry::Error) -> Self {
        Self::Tenantry(error)
    }
}

/// `tenantry::Error` knows what the database meant: a unique value that is taken is 409, and so on.
impl From<DbErr> for AppError {
    fn from(error: DbErr) -> Self {
        Self::Tenantry(error.into())
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        let (status, code, detail) = match self {
            Self::Tenantry(error) => return Problem::from(error).into_response(),
            Self::Shop { status, code, detail } => (status, code, detail),
        };
        let title = status.canonical_reason().unwrap_or("Error");
        let body = json!({
            "type": "about:blank",
            "title": title,
            "status": status.as_u16(),
            "detail": detail,
            "code": code,
        });
        let problem = HeaderValue::from_static("application/problem+json");
        (status, [(header::CONTENT_TYPE, problem)], body.to_string()).into_response()
    }
}
