//! Whether a login may serve an app: what it is, owns and belongs to, asked right after it connected.

use sqlx::{AssertSqlSafe, postgres::PgConnection};

use crate::{engine::postgres::rights::memberships_inherit, ident::Ident};

/// Which memberships are right.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expect<'a> {
    /// None: the login of row isolation, of the shared tables, or of one tenant's own database.
    Alone,
    /// Tenants' roles, whose names begin like this, and nothing else; these read the shared tables as members of `reader`.
    TenantRoles { prefix: &'a Ident, reader: &'a Ident },
}

const LOGIN: &str = include_str!("login.sql");

/// Why the login of this connection must not be used, in one round trip; empty if it may.
pub(crate) async fn login_breaches(connection: &mut PgConnection, expect: Expect<'_>) -> sqlx::Result<Vec<String>> {
    let inherits = if memberships_inherit(connection) { " OR m.inherit_option" } else { "" };
    let (expected, reader) = match expect {
        Expect::Alone => ("false".to_owned(), ""),
        Expect::TenantRoles { prefix, reader } => {
            (format!("pg_catalog.starts_with(r.rolname::text, '{prefix}')"), reader.as_str())
        }
    };
    let sql = LOGIN.replace("{inherits}", inherits).replace("{expected}", &expected).replace("{reader}", reader);
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await?;
    rows.iter().map(|row| sqlx::Row::try_get(row, 0)).collect()
}
