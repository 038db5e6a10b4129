//! [`TenantKey`]: the name of a tenant that people type.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};

/// The longest key, in bytes: as a host label it leaves room for a prefix.
pub const MAX_KEY_BYTES: usize = 40;

/// A tenant's key: the slug in its host name and path. It may be renamed; nothing physical derives from it.
///
/// One RFC 1123 label of 1 to 40 ASCII lower-case letters, digits, hyphens and single underscores, that starts and ends
/// with a letter or digit, is no `xn--` label and no reserved word. Nothing is folded or trimmed: `Acme` is refused,
/// so that no two texts ever name one tenant.
///
/// ```
/// use tenantry::TenantKey;
/// assert!("acme-2".parse::<TenantKey>().is_ok());
/// assert!("Acme".parse::<TenantKey>().is_err());
/// assert!("public".parse::<TenantKey>().unwrap_err().is_invalid_key());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantKey(Arc<str>);

impl TenantKey {
    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A key that no text parses to, for the canary tenants of `doctor`: no request can name it.
    pub(crate) fn canary(number: u64) -> Self {
        Self(format!("{CANARY_PREFIX}{number:x}").into())
    }

    /// Whether this is a key made by [`TenantKey::canary`].
    pub(crate) fn is_canary(&self) -> bool {
        self.0.starts_with(CANARY_PREFIX)
    }

    /// A key as the catalog stores it: valid when it was written, or a canary's.
    pub(crate) fn from_catalog(text: &str) -> Result<Self, Error> {
        let known = check_form(text).is_ok() || text.starts_with(CANARY_PREFIX);
        if known {
            Ok(Self(text.into()))
        } else {
            Err(Error::new(ErrorKind::Internal, "the catalog holds a tenant key of a form that is not allowed"))
        }
    }
}

/// How the key of every canary begins, and no other.
pub(crate) const CANARY_PREFIX: &str = "!canary-";

/// First path segments and host labels that a web app needs for itself.
const RESERVED_BY_WEB: &[&str] = &[
    "admin",
    "api",
    "app",
    "assets",
    "auth",
    "billing",
    "cdn",
    "console",
    "dashboard",
    "docs",
    "favicon",
    "ftp",
    "healthz",
    "help",
    "items",
    "livez",
    "localhost",
    "login",
    "logout",
    "mail",
    "me",
    "metrics",
    "oauth",
    "openapi",
    "orders",
    "products",
    "public",
    "readyz",
    "robots",
    "root",
    "shared",
    "signup",
    "smtp",
    "static",
    "status",
    "support",
    "system",
    "tenant",
    "tenantry",
    "tenants",
    "users",
    "well-known",
    "www",
];

/// Names that a database gives a meaning of its own.
const RESERVED_BY_DATABASES: &[&str] = &[
    "dbo",
    "guest",
    "information_schema",
    "main",
    "master",
    "msdb",
    "mysql",
    "performance_schema",
    "postgres",
    "sqlite",
    "sys",
    "temp",
    "template0",
    "template1",
];

/// Device names of a file system.
const RESERVED_BY_FILES: &[&str] = &[
    "aux", "clock", "con", "conin", "conout", "nul", "prn", "com0", "com1", "com2", "com3", "com4", "com5", "com6",
    "com7", "com8", "com9", "lpt0", "lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9",
];

const RESERVED_PREFIXES: &[&str] = &["pg_", "sqlite_", "xn--"];

fn check(text: &str) -> Result<(), &'static str> {
    check_form(text)?;
    if RESERVED_PREFIXES.iter().any(|p| text.starts_with(p)) {
        return Err("it starts with a reserved prefix (`pg_`, `sqlite_` or `xn--`)");
    }
    let reserved = [RESERVED_BY_WEB, RESERVED_BY_DATABASES, RESERVED_BY_FILES];
    if reserved.iter().any(|words| words.contains(&text)) {
        return Err("it is a reserved word");
    }
    Ok(())
}

fn check_form(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > MAX_KEY_BYTES {
        return Err("it is longer than 40 characters");
    }
    if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_') {
        return Err("it may hold only lower-case letters a-z, digits, `-` and `_`");
    }
    let ends = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    if !ends(text.as_bytes().first()) || !ends(text.as_bytes().last()) {
        return Err("it must start and end with a letter or a digit");
    }
    if text.contains("__") {
        return Err("it may not hold two underscores in a row");
    }
    Ok(())
}

impl FromStr for TenantKey {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        // `{:?}` escapes control characters: a hostile name cannot forge a line of a log.
        check(text).map_err(|reason| {
            let shown: String = text.chars().take(60).collect();
            Error::new(ErrorKind::InvalidKey, format!("{shown:?} is not a tenant key: {reason}"))
                .for_client(format!("this is not a tenant key: {reason}"))
                .help("use 1 to 40 of a-z, 0-9, `-` and `_`, for example `acme-2`")
        })?;
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for TenantKey {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<TenantKey> for String {
    fn from(key: TenantKey) -> Self {
        key.0.as_ref().into()
    }
}

impl AsRef<str> for TenantKey {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TenantKey({})", self.0)
    }
}
