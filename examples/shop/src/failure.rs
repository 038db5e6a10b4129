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

    /// Its own help, or that of the engine's error behind it.
    fn help_text(&self) -> Option<&str> {
        let of_cause = || self.cause.as_ref()?.downcast_ref::<tenantry::Error>()?.help_text();
        self.help.as_deref().or_else(of_cause)
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
        let mut cause = self.cause.as_ref().map(|c| &**c as &(dyn Error + 'static));
        while let Some(error) = cause {
            write!(f, "\n  cause: {error}")?;
            cause = error.source();
        }
        match self.help_text() {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}
