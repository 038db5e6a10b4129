//! Every migration and every drift of these lists against a real server, in a transaction that is rolled back.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod accepted;
mod cases;
mod drift;
mod functions;
mod later;

use sqlx::{AssertSqlSafe, ConnectOptions, Executor, postgres::PgConnection};
use tenantry_testbed::{Postgres, TestDatabase};

use super::*;
use accepted::ACCEPTED;
use cases::{CASES, PRELUDE, SHARED};
use drift::{DRIFT, REPAIRED};
use functions::FUNCTIONS;
use later::LATER;

/// A database as the engine prepares it, and the names in it.
struct Place {
    connection: PgConnection,
    _database: TestDatabase,
    schema: Ident,
    shared: Ident,
    owner: Ident,
    shared_owner: Ident,
    login: Ident,
}

impl Place {
    async fn new() -> Self {
        let database = Postgres::shared().and_then(|server| server.database()).expect("a database");
        let options: sqlx::postgres::PgConnectOptions = database.url().parse().expect("a URL");
        let mut connection = options.connect().await.expect("connects");
        let installation = crate::id::TenantId::new();
        let names = crate::engine::postgres::names::Names::new(installation, "main", None).expect("names");
        crate::engine::postgres::administration::server::prepare(&mut connection, &names, installation, None)
            .await
            .expect("prepared");
        // As a file of migrations/shared makes it, for indexes that are led by the tenant.
        connection
            .execute("CREATE EXTENSION btree_gist SCHEMA shared; CREATE EXTENSION btree_gin SCHEMA shared")
            .await
            .expect("the extensions of indexes");
        let ident = |name: String| Ident::new(name).expect("an identifier");
        let (owner, login) = (ident(names.rows_owner()), ident(names.rows_role()));
        let shared_owner = ident(names.shared_owner());
        let (schema, shared) = (ident("tenant".into()), ident("shared".into()));
        Self { connection, _database: database, schema, shared, owner, shared_owner, login }
    }

    /// What is found after a migration; `as_admin` without what protects tables afterwards.
    async fn found(&mut self, sql: &str, rules: Rules, protected: bool, as_admin: bool) -> Vec<Breach> {
        let of_tables = Subject { schema: &self.schema, owner: &self.owner, role: &self.login };
        let subject = if rules == Rules::Shared {
            Subject { schema: &self.shared, owner: &self.shared_owner, role: &self.login }
        } else {
            of_tables
        };
        let connection = &mut self.connection;
        let enter = format!(
            "BEGIN;
             GRANT EXECUTE ON FUNCTION pg_catalog.set_config(text, text, boolean) TO {owner}, {shared_owner};
             SET LOCAL ROLE {shared_owner}; CREATE TABLE shared.plans (id int PRIMARY KEY);
             GRANT SELECT, REFERENCES ON shared.plans TO {owner};
             -- The wall before the rules: here it is taken down, so that the rules are asked.
             GRANT CREATE ON SCHEMA shared TO {owner};
             SET LOCAL ROLE {owner}; SET LOCAL search_path = tenant, shared",
            owner = self.owner,
            shared_owner = self.shared_owner
        );
        connection.execute(AssertSqlSafe(enter)).await.expect("enters");
        connection.execute(PRELUDE).await.expect("the prelude");
        // A tenant's own tables have no policies, which the screen would call doubtful by themselves.
        if rules != Rules::Own {
            protect(connection, &of_tables, EVERYTHING).await.expect("protects");
        }
        if as_admin || rules == Rules::Shared {
            connection.execute("RESET ROLE").await.expect("resets");
        }
        connection.execute("SET LOCAL search_path = tenant, shared").await.expect("sets");
        let sql = sql.replace("{role}", self.login.as_str()).replace("{shared_owner}", self.shared_owner.as_str());
        connection.execute(AssertSqlSafe(sql.clone())).await.expect(&sql);
        if protected {
            protect(connection, &of_tables, EVERYTHING).await.expect("protects");
        }
        connection.execute("SAVEPOINT unbound").await.expect("saves");
        let found = breaches(connection, rules, &subject, Binding::Bind).await.expect("is read");
        if rules == Rules::Own {
            connection.execute("ROLLBACK TO SAVEPOINT unbound").await.expect("rolls back");
            let screen = screened(connection, &subject).await.expect("is read");
            assert!(found.is_empty() || screen != Screen::Clean, "the screen misses {found:?}: {sql}");
            assert_eq!(found, breaches_of_new(connection, &subject, Binding::Bind).await.expect("is read"), "{sql}");
        }
        connection.execute("ROLLBACK").await.expect("rolls back");
        found
    }
}

fn codes(found: &[Breach]) -> Vec<&str> {
    found.iter().map(|breach| breach.code).collect()
}

#[tokio::test]
async fn every_unsafe_migration_is_found_by_its_code_with_a_correction() {
    let mut place = Place::new().await;
    for (name, sql, code) in CASES.iter().chain(FUNCTIONS).chain(LATER) {
        let found = place.found(sql, Rules::Row, true, false).await;
        assert!(codes(&found).contains(code), "{name}: {found:?}");
        assert!(
            found.iter().all(|breach| !breach.correction.is_empty() && breach.code != "unsafe"),
            "{name}: {found:?}"
        );
        // The smaller query for new tenants says the same as the whole one.
        place.found(sql, Rules::Own, false, false).await;
    }
    for (name, sql, code) in SHARED {
        let found = place.found(sql, Rules::Shared, false, false).await;
        assert!(codes(&found).contains(code), "{name}: {found:?}");
    }
}

#[tokio::test]
async fn what_is_safe_is_accepted_under_every_isolation() {
    let mut place = Place::new().await;
    for (name, sql) in ACCEPTED {
        for rules in [Rules::Row, Rules::Own] {
            let found = place.found(sql, rules, rules == Rules::Row, false).await;
            assert!(found.is_empty(), "{name}: {found:?}");
        }
    }
}

#[tokio::test]
async fn what_can_be_put_right_is_and_what_drifted_since_is_found() {
    let mut place = Place::new().await;
    for (name, sql) in REPAIRED {
        let found = place.found(sql, Rules::Row, true, false).await;
        assert!(found.is_empty(), "{name}: {found:?}");
    }
    for (name, sql, code) in DRIFT {
        let found = place.found(sql, Rules::Row, false, true).await;
        assert!(codes(&found).contains(code), "{name}: {found:?}");
    }
}
