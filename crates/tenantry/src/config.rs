//! `tenantry.toml`, each value also by environment.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, ErrorKind, Result},
    identify::DirectoryLimits,
    pool::PoolLimits,
};

/// What `tenantry.toml` says. Every value has a default; a key that is not known is an error.
///
/// A value may be given by environment too: `TENANTRY_POOL_PER_TENANT=4` is `per_tenant` under `[pool]`.
/// Relative paths start at the file's directory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the catalog is.
    pub catalog: CatalogConfig,
    /// Where the migration files are.
    pub migrations: MigrationsConfig,
    /// Rules for tenants.
    pub tenants: TenantsConfig,
    /// Limits of the pool of each server.
    pub pool: PoolLimits,
    /// Limits of the look-up of tenants.
    pub identify: DirectoryLimits,
}

/// Where the catalog is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CatalogConfig {
    /// The catalog's database.
    pub url: String,
    /// The key that seals stored URLs; `TENANTRY_KEY` goes before it.
    pub key_file: PathBuf,
    /// How long known tenants are served while the catalog is silent, in seconds.
    pub max_stale: f64,
}

impl Default for CatalogConfig {
    fn default() -> Self {
        Self { url: "sqlite://catalog.db".into(), key_file: "tenantry.key".into(), max_stale: 300.0 }
    }
}

/// Where the migration files are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MigrationsConfig {
    /// The directory with `tenant/` and `shared/`.
    pub dir: PathBuf,
}

impl Default for MigrationsConfig {
    fn default() -> Self {
        Self { dir: "migrations".into() }
    }
}

/// Rules for tenants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantsConfig {
    /// Keys that the app needs for itself: the first segments of its paths.
    pub reserved_keys: Vec<String>,
    /// How long the data of a deleted tenant is kept, in days.
    pub grace_days: f64,
    /// Whether a tenant that lacks the newest migration gets 503 instead of an app that does not fit its tables.
    pub require_migrated: bool,
}

impl Default for TenantsConfig {
    fn default() -> Self {
        Self { reserved_keys: Vec::new(), grace_days: 30.0, require_migrated: true }
    }
}

impl TenantsConfig {
    pub(crate) fn grace(&self) -> Duration {
        Duration::try_from_secs_f64(self.grace_days * 86_400.0).unwrap_or(Duration::MAX)
    }
}

impl Config {
    /// Reads a file and the environment.
    ///
    /// # Errors
    /// If the file cannot be read, or holds a key or value that is not known.
    pub fn load(file: impl AsRef<Path>) -> Result<Self> {
        let file = file.as_ref();
        let failed = |e: std::io::Error| {
            Error::new(ErrorKind::Configuration, format!("cannot read `{}`", file.display()))
                .caused_by(e)
                .help("run `tenantry init`, or name the file: --config FILE or TENANTRY_CONFIG")
        };
        let text = std::fs::read_to_string(file).map_err(failed)?;
        let config = Self::parse(&text, |name| std::env::var(name).ok()).map_err(|e| {
            Error::new(ErrorKind::Configuration, format!("`{}` cannot be used", file.display())).caused_by(e)
        })?;
        let base = std::path::absolute(file).map_err(failed)?;
        Ok(config.based_on(base.parent().unwrap_or(Path::new("/"))))
    }

    fn parse(text: &str, environment: impl Fn(&str) -> Option<String>) -> Result<Self, toml::de::Error> {
        let mut table: toml::Table = text.parse()?;
        // The defaults know every key and its type.
        let known = toml::Table::try_from(Self::default()).unwrap_or_default();
        for (section, values) in &known {
            let Some(values) = values.as_table() else { continue };
            for (name, default) in values {
                let variable = format!("TENANTRY_{section}_{name}").to_uppercase();
                let Some(given) = environment(&variable) else { continue };
                let section = table.entry(section.clone()).or_insert_with(|| toml::Table::new().into());
                if let Some(section) = section.as_table_mut() {
                    section.insert(name.clone(), value_like(default, given));
                }
            }
        }
        table.try_into()
    }

    fn based_on(mut self, base: &Path) -> Self {
        self.catalog.url = absolute_url(&self.catalog.url, base);
        self.catalog.key_file = base.join(&self.catalog.key_file);
        self.migrations.dir = base.join(&self.migrations.dir);
        self
    }
}

/// A text of the environment as the type that the key has.
fn value_like(default: &toml::Value, given: String) -> toml::Value {
    match default {
        toml::Value::String(_) => given.into(),
        toml::Value::Array(_) => given.split(',').map(|s| toml::Value::from(s.trim())).collect::<Vec<_>>().into(),
        // A text that is no such value stays a text, and the reader says so.
        toml::Value::Float(_) => given.parse::<f64>().map_or_else(|_| given.into(), Into::into),
        _ => toml::from_str::<toml::Table>(&format!("v = {given}"))
            .ok()
            .and_then(|mut t| t.remove("v"))
            .unwrap_or_else(|| given.into()),
    }
}

/// `sqlite://relative` as seen from a directory.
pub(crate) fn absolute_url(url: &str, base: &Path) -> String {
    match url.strip_prefix("sqlite://") {
        Some(path) => format!("sqlite://{}", base.join(path).display()),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Config, toml::de::Error> {
        Config::parse(text, |name| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn the_environment_goes_before_the_file_and_the_file_before_the_default() {
        let config = parse(
            "[pool]\nper_tenant = 3\nconnections = 9\n",
            &[
                ("TENANTRY_POOL_PER_TENANT", "4"),
                ("TENANTRY_TENANTS_RESERVED_KEYS", "a, b"),
                ("TENANTRY_CATALOG_MAX_STALE", "7"),
            ],
        )
        .expect("parses");
        assert_eq!((config.pool.per_tenant, config.pool.connections, config.pool.idle_timeout), (4, 9, 600.0));
        assert_eq!(config.tenants.reserved_keys, ["a", "b"]);
        assert_eq!(config.catalog.max_stale, 7.0);
    }

    #[test]
    fn a_key_that_is_not_known_and_a_value_of_another_type_are_errors() {
        assert!(parse("[pool]\nper_tennant = 3\n", &[]).is_err());
        assert!(parse("", &[("TENANTRY_POOL_PER_TENANT", "many")]).is_err());
    }
}
