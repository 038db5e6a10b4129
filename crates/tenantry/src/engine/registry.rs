//! The list of engines. Each is a folder, a line here, and a pair of typed views (`scope/views`).

use std::{path::Path, sync::Arc};

use sea_orm::DbBackend;
use sqlx::error::DatabaseError;

use super::{Capabilities, Constraint, Dialect, Engine, EngineSpec, Link, Reading};
use crate::{
    error::{Error, ErrorKind, Result},
    id::TenantId,
    secret::SecretKey,
    tenant::Isolation,
};

/// What the list says of an engine's [`Driver`]: which line is its own.
pub(crate) trait Listed {
    type Link: Link;

    const KIND: EngineKind;

    /// The link inside of a connection; `None` for one of another engine.
    fn link(connection: &mut Connection) -> Option<&mut Self::Link>;

    fn connection(link: Self::Link) -> Connection;
}

/// Takes the list, each line with the feature that has it, and makes of it all that has to name every engine. `$d` is a dollar for
/// the macros that it makes.
macro_rules! engines {
    ($d:tt $( $(#[doc = $doc:literal])* $feature:literal $kind:ident: $folder:ident::$driver:ident, $link:ident, $stop:ty; )*) => {
        /// The engines of this program.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum EngineKind { $( $(#[doc = $doc])* #[cfg(feature = $feature)] $kind, )* }

        impl EngineKind {
            pub(crate) const ALL: &'static [Self] = &[$( #[cfg(feature = $feature)] Self::$kind, )*];
        }

        /// A physical connection of one of the engines.
        pub(crate) enum Connection { $( #[cfg(feature = $feature)] $kind(Box<super::$folder::$link>), )* }

        impl Connection {
            pub(crate) fn stopper(&self) -> Stopper {
                match self { $( #[cfg(feature = $feature)] Self::$kind(link) => Stopper::$kind(link.stopper()), )* }
            }
        }

        /// Stops what a connection is doing, from outside of it.
        #[derive(Clone, Debug)]
        pub(crate) enum Stopper { $( #[cfg(feature = $feature)] $kind($stop), )* }

        $(
            #[cfg(feature = $feature)]
            impl Listed for super::$folder::$driver {
                type Link = super::$folder::$link;

                const KIND: EngineKind = EngineKind::$kind;

                fn link(connection: &mut Connection) -> Option<&mut Self::Link> {
                    #[allow(irrefutable_let_patterns, reason = "as long as the list has one line")]
                    let Connection::$kind(link) = connection else { return None };
                    Some(link)
                }

                fn connection(link: Self::Link) -> Connection {
                    Connection::$kind(Box::new(link))
                }
            }
        )*

        /// An expression in which `$driver` is the engine's type: `with_engine!(kind, D => D::BACKEND)`.
        macro_rules! with_engine {
            ($d kind:expr, $d driver:ident => $d body:expr) => {
                match $d kind {
                    $( #[cfg(feature = $feature)] $crate::engine::EngineKind::$kind => {
                        type $d driver = $crate::engine::$folder::$driver;
                        $d body
                    } )*
                }
            };
        }

        /// An expression on the link inside of a connection: `with_link!(connection, link => link.commit().await)`.
        macro_rules! with_link {
            ($d connection:expr, $d link:ident => $d body:expr) => {
                match $d connection { $( #[cfg(feature = $feature)] $crate::engine::Connection::$kind($d link) => $d body, )* }
            };
        }

        /// An expression on what stops one of the connections.
        macro_rules! with_stopper {
            ($d stopper:expr, $d stop:ident => $d body:expr) => {
                match $d stopper { $( #[cfg(feature = $feature)] $crate::engine::Stopper::$kind($d stop) => $d body, )* }
            };
        }
    };
}

engines! { $
    /// A directory, with a file for each tenant.
    "sqlite" Sqlite: sqlite::SqliteDriver, SqliteLink, super::sqlite::Stop;
    /// A server: rows in tables in common, a schema or a database for each tenant.
    "postgres" Postgres: postgres::PgDriver, PgLink, Arc<super::postgres::Process>;
}

#[expect(clippy::single_component_path_imports, reason = "macros reach other modules by a path only through it")]
pub(crate) use {with_engine, with_link, with_stopper};

impl EngineKind {
    /// As in URLs, in the names of migration files, and in the catalog.
    pub(crate) fn name(self) -> &'static str {
        self.capabilities().engine
    }

    pub(crate) fn capabilities(self) -> &'static Capabilities {
        with_engine!(self, D => D::CAPABILITIES)
    }

    /// What builds queries for it.
    pub(crate) fn backend(self) -> DbBackend {
        with_engine!(self, D => D::BACKEND)
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// The engine that a server's URL names.
    ///
    /// # Errors
    /// If there is none of that scheme.
    pub(crate) fn of_url(url: &str) -> Result<Self> {
        let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
        let speaks = |kind: &Self| with_engine!(*kind, D => D::SCHEMES.contains(&scheme));
        Self::ALL.iter().copied().find(speaks).ok_or_else(|| {
            let forms = Self::ALL.iter().map(|kind| format!("`{}`", with_engine!(*kind, D => D::URL)));
            Error::new(ErrorKind::Unsupported, format!("no engine speaks `{scheme}://`"))
                .help(format!("write {}", forms.collect::<Vec<_>>().join(" or ")))
        })
    }

    /// Whether two URLs lead to one place, as `data`, `data/.` and a link to it do, or another user of a database. Both have
    /// been prepared.
    pub(crate) fn is_same_place(url: &str, other: &str) -> bool {
        let of = |url| Self::of_url(url).ok();
        url == other
            || of(url)
                .zip(of(other))
                .is_some_and(|(kind, another)| kind == another && with_engine!(kind, D => D::is_same_place(url, other)))
    }

    /// What has to be decided before a server is added: the way in for apps, if the operator gives none.
    pub(crate) fn app_url_new(
        self,
        installation: TenantId,
        server: &str,
        admin_url: &str,
        key: &SecretKey,
    ) -> Result<Option<String>> {
        with_engine!(self, D => D::app_url_new(installation, server, admin_url, key))
    }

    /// The sealed password of a tenant that gets a login of its own.
    pub(crate) fn tenant_password_new(self, isolation: Isolation, key: &SecretKey) -> Result<Option<String>> {
        with_engine!(self, D => D::tenant_password_new(isolation, key))
    }

    /// Whether servers of the catalog may be parts of one, in which a tenant's name is taken for all of them.
    pub(crate) fn names_are_common(self) -> bool {
        with_engine!(self, D => D::NAMES_ARE_COMMON)
    }

    /// Refuses a text that nobody should type as a tenant of that isolation.
    pub(crate) fn guard(self, isolation: Isolation, sql: &str) -> Result<()> {
        with_engine!(self, D => D::guard(isolation, sql))
    }
}

/// The engine of a server.
///
/// # Errors
/// If there is none for its URL, or the shared tables are on a server of another kind.
pub(crate) fn open(spec: &EngineSpec<'_>) -> Result<Arc<dyn Engine>> {
    let kind = EngineKind::of_url(spec.admin_url)?;
    if let Some(home) = &spec.home
        && EngineKind::of_url(home.admin_url)? != kind
    {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "the shared tables live on the first server, and an engine of another kind cannot read them there",
        )
        .help("make an installation of its own for this server: tenantry init in another directory"));
    }
    with_engine!(kind, D => D::open(spec))
}

/// A URL whose path, where an engine's URL is a path, is as seen from a directory.
pub(crate) fn absolute_url(url: &str, base: &Path) -> String {
    EngineKind::of_url(url).map_or_else(|_| url.to_owned(), |kind| with_engine!(kind, D => D::absolute_url(url, base)))
}

/// The URL of a server that is a directory, whether or not this program has the engine for one.
pub(crate) fn url_of_directory(directory: &Path) -> String {
    format!("sqlite://{}", directory.display())
}

/// What the error's engine reads in it; `None` if it is none of ours.
pub(crate) fn read_error(error: &dyn DatabaseError) -> Option<Reading> {
    EngineKind::ALL.iter().find_map(|kind| with_engine!(*kind, D => D::read_error(error)))
}

/// The constraint that an error names.
pub(crate) fn constraint(error: &dyn DatabaseError) -> Option<Constraint> {
    EngineKind::ALL.iter().find_map(|kind| with_engine!(*kind, D => D::constraint(error)))
}

/// What the error's engine says of it to an operator, where that is not what the error says itself.
pub(crate) fn error_words(error: &dyn DatabaseError) -> Option<String> {
    EngineKind::ALL.iter().find_map(|kind| with_engine!(*kind, D => D::error_words(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_engine_is_found_by_its_name_and_by_each_of_its_schemes() {
        for kind in EngineKind::ALL {
            assert_eq!(EngineKind::named(kind.name()), Some(*kind));
            for scheme in with_engine!(*kind, D => D::SCHEMES) {
                assert_eq!(EngineKind::of_url(&format!("{scheme}://x")).ok(), Some(*kind));
            }
            let form = with_engine!(*kind, D => D::URL);
            assert_eq!(EngineKind::of_url(form).ok(), Some(*kind), "{form}");
        }
    }

    #[test]
    fn an_engine_that_is_not_there_is_an_error_that_names_those_that_are() {
        for url in ["mysql://h/d", "oracle://x", "", "sqlite", "sqlite:x", "SQLITE://x"] {
            let error = EngineKind::of_url(url).expect_err(url);
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            let help = error.help_text().unwrap_or_default();
            assert_eq!(help, "write `sqlite://DIRECTORY` or `postgres://USER:PASSWORD@HOST/DATABASE`");
        }
        assert_eq!(EngineKind::named("mysql"), None);
        assert!(!EngineKind::is_same_place("mysql://h/d", "mysql://h/e"));
    }
}
