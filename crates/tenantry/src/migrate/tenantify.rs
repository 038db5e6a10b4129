//! The author's tool, with this library's errors.

pub use tenantry_sql::tenantify::{Note, Tenantified};

use crate::error::{Error, ErrorKind, Result};

/// Rewrites a migration file with plain single-tenant tables into the form that is the same under every isolation.
/// `earlier` are the files of the folder that come before it, names and texts, already converted. What is converted
/// already stays as it is.
///
/// # Errors
/// If a comment, a text or a quoted name has no end.
pub fn tenantify(file_name: &str, text: &str, earlier: &[(&str, &str)]) -> Result<Tenantified> {
    tenantry_sql::tenantify::tenantify(file_name, text, earlier).map_err(|error| {
        Error::new(ErrorKind::Migration, error.to_string())
            .at(&error.file, Some(error.cause.line))
            .caused_by(error.cause)
    })
}
