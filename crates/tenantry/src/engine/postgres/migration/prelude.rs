//! What has to be done before a file of migrations runs.

use sqlx::{AssertSqlSafe, Executor, postgres::PgConnection};

use crate::error::Result;
use tenantry_sql::postgres::lex::Lexer;

/// The names that a file speaks of.
fn names(sql: &str) -> Vec<String> {
    Lexer::new(sql).flatten().filter_map(|token| token.name().map(std::borrow::Cow::into_owned)).collect()
}

/// An index whose concurrent build failed stays behind, and IF NOT EXISTS would skip it for ever: a file that makes it
/// builds it anew.
pub(crate) async fn drop_invalid_indexes(connection: &mut PgConnection, schema: &str, sql: &str) -> Result<()> {
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
