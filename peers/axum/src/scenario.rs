//! What every peer serves: a list of twenty users, and a note that is written down.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

pub(crate) const READ: &str = "SELECT id, username FROM users ORDER BY id";
pub(crate) const WRITE: &str = "INSERT INTO notes (text) VALUES ($1)";

#[derive(Serialize)]
pub(crate) struct User {
    id: i64,
    username: String,
}

impl From<(i64, String)> for User {
    fn from((id, username): (i64, String)) -> Self {
        Self { id, username }
    }
}

#[derive(Deserialize)]
pub(crate) struct NewNote {
    pub(crate) text: String,
}

pub(crate) fn users(rows: Vec<(i64, String)>) -> axum::Json<Vec<User>> {
    axum::Json(rows.into_iter().map(User::from).collect())
}

/// What went wrong, for whoever measures.
pub(crate) struct Failed(String);

impl<E: std::error::Error> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.0).into_response()
    }
}
