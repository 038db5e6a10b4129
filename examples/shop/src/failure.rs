//! [`Failure`]: why the shop does not start, and what to do about it.

use std::{error::Error, fmt};

type Cause = Box<dyn Error + Send + Sync>;

/// What failed, why, and what to type or change next.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    help: Option<String>,
    cause: Option<Cause>,
}

impl Failure {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), help: None, cause: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn caused_by(mut self, cause: impl Into<Cause>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    fn engine_error(&self) -> Option<&tenantry::Error> {
        self.cause.as_ref()?.downcast_ref()
    }

    /// Its own help, or that of the engine's error behind it.
    fn help_text(&self) -> Option<&str> {
        self.help.as_deref().or_else(|| self.engine_error()?.help_text())
    }

    /// Outermost first.
    fn causes(&self) -> Vec<String> {
        let Some(first) = &self.cause else { return Vec::new() };
        let mut causes = vec![first.to_string()];
        if let Some(error) = self.engine_error() {
            causes.extend(error.causes());
            return causes;
        }
        let mut next = first.source();
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        causes
    }
}

impl From<tenantry::Error> for Failure {
    fn from(error: tenantry::Error) -> Self {
        Self::new("the shop cannot start").caused_by(error)
    }
}

/// On several lines, as rustc does: what, why, help.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        for cause in self.causes() {
            write!(f, "\n  cause: {cause}")?;
        }
        match self.help_text() {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}
