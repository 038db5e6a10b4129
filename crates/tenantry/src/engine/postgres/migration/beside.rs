//! What a file must leave as it was beside its target: one of tenants' tables the shared tables, one of the shared tables what
//! others have built on them.
//!
//! The server checks a reference as the owner of the table that is referred to, and a cast that is made for that and dropped
//! again is code of the file's which runs with that owner's rights. Whatever way there is: what it did is seen here.

use sqlx::{AssertSqlSafe, Row as _, postgres::PgConnection};
use tenantry_sql::postgres::statements::{self, Statement};

use super::{allowed::may_hold_code, fault::at};
use crate::{
    engine::{
        Script,
        postgres::{
            administration::site::{Site, SiteKind},
            names::literal,
        },
    },
    error::{Error, Result},
};

const BESIDE: &str = include_str!("beside.sql");
const DEPENDENTS: &str = include_str!("dependents.sql");
const CALLERS: &str = include_str!("callers.sql");

/// The shared schema, or what depends on it elsewhere, as it is in this transaction.
#[derive(PartialEq, Eq)]
pub(super) struct Beside(Option<String>);

impl Beside {
    /// `None` where nothing of the files' could run as the owner of the shared tables: in a tenant's own database, or without any code.
    pub(super) async fn before(slot: &mut PgConnection, site: &Site, scripts: &[&Script]) -> Result<Self> {
        if site.kind == SiteKind::Shared {
            return if scripts.is_empty() { Ok(Self(None)) } else { Self::read(slot, site).await };
        }
        let is_plain =
            |script: &&Script| statements::split(script.sql.as_str()).is_ok_and(|all| !all.iter().any(may_hold_code));
        if scripts.is_empty() || scripts.iter().all(is_plain) && !has_routines(slot, site).await? {
            return Ok(Self(None));
        }
        Self::read(slot, site).await
    }

    async fn read(slot: &mut PgConnection, site: &Site) -> Result<Self> {
        match site.kind {
            SiteKind::Database => Ok(Self(None)),
            SiteKind::Shared => Self::asked(slot, DEPENDENTS).await,
            SiteKind::Rows | SiteKind::Schema => Self::asked(slot, BESIDE).await,
        }
    }

    async fn asked(slot: &mut PgConnection, query: &'static str) -> Result<Self> {
        let rows = sqlx::raw_sql(query).fetch_all(slot).await?;
        let state: Option<String> = rows.first().map(|row| row.try_get("state")).transpose()?.flatten();
        Ok(Self(Some(state.unwrap_or_default())))
    }

    /// # Errors
    /// If the files have changed something of it.
    pub(super) async fn require_same(&self, slot: &mut PgConnection, site: &Site, scripts: &[&Script]) -> Result<()> {
        if self.0.is_none() || *self == Self::read(slot, site).await? {
            return Ok(());
        }
        let (what, help) = match site.kind {
            SiteKind::Shared => (
                "the file drops, by CASCADE, what tenants' tables have built on the shared schema, or changes their rows",
                "drop the column, the view or the policy in a file of migrations/tenant first, and then this without CASCADE; \
                 change tenants' rows in a file of migrations/tenant that ends in `.data.sql`",
            ),
            SiteKind::Rows | SiteKind::Schema | SiteKind::Database => (
                "the shared tables were changed while the file ran",
                "if a file of migrations/shared was applied at the same time, run `tenantry migrate up --retry-failed`; else \
                 move what changes shared tables to a file in migrations/shared",
            ),
        };
        let error = match scripts.last() {
            Some(script) => at(script, 1, what.to_owned()),
            None => Error::new(crate::error::ErrorKind::Migration, what),
        };
        Err(error.help(help))
    }
}

/// A block makes, uses and puts back whatever it likes between two looks. What the tables of tenants call of the shared schema, the
/// server runs with the rights of their owner where it plans the check of a reference.
pub(super) async fn require_uncalled(
    slot: &mut PgConnection,
    script: &Script,
    statement: &Statement<'_>,
) -> Result<()> {
    let rows = sqlx::raw_sql(CALLERS).fetch_all(slot).await?;
    let Some(first) = rows.first() else { return Ok(()) };
    let (caller, called): (String, String) = (first.try_get("caller")?, first.try_get("called")?);
    Err(at(
        script,
        statement.line,
        format!("no block runs while {caller} calls {called}, which the block could change"),
    )
    .help("write the statements of the block into the file itself, without DO"))
}

async fn has_routines(slot: &mut PgConnection, site: &Site) -> Result<bool> {
    let text = format!(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_namespace n ON n.oid = d.refobjid
                         WHERE n.nspname = {} AND d.refclassid = 'pg_catalog.pg_namespace'::regclass
                           AND d.classid = 'pg_catalog.pg_proc'::regclass)",
        literal(&site.schema)
    );
    Ok(sqlx::raw_sql(AssertSqlSafe(text)).fetch_one(slot).await?.try_get(0)?)
}
