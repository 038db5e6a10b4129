//! [`Scratch`]: a new and empty part of a server, for one test.

use super::{EngineKind, registry::with_engine};
use crate::{error::Result, id::TenantId, secret::Secret};

/// A new and empty part of a server: a directory, or a database. Nothing removes it but [`Scratch::remove`].
#[derive(Clone, Debug)]
pub(crate) struct Scratch {
    kind: EngineKind,
    /// The URL from which it was made.
    pub(super) maker: Secret,
    /// The directory, or the name of the database.
    pub(super) name: String,
    /// Where a catalog may be.
    pub(crate) catalog_url: Secret,
    /// Where tenants may be, as the administrator.
    pub(crate) server_url: Secret,
}

/// How an engine makes and removes a [`Scratch`].
pub(crate) trait ScratchMaker {
    /// The name, the catalog's URL and the server's URL of a new one.
    async fn scratch_new(url: &str) -> Result<(String, String, String)>;

    /// Removes it, with all that an installation has made there.
    async fn scratch_remove(scratch: &Scratch, installation: TenantId) -> Result<()>;
}

impl Scratch {
    /// Makes one: in the directory, or on the server, of that URL.
    ///
    /// # Errors
    /// If the directory cannot be written, or the login of the URL may not create databases.
    pub(crate) async fn new(url: &str) -> Result<Self> {
        let kind = EngineKind::of_url(url)?;
        let (name, catalog, server) = with_engine!(kind, D => D::scratch_new(url).await)?;
        let [maker, catalog_url, server_url] = [url.to_owned(), catalog, server].map(Secret::new);
        Ok(Self { kind, maker, name, catalog_url, server_url })
    }

    /// Removes it, with all that an installation has made there. Whoever still uses it is cut off.
    ///
    /// # Errors
    /// If something of it cannot be removed.
    pub(crate) async fn remove(&self, installation: TenantId) -> Result<()> {
        with_engine!(self.kind, D => D::scratch_remove(self, installation).await)
    }
}
