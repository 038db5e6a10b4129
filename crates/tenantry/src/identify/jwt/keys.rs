//! [`JwtKeys`]: whose tokens are taken, and on which terms.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, crypto::aws_lc, errors::ErrorKind as JwtErrorKind};

use super::Claims;
use crate::{
    error::{Error, ErrorKind, Result},
    id::TenantId,
};

/// As long as the hash, as RFC 7518 asks.
const GOOD_SECRET_BYTES: usize = 32;
const MAX_LEEWAY: Duration = Duration::from_secs(300);
const DEFAULT_CLAIM: &str = "tenant";
const DEFAULT_ID_CLAIM: &str = "tenant_id";

/// The keys of the tokens that [`Identify::jwt`](crate::Identify::jwt) takes.
///
/// Each key has one algorithm, one issuer and one audience. What a token's header says about itself (`alg`, `kid`,
/// `jwk`, `jku`) never chooses the key or the algorithm. `exp`, `iss` and `aud` are required and checked, `nbf` is
/// checked if it is there, and no second of leeway is given unless you ask.
///
/// ```
/// use tenantry::JwtKeys;
///
/// # fn keys(new_secret: &[u8], old_secret: &[u8]) -> tenantry::Result<JwtKeys> {
/// let keys = JwtKeys::hs256(new_secret, "https://login.myapp.com", "myapp")?;
/// // While the secret is being replaced, tokens signed with the old one are good too.
/// Ok(keys.or(JwtKeys::hs256(old_secret, "https://login.myapp.com", "myapp")?))
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct JwtKeys {
    keys: Vec<Key>,
    claim: Box<str>,
    id_claim: Box<str>,
    requires_id: bool,
    leeway: Duration,
}

#[derive(Clone)]
struct Key {
    decoding: DecodingKey,
    validation: Validation,
    issuer: Box<str>,
}

impl JwtKeys {
    /// HMAC with SHA-256 and a shared secret; at least 32 random bytes are good.
    pub fn hs256(secret: impl AsRef<[u8]>, issuer: &str, audience: &str) -> Result<Self> {
        let secret = secret.as_ref();
        if secret.is_empty() {
            return Err(unusable("the secret is empty", "give at least 32 random bytes"));
        }
        // With a public key as its secret, everybody could sign.
        if secret.trim_ascii_start().starts_with(b"-----BEGIN") {
            return Err(unusable("the secret is a PEM file", "for a public key use `JwtKeys::rs256_pem` or its like"));
        }
        if secret.len() < GOOD_SECRET_BYTES {
            tracing::warn!(bytes = secret.len(), "the JWT secret is short and can be guessed; use 32 random bytes");
        }
        Self::one(Algorithm::HS256, DecodingKey::from_secret(secret), issuer, audience)
    }

    /// RSA (PKCS #1 v1.5) with SHA-256, and a public key in PEM (`BEGIN PUBLIC KEY` or `BEGIN RSA PUBLIC KEY`).
    pub fn rs256_pem(pem: impl AsRef<[u8]>, issuer: &str, audience: &str) -> Result<Self> {
        let der = public_key(pem.as_ref(), &["PUBLIC KEY", "RSA PUBLIC KEY"], &RSA_PKCS1_2048_8192_SHA256)?;
        Self::one(Algorithm::RS256, DecodingKey::from_rsa_der(&der), issuer, audience)
    }

    /// ECDSA on P-256 with SHA-256, and a public key in PEM (`BEGIN PUBLIC KEY`).
    pub fn es256_pem(pem: impl AsRef<[u8]>, issuer: &str, audience: &str) -> Result<Self> {
        let der = public_key(pem.as_ref(), &["PUBLIC KEY"], &ECDSA_P256_SHA256_FIXED)?;
        Self::one(Algorithm::ES256, DecodingKey::from_ec_der(&der), issuer, audience)
    }

    /// Ed25519, and a public key in PEM (`BEGIN PUBLIC KEY`).
    pub fn eddsa_pem(pem: impl AsRef<[u8]>, issuer: &str, audience: &str) -> Result<Self> {
        let der = public_key(pem.as_ref(), &["PUBLIC KEY"], &ED25519)?;
        Self::one(Algorithm::EdDSA, DecodingKey::from_ed_der(&der), issuer, audience)
    }

    fn one(algorithm: Algorithm, decoding: DecodingKey, issuer: &str, audience: &str) -> Result<Self> {
        if issuer.is_empty() || audience.is_empty() {
            return Err(unusable("issuer or audience is empty", "name who signs the tokens, and for whom"));
        }
        // An app whose other crates turn on jsonwebtoken's second back end would panic at the first token. `Err` says
        // that one was chosen already, which is as good.
        let _ = aws_lc::DEFAULT_PROVIDER.install_default();
        let mut validation = Validation::new(algorithm);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.validate_nbf = true;
        validation.leeway = 0;
        let key = Key { decoding, validation, issuer: issuer.into() };
        Ok(Self {
            keys: vec![key],
            claim: DEFAULT_CLAIM.into(),
            id_claim: DEFAULT_ID_CLAIM.into(),
            requires_id: false,
            leeway: Duration::ZERO,
        })
    }

    /// Takes tokens of the other's keys too, on their terms but with this one's claims and leeway.
    pub fn or(mut self, other: Self) -> Self {
        self.keys.extend(other.keys);
        let leeway = self.leeway;
        self.leeway(leeway)
    }

