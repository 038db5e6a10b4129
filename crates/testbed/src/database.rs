//! A database for one test.

use std::process;

use crate::{Postgres, Result, port};

/// A database that is dropped with this value, together with the connections to it. Roles belong to the whole server
/// and stay: give yours names of their own.
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

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // A test may have dropped it, or stopped the server.
        let _ = self.server.sql("postgres", &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}
