//! [`TenantryBuilder`]: opens a [`Tenantry`] from parts.

use std::sync::Arc;

use super::{Core, Tenantry, follow};
use crate::{
    catalog::Catalog, config::Config, error::Result, failpoint::Failpoints, identify::Directory, migrate::Migrations,
    operate::Operator, scope::Servers, secret::SecretKey,
};

/// Opens a [`Tenantry`] from parts.
#[derive(Debug)]
#[must_use]
pub struct TenantryBuilder {
    config: Config,
    migrations: Option<Migrations>,
    key: Option<SecretKey>,
    actor: Option<String>,
    background: bool,
}

impl Default for TenantryBuilder {
    /// As [`Tenantry::builder`]: a program that did not follow the changes of others would serve who was suspended.
    fn default() -> Self {
        Self { config: Config::default(), migrations: None, key: None, actor: None, background: true }
    }
}

impl TenantryBuilder {
    /// The settings; the default is what an empty `tenantry.toml` says.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Migration files that are part of the program, instead of a directory.
    pub fn migrations(mut self, migrations: Migrations) -> Self {
        self.migrations = Some(migrations);
        self
    }

    /// The key that seals stored URLs, instead of `TENANTRY_KEY` or the key file.
    pub fn key(mut self, key: SecretKey) -> Self {
        self.key = Some(key);
        self
    }

    /// The name under which the audit lists what this program does.
    pub fn actor(mut self, name: impl Into<String>) -> Self {
        self.actor = Some(name.into());
        self
    }

    /// Whether this program follows the changes of others and ends what crashed processes left. An app wants it, and
    /// `false` is for a command that ends at once. The default is `true`.
    pub const fn background(mut self, yes: bool) -> Self {
        self.background = yes;
        self
    }

    /// Opens the catalog; makes it if it is not there.
    ///
    /// # Errors
    /// If the catalog cannot be opened, the key does not fit, or a migration file cannot be read.
    pub async fn open(self) -> Result<Tenantry> {
        let config = self.config;
        let key = match self.key {
            Some(key) => key,
            None => SecretKey::load(&config.catalog.key_file)?,
        };
        let migrations = match self.migrations {
            Some(migrations) => migrations,
            None => Migrations::from_dir(&config.migrations.dir)?,
        };
        let actor = self.actor.unwrap_or_else(|| "app".into());
        let catalog = Catalog::open(&config.catalog.url, key, actor, config.catalog.max_stale.duration()).await?;
        if self.background {
            catalog.names_load().await?;
        }
        let rules = &config.tenants;
        let stateless = rules.stateless_extensions.clone().into();
        let servers = Arc::new(Servers::new(catalog.clone(), config.pool, rules.require_closed_wall, stateless));
        let directory = Arc::new(Directory::new(catalog.clone(), config.identify));
        let failpoints = Failpoints::from_environment();
        let operator = Operator { catalog: catalog.clone(), servers: Arc::clone(&servers), migrations, failpoints };
        let tenantry = Tenantry(Arc::new(Core { config, catalog, servers, directory, operator }));
        if self.background {
            tokio::spawn(follow(Arc::downgrade(&tenantry.0)));
        }
        Ok(tenantry)
    }
}
