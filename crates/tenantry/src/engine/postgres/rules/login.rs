//! Whether a login may serve an app: what it is, owns and belongs to, asked right after it connected.

use sqlx::{AssertSqlSafe, postgres::PgConnection};

use crate::ident::Ident;

/// Which memberships are right.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expect<'a> {
    /// None: the login of row isolation, of the shared tables, or of one tenant's own database.
    Alone,
    /// Tenants' roles, whose names begin like this, and nothing else; these read the shared tables as members of `reader`.
    TenantRoles { prefix: &'a Ident, reader: &'a Ident },
}

const LOGIN: &str = include_str!("login.sql");
/// From here on a membership says for itself whether it inherits.
const MEMBERSHIP_INHERITS: u32 = 160_000;

/// Why the login of this connection must not be used, in one round trip; empty if it may.
pub(crate) async fn login_breaches(connection: &mut PgConnection, expect: Expect<'_>) -> sqlx::Result<Vec<String>> {
    let inherits = match connection.server_version_num() {
        Some(version) if version >= MEMBERSHIP_INHERITS => " OR m.inherit_option",
        _ => "",
    };
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
