//! SQLite without a server.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sea_orm::DbBackend;
use sqlx::error::DatabaseError;

use super::{CAPABILITIES, SqliteDriver, SqliteEngine, failure};
use crate::{
    engine::{Capabilities, Constraint, Dialect, Engine, EngineSpec, Reading, url_of_directory},
    error::Result,
    id::TenantId,
    secret::SecretKey,
    tenant::Isolation,
};

/// How long a purge waits for other processes to let go of a file: they hear of it within 2 s.
const DRAIN: Duration = Duration::from_secs(10);

const SCHEME: &str = "sqlite";

/// The path in a URL of this engine.
pub(super) fn path_of(url: &str) -> Option<&Path> {
    url.strip_prefix(SCHEME).and_then(|rest| rest.strip_prefix("://")).map(Path::new)
}

impl Dialect for SqliteDriver {
    const CAPABILITIES: &'static Capabilities = &CAPABILITIES;
    const BACKEND: DbBackend = DbBackend::Sqlite;
    const SCHEMES: &'static [&'static str] = &[SCHEME];
    const URL: &'static str = "sqlite://DIRECTORY";
    const NAMES_ARE_COMMON: bool = false;

    fn open(spec: &EngineSpec<'_>) -> Result<Arc<dyn Engine>> {
        let directory = |url| path_of(url).map(PathBuf::from).unwrap_or_default();
        let home = spec.home.as_ref().map_or(spec.admin_url, |home| home.admin_url);
        Ok(Arc::new(SqliteEngine::new(&directory(spec.admin_url), &directory(home), DRAIN)?))
    }

    fn is_same_place(url: &str, other: &str) -> bool {
        let directory = |url| path_of(url).and_then(|path| fs::canonicalize(path).ok());
        directory(url).is_some_and(|found| directory(other) == Some(found))
    }

    fn absolute_url(url: &str, base: &Path) -> String {
        path_of(url).map_or_else(|| url.to_owned(), |path| url_of_directory(&base.join(path)))
    }

    fn app_url_new(_: TenantId, _: &str, _: &str, _: &SecretKey) -> Result<Option<String>> {
        Ok(None)
    }

    fn tenant_password_new(_: Isolation, _: &SecretKey) -> Result<Option<String>> {
        Ok(None)
    }

    fn guard(_: Isolation, _: &str) -> Result<()> {
        // The authorizer reads every text, whoever typed it.
        Ok(())
    }

    fn read_error(error: &dyn DatabaseError) -> Option<Reading> {
        failure::read(error)
    }

    fn constraint(error: &dyn DatabaseError) -> Option<Constraint> {
        failure::constraint(error)
    }

    fn error_words(_: &dyn DatabaseError) -> Option<String> {
        None
    }
}
