//! [`StatelessExtension`]: an extension of PostgreSQL that the operator vouches for.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::{Error, ErrorKind, Result};

mod known;

use known::known_to_keep;
#[cfg(feature = "postgres")]
pub(crate) use known::{ExtensionClass, extension_class};

/// How long PostgreSQL lets a name be.
const LONGEST: usize = 63;

/// The name of an extension of PostgreSQL whose functions keep nothing in a session but settings of the server's, so that the
/// next tenant on the connection meets nothing of the last one. It is never one that is known to keep something.
///
/// ```
/// use tenantry::StatelessExtension;
/// assert!("postgis".parse::<StatelessExtension>().is_ok());
/// assert!("dblink".parse::<StatelessExtension>().is_err()); // its connections outlive the transaction
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StatelessExtension(Box<str>);

impl StatelessExtension {
    /// The extension's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StatelessExtension {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let refused = |why: String, help: &str| Err(Error::new(ErrorKind::Configuration, why).help(help));
        if !is_name(name) {
            return refused(
                format!("`{name}` is not the name of an extension"),
                "write a name as `SELECT extname FROM pg_extension` shows it",
            );
        }
        match known_to_keep(name) {
            Some(why) => refused(
                format!("the extension `{name}` cannot be called stateless: {why}"),
                "leave it out: connections on which its functions may have been called are closed",
            ),
            None => Ok(Self(name.into())),
        }
    }
}

/// What `CREATE EXTENSION` takes, without what no extension is called.
fn is_name(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    (1..=LONGEST).contains(&name.len())
        && name.chars().all(is_part)
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}

impl fmt::Display for StatelessExtension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for StatelessExtension {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for StatelessExtension {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_extension_has_is_refused() {
        let long = "x".repeat(64);
        for wrong in ["", " ", "a b", "a,b", "a--1.0", "-a", "a-", "a/b", "../a", "a.b", "\"a\"", "ä", &long] {
            assert!(wrong.parse::<StatelessExtension>().is_err(), "{wrong:?}");
        }
        for right in ["postgis", "uuid-ossp", "address_standardizer", "Mine2", &long[..63]] {
            assert_eq!(right.parse::<StatelessExtension>().map(|e| e.to_string()).ok().as_deref(), Some(right));
        }
    }

    #[test]
    fn an_extension_that_is_known_to_keep_something_is_refused_with_what_it_keeps() {
        for (name, what) in [
            ("dblink", "connections"),
            ("plperl", "%_SHARED"),
            ("isn", "switches"),
            ("refint", "run a text"),
            ("plperlu", "untrusted"),
        ] {
            let error = name.parse::<StatelessExtension>().expect_err(name).to_string();
            assert!(error.contains(&format!("`{name}`")) && error.contains(what), "{error}");
        }
    }
}
