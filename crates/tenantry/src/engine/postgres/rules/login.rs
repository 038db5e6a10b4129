//! Whether a login may serve an app: what it is, owns and belongs to, asked right after it connected.

use sqlx::{AssertSqlSafe, postgres::PgConnection};

use crate::{engine::postgres::administration::rights::memberships_inherit, ident::Ident};

/// Which memberships are right.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Expect<'a> {
    /// The role of row isolation. None other may be reached by it.
    pub(crate) rows: Option<&'a Ident>,
    /// How the names of tenants' roles begin, and the role as whose members these read the shared tables.
    pub(crate) tenants: Option<(&'a Ident, &'a Ident)>,
}

impl Expect<'_> {
    /// Of a role `r`, as a condition.
    fn condition(self) -> String {
        let rows = self.rows.map(|role| format!("r.rolname = '{role}'"));
        let tenants = self.tenants.map(|(prefix, _)| format!("pg_catalog.starts_with(r.rolname::text, '{prefix}')"));
        let all: Vec<String> = [rows, tenants].into_iter().flatten().collect();
        if all.is_empty() { "false".to_owned() } else { format!("({})", all.join(" OR ")) }
    }
}

const LOGIN: &str = include_str!("login.sql");

/// Why the login of this connection must not be used, in one round trip; empty if it may.
pub(crate) async fn login_breaches(connection: &mut PgConnection, expect: Expect<'_>) -> sqlx::Result<Vec<String>> {
    let inherits = if memberships_inherit(connection) { " OR m.inherit_option" } else { "" };
    let (expected, reader) = (expect.condition(), expect.tenants.map_or("", |(_, reader)| reader.as_str()));
    let sql = LOGIN.replace("{inherits}", inherits).replace("{expected}", &expected).replace("{reader}", reader);
    let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(connection).await?;
    rows.iter().map(|row| sqlx::Row::try_get(row, 0)).collect()
}
