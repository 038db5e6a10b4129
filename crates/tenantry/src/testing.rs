//! For an app's own tests: an installation for one test, with two tenants, and an assertion that they are apart.
//!
//! Turn it on for tests only, by the feature `testing`:
//!
//! ```toml
//! [dev-dependencies]
//! tenantry = { version = "0.1", features = ["testing"] }
//! ```
//!
//! ```
//! use tenantry::{Migrations, Result, testing::TwoTenants};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<()> {
//! // An app reads its files: `Migrations::from_dir("migrations")?`
//! let migrations = Migrations::embedded([("0001_users.sql", "CREATE TABLE users (username TEXT NOT NULL)")], [])?;
//! let tenants = TwoTenants::in_directory(std::env::temp_dir(), migrations).await?;
//! tenants
//!     .assert_apart(
//!         async |db, canary| {
//!             sqlx::query("INSERT INTO users (username) VALUES ($1)").bind(canary).execute(db.sqlite()?).await?;
//!             Ok(())
//!         },
//!         async |db| Ok(sqlx::query_scalar::<_, String>("SELECT username FROM users").fetch_all(db.sqlite()?).await?),
//!     )
//!     .await?;
//! tenants.remove().await
//! # }
//! ```

use std::{fmt::Debug, path::Path, thread, time::Duration};

use axum::{Router, body::Body};
use http::Request;
use tower_service::Service as _;
use uuid::Uuid;

use crate::{
    catalog::NewServer,
    config::Config,
    engine::{Scratch, url_of_directory},
    error::{Error, ErrorKind, Result},
    id::TenantId,
    migrate::{MigrateOptions, Migrations},
    operate::NewTenant,
    scope::TenantDb,
    secret::SecretKey,
    tenant::Isolation,
    tenantry::Tenantry,
};

/// How long connections may take to close in [`TwoTenants::remove`]; after that the server closes them.
const CLOSING: Duration = Duration::from_secs(1);

/// How much of an answer a failed assertion shows on each side of the canary.
const SHOWN: usize = 80;

/// An installation for one test, with the tenants `tenant-a` and `tenant-b`. Any number of them may exist at once.
///
/// [`TwoTenants::remove`] removes it. Dropped, as a failed test drops it, it removes itself and only logs what it could
/// not remove.
#[derive(Debug)]
#[must_use]
pub struct TwoTenants {
    tenancy: Tenantry,
    a: TenantDb,
    b: TenantDb,
    place: Place,
}

impl TwoTenants {
    /// On SQLite, in a new folder of `directory`. Cargo names a directory for integration tests:
    /// `env!("CARGO_TARGET_TMPDIR")`.
    ///
    /// # Errors
    /// If the directory cannot be written, or a migration fails.
    pub async fn in_directory(directory: impl AsRef<Path>, migrations: Migrations) -> Result<Self> {
        Self::make(&url_of_directory(directory.as_ref()), Isolation::Database, migrations).await
    }

    /// On a database server, in a new database. The URL is that of an administrator who may create databases and roles.
    ///
    /// # Errors
    /// If the server cannot be reached, its administrator lacks a right, or a migration fails.
    pub async fn on_server(url: &str, isolation: Isolation, migrations: Migrations) -> Result<Self> {
        Self::make(url, isolation, migrations).await
    }

    async fn make(url: &str, isolation: Isolation, migrations: Migrations) -> Result<Self> {
        let mut place = Place { scratch: Some(Scratch::new(url).await?), installation: TenantId::NONE };
        let tenancy = open(&place, migrations).await?;
        place.installation = tenancy.catalog().installation();
        let (a, b) = furnish(&tenancy, &place, isolation).await?;
        Ok(Self { tenancy, a, b, place })
    }

    /// The installation, for an app's router, its jobs, and further tenants.
    #[must_use]
    pub const fn tenancy(&self) -> &Tenantry {
        &self.tenancy
    }

    /// The data of `tenant-a`.
    #[must_use]
    pub const fn a(&self) -> &TenantDb {
        &self.a
    }

    /// The data of `tenant-b`.
    #[must_use]
    pub const fn b(&self) -> &TenantDb {
        &self.b
    }

