//! `tenantry.toml`, each value also by environment.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use crate::{
    catalog,
    engine::{self, StatelessExtension},
    error::{Error, ErrorKind, Result},
    identify::DirectoryLimits,
    pool::PoolLimits,
    seconds::{Days, Seconds},
};

/// What `tenantry.toml` says. Every value has a default; a key that is not known is an error.
///
/// A value may be given by environment too: `TENANTRY_POOL_PER_TENANT=4` is `per_tenant` under `[pool]`.
/// Relative paths start at the file's directory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
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
#[non_exhaustive]
pub struct CatalogConfig {
    /// The catalog's database.
    pub url: String,
    /// The key that seals stored URLs; `TENANTRY_KEY` overrides it.
    pub key_file: PathBuf,
    /// How long known tenants are served while the catalog is silent, in seconds.
    pub max_stale: Seconds,
}

impl Default for CatalogConfig {
    fn default() -> Self {
        Self { url: catalog::DEFAULT_URL.into(), key_file: "tenantry.key".into(), max_stale: Seconds::whole(300) }
    }
}

impl CatalogConfig {
    /// The file that holds the catalog; `None` where it is on a server.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        catalog::file_of(&self.url).map(Path::to_path_buf)
    }
}

/// Where the migration files are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
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
#[non_exhaustive]
pub struct TenantsConfig {
    /// Keys that the app needs for itself: the first segments of its paths.
    pub reserved_keys: Vec<String>,
    /// How long the data of a deleted tenant is kept, in days.
    pub grace_days: Days,
    /// Whether a tenant that lacks the newest migration gets 503 instead of an app that does not fit its tables.
    pub require_migrated: bool,
    /// Whether a PostgreSQL server is refused where the server itself cannot keep an attacker's SQL within its tenant.
    pub require_closed_wall: bool,
    /// Extensions of PostgreSQL, beside those that tenantry knows, whose functions keep nothing in a session. Where any other
    /// is in the database, a connection is closed after each statement that may have called such a function.
    pub stateless_extensions: Vec<StatelessExtension>,
}

impl Default for TenantsConfig {
    fn default() -> Self {
        Self {
            reserved_keys: Vec::new(),
            grace_days: Days::whole(30),
            require_migrated: true,
            require_closed_wall: false,
            stateless_extensions: Vec::new(),
        }
    }
}

impl TenantsConfig {
    pub(crate) fn grace(&self) -> Duration {
        self.grace_days.duration()
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
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let overrides = Overrides::read(variables)?;
        let config = Self::parse(&text, overrides).map_err(|e| {
            Error::new(ErrorKind::Configuration, format!("`{}` cannot be used", file.display())).caused_by(e)
        })?;
        let base = std::path::absolute(file).map_err(failed)?;
        Ok(config.based_on(base.parent().unwrap_or(Path::new("/"))))
    }

    fn parse(text: &str, overrides: Overrides) -> Result<Self, toml::de::Error> {
        let mut table: toml::Table = text.parse()?;
        for (section, name, value) in overrides.0 {
            let section = table.entry(section).or_insert_with(|| toml::Table::new().into());
            if let Some(section) = section.as_table_mut() {
                section.insert(name, value);
            }
        }
        table.try_into()
    }

    fn based_on(mut self, base: &Path) -> Self {
        self.catalog.url = engine::absolute_url(&self.catalog.url, base);
        self.catalog.key_file = base.join(&self.catalog.key_file);
        self.migrations.dir = base.join(&self.migrations.dir);
        self
    }
}

/// What the environment says instead of the file: section, key and value, each of which can be read.
struct Overrides(Vec<(String, String, toml::Value)>);

impl Overrides {
    /// A variable of a section that names no key of it is an error, as in the file.
    fn read(environment: impl Iterator<Item = (String, String)>) -> Result<Self> {
        // The defaults know every key and its type.
        let known = toml::Table::try_from(Config::default()).unwrap_or_default();
        let mut found = Vec::new();
        for (variable, given) in environment {
            let of_section = |(section, keys): (&String, &toml::Value)| {
                let name = variable.strip_prefix(&format!("TENANTRY_{}_", section.to_uppercase()))?.to_lowercase();
                Some((section.clone(), name, keys.as_table().cloned().unwrap_or_default()))
            };
            let Some((section, name, keys)) = known.iter().find_map(of_section) else { continue };
            let Some(default) = keys.get(&name) else { return Err(unknown(&variable, &section, &keys)) };
            let value = value_like(default, given);
            let alone = toml::Table::from_iter([(name.clone(), value.clone())]);
            toml::Table::from_iter([(section.clone(), alone.into())]).try_into::<Config>().map_err(|cause| {
                Error::new(ErrorKind::Configuration, format!("the variable `{variable}` cannot be used"))
                    .caused_by(cause)
            })?;
            found.push((section, name, value));
        }
        Ok(Self(found))
    }
}

