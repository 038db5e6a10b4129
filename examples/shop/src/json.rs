//! [`Body`]: a request's JSON, and [`Created`]: the answer to a `POST`.

use axum::{
    Json,
    body::Bytes,
    extract::{FromRequest, Request},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::error::Category;

use crate::error::AppError;

/// A JSON body of the type that the handler wants; anything else is 422, in words that repeat nothing of it.
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = AppError;

    async fn from_request(request: Request, state: &S) -> Result<Self, AppError> {
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                AppError::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "the body is too large")
            }
            _ => AppError::new(StatusCode::BAD_REQUEST, "body_cut_off", "the body did not arrive"),
        })?;
        serde_json::from_slice(&bytes).map(Self).map_err(|e| refused(&e))
    }
}

fn refused(error: &serde_json::Error) -> AppError {
    let (line, column) = (error.line(), error.column());
    let what = match error.classify() {
        Category::Data => "the body is not what this address takes",
        Category::Syntax | Category::Eof | Category::Io => "the body is not JSON",
    };
    AppError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_body", format!("{what} (line {line}, column {column})"))
}

/// 201 with a message and the new row's id.
#[derive(Debug, Serialize)]
pub(crate) struct Created {
    pub(crate) message: &'static str,
    pub(crate) id: i64,
}

impl IntoResponse for Created {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, Json(self)).into_response()
    }
}
