//! Asks every source, and makes one tenant of what they name.

use std::sync::Arc;

use http::request::Parts;

use super::{
    builder::{Identify, Source},
    directory::Directory,
    forwarded::requested_host,
    header::named_by_header,
    host::{Host, HostTemplate, Standing},
    jwt::{OfToken, named_by_jwt, refused},
    path::{key_of_address, named_by_path},
};
use crate::{
    catalog::Name,
    error::{Error, ErrorKind, Result},
    id::TenantId,
    tenant::Tenant,
};

/// Where names are looked up.
pub(super) trait Book: Sync {
    fn tenant_named(&self, name: &Name) -> impl Future<Output = Result<Arc<Tenant>>> + Send;
}

impl Book for Directory {
    fn tenant_named(&self, name: &Name) -> impl Future<Output = Result<Arc<Tenant>>> + Send {
        self.lookup(name)
    }
}

/// A name, and whether it must be the request's tenant even if an earlier one wins.
struct Named {
    name: Name,
    binding: bool,
    /// The id that its tenant has to have.
    id: Option<TenantId>,
}

impl From<Name> for Named {
    fn from(name: Name) -> Self {
        Self { name, binding: false, id: None }
    }
}

impl Identify {
    /// The one tenant of a request, whatever its state. Claims of its token go to the extensions.
    pub(crate) async fn tenant_of(&self, directory: &Directory, parts: &mut Parts) -> Result<Arc<Tenant>> {
        self.tenant_in(directory, parts).await
    }

    /// With [`Identify::uniform_not_found`] every answer from which a stranger could tell customers is the same.
    pub(crate) fn answer(&self, error: Error) -> Error {
        use ErrorKind as K;
        let tells = matches!(error.kind(), K::UnknownTenant | K::Suspended | K::Disagreement | K::NoTenant);
        if self.uniform_not_found && tells {
            Error::new(K::UnknownTenant, "no tenant is served for this request").caused_by(error)
        } else {
            error
        }
    }

    async fn tenant_in(&self, book: &impl Book, parts: &mut Parts) -> Result<Arc<Tenant>> {
        self.check()?;
        let named = self.ask(parts).await?;
        if self.require_jwt && !named.iter().any(|named| named.binding) {
            return Err(
                refused("a request has no token").help("send `Authorization: Bearer` with a token of the tenant")
            );
        }
        self.agree(book, &named).await
    }

    /// Users come last, so that their closures find the claims; what they name keeps its place in the order.
    async fn ask(&self, parts: &mut Parts) -> Result<Vec<Named>> {
        let mut named = Vec::with_capacity(self.sources.len());
        for (at, source) in self.sources.iter().enumerate() {
            let found = self.ask_source(source, parts).await?;
            named.extend(found.map(|found| (at, found)));
        }
        for (at, source) in self.sources.iter().enumerate() {
            if let Source::User(user) = source {
                let name = user.named(parts).await?;
                named.extend(name.map(|name| (at, name.into())));
            }
        }
        named.sort_by_key(|(at, _)| *at);
        Ok(named.into_iter().map(|(_, named)| named).collect())
    }

    async fn ask_source(&self, source: &Source, parts: &mut Parts) -> Result<Option<Named>> {
        let name = match source {
            Source::Host(template) => named_by_host(template, requested_host(parts, &self.proxies)?)?,
            Source::Domain => domain(requested_host(parts, &self.proxies)?),
            Source::Header(name) => named_by_header(&parts.headers, name)?,
            Source::Path => named_by_path(parts).await?,
            Source::Jwt(keys) => {
                let Some(OfToken { name, id, claims }) = named_by_jwt(&parts.headers, keys)? else { return Ok(None) };
                parts.extensions.insert(claims);
                return Ok(Some(Named { name, binding: true, id }));
            }
            Source::User(_) => None,
        };
        Ok(name.map(Named::from))
    }

    async fn agree(&self, book: &impl Book, named: &[Named]) -> Result<Arc<Tenant>> {
        let mut chosen: Option<Arc<Tenant>> = None;
        for (at, Named { name, binding, .. }) in named.iter().enumerate() {
            let outvoted = self.first_wins && chosen.is_some() && !binding;
            // The same name was resolved before, unless it was outvoted then: a token's never is.
            let resolved =
                named.iter().take(at).any(|earlier| earlier.name == *name && (earlier.binding || !self.first_wins));
            if outvoted || resolved {
                continue;
            }
            let tenant = match book.tenant_named(name).await {
                // A host that is no registered domain says nothing.
                Err(error) if error.is_unknown_tenant() && matches!(name, Name::Domain(_)) => continue,
                found => found?,
            };
            match &chosen {
                Some(first) if first.id != tenant.id => return Err(disagreement()),
                Some(_) => {}
                None => chosen = Some(tenant),
            }
        }
        let chosen = chosen
            .ok_or_else(|| Error::new(ErrorKind::NoTenant, "no source of `Identify` found a tenant in a request"))?;
        if named.iter().filter_map(|named| named.id).any(|id| id != chosen.id) {
            // The key was given to another since the token was signed.
            return Err(refused("a token is for another tenant that had the same key"));
        }
        Ok(chosen)
    }
}

fn disagreement() -> Error {
    Error::new(ErrorKind::Disagreement, "the signals of a request name different tenants")
}

fn named_by_host(template: &HostTemplate, host: Option<Host>) -> Result<Option<Name>> {
    let Some(Host::Name(host)) = host else { return Ok(None) };
    match template.place(&host) {
        Standing::Base => Ok(None),
        Standing::Label(label) => key_of_address(label).map(Some),
        // It stands under the base domain, so it was meant to name something, and nothing has such a name.
        Standing::Deeper => Err(Error::new(ErrorKind::UnknownTenant, "a host is too deep under the base domain")),
        Standing::Outside => Ok(domain(Some(Host::Name(host)))),
    }
}

/// A host as a custom domain; `canonical_domain` would read it as itself. Domains have at least two labels.
fn domain(host: Option<Host>) -> Option<Name> {
    match host {
        Some(Host::Name(host)) if host.contains('.') => Some(Name::Domain(host)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
