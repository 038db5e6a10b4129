//! Foreign keys of tables in common, and whose their rows are: what a file may not leave unlike it says.
//!
//! Row security stays forced while a file runs, so that whatever a file calls sees no tenant's rows. The server's own check of a
//! new reference sees none either, and finds it valid. So it is made once more when the file's code is over and found safe.

use sqlx::{AssertSqlSafe, Executor, postgres::PgConnection};
use tenantry_sql::postgres::lex;

use super::{fault::at, verify::place_of};
use crate::{
    engine::{
        Script,
        postgres::{
            administration::site::{Site, SiteKind},
            names::{Names, quoted},
            session::scope::OURS,
        },
    },
    error::{Error, ErrorKind, Result},
    id::TenantId,
};

/// Before the files: the tables that may have rows, and the references that the server holds for valid.
pub(super) struct Keys {
    tables: Vec<i64>,
    valid: Vec<i64>,
    tenants: Vec<TenantColumn>,
}

/// The column that says whose a row is.
#[derive(PartialEq, Eq)]
struct TenantColumn {
    table: i64,
    number: i16,
    /// Another one when the column was changed.
    version: String,
    /// Another one when the rows were written anew.
    file: i64,
}

/// A reference whose rows nobody has looked at.
struct Unproven {
    name: String,
    table: String,
    definition: String,
    between: Vec<i64>,
}

impl Keys {
    /// `None` where no row security hides rows from the server's check.
    pub(super) async fn before(slot: &mut PgConnection, site: &Site) -> Result<Option<Self>> {
        if site.kind != SiteKind::Rows {
            return Ok(None);
        }
        let tables = "SELECT c.oid::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                       WHERE n.nspname = $1 AND c.relkind IN ('r', 'p')";
        let valid = "SELECT k.oid::bigint FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
                      WHERE n.nspname = $1 AND k.contype = 'f' AND k.convalidated";
        Ok(Some(Self {
            tables: sqlx::query_scalar(tables).bind(&site.schema).fetch_all(&mut *slot).await?,
            valid: sqlx::query_scalar(valid).bind(&site.schema).fetch_all(&mut *slot).await?,
            tenants: tenant_columns(slot, site).await?,
        }))
    }

    /// # Errors
    /// If rows have got another tenant, or do not fit a reference that is new.
    pub(super) async fn require_kept(
        &self,
        slot: &mut PgConnection,
        names: &Names,
        site: &Site,
        scripts: &[&Script],
    ) -> Result<()> {
        self.require_same_tenants(&tenant_columns(slot, site).await?, scripts)?;
        let unproven = self.unproven(slot, site, scripts).await?;
        if unproven.is_empty() {
            return Ok(());
        }
        slot.execute(AssertSqlSafe(format!("{OURS}; SET LOCAL ROLE {}", quoted(&site.owner(names))))).await?;
        let forced = forced(slot, &unproven).await?;
        force(slot, &forced, "NO FORCE").await?;
        for key in &unproven {
            prove(slot, scripts, key).await?;
        }
        force(slot, &forced, "FORCE").await?;
        slot.execute("RESET ROLE").await?;
        Ok(())
    }

    fn require_same_tenants(&self, now: &[TenantColumn], scripts: &[&Script]) -> Result<()> {
        let changed = self.tenants.iter().any(|before| {
            now.iter().find(|column| column.table == before.table).is_some_and(|now| {
                now.number != before.number || now.version != before.version && now.file != before.file
            })
        });
        if !changed {
            return Ok(());
        }
        let what =
            "the file gives rows to other tenants: `tenant_id` of a table is another column, or was written anew";
        Err(error(scripts, "tenant_id", what.into()).help(
            "leave `tenant_id` as it is; if its default or a constraint has to change, do so in a file of its own",
        ))
    }

