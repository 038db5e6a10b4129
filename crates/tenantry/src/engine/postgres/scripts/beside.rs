//! What a file of tenants' tables must leave as it was: the shared tables beside them.
//!
//! The server checks a reference as the owner of the table that is referred to, and a cast that is made for that and dropped
//! again is code of the file's which runs with that owner's rights. Whatever way there is: what it did is seen here.

use sqlx::{AssertSqlSafe, Row as _, postgres::PgConnection};

use super::at;
use crate::{
    engine::{
        Script,
        postgres::site::{Site, SiteKind},
    },
    error::{Error, Result},
};

const BESIDE: &str = include_str!("beside.sql");

/// The shared schema as it is in this transaction.
#[derive(PartialEq, Eq)]
pub(super) struct Beside(Option<String>);

impl Beside {
    /// `None` where a file is that of the shared tables, or where these are no tables that could be referred to.
    pub(super) async fn read(slot: &mut PgConnection, site: &Site) -> Result<Self> {
        match site.kind {
            SiteKind::Shared | SiteKind::Database => Ok(Self(None)),
            SiteKind::Rows | SiteKind::Schema => {
                let rows = sqlx::raw_sql(AssertSqlSafe(BESIDE)).fetch_all(slot).await?;
                let state: Option<String> = rows.first().map(|row| row.try_get("state")).transpose()?.flatten();
                Ok(Self(Some(state.unwrap_or_default())))
            }
        }
    }

    /// # Errors
    /// If the files have changed something of it.
    pub(super) async fn require_same(&self, slot: &mut PgConnection, site: &Site, scripts: &[&Script]) -> Result<()> {
        if *self == Self::read(slot, site).await? {
            return Ok(());
        }
        let what = "the shared tables were changed while the file ran".to_owned();
        let error = match scripts.last() {
            Some(script) => at(script, 1, what),
            None => Error::new(crate::error::ErrorKind::Migration, what),
        };
        Err(error.help(
            "if a file of migrations/shared was applied at the same time, run `tenantry migrate up --retry-failed`; else \
             move what changes shared tables to a file in migrations/shared",
        ))
    }
}
