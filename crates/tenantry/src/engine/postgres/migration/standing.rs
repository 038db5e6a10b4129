//! The walls of tables in common while a file changes them: they stand behind every statement, and not only at the file's end.

use sqlx::postgres::PgConnection;
use tenantry_sql::postgres::statements::Statement;

use super::fault::at;
use crate::{
    engine::{
        Script,
        postgres::{
            administration::site::{Site, SiteKind},
            rules,
        },
    },
    error::Result,
};

/// The tables that had a wall before a file, and what it consisted of.
pub(super) struct Standing(Vec<Wall>);

#[derive(PartialEq, Eq)]
struct Wall {
    table: i64,
    is_forced: bool,
    /// Another one when a policy of tenantry's was changed or made anew.
    policies: String,
    /// Whether it is read through a table that has none.
    is_passed: bool,
}

impl Standing {
    /// `None` where no table hides rows.
    pub(super) async fn before(slot: &mut PgConnection, site: &Site) -> Result<Option<Self>> {
        if site.kind != SiteKind::Rows {
            return Ok(None);
        }
        Ok(Some(Self(walls(slot, site).await?.into_iter().filter(|wall| wall.is_forced).collect())))
    }

    /// # Errors
    /// If a table that is still there has lost its wall, be it for the next statement only: what that reads would be stored where all
    /// tenants read it.
    pub(super) async fn require(
        &self,
        slot: &mut PgConnection,
        site: &Site,
        script: &Script,
        statement: &Statement<'_>,
    ) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let now = walls(slot, site).await?;
        let fallen = |before: &Wall| now.iter().any(|wall| wall.table == before.table && wall != before);
        if !self.0.iter().any(fallen) {
            return Ok(());
        }
        Err(at(script, statement.line, "the statement takes down the wall of a table that has tenants' rows".into()).help(
            "leave row security and the policies `!tenantry`, `!tenantry_first` and `tenantry_allow` as they are; make the parent of a table, or the \
             table that it becomes a partition of, in a file before this one",
        ))
    }
}

async fn walls(slot: &mut PgConnection, site: &Site) -> Result<Vec<Wall>> {
    let query = "SELECT c.oid::bigint, c.relrowsecurity AND c.relforcerowsecurity,
                        coalesce((SELECT string_agg(concat_ws(' ', q.oid, q.ctid), ',' ORDER BY q.oid) FROM pg_policy q
                                   WHERE q.polrelid = c.oid AND q.polname = ANY ($2)), ''),
                        EXISTS (SELECT FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent
                                 WHERE i.inhrelid = c.oid
                                   AND NOT (p.relrowsecurity AND p.relforcerowsecurity
                                            AND EXISTS (SELECT FROM pg_policy q WHERE q.polrelid = p.oid AND q.polname = ANY ($2)
                                                           AND q.polname NOT IN ('tenantry_allow', $3))))
                   FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = $1 AND c.relkind IN ('r', 'p')";
    let ours = ["tenantry_allow", rules::POLICY, rules::FORMER_POLICY, rules::FIRST_POLICY];
    let rows: Vec<(i64, bool, String, bool)> = sqlx::query_as(query)
        .bind(&site.schema)
        .bind(&ours[..])
        .bind(rules::FIRST_POLICY)
        .persistent(false)
        .fetch_all(slot)
        .await?;
    let wall = |(table, is_forced, policies, is_passed)| Wall { table, is_forced, policies, is_passed };
    Ok(rows.into_iter().map(wall).collect())
}
