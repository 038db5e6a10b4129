//! People who sign in. An account stands in the shared tables and names its organisation, a tenant, by its id.

use std::sync::Arc;

use argon2::{
    Argon2,
    password_hash::{self, PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use axum::http::{HeaderMap, header, request::Parts};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use tenantry::{Claims, Signal, Tenantry};
use tokio::sync::Semaphore;

use crate::{entity::account, failure::Failure};

/// A verification takes 19 MiB and a whole core for a while: so many at once, and the others wait.
const AT_ONCE: usize = 2;

/// Signs people in. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Accounts {
    tenancy: Tenantry,
    at_once: Arc<Semaphore>,
    /// The hash that a password of nobody is compared with: an unknown account takes as long as a wrong password.
    nobody: Arc<str>,
}

impl Accounts {
    pub(crate) async fn new(tenancy: Tenantry) -> Result<Self, Failure> {
        let nobody = hash("nobody has this password").await?.into();
        Ok(Self { tenancy, at_once: Arc::new(Semaphore::new(AT_ONCE)), nobody })
    }

    /// The organisation of whoever signed in, for [`Identify::user`](tenantry::Identify::user). A bearer token was
    /// verified before this is asked.
    pub(crate) async fn organisation(&self, request: &Parts) -> tenantry::Result<Signal> {
        let account = match request.extensions.get::<Claims>() {
            Some(claims) => self.named(claims).await?,
            None => self.signed_in(&request.headers).await?,
        };
        match account {
            Some(account) => Ok(Signal::Id(account.organisation.parse()?)),
            None => Ok(Signal::Refuse),
        }
    }

    async fn named(&self, claims: &Claims) -> tenantry::Result<Option<account::Model>> {
        match claims.subject() {
            Some(email) => self.find(email).await,
            None => Ok(None),
        }
    }

    async fn signed_in(&self, headers: &HeaderMap) -> tenantry::Result<Option<account::Model>> {
        let Some((email, password)) = basic_credentials(headers) else { return Ok(None) };
        let account = self.find(&email).await?;
        let hash = account.as_ref().map_or(&*self.nobody, |account| &account.password_hash);
        let good = self.verify(password, hash.to_owned()).await;
        Ok(account.filter(|_| good))
    }

    async fn find(&self, email: &str) -> tenantry::Result<Option<account::Model>> {
        let shared = self.tenancy.shared().await?;
        Ok(account::Entity::find().filter(account::Column::Email.eq(email)).one(&shared).await?)
    }

    async fn verify(&self, password: String, hash: String) -> bool {
        let Ok(turn) = Arc::clone(&self.at_once).acquire_owned().await else { return false };
        let verified = tokio::task::spawn_blocking(move || {
            // Held by the work and not by the request, whose client may go away.
            let _turn = turn;
            let hash = PasswordHash::new(&hash)?;
            Argon2::default().verify_password(password.as_bytes(), &hash)
        });
        matches!(verified.await, Ok(Ok(())))
    }
}

/// Hashes a password with a salt of its own, off the threads that serve requests.
pub(crate) async fn hash(password: &'static str) -> Result<String, Failure> {
    let hashed = tokio::task::spawn_blocking(move || {
        Ok::<_, password_hash::Error>(Argon2::default().hash_password(password.as_bytes())?.to_string())
    });
    let failed = || Failure::new("a password could not be hashed");
    hashed.await.map_err(|e| failed().caused_by(e))?.map_err(|e| failed().caused_by(e.to_string()))
}

/// The one `Authorization: Basic` of a request. Of two it cannot be told whose request it is.
fn basic_credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return None };
    let (scheme, encoded) = line.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64.decode(encoded.trim()).ok()?).ok()?;
    let (email, password) = decoded.split_once(':')?;
    Some((email.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn read(lines: &[&str]) -> Option<(String, String)> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(line).expect("is a header"));
        }
        basic_credentials(&headers)
    }

    #[test]
    fn basic_credentials_are_read_once_and_a_password_may_hold_a_colon() {
        let line = format!("basic {}", BASE64.encode("a@b:c:d"));
        assert_eq!(read(&[&line]), Some(("a@b".into(), "c:d".into())));
        assert_eq!(read(&[&line, &line]), None);
        for bad in ["", "Basic", "Basic %", "Basic YWJj", "Bearer YTpi", "Basic /w=="] {
            assert_eq!(read(&[bad]), None, "{bad}");
        }
    }
}
