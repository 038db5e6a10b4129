//! Texts that a client may choose.

use crate::error::AppError;

/// Refuses what is empty, too long, or would write more than one line of a log or a terminal.
pub(crate) fn check(field: &'static str, text: &str, longest: usize) -> Result<(), AppError> {
    if text.trim().is_empty() {
        return Err(AppError::invalid(format!("`{field}` is empty")));
    }
    if text.chars().count() > longest {
        return Err(AppError::invalid(format!("`{field}` is longer than {longest} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(AppError::invalid(format!("`{field}` holds a control character")));
    }
    Ok(())
}
