//! A new database for one test.

use sqlx::{AssertSqlSafe, Connection as _, Executor, postgres::PgConnection};
use url::Url;
use uuid::Uuid;

use super::{
    PgDriver,
    names::{Names, quoted},
    session::{connect, dial::in_time},
};
use crate::{
    engine::scratch::{Scratch, ScratchMaker},
    error::{Error, ErrorKind, Result},
    id::TenantId,
};

impl ScratchMaker for PgDriver {
    async fn scratch_new(url: &str) -> Result<(String, String, String)> {
        let name = format!("tenantry_test_{}", Uuid::now_v7().as_simple());
        let within = in_database(url, &name)?;
        let mut admin = administrator(url).await?;
        // Not of `template1`: two databases cannot be made of it while somebody looks at it.
        admin.execute(AssertSqlSafe(format!("CREATE DATABASE {} TEMPLATE template0", quoted(&name)))).await?;
        admin.close().await?;
        Ok((name, within.clone(), within))
    }

    async fn scratch_remove(scratch: &Scratch, installation: TenantId) -> Result<()> {
        let prefix = Names::new(installation, "any", None)?.prefix();
        let mut admin = administrator(scratch.maker.expose()).await?;
        let mut databases =
            named(&mut admin, "SELECT datname FROM pg_database WHERE starts_with(datname, $1)", &prefix).await?;
        databases.push(scratch.name.clone());
        for name in databases {
            admin.execute(AssertSqlSafe(format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", quoted(&name)))).await?;
        }
        // Roles belong to the server and not to a database: they outlive all of these.
        for name in named(&mut admin, "SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1)", &prefix).await? {
            admin.execute(AssertSqlSafe(format!("DROP ROLE IF EXISTS {}", quoted(&name)))).await?;
        }
        admin.close().await?;
        Ok(())
    }
}

async fn administrator(url: &str) -> Result<PgConnection> {
    Ok(in_time(&connect::parse(url, "server URL")?).await?)
}

async fn named(admin: &mut PgConnection, query: &'static str, prefix: &str) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(query).bind(prefix).fetch_all(admin).await?)
}

/// The same server and login, in another database.
fn in_database(url: &str, name: &str) -> Result<String> {
    let mut url = Url::parse(url).map_err(|e| {
        Error::new(ErrorKind::InvalidInput, "the server URL cannot be read")
            .caused_by(e)
            .help("write postgres://USER:PASSWORD@HOST:PORT/DATABASE")
    })?;
    let others: Vec<(String, String)> = url.query_pairs().into_owned().filter(|(key, _)| key != "dbname").collect();
    url.set_query(None);
    if !others.is_empty() {
        url.query_pairs_mut().extend_pairs(others);
    }
    url.set_path(name);
    Ok(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_database_keeps_the_rest_of_the_url() {
        for (url, expected) in [
            ("postgres://a:b@h:5/d", "postgres://a:b@h:5/t"),
            ("postgres://a@h", "postgres://a@h/t"),
            ("postgres:///d?host=%2Frun&dbname=e", "postgres:///t?host=%2Frun"),
        ] {
            assert_eq!(in_database(url, "t").ok().as_deref(), Some(expected));
        }
    }
}
