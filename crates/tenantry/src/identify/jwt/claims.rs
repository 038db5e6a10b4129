//! [`Claims`]: what a verified token says.

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, MapAccess, Visitor},
};
use serde_json::{Map, Value};

use super::refused;
use crate::error::Result;

/// The claims of the request's token, after its signature, its times, its issuer and its audience were checked.
///
/// An extractor: a request without a token is answered 401. Its tenant is the request's tenant.
///
/// ```
/// use axum::Json;
/// use tenantry::Claims;
///
/// async fn me(claims: Claims) -> Json<String> {
///     Json(claims.subject().unwrap_or("nobody").to_owned())
/// }
/// ```
#[derive(Clone)]
pub struct Claims(Arc<Map<String, Value>>);

impl Claims {
    /// One claim.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// The claim `sub`, if it is a text.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.get("sub")?.as_str()
    }

    /// All claims as a type of yours; claims that do not fit it are answered 401.
    ///
    /// ```
    /// #[derive(serde::Deserialize)]
    /// struct Mine {
    ///     sub: String,
    ///     roles: Vec<String>,
    /// }
    /// # fn read(claims: tenantry::Claims) -> tenantry::Result<Mine> {
    /// let mine: Mine = claims.parse()?;
    /// # Ok(mine)
    /// # }
    /// ```
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        let value = Value::Object(Map::clone(&self.0));
        // serde's text quotes values, and those are a person's: it stays out of the log.
        serde_json::from_value(value).map_err(|_| refused("the claims of a token are not of the type asked for"))
    }
}

/// Names the claims; their values belong to a person.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A claim that stands there twice means one thing to us and another to the next program: refused.
impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;
        impl<'de> Visitor<'de> for Once {
            type Value = Map<String, Value>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of claims")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                let mut claims = Map::new();
                while let Some((name, value)) = entries.next_entry()? {
                    if claims.insert(name, value).is_some() {
                        return Err(A::Error::custom("a claim stands there twice"));
                    }
                }
                Ok(claims)
            }
        }
        deserializer.deserialize_map(Once).map(|claims| Self(Arc::new(claims)))
    }
}
