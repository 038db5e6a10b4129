//! [`Refusal`].

use std::{error::Error, fmt};

/// A text that no tenant may send, and what to do instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    what: String,
    instead: &'static str,
}

impl Refusal {
    pub(crate) const fn new(what: String, instead: &'static str) -> Self {
        Self { what, instead }
    }

    /// What to write or call instead.
    #[must_use]
    pub const fn instead(&self) -> &'static str {
        self.instead
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be sent as text", self.what)
    }
}

impl Error for Refusal {}
