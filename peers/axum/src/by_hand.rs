//! sqlx without tenantry: untenanted, and as a careful app enters its tenant by hand.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use sqlx::{
    AssertSqlSafe, ConnectOptions, Postgres, Transaction,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
};

use crate::{
    Args, Result,
    scenario::{self, Failed, NewNote, READ, User, WRITE},
};

pub(crate) async fn untenanted(args: &Args) -> Result<Router> {
    let router = Router::new().route("/t/{tenant}/users", get(users)).route("/t/{tenant}/notes", post(note));
    Ok(router.with_state(pool(args, "public").await?))
}

async fn users(State(pool): State<PgPool>) -> Result<Json<Vec<User>>, Failed> {
    Ok(scenario::users(sqlx::query_as(READ).fetch_all(&pool).await?))
}

async fn note(State(pool): State<PgPool>, Json(new): Json<NewNote>) -> Result<StatusCode, Failed> {
    sqlx::query(WRITE).bind(new.text).execute(&pool).await?;
    Ok(StatusCode::CREATED)
}

/// A pool, and the text that begins a transaction of a tenant's.
#[derive(Clone)]
struct ByHand {
    pool: PgPool,
    begin: fn(&str) -> String,
}

impl ByHand {
    fn router(self) -> Router {
        let router = Router::new().route("/t/{tenant}/users", get(tenant_users));
        router.route("/t/{tenant}/notes", post(tenant_note)).with_state(self)
    }

    #[expect(clippy::disallowed_methods, reason = "what an app without tenantry does")]
    async fn begin(&self, tenant: &str) -> sqlx::Result<Transaction<'static, Postgres>> {
        self.pool.begin_with(AssertSqlSafe((self.begin)(tenant))).await
    }
}

pub(crate) async fn schema(args: &Args) -> Result<Router> {
    let begin = |tenant: &str| format!("BEGIN; SET LOCAL search_path = {}", quoted(tenant, '"'));
    Ok(ByHand { pool: pool(args, "public").await?, begin }.router())
}

pub(crate) async fn row(args: &Args) -> Result<Router> {
    let begin = |tenant: &str| format!("BEGIN; SET LOCAL app.tenant = {}", quoted(tenant, '\''));
    Ok(ByHand { pool: pool(args, "all_tenants").await?, begin }.router())
}

async fn tenant_users(State(app): State<ByHand>, Path(tenant): Path<String>) -> Result<Json<Vec<User>>, Failed> {
    let mut tx = app.begin(&tenant).await?;
    let rows = sqlx::query_as(READ).fetch_all(&mut *tx).await?;
    tx.commit().await?;
    Ok(scenario::users(rows))
}

async fn tenant_note(
    State(app): State<ByHand>,
    Path(tenant): Path<String>,
    Json(new): Json<NewNote>,
) -> Result<StatusCode, Failed> {
    let mut tx = app.begin(&tenant).await?;
    sqlx::query(WRITE).bind(new.text).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(StatusCode::CREATED)
}

async fn pool(args: &Args, search_path: &str) -> Result<PgPool> {
    let options: PgConnectOptions = args.database.parse()?;
    let options = options.options([("search_path", search_path)]).disable_statement_logging();
    #[expect(clippy::disallowed_methods, reason = "what an app without tenantry does")]
    let pool = PgPoolOptions::new()
        .min_connections(args.connections)
        .max_connections(args.connections)
        // A round trip before each request, of which nothing else here knows.
        .test_before_acquire(false)
        .connect_with(options)
        .await?;
    Ok(pool)
}

fn quoted(name: &str, quote: char) -> String {
    let doubled = name.replace(quote, &format!("{quote}{quote}"));
    format!("{quote}{doubled}{quote}")
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_name_cannot_end_its_quotes() {
        assert_eq!(quoted("t1", '"'), "\"t1\"");
        assert_eq!(quoted("a\"; DROP", '"'), "\"a\"\"; DROP\"");
        assert_eq!(quoted("it's", '\''), "'it''s'");
    }
}