    /// The claim that holds the tenant's key; `tenant` if this is not called.
    pub fn claim(mut self, name: &str) -> Self {
        self.claim = name.into();
        self
    }

    /// The claim that holds the tenant's id ([`Tenant::id`](crate::Tenant)); `tenant_id` if this is not called. A token
    /// that has it is refused (401) where its key names a tenant of another id.
    ///
    /// A key may be given to another tenant after a purge. A token that holds the key alone opens that one too, until it
    /// expires; one that holds the id does not.
    pub fn id_claim(mut self, name: &str) -> Self {
        self.id_claim = name.into();
        self
    }

    /// Refuses tokens without the tenant's id (401): no token outlives its tenant.
    pub fn require_id(mut self) -> Self {
        self.requires_id = true;
        self
    }

    /// How far the clocks of issuer and server may be apart; nothing if this is not called, five minutes at most.
    pub fn leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway.min(MAX_LEEWAY);
        for key in &mut self.keys {
            key.validation.leeway = self.leeway.as_secs();
        }
        self
    }

    pub(super) fn tenant_claim(&self) -> &str {
        &self.claim
    }

    /// The tenant's id in a token's claims.
    pub(super) fn tenant_id(&self, claims: &Claims) -> Result<Option<TenantId>, String> {
        let claim = &self.id_claim;
        match claims.get(claim).map(|value| value.as_str().and_then(|text| text.parse().ok())) {
            Some(Some(id)) => Ok(Some(id)),
            Some(None) => Err(format!("a token's claim `{claim}` is no tenant id")),
            None if self.requires_id => Err(format!("a token has no claim `{claim}`")),
            None => Ok(None),
        }
    }

    /// The claims of a valid token, or what is wrong with it (in words that quote nothing of it).
    pub(super) fn verify(&self, token: &[u8]) -> Result<Claims, &'static str> {
        let mut why = "no key was given";
        for key in &self.keys {
            match key.verify(token) {
                Ok(claims) => return Ok(claims),
                Err(reason) => why = reason,
            }
        }
        Err(why)
    }
}

impl Key {
    fn verify(&self, token: &[u8]) -> Result<Claims, &'static str> {
        let data = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation).map_err(|e| reason(&e))?;
        // What follows is what jsonwebtoken lets pass.
        if data.header.crit.is_some() {
            return Err("its header demands extensions (`crit`)");
        }
        if data.claims.get("iss").and_then(|iss| iss.as_str()) != Some(&*self.issuer) {
            return Err("its issuer is not the one expected");
        }
        if self.is_over(&data.claims) {
            return Err("it has expired");
        }
        Ok(data.claims)
    }

    /// A token ends *on* its `exp` (RFC 7519, 4.1.4), not after it.
    fn is_over(&self, claims: &Claims) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(f64::INFINITY, |d| d.as_secs_f64());
        let exp = claims.get("exp").and_then(|exp| exp.as_f64());
        exp.is_none_or(|exp| exp + self.validation.leeway as f64 <= now)
    }
}

/// jsonwebtoken's own texts quote parts of a token: they stay out of the log.
fn reason(error: &jsonwebtoken::errors::Error) -> &'static str {
    match error.kind() {
        JwtErrorKind::ExpiredSignature => "it has expired",
        JwtErrorKind::ImmatureSignature => "it is not valid yet",
        JwtErrorKind::InvalidSignature => "its signature is wrong",
        JwtErrorKind::InvalidIssuer => "its issuer is not the one expected",
        JwtErrorKind::InvalidAudience => "its audience is not the one expected",
        JwtErrorKind::InvalidAlgorithm => "its algorithm is not the one expected",
        JwtErrorKind::MissingRequiredClaim(_) => "`exp`, `iss` or `aud` is missing",
        JwtErrorKind::InvalidClaimFormat(_) => "`exp` or `nbf` is no number",
        _ => "it is malformed",
    }
}

fn unusable(message: &str, help: &str) -> Error {
    Error::new(ErrorKind::Configuration, format!("the JWT key cannot be used: {message}")).help(help)
}

/// The DER of a PEM public key that the algorithm can use.
fn public_key(pem: &[u8], labels: &[&str], algorithm: &'static dyn VerificationAlgorithm) -> Result<Vec<u8>> {
    let help = "give the public key in PEM: `openssl pkey -in private.pem -pubout`";
    let der = read_pem(pem, labels).ok_or_else(|| unusable(&format!("it is no PEM of a {}", labels[0]), help))?;
    if ParsedPublicKey::new(algorithm, &der).is_ok() {
        Ok(der)
    } else {
        Err(unusable("it is not a key of the algorithm asked for", help))
    }
}

/// The content of a PEM file that holds one block with one of the labels and nothing else.
fn read_pem(pem: &[u8], labels: &[&str]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(pem).ok()?.trim();
    let body = labels.iter().find_map(|label| {
        let inner = text.strip_prefix(&format!("-----BEGIN {label}-----"))?;
        inner.strip_suffix(&format!("-----END {label}-----"))
    })?;
    STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).ok()
}

/// Names no key.
impl fmt::Debug for JwtKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let issuers: Vec<_> = self.keys.iter().map(|key| &key.issuer).collect();
        f.debug_struct("JwtKeys").field("issuers", &issuers).field("claim", &self.claim).finish_non_exhaustive()
    }
}
