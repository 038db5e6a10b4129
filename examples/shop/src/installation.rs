//! The shop's own installation of tenantry: everything under one directory, made at the first start.

use std::path::Path;

use tenantry::{Config, MigrateOptions, NewServer, SecretKey, Server, Tenantry};

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

/// As the report of a migration names the shared tables.
const SHARED: &str = "shared";

/// Opens the installation, at the version of this program. Killed half way, it goes on from there at the next start.
pub(crate) async fn open(args: &Args) -> Result<Tenantry, Failure> {
    require_engine("--server", args.server.as_deref())?;
    require_engine("--catalog", args.catalog.as_deref())?;
    let tenancy = open_catalog(args).await?;
    add_server(&tenancy, args).await?;
    migrate(&tenancy).await?;
    Ok(tenancy)
}

/// The operator's program reads the same `tenantry.toml`, so both work on one installation.
async fn open_catalog(args: &Args) -> Result<Tenantry, Failure> {
    let data = &args.data;
    let failed = |e| Failure::new(format!("cannot write to `{}`", data.display())).caused_by(e);
    files::make_directory(data).map_err(failed)?;
    migrations::export(&data.join("migrations"))?;
    let file = data.join("tenantry.toml");
    let catalog = args.catalog.as_deref().map(from_here);
    let is_new = files::write_if_missing(&file, || tenantry_toml(catalog.as_deref())).map_err(failed)?;
    let opened = open_configured(&file, catalog).await;
    if is_new && opened.is_err() {
        // The next start must not believe in a catalog that could not be opened.
        std::fs::remove_file(&file).map_err(failed)?;
    }
    opened
}

async fn open_configured(file: &Path, catalog: Option<String>) -> Result<Tenantry, Failure> {
    let mut config = Config::load(file)?;
    if let Some(url) = catalog {
        config.catalog.url = url;
    }
    config.tenants.reserved_keys.extend(OWN_SEGMENTS.iter().map(|&word| word.to_owned()));
    SecretKey::create_if_missing(&config.catalog.key_file)?;
    Ok(Tenantry::builder().config(config).migrations(migrations::embedded()?).actor("shop").open().await?)
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
    if tenancy.server_list().await?.is_empty() {
        let new = match &args.server {
            Some(url) => NewServer::new("main", url),
            None => NewServer::new("local", format!("sqlite://{}", args.data.join("local").display())),
        };
        let added = tenancy.server_add(new).await;
        // Another shop on the same catalog may have been faster; or the database belongs to another installation.
        if tenancy.server_list().await?.is_empty() {
            added?;
        }
    }
    if let Some(first) = tenancy.server_list().await?.first() {
        check_server(tenancy, first, args).await?;
    }
    Ok(())
}

/// Whether what the command line asks for is what the installation has had since its first start.
async fn check_server(tenancy: &Tenantry, first: &Server, args: &Args) -> Result<(), Failure> {
    if let Some(asked) = args.server.as_deref().and_then(engine_of).filter(|asked| *asked != first.engine) {
        let (data, has) = (args.data.display(), &first.engine);
        return Err(Failure::new(format!(
            "`--server` asks for {asked}, but the tenants of the installation in `{data}` live on {has}"
        ))
        .help("choose another directory, which is a new installation: --data DIR"));
    }
    if let Some(isolation) = args.isolation {
        tenancy.server_capabilities(&first.name).await?.require(isolation)?;
    }
    Ok(())
}

/// The engine that a URL names, as the catalog calls it.
fn engine_of(url: &str) -> Option<&'static str> {
    match url.split_once("://")?.0 {
        "sqlite" => Some("sqlite"),
        "postgres" | "postgresql" => Some("postgres"),
        _ => None,
    }
}

/// Before anything is written, and also when the catalog knows its servers already. The URL is not shown: it may hold a
/// password.
fn require_engine(flag: &str, url: Option<&str>) -> Result<(), Failure> {
    match url {
        Some(url) if engine_of(url).is_none() => {
            Err(Failure::new(format!("`{flag}` names no database that the shop knows"))
                .help(format!("write `{flag} postgres://USER:PASSWORD@HOST/DATABASE` or `{flag} sqlite://PATH`")))
        }
        _ => Ok(()),
    }
}

/// Without the shared tables nobody can be served. A tenant that cannot be migrated, because its file is missing, is told
/// 503 by itself: the others are served.
async fn migrate(tenancy: &Tenantry) -> Result<(), Failure> {
    let report = tenancy.migrations().up(&MigrateOptions::new(), |_| ()).await?;
    for failed in report.targets {
        let Some(why) = failed.error else { continue };
        if failed.target == SHARED {
            return Err(Failure::new("the shared tables could not be migrated")
                .caused_by(why)
                .help("tenantry migrate status"));
        }
        tracing::error!(tenant = failed.target, help = "tenantry doctor", "a tenant could not be migrated: {why}");
    }
    if report.not_tried > 0 {
        let tenants = report.not_tried;
        tracing::error!(
            tenants,
            help = "tenantry migrate up",
            "tenants were not migrated, because too many had failed"
        );
    }
    Ok(())
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
    fn what_is_no_url_of_an_engine_is_refused_without_its_password() {
        for url in ["mysql://admin:hunter2@db/x", "admin:hunter2@db", "host=db password=hunter2", "://hunter2", ""] {
            let text = require_engine("--server", Some(url)).expect_err(url).to_string();
            assert!(text.contains("`--server`") && text.contains("help:") && !text.contains("hunter2"), "{text}");
        }
        for url in ["postgres://admin@db/x", "postgresql:///x?host=/run/postgresql", "sqlite://data"] {
            assert!(require_engine("--server", Some(url)).is_ok(), "{url}");
        }
    }
}
