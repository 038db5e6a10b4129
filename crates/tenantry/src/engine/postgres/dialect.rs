//! PostgreSQL without a server.

use std::{path::Path, sync::Arc};

use sea_orm::DbBackend;
use sqlx::error::DatabaseError;

use super::{
    CAPABILITIES, PgDriver, PostgresEngine,
    session::{connect::PASSWORD_PURPOSE, failure, scram, text, url},
};
use crate::{
    engine::{Capabilities, Constraint, Dialect, Engine, EngineSpec, Reading},
    error::{Error, ErrorKind, Result},
    id::TenantId,
    secret::SecretKey,
    tenant::Isolation,
};

impl Dialect for PgDriver {
    const CAPABILITIES: &'static Capabilities = &CAPABILITIES;
    const BACKEND: DbBackend = DbBackend::Postgres;
    const SCHEMES: &'static [&'static str] = &["postgres", "postgresql"];
    const URL: &'static str = "postgres://USER:PASSWORD@HOST/DATABASE";
    /// Databases and roles are a cluster's, and two servers of the catalog may be databases of one.
    const NAMES_ARE_COMMON: bool = true;

    fn open(spec: &EngineSpec<'_>) -> Result<Arc<dyn Engine>> {
        Ok(Arc::new(PostgresEngine::new(spec)?))
    }

    fn is_same_place(one: &str, other: &str) -> bool {
        url::is_same_database(one, other)
    }

    fn absolute_url(url: &str, _: &Path) -> String {
        url.to_owned()
    }

    fn app_url_new(installation: TenantId, server: &str, admin_url: &str, key: &SecretKey) -> Result<Option<String>> {
        url::app_url_new(installation, server, admin_url, key).map(Some)
    }

    fn tenant_password_new(isolation: Isolation, key: &SecretKey) -> Result<Option<String>> {
        match isolation {
            Isolation::Database => key.seal(PASSWORD_PURPOSE, &scram::new_password()?).map(Some),
            Isolation::Row | Isolation::Schema => Ok(None),
        }
    }

    fn guard(isolation: Isolation, sql: &str) -> Result<()> {
        match isolation {
            // There the tenant is a setting of the session, which functions and blocks could change.
            Isolation::Row => require_plain(sql),
            // The tenant's own role or login is the wall.
            Isolation::Schema | Isolation::Database => Ok(()),
        }
    }

    fn read_error(error: &dyn DatabaseError) -> Option<Reading> {
        failure::read(error)
    }

    fn constraint(error: &dyn DatabaseError) -> Option<Constraint> {
        failure::constraint(error)
    }

    fn error_words(error: &dyn DatabaseError) -> Option<String> {
        failure::words(error)
    }
}

fn require_plain(sql: &str) -> Result<()> {
    if text::cached(sql)?.plain {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Refused, "in row isolation only one plain statement at a time runs here")
        .help("send one SELECT, INSERT, UPDATE, DELETE or MERGE at a time"))
}
