//! A database for one test.

use std::process;

use crate::{Postgres, Proxy, Result, port};

/// A database that is dropped with this value, together with the connections to it, and with the databases and roles of
/// the installation of tenantry that has it. Other roles belong to the whole server and stay: give yours names of their
/// own.
#[derive(Debug)]
pub struct TestDatabase {
    server: Postgres,
    name: String,
}

impl TestDatabase {
    pub(crate) fn create(server: Postgres) -> Result<Self> {
        let name = format!("test_{}_{:016x}", process::id(), port::random());
        server.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(Self { server, name })
    }

    /// Unique on the server, and a plain identifier.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The admin over the server's unix socket.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// The admin with its password over TCP.
    #[must_use]
    pub fn tcp_url(&self) -> String {
        self.server.tcp_url(&self.name)
    }

    /// A proxy before its server, and the URL of [`tcp_url`](Self::tcp_url) that goes through it.
    ///
    /// # Errors
    /// As [`Postgres::proxied`].
    pub fn proxied(&self) -> Result<(Proxy, String)> {
        self.server.proxied(&self.name)
    }

    /// The server that it is on.
    #[must_use]
    pub fn server(&self) -> &Postgres {
        &self.server
    }

    /// Runs SQL in it as the admin, see [`Postgres::sql`].
    ///
    /// # Errors
    /// What `psql` complains about.
    pub fn sql(&self, text: &str) -> Result<String> {
        self.server.sql(&self.name, text)
    }
}

impl TestDatabase {
    /// What marks the names of everything that an installation makes on a server, if one has this database.
    fn mark(&self) -> Option<String> {
        let mark =
            self.sql("SELECT 'tn_' || right(replace(owner::text, '-', ''), 12) || '_' FROM tenantry.place").ok()?;
        Some(mark).filter(|mark| !mark.is_empty())
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let mark = self.mark();
        let sql = |text: &str| {
            // A test may have dropped it, or stopped the server.
            let _ = self.server.sql("postgres", text);
        };
        sql(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        if let Some(mark) = mark {
            sql(&format!(
                "SELECT format('DROP DATABASE %I WITH (FORCE)', datname) FROM pg_database WHERE starts_with(datname, '{mark}') \\gexec
                 SELECT format('DROP ROLE %I', rolname) FROM pg_roles WHERE starts_with(rolname, '{mark}') \\gexec"
            ));
        }
    }
}
