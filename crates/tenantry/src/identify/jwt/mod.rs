//! The tenant named by a signed token: `Authorization: Bearer`.

mod claims;
mod keys;

use http::{HeaderMap, header};

pub use self::{claims::Claims, keys::JwtKeys};
use crate::{
    catalog::Name,
    error::{Error, ErrorKind, Result},
    id::TenantId,
    key::TenantKey,
};

/// Longer than any token that a server of ours would take in a header.
const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// What a valid token says of its tenant.
#[derive(Debug)]
pub(crate) struct OfToken {
    pub(crate) name: Name,
    /// Keys are given again, ids never: the tenant of that name has to have it.
    pub(crate) id: Option<TenantId>,
    pub(crate) claims: Claims,
}

/// The tenant of a valid token with its claims; `None` if there is no token. A token that is there is never ignored.
pub(crate) fn named_by_jwt(headers: &HeaderMap, keys: &JwtKeys) -> Result<Option<OfToken>> {
    let Some(token) = bearer_token(headers)? else { return Ok(None) };
    let claims = keys.verify(token).map_err(|why| refused(format!("a token was refused: {why}")))?;
    let id = keys.tenant_id(&claims).map_err(refused)?;
    let key = claims.get(keys.tenant_claim()).and_then(|value| value.as_str()).map(str::parse::<TenantKey>);
    match key {
        // A valid token of a tenant that the catalog does not know is 404, as from every other source: the token was
        // checked and is good, it is its tenant that is gone.
        Some(Ok(key)) => Ok(Some(OfToken { name: Name::Key(key), id, claims })),
        Some(Err(_)) => Err(refused(format!("a token's claim `{}` is no tenant key", keys.tenant_claim()))),
        None => Err(refused(format!("a token has no text in the claim `{}`", keys.tenant_claim()))),
    }
}

pub(crate) fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unauthenticated, message)
}

fn bearer_token(headers: &HeaderMap) -> Result<Option<&[u8]>> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter().map(|line| line.as_bytes());
    let Some(token) = headers.get_all(header::AUTHORIZATION).iter().find_map(|line| after_bearer(line.as_bytes()))
    else {
        return Ok(None);
    };
    // Beside a second `Authorization` it cannot be told whose request this is.
    if lines.nth(1).is_some() {
        return Err(refused("there are several `Authorization` lines"));
    }
    match token.strip_prefix(b" ").map(<[u8]>::trim_ascii) {
        Some(token) if token.len() > MAX_TOKEN_BYTES => Err(refused("a token is too long")),
        Some(token) if !token.is_empty() => Ok(Some(token)),
        _ => Err(refused("`Authorization: Bearer` holds no token")),
    }
}

/// What follows the scheme `Bearer`, in any case; `None` for another scheme.
fn after_bearer(line: &[u8]) -> Option<&[u8]> {
    const SCHEME: &[u8] = b"bearer";
    let (scheme, rest) = line.trim_ascii_start().split_at_checked(SCHEME.len())?;
    let ends = rest.first().is_none_or(|b| !b.is_ascii_alphanumeric() && !b"!#$%&'*+-.^_`|~".contains(b));
    (ends && scheme.eq_ignore_ascii_case(SCHEME)).then_some(rest)
}

#[cfg(test)]
mod tests;
