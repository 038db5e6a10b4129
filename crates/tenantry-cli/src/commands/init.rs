//! `tenantry init`.

use std::{
    fs,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use serde::Serialize;
use tenantry::{CatalogConfig, Config, NewServer, SecretKey};

use crate::{
    context::Context,
    exit::Exit,
    failure::{Failure, Result},
    render::{self, table},
};

/// What a new `tenantry.toml` holds: every setting with its default.
const SETTINGS: &str = include_str!("init.toml");

/// The name of the first server.
const SERVER: &str = "local";

const NOTES: &str = "\
It asks nothing and overwrites nothing. Run again it makes only what is missing; a run that was killed is completed.
Keep tenantry.key safe and out of version control: without it the stored server URLs cannot be read.

For tenants on PostgreSQL add that server next; the SQLite server, which nobody has used yet, gives way to it:
  tenantry server add main postgres://admin:secret@db.example/app

Examples:
  tenantry init                                  in this directory
  tenantry init --config /srv/app/tenantry.toml  somewhere else";

/// Nothing: everything that can be chosen stands in `tenantry.toml`.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(crate) struct Init {}

#[derive(Debug, Serialize)]
struct Made {
    what: String,
    /// `made` or `there`.
    state: &'static str,
    about: &'static str,
}

#[derive(Debug, Default, Serialize)]
struct Report {
    changed: bool,
    parts: Vec<Made>,
}

impl Report {
    fn note(&mut self, made: bool, what: impl Into<String>, about: &'static str) {
        self.changed |= made;
        self.parts.push(Made { what: what.into(), state: if made { "made" } else { "there" }, about });
    }
}

impl Init {
    pub(crate) async fn run(self, context: &Context) -> Result<Exit> {
        let mut report = Report::default();
        let home = home_of(&context.config)?;
        fs::create_dir_all(&home).map_err(cannot("make the directory", &home))?;
        let written = write_whole(&context.config, SETTINGS)?;
        report.note(written, context.config.display().to_string(), "the settings, each with its default");
        let settings = context.settings()?;
        key(&settings, &mut report)?;
        folders(&settings, &mut report)?;
        let fresh = settings.catalog.file().is_some_and(|file| !file.exists());
        let tenancy = context.open_with(settings.clone()).await?;
        report.note(fresh, shown(&settings.catalog), "the catalog of tenants");
        let no_server = tenancy.server_list().await?.is_empty();
        if no_server {
            tenancy.server_add(NewServer::in_directory(SERVER, home.join("data"))).await?;
        }
        if no_server || tenancy.server_list().await?.iter().any(|s| s.name == SERVER) {
            report.note(no_server, format!("server `{SERVER}`"), "SQLite, a file per tenant");
        }
        tell(context, &report)?;
        Ok(Exit::Ok)
    }
}

fn tell(context: &Context, report: &Report) -> Result<()> {
    render::answer(context, report, || {
        let rows = report.parts.iter().map(|p| [p.state.to_owned(), p.what.clone(), p.about.to_owned()]);
        table::plain(rows)
    })?;
    if report.changed {
        render::hint(context, "next: tenantry tenant create acme, or first tenantry migrate new users");
    } else if !context.json {
        render::note("everything is there already: nothing was changed");
    }
    Ok(())
}

fn cannot<'a>(verb: &'a str, path: &'a Path) -> impl Fn(std::io::Error) -> Failure + 'a {
    move |e| Failure::new(format!("cannot {verb} `{}`", path.display())).code("io").caused_by(e)
}

fn home_of(config: &Path) -> Result<PathBuf> {
    let file = std::path::absolute(config).map_err(cannot("find", config))?;
    Ok(file.parent().unwrap_or(Path::new("/")).to_owned())
}

/// Writes a file that is there as a whole or not at all, and never over another one.
fn write_whole(file: &Path, text: &str) -> Result<bool> {
    if file.exists() {
        return Ok(false);
    }
    let half = file.with_extension(format!("making-{}", std::process::id()));
    let written = fs::File::create(&half).and_then(|mut f| f.write_all(text.as_bytes()).and_then(|()| f.sync_all()));
    // A link, unlike a rename, is refused when somebody else was faster.
    let linked = written.and_then(|()| fs::hard_link(&half, file));
    let removed = fs::remove_file(&half);
    match linked {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(e) => Err(cannot("write", file)(e)),
        Ok(()) => removed.map(|()| true).map_err(cannot("remove", &half)),
    }
}

fn key(settings: &Config, report: &mut Report) -> Result<()> {
    let file = &settings.catalog.key_file;
    if std::env::var_os("TENANTRY_KEY").is_some() {
        report.note(false, "TENANTRY_KEY", "the key that seals stored URLs");
        return Ok(());
    }
    let missing = !file.exists();
    if missing && settings.catalog.file().is_some_and(|f| f.exists()) {
        // A new key would not open what the old one has sealed.
        return Err(Failure::new(format!("the catalog is there, but its key file `{}` is not", file.display()))
            .code("configuration")
            .help("put the key file back, or set TENANTRY_KEY"));
    }
    SecretKey::create_if_missing(file)?;
    report.note(missing, file_name(file), "the key that seals stored URLs: keep it safe and secret");
    Ok(())
}

fn folders(settings: &Config, report: &mut Report) -> Result<()> {
    let about = ["tables that each tenant has", "tables that all tenants read"];
    for (folder, about) in ["tenant", "shared"].iter().zip(about) {
        let path = settings.migrations.dir.join(folder);
        let missing = !path.is_dir();
        fs::create_dir_all(&path).map_err(cannot("make the directory", &path))?;
        report.note(missing, format!("{}/{folder}", file_name(&settings.migrations.dir)), about);
    }
    Ok(())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// A URL may hold a password.
fn shown(catalog: &CatalogConfig) -> String {
    catalog.file().map_or_else(|| "catalog".into(), |file| file_name(&file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_that_init_writes_are_the_defaults_and_name_every_one() {
        let dir = tempfile::tempdir().unwrap();
        let load = |text: &str| {
            let file = dir.path().join("tenantry.toml");
            fs::write(&file, text).unwrap();
            Config::load(&file).unwrap()
        };
        let defaults = load("");
        assert_eq!(load(SETTINGS), defaults);
        let spoken: String = SETTINGS.lines().map(|l| l.strip_prefix('#').unwrap_or(l).to_owned() + "\n").collect();
        let settings_only: String =
            spoken.lines().filter(|l| l.starts_with('[') || l.contains(" = ")).map(|l| l.to_owned() + "\n").collect();
        assert_eq!(load(&settings_only), defaults, "a default in the comments is not the default");
        let all = serde_json::to_value(Config::default()).unwrap();
        for (section, values) in all.as_object().unwrap() {
            assert!(SETTINGS.contains(&format!("[{section}]")), "[{section}] is missing");
            for name in values.as_object().unwrap().keys() {
                assert!(SETTINGS.contains(&format!("\n#{name} = ")), "{section}.{name} is missing");
            }
        }
    }
}