    /// Asserts that what one tenant writes does not show in what the other reads, in both directions.
    ///
    /// `write` stores the unique text that it is given; `read` gives an answer whose [`Debug`] shows its texts. `read` runs
    /// first for the tenant that has written and then for the other, so that an answer that the app has kept from the first
    /// one is found too. Both may go through the app's handlers instead of the database:
    ///
    /// ```
    /// use axum::{Router, body::Body, http::Request, routing::get};
    /// use tenantry::{Identify, Migrations, Result, TenantDb, testing::{self, TwoTenants}};
    ///
    /// async fn users(db: TenantDb) -> Result<String> {
    ///     let names: Vec<String> = sqlx::query_scalar("SELECT username FROM users").fetch_all(db.sqlite()?).await?;
    ///     Ok(names.join(" "))
    /// }
    ///
    /// # #[tokio::main]
    /// # async fn main() -> Result<()> {
    /// # let migrations = Migrations::embedded([("0001_users.sql", "CREATE TABLE users (username TEXT NOT NULL)")], [])?;
    /// let tenants = TwoTenants::in_directory(std::env::temp_dir(), migrations).await?;
    /// let app = Router::new().route("/{tenant}/users", get(users)).layer(tenants.tenancy().layer(Identify::new().path()));
    /// let add = async |db: TenantDb, canary: String| {
    ///     sqlx::query("INSERT INTO users (username) VALUES ($1)").bind(canary).execute(db.sqlite()?).await?;
    ///     Ok(())
    /// };
    /// let ask = async |db: TenantDb| {
    ///     let request = Request::get(format!("/{}/users", db.tenant().key)).body(Body::empty());
    ///     testing::answer(&app, request.expect("a request")).await
    /// };
    /// tenants.assert_apart(add, ask).await?;
    /// tenants.remove().await
    /// # }
    /// ```
    ///
    /// # Errors
    /// The first error of `write` or `read`.
    ///
    /// # Panics
    /// If the other tenant's answer holds the text. Also if the writer's own answer does not: such a test proves nothing.
    pub async fn assert_apart<T: Debug>(
        &self,
        write: impl AsyncFn(TenantDb, String) -> Result<()>,
        read: impl AsyncFn(TenantDb) -> Result<T>,
    ) -> Result<()> {
        for (writer, other) in [(&self.a, &self.b), (&self.b, &self.a)] {
            let canary = format!("canary-{}", Uuid::now_v7().as_simple());
            write(writer.clone(), canary.clone()).await?;
            let (own, others) = (read(writer.clone()).await?, read(other.clone()).await?);
            let (own, others) = (format!("{own:?}"), format!("{others:?}"));
            let (writer, other) = (&writer.tenant().key, &other.tenant().key);
            assert!(
                own.contains(&canary),
                "the test proves nothing: `{writer}` does not read the text {canary} that it has written, but {}",
                shortened(&own)
            );
            assert!(
                !others.contains(&canary),
                "`{other}` reads what `{writer}` has written: {}",
                around(&others, &canary)
            );
        }
        Ok(())
    }

    /// Removes the installation, with all that it has made on the server.
    ///
    /// # Errors
    /// If something of it cannot be removed.
    pub async fn remove(mut self) -> Result<()> {
        self.tenancy.shutdown(CLOSING).await;
        match self.place.scratch.take() {
            Some(scratch) => scratch.remove(self.place.installation).await,
            None => Ok(()),
        }
    }
}

/// What an app answers to a request: its status and its body, as a text.
///
/// # Errors
/// If the body cannot be read.
pub async fn answer(app: &Router, request: Request<Body>) -> Result<String> {
    let Ok(response) = app.clone().call(request).await;
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX)
        .await
        .map_err(|e| Error::new(ErrorKind::Io, "the body of an answer cannot be read").caused_by(e))?;
    Ok(format!("{} {}", parts.status, String::from_utf8_lossy(&body)))
}

/// The part of a server that the installation has, and the mark of what it has made there.
#[derive(Debug)]
struct Place {
    scratch: Option<Scratch>,
    installation: TenantId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(scratch) = self.scratch.take() else { return };
        let installation = self.installation;
        // The runtime of a test ends with the test: what has to be awaited gets a thread and a runtime of its own.
        let removing = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime.map(|runtime| runtime.block_on(scratch.remove(installation))) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!("what a test has made stays: {}", error.failure()),
                Err(error) => tracing::warn!("what a test has made stays: {error}"),
            }
        });
        if removing.join().is_err() {
            tracing::warn!("what a test has made stays");
        }
    }
}

async fn open(place: &Place, migrations: Migrations) -> Result<Tenantry> {
    let mut config = Config::default();
    if let Some(scratch) = &place.scratch {
        config.catalog.url = scratch.catalog_url.expose().to_owned();
    }
    let key = SecretKey::from_text(&SecretKey::new_text()?)?;
    Tenantry::builder().config(config).migrations(migrations).key(key).actor("test").open().await
}

/// The server, its tables, and the two tenants.
async fn furnish(tenancy: &Tenantry, place: &Place, isolation: Isolation) -> Result<(TenantDb, TenantDb)> {
    if let Some(scratch) = &place.scratch {
        tenancy.server_add(NewServer::new("test", scratch.server_url.expose())).await?;
    }
    let report = tenancy.migrations().up(&MigrateOptions::new(), |_| ()).await?;
    if let Some(failure) = report.targets.into_iter().find_map(|target| target.error) {
        return Err(Error::new(ErrorKind::Migration, "a migration failed").caused_by(failure));
    }
    let tenant = async |key: &str| {
        tenancy.tenant_create(NewTenant::new(key)?.isolation(isolation)).await?;
        tenancy.tenant(key).await
    };
    Ok((tenant("tenant-a").await?, tenant("tenant-b").await?))
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= 2 * SHOWN {
        text.to_owned()
    } else {
        format!("{}...", text.chars().take(2 * SHOWN).collect::<String>())
    }
}

/// The canary and a little of what is on each side of it.
fn around(text: &str, canary: &str) -> String {
    let (before, after) = text.split_once(canary).unwrap_or((text, ""));
    let skipped = before.chars().count().saturating_sub(SHOWN);
    let (before, after): (String, String) =
        (before.chars().skip(skipped).collect(), after.chars().take(SHOWN).collect());
    format!("...{before}{canary}{after}...")
}
