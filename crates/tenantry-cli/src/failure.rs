//! [`Failure`]: why a command did not do what was asked.

use std::error::Error as StdError;

/// What went wrong, the causes behind it, and what to type next.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) what: String,
    /// A stable word for programs.
    pub(crate) code: &'static str,
    pub(crate) causes: Vec<String>,
    pub(crate) help: Option<String>,
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), code: "failed", causes: Vec::new(), help: None }
    }

    pub(crate) fn code(mut self, code: &'static str) -> Self {
        self.code = code;
        self
    }

    pub(crate) fn caused_by(mut self, cause: impl StdError) -> Self {
        self.causes.push(cause.to_string());
        self.add_sources(cause.source());
        self
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Drivers repeat their cause in their own text: what was said already is left out.
    fn add_sources(&mut self, mut source: Option<&(dyn StdError + 'static)>) {
        while let Some(cause) = source {
            let text = cause.to_string();
            if !self.what.contains(&text) && !self.causes.iter().any(|said| said.contains(&text)) {
                self.causes.push(text);
            }
            source = cause.source();
        }
    }

    /// The causes in one line, for a cell of a table.
    pub(crate) fn in_one_line(&self) -> String {
        std::iter::once(&self.what).chain(&self.causes).map(String::as_str).collect::<Vec<_>>().join(": ")
    }
}

impl From<tenantry::Error> for Failure {
    fn from(error: tenantry::Error) -> Self {
        Self {
            what: error.to_string(),
            code: error.code(),
            causes: error.causes(),
            help: error.help_text().map(str::to_owned),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new("the answer could not be written").code("io").caused_by(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_was_said_already_is_not_said_again() {
        let key: tenantry::Error = "Acme".parse::<tenantry::TenantKey>().unwrap_err();
        let outer = Failure::new("line 2").caused_by(key);
        assert_eq!(outer.causes.len(), 1);
        let io = std::io::Error::other(std::io::Error::other("disk full"));
        let failure = Failure::new("cannot write").caused_by(io);
        assert_eq!(failure.in_one_line(), "cannot write: disk full");
    }
}
