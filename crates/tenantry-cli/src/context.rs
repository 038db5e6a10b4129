//! [`Context`]: what every command works with.

use std::{path::PathBuf, time::Duration};

use tenantry::{Config, Tenantry};
use tokio::sync::OnceCell;

use crate::{failure::Result, interrupt::Interrupt, options::Global};

/// The options of every command, and the installation once it is open.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) config: PathBuf,
    pub(crate) json: bool,
    pub(crate) yes: bool,
    pub(crate) interrupt: Interrupt,
    opened: OnceCell<Tenantry>,
}

impl Context {
    pub(crate) fn new(global: Global) -> Self {
        let Global { config, json, yes, verbose: _ } = global;
        Self { config, json, yes, interrupt: Interrupt::default(), opened: OnceCell::new() }
    }

    pub(crate) fn settings(&self) -> Result<Config> {
        Ok(Config::load(&self.config)?)
    }

    /// Opens the installation that the settings describe.
    pub(crate) async fn open(&self) -> Result<&Tenantry> {
        self.open_with(self.settings()?).await
    }

    pub(crate) async fn open_with(&self, settings: Config) -> Result<&Tenantry> {
        self.open_as(settings, false).await
    }

    /// As [`Context::open_with`], for a command that serves a tenant: it hears when another process suspends that.
    pub(crate) async fn open_to_serve(&self, settings: Config) -> Result<&Tenantry> {
        self.open_as(settings, true).await
    }

    async fn open_as(&self, settings: Config, background: bool) -> Result<&Tenantry> {
        let builder = Tenantry::builder().config(settings).actor(actor()).background(background);
        self.opened.get_or_try_init(|| async { Ok(builder.open().await?) }).await
    }

    /// Closes what was opened: a database that is closed leaves no log beside it.
    pub(crate) async fn close(&self) {
        if let Some(tenancy) = self.opened.get() {
            tenancy.shutdown(Duration::from_secs(1)).await;
        }
    }
}

/// Under which name the audit lists what this program does.
fn actor() -> String {
    let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default();
    let plain: String = user.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).take(32).collect();
    if plain.is_empty() { "cli".into() } else { format!("cli:{plain}") }
}