    async fn unproven(&self, slot: &mut PgConnection, site: &Site, scripts: &[&Script]) -> Result<Vec<Unproven>> {
        // A copy that the server keeps for a partition of the table that is referred to has the table of the whole.
        let query = "
            SELECT k.conname::text, k.conrelid::regclass::text AS child, pg_get_constraintdef(k.oid) AS definition,
                   ARRAY[k.conrelid::bigint, k.confrelid::bigint] AS between
              FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace JOIN pg_class target ON target.oid = k.confrelid
              LEFT JOIN pg_constraint whole ON whole.oid = k.conparentid
             WHERE n.nspname = $1 AND k.contype = 'f' AND k.convalidated AND k.conrelid::bigint = ANY ($2)
               AND (NOT k.oid::bigint = ANY ($3) OR $4 AND target.relkind = 'p')
               AND (whole.oid IS NULL
                    OR whole.conrelid <> k.conrelid
                       AND (whole.oid::bigint = ANY ($3) OR NOT whole.conrelid::bigint = ANY ($2)))
             ORDER BY k.oid";
        let rows: Vec<(String, String, String, Vec<i64>)> = sqlx::query_as(query)
            .bind(&site.schema)
            .bind(&self.tables)
            .bind(&self.valid)
            .bind(scripts.iter().any(|script| may_detach(script)))
            .fetch_all(slot)
            .await?;
        let unproven = |(name, table, definition, between)| Unproven { name, table, definition, between };
        Ok(rows.into_iter().map(unproven).collect())
    }
}

/// Whether a partition may be taken from a table, to whose rows others refer.
fn may_detach(script: &Script) -> bool {
    let mut tokens = lex::Lexer::new(script.sql.as_str()).flatten();
    tokens.any(|token| {
        token.is("detach") || token.kind == lex::Kind::Text && token.text.to_ascii_lowercase().contains("detach")
    })
}

async fn tenant_columns(slot: &mut PgConnection, site: &Site) -> Result<Vec<TenantColumn>> {
    let query = "SELECT c.oid::bigint, a.attnum, a.ctid::text, c.relfilenode::bigint
                   FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
                  WHERE n.nspname = $1 AND c.relkind IN ('r', 'p')";
    let rows: Vec<(i64, i16, String, i64)> = sqlx::query_as(query).bind(&site.schema).fetch_all(slot).await?;
    Ok(rows.into_iter().map(|(table, number, version, file)| TenantColumn { table, number, version, file }).collect())
}

/// The tables at both ends, with their partitions, that hide their rows from their owner.
async fn forced(slot: &mut PgConnection, keys: &[Unproven]) -> Result<Vec<String>> {
    let ends: Vec<i64> = keys.iter().flat_map(|key| key.between.iter().copied()).collect();
    let query = "
        WITH RECURSIVE concerned (oid) AS (
            SELECT c.oid FROM pg_class c WHERE c.oid::bigint = ANY ($1)
            UNION SELECT i.inhrelid FROM pg_inherits i JOIN concerned ON i.inhparent = concerned.oid)
        SELECT c.oid::regclass::text FROM concerned JOIN pg_class c USING (oid)
         WHERE c.relforcerowsecurity AND c.relkind IN ('r', 'p')";
    Ok(sqlx::query_scalar(query).bind(ends).fetch_all(slot).await?)
}

async fn force(slot: &mut PgConnection, tables: &[String], how: &str) -> Result<()> {
    for table in tables {
        slot.execute(AssertSqlSafe(format!("ALTER TABLE {table} {how} ROW LEVEL SECURITY"))).await?;
    }
    Ok(())
}

/// The same reference once more: while it is made the server looks at all rows, in its own way.
async fn prove(slot: &mut PgConnection, scripts: &[&Script], key: &Unproven) -> Result<()> {
    let Unproven { name, table, definition, .. } = key;
    // A name that no file can have given.
    let proof = format!("tenantry_{}", TenantId::new().as_uuid().simple());
    let add = format!("ALTER TABLE {table} ADD CONSTRAINT {proof} {definition}");
    if let Err(cause) = slot.execute(AssertSqlSafe(add)).await {
        return Err(error(scripts, name, format!("the rows of `{table}` do not fit the foreign key `{name}`"))
            .caused_by(cause)
            .help(
                "fix the rows in a file of data before this one, or write NOT VALID and validate it in a later file",
            ));
    }
    slot.execute(AssertSqlSafe(format!("ALTER TABLE {table} DROP CONSTRAINT {proof}"))).await?;
    Ok(())
}

fn error(scripts: &[&Script], object: &str, what: String) -> Error {
    match place_of(scripts, object) {
        (Some(script), line) => at(script, line, what),
        (None, _) => Error::new(ErrorKind::Migration, what),
    }
}