fn unknown(variable: &str, section: &str, keys: &toml::Table) -> Error {
    let names = keys.keys().map(|name| format!("TENANTRY_{section}_{name}").to_uppercase()).collect::<Vec<_>>();
    Error::new(ErrorKind::Configuration, format!("the variable `{variable}` names no setting of `[{section}]`"))
        .help(format!("one of {}", names.join(", ")))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// With its causes.
    fn told(error: &Error) -> String {
        std::iter::once(error.to_string()).chain(error.causes()).collect::<Vec<_>>().join(": ")
    }

    fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Config> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let overrides = Overrides::read(variables)?;
        Config::parse(text, overrides).map_err(|e| Error::new(ErrorKind::Configuration, "the file").caused_by(e))
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
        assert_eq!(
            (config.pool.per_tenant, config.pool.connections, config.pool.idle_timeout),
            (4, 9, Seconds::whole(600))
        );
        assert_eq!(config.tenants.reserved_keys, ["a", "b"]);
        assert_eq!(config.catalog.max_stale, Seconds::whole(7));
    }

    #[test]
    fn a_key_that_is_not_known_and_a_value_of_another_type_are_errors() {
        assert!(parse("[pool]\nper_tennant = 3\n", &[]).is_err());
        for (variable, value) in [("TENANTRY_POOL_PER_TENANT", "many"), ("TENANTRY_POOL_PER_TENANTS", "4")] {
            let error = parse("", &[(variable, value)]).expect_err(variable);
            assert!(error.to_string().contains(variable), "{error}");
        }
        let error = parse("", &[("TENANTRY_POOL_PER_TENANTS", "4")]).expect_err("no such setting");
        assert!(error.help_text().is_some_and(|help| help.contains("TENANTRY_POOL_PER_TENANT,")), "{error:?}");
        // Others use the beginning of the name too.
        assert!(parse("", &[("TENANTRY_CONFIG", "x"), ("TENANTRY_KEY", "x"), ("TENANTRY_TEST_X", "x")]).is_ok());
    }

    #[test]
    fn a_duration_that_would_switch_its_limit_off_is_refused_with_its_key_and_range() {
        let limits = ["pool.acquire_timeout", "pool.statement_timeout", "pool.idle_timeout", "catalog.max_stale"];
        for key in limits.into_iter().chain(["pool.idle_in_transaction"]) {
            for wrong in ["-0.3", "0", "0.0", "nan", "inf", "-inf", "1e300", "1e-9"] {
                refused(key, wrong, "0.001 to 2000000");
            }
        }
        for wrong in ["-5", "-0.5", "nan", "inf", "1e300"] {
            refused("tenants.grace_days", wrong, "0 to 36500");
        }
        let none = parse("[tenants]\ngrace_days = 0\n", &[]).expect("no days are legal");
        assert_eq!(none.tenants.grace(), Duration::ZERO);
    }

    #[test]
    fn extensions_are_called_stateless_by_valid_names_of_those_that_are_not_known_to_keep_anything() {
        let given = [
            parse("[tenants]\nstateless_extensions = [\"postgis\", \"h3\"]\n", &[]),
            parse("", &[("TENANTRY_TENANTS_STATELESS_EXTENSIONS", "postgis, h3")]),
        ];
        for config in given {
            let names = config.expect("parses").tenants.stateless_extensions;
            assert_eq!(names.iter().map(StatelessExtension::as_str).collect::<Vec<_>>(), ["postgis", "h3"]);
        }
        for (wrong, why) in [("dblink", "keeps connections"), ("plperl", "%_SHARED"), ("a b", "not the name")] {
            let variable = [("TENANTRY_TENANTS_STATELESS_EXTENSIONS", wrong)];
            let text = format!("[tenants]\nstateless_extensions = [\"{wrong}\"]\n");
            for result in [parse(&text, &[]), parse("", &variable)] {
                let error = told(&result.expect_err(wrong));
                assert!(error.contains("tenants.stateless_extensions"), "{error} names no key");
                assert!(error.contains(&format!("`{wrong}`")) && error.contains(why), "{error}");
            }
        }
    }

    /// In the file and in the environment.
    fn refused(key: &str, value: &str, range: &str) {
        let (section, name) = key.split_once('.').expect("a key of a section");
        let variable = format!("TENANTRY_{section}_{name}").to_uppercase();
        let given = [parse(&format!("[{section}]\n{name} = {value}\n"), &[]), parse("", &[(&variable, value)])];
        for result in given {
            let error = told(&result.expect_err(&format!("`{key}` takes {value}")));
            assert!(error.contains(key), "{error} names no `{key}`");
            assert!(error.contains(range), "{error} tells no range");
        }
    }
}
