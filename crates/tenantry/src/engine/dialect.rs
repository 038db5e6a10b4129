//! [`Dialect`]: what is true of an engine, whatever server of it there is.

use std::{path::Path, sync::Arc};

use sea_orm::DbBackend;
use sqlx::error::DatabaseError;

use super::{Capabilities, Constraint, Engine, EngineSpec, Reading};
use crate::{error::Result, id::TenantId, secret::SecretKey, tenant::Isolation};

/// An engine without a server. Nothing here has a default that means "fine": each engine says it.
pub(crate) trait Dialect {
    const CAPABILITIES: &'static Capabilities;

    /// What builds queries for it.
    const BACKEND: DbBackend;

    /// How URLs of its servers begin, without `://`.
    const SCHEMES: &'static [&'static str];

    /// The form of such a URL, for help.
    const URL: &'static str;

    /// Whether several servers of the catalog may be parts of one, in which a tenant's name is taken for all of them.
    const NAMES_ARE_COMMON: bool;

    fn open(spec: &EngineSpec<'_>) -> Result<Arc<dyn Engine>>;

    /// Whether two of its URLs lead to one place.
    fn is_same_place(url: &str, other: &str) -> bool;

    /// A URL whose path, if it is one, is as seen from a directory.
    fn absolute_url(url: &str, base: &Path) -> String;

    /// Where apps sign in, and as whom, if the operator does not say; `None` where nobody signs in.
    fn app_url_new(installation: TenantId, server: &str, admin_url: &str, key: &SecretKey) -> Result<Option<String>>;

    /// The sealed password of a new tenant's login; `None` where it has none.
    fn tenant_password_new(isolation: Isolation, key: &SecretKey) -> Result<Option<String>>;

    /// Refuses a text that nobody should type as a tenant of that isolation, with what to send instead.
    fn guard(isolation: Isolation, sql: &str) -> Result<()>;

    /// What one of its errors means; `None` for an error of another engine.
    fn read_error(error: &dyn DatabaseError) -> Option<Reading>;

    /// Which constraint one of its errors names; `None` for an error of another engine, or of no constraint.
    fn constraint(error: &dyn DatabaseError) -> Option<Constraint>;

    /// What to say of one of its errors to an operator, if that is not what the error says itself.
    fn error_words(error: &dyn DatabaseError) -> Option<String>;
}
