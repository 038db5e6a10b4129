//! [`Identify`]: which sources are asked for a request's tenant.

use std::fmt;

use http::{HeaderName, request::Parts};

use super::{
    forwarded::Proxies,
    host::HostTemplate,
    jwt::JwtKeys,
    user::{Signal, User},
};
use crate::error::{Error, ErrorKind, Result};

/// How the tenant of a request is found: the sources that are asked, and what is done with their answers.
///
/// Every source is asked. Each one abstains, names a tenant, or rejects the request; the tenants named must be one and
/// the same, else the answer is 400. A request that names no tenant is refused: there is no default tenant.
///
/// ```
/// use tenantry::{Identify, JwtKeys};
///
/// # fn example() -> tenantry::Result<()> {
/// let keys = JwtKeys::hs256("thirty-two bytes that are random", "https://login.myapp.com", "myapp")?;
/// let identify = Identify::new()
///     .host("{tenant}.myapp.com")     // and the custom domains of the catalog
///     .header("x-tenant-name")
///     .path()                         // the route's `{tenant}`
///     .jwt(keys)
///     .trusted_proxies(["10.0.0.0/8"]);
/// identify.check()?;
/// # Ok(())
/// # }
/// # example().unwrap();
/// ```
///
/// Naming a tenant is not a proof of any right to it. Only a token is one: [`Identify::require_jwt`].
#[derive(Clone, Default)]
#[must_use]
pub struct Identify {
    pub(super) sources: Vec<Source>,
    pub(super) proxies: Proxies,
    pub(super) first_wins: bool,
    pub(super) require_jwt: bool,
    pub(super) uniform_not_found: bool,
    /// What cannot work in the calls so far, found when they were made.
    pub(super) mistake: Option<String>,
}

#[derive(Clone)]
pub(super) enum Source {
    Host(HostTemplate),
    Domain,
    Header(HeaderName),
    Path,
    Jwt(JwtKeys),
    User(User),
}

impl Source {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Host(_) => "host",
            Self::Domain => "domain",
            Self::Header(_) => "header",
            Self::Path => "path",
            Self::Jwt(_) => "jwt",
            Self::User(_) => "user",
        }
    }
}

impl Identify {
    /// No source yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The host, by a template such as `{tenant}.myapp.com`.
    ///
    /// One label under the base domain names a tenant by its key; deeper names under it are answered 404. The base
    /// domain itself, IP addresses, and hosts outside of it that are no registered custom domain abstain. `Host` is
    /// read strictly: two of them, or one that could be read in two ways, are answered 400.
    pub fn host(mut self, template: &str) -> Self {
        match HostTemplate::parse(template) {
            Ok(template) => self.with(Source::Host(template)),
            Err(why) => {
                self.mistaken(format!("{template:?} is not a host template: {why}"));
                self
            }
        }
    }

    /// The host, as a custom domain of the catalog; for apps without a base domain. Other hosts abstain.
    pub fn domain(self) -> Self {
        self.with(Source::Domain)
    }

    /// A header that holds a tenant's key. A header that is sent twice, or holds no key, is answered 400.
    pub fn header(mut self, name: &str) -> Self {
        match HeaderName::try_from(name) {
            Ok(name) => self.with(Source::Header(name)),
            Err(_) => {
                self.mistaken(format!("{name:?} is not the name of a header"));
                self
            }
        }
    }

    /// The path parameter `{tenant}` of the route that matched, such as `/{tenant}/users`; other routes abstain.
    ///
    /// The layer belongs on the router as a whole (`Router::layer`, or `Router::route_layer` so that addresses without
    /// a route stay the router's own 404): there it runs after routing.
    pub fn path(self) -> Self {
        self.with(Source::Path)
    }

    /// The tenant in a claim of a signed token (`Authorization: Bearer`). A token that is not valid is answered 401,
    /// whatever else the request says; [`Claims`](crate::Claims) hands the claims of a valid one to the handler.
    pub fn jwt(self, keys: JwtKeys) -> Self {
        self.with(Source::Jwt(keys))
    }

    /// An async closure that finds the organisation of the signed-in user. It is given the request without its body
    /// (with [`Claims`](crate::Claims) among the extensions, if there is a token).
    ///
    /// ```
    /// use tenantry::{Identify, Signal};
    ///
    /// let identify = Identify::new().user(|request| async move {
    ///     let Some(session) = request.headers.get("x-session") else { return Ok(Signal::Abstain) };
    ///     match session.as_bytes() {
    ///         b"of userA" => Ok(Signal::Key("acme".parse()?)),
    ///         _ => Ok(Signal::Refuse),
    ///     }
    /// });
    /// # identify.check().unwrap();
    /// ```
    pub fn user<F, A>(self, organisation: F) -> Self
    where
        F: Fn(Parts) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Signal>> + Send + 'static,
    {
        self.with(Source::User(User::new(organisation)))
    }

    /// Of tenants that differ, takes the one of the source declared first.
    ///
    /// A token is a credential, so it is never outvoted: the tenant taken must be the token's, else 400.
    pub fn first_wins(mut self) -> Self {
        self.first_wins = true;
        self
    }

    /// Refuses requests without a valid token of their tenant (401). Needs [`Identify::jwt`].
    pub fn require_jwt(mut self) -> Self {
        self.require_jwt = true;
        self
    }

    /// One answer, 404, for tenants that are unknown, deleted or suspended and for requests whose signals disagree or
    /// name nobody, so that nobody learns who is a customer. A tenant that is being updated or moved still answers 503.
    pub fn uniform_not_found(mut self) -> Self {
        self.uniform_not_found = true;
        self
    }

    /// The addresses (`10.0.0.7`) and nets (`10.0.0.0/8`) of the proxies in front. From them, and from nobody else,
    /// `X-Forwarded-Host` and `Forwarded` replace `Host`; values that differ are answered 400.
    ///
    /// The peer's address comes from axum: `into_make_service_with_connect_info::<SocketAddr>()`.
    pub fn trusted_proxies<T: AsRef<str>>(mut self, proxies: impl IntoIterator<Item = T>) -> Self {
        match Proxies::parse(proxies) {
            Ok(proxies) => self.proxies = proxies,
            Err(why) => self.mistaken(format!("a trusted proxy: {why}")),
        }
        self
    }

    /// Whether this can work: a template, header name or proxy that cannot be read is told here. A layer made from it
    /// all the same refuses every request.
    pub fn check(&self) -> Result<()> {
        let jwts = self.sources.iter().filter(|source| matches!(source, Source::Jwt(_))).count();
        let problem = match &self.mistake {
            Some(mistake) => mistake,
            None if self.sources.is_empty() => "it has no source",
            None if jwts > 1 => "a token cannot be good for two sources `jwt`; use `JwtKeys::or`",
            None if self.require_jwt && jwts == 0 => "`require_jwt` needs a source `jwt`",
            None => return Ok(()),
        };
        Err(Error::new(ErrorKind::Configuration, format!("`Identify` cannot work: {problem}")))
    }

    fn with(mut self, source: Source) -> Self {
        self.sources.push(source);
        self
    }

    fn mistaken(&mut self, what: String) {
        self.mistake.get_or_insert(what);
    }
}

impl fmt::Debug for Identify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources: Vec<_> = self.sources.iter().map(Source::name).collect();
        f.debug_struct("Identify")
            .field("sources", &sources)
            .field("first_wins", &self.first_wins)
            .field("require_jwt", &self.require_jwt)
            .field("uniform_not_found", &self.uniform_not_found)
            .field("mistake", &self.mistake)
            .finish_non_exhaustive()
    }
}
