//! What has to be done before a file of migrations runs.

use sqlx::{AssertSqlSafe, Executor, postgres::PgConnection};

use super::lex::Lexer;
use crate::error::Result;

/// The names that a file speaks of.
fn names(sql: &str) -> Vec<String> {
    Lexer::new(sql).flatten().filter_map(|token| token.name().map(std::borrow::Cow::into_owned)).collect()
}

/// Row security does not bind the owner of the tables that a file speaks of, nor of those that they refer to: under FORCE
/// a check of references sees no rows, and calls a violated key valid. It is forced again before the transaction ends.
pub(super) async fn unforce(connection: &mut PgConnection, schema: &str, sql: &str, all: bool) -> Result<()> {
    let tables: Vec<String> = sqlx::query_scalar(
        "WITH named AS (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                        WHERE n.nspname = $1 AND ($3 OR c.relname = ANY ($2))),
              concerned AS (SELECT oid FROM named
                            UNION SELECT k.confrelid FROM pg_constraint k JOIN named ON named.oid = k.conrelid WHERE k.contype = 'f'
                            UNION SELECT k.conrelid FROM pg_constraint k JOIN named ON named.oid = k.confrelid WHERE k.contype = 'f')
         SELECT format('ALTER TABLE %I.%I NO FORCE ROW LEVEL SECURITY', $1, c.relname)
           FROM concerned JOIN pg_class c USING (oid) WHERE c.relforcerowsecurity AND c.relkind IN ('r', 'p')",
    )
    .bind(schema)
    .bind(names(sql))
    .bind(all)
    .fetch_all(&mut *connection)
    .await?;
    if !tables.is_empty() {
        connection.execute(AssertSqlSafe(tables.join("; "))).await?;
    }
    Ok(())
}

/// An index whose concurrent build failed stays behind, and IF NOT EXISTS would skip it for ever: a file that makes it
/// builds it anew.
pub(super) async fn drop_invalid_indexes(connection: &mut PgConnection, schema: &str, sql: &str) -> Result<()> {
    let invalid: Vec<String> = sqlx::query_scalar(
        "SELECT format('DROP INDEX CONCURRENTLY %I.%I', n.nspname, c.relname)
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_index i ON i.indexrelid = c.oid
          WHERE n.nspname = $1 AND c.relname = ANY ($2) AND NOT i.indisvalid",
    )
    .bind(schema)
    .bind(names(sql))
    .fetch_all(&mut *connection)
    .await?;
    for statement in invalid {
        connection.execute(AssertSqlSafe(statement)).await?;
    }
    Ok(())
}
