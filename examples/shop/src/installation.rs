//! The shop's own installation of tenantry: everything under one directory, made at the first start.

use tenantry::{Config, MigrateOptions, NewServer, SecretKey, Tenantry};

use crate::{args::Args, failure::Failure, files, migrations};

/// First segments of the shop's own addresses, now or soon: no tenant may have such a key.
pub(crate) const OWN_SEGMENTS: &[&str] = &[
    "admin",
    "console",
    "dashboard",
    "healthz",
    "items",
    "me",
    "metrics",
    "openapi",
    "orders",
    "products",
    "readyz",
    "signup",
    "users",
];

/// Opens the installation, at the version of this program. Killed half way, it goes on from there at the next start.
pub(crate) async fn open(args: &Args) -> Result<Tenantry, Failure> {
    require_sqlite("--server", args.server.as_deref())?;
    require_sqlite("--catalog", args.catalog.as_deref())?;
    let config = configuration(args)?;
    SecretKey::create_if_missing(&config.catalog.key_file)?;
    let tenancy = Tenantry::builder().config(config).migrations(migrations::embedded()?).actor("shop").open().await?;
    add_server(&tenancy, args).await?;
    migrate(&tenancy).await?;
    Ok(tenancy)
}

/// The operator's program reads the same file, so both work on one installation.
fn configuration(args: &Args) -> Result<Config, Failure> {
    let data = &args.data;
    let failed = |e| Failure::new(format!("cannot write to `{}`", data.display())).caused_by(e);
    files::make_directory(data).map_err(failed)?;
    migrations::export(&data.join("migrations"))?;
    let file = data.join("tenantry.toml");
    let catalog = args.catalog.as_deref().map(from_here);
    files::write_if_missing(&file, || tenantry_toml(catalog.as_deref())).map_err(failed)?;
    let mut config = Config::load(&file)?;
    if let Some(url) = catalog {
        config.catalog.url = url;
    }
    config.tenants.reserved_keys.extend(OWN_SEGMENTS.iter().map(|&word| word.to_owned()));
    Ok(config)
}

/// A relative path on the command line starts at the current directory, and not at that of `tenantry.toml`.
fn from_here(url: &str) -> String {
    let path = url.strip_prefix("sqlite://").and_then(|path| std::path::absolute(path).ok());
    path.map_or_else(|| url.to_owned(), |path| format!("sqlite://{}", path.display()))
}

fn tenantry_toml(catalog: Option<&str>) -> String {
    // A JSON text is a TOML text too.
    let quoted = serde_json::Value::from(catalog.unwrap_or("sqlite://catalog.db"));
    let reserved = serde_json::Value::from(OWN_SEGMENTS);
    format!(
        "# The shop's installation, for the operator's program: tenantry --config tenantry.toml tenant list\n\
         \n\
         [catalog]\n\
         url = {quoted}\n\
         key_file = \"tenantry.key\"\n\
         \n\
         [migrations]\n\
         # A copy of the files inside of the shop, which writes it at each start.\n\
         dir = \"migrations\"\n\
         \n\
         [tenants]\n\
         # The first segments of the shop's own addresses.\n\
         reserved_keys = {reserved}\n"
    )
}

/// The first server is the home of the shared tables too. Later starts find it in the catalog.
async fn add_server(tenancy: &Tenantry, args: &Args) -> Result<(), Failure> {
    let own = || format!("sqlite://{}", args.data.join("local").display());
    let url = args.server.clone().unwrap_or_else(own);
    if tenancy.server_list().await?.is_empty() {
        match tenancy.server_add(NewServer::new("local", url)).await {
            // Another shop on the same directory was faster.
            Err(error) if error.is_taken() => {}
            added => added?,
        }
    }
    let Some(isolation) = args.isolation else { return Ok(()) };
    let servers = tenancy.server_list().await?;
    if let Some(first) = servers.first() {
        tenancy.server_capabilities(&first.name).await?.require(isolation)?;
    }
    Ok(())
}

/// Before anything is written, and also when the catalog knows its servers already. The URL is not shown: it may hold a
/// password.
fn require_sqlite(flag: &str, url: Option<&str>) -> Result<(), Failure> {
    let Some(url) = url.filter(|url| !url.starts_with("sqlite://")) else { return Ok(()) };
    let scheme = url.split_once("://").map_or("", |(scheme, _)| scheme);
    Err(Failure::new(format!("`{flag} {scheme}://...` is not supported by this version"))
        .help(format!("write `{flag} sqlite://PATH`, or leave it out")))
}

async fn migrate(tenancy: &Tenantry) -> Result<(), Failure> {
    let report = tenancy.migrations().up(&MigrateOptions::new(), |_| ()).await?;
    let Some(failed) = report.targets.iter().find(|target| target.error.is_some()) else { return Ok(()) };
    let why = failed.error.clone().unwrap_or_default();
    Err(Failure::new(format!("{} targets could not be migrated, the first is `{}`", report.failed, failed.target))
        .caused_by(why)
        .help("tenantry migrate status"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_for_the_operator_is_read_back_as_it_was_meant() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("tenantry.toml");
        std::fs::write(&file, tenantry_toml(Some("sqlite:///a \"b\"\\c/catalog.db"))).expect("is written");
        let config = Config::load(&file).expect("is read");
        assert_eq!(config.catalog.url, "sqlite:///a \"b\"\\c/catalog.db");
        assert_eq!(config.catalog.key_file, dir.path().join("tenantry.key"));
        assert_eq!(config.tenants.reserved_keys, OWN_SEGMENTS);
    }

    #[test]
    fn a_server_that_is_not_supported_is_refused_without_its_password() {
        let text = require_sqlite("--server", Some("postgres://admin:hunter2@db")).expect_err("is refused").to_string();
        assert!(text.contains("postgres") && text.contains("help:") && !text.contains("hunter2"), "{text}");
    }
}
