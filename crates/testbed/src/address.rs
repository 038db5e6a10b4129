//! Where a server is and how its admin signs in, as URLs that sqlx and libpq read alike.

use std::path::Path;

use crate::Result;

pub(crate) const ADMIN: &str = "admin";
pub(crate) const ADMIN_PASSWORD: &str = "admin-password";

/// A server's URL without the database.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    before: String,
    after: String,
}

impl Address {
    /// The admin without a password on a server that we started.
    pub(crate) fn socket(folder: &Path, port: u16) -> Self {
        Self { before: format!("postgres://{ADMIN}@localhost:{port}/"), after: format!("?host={}", folder.display()) }
    }

    pub(crate) fn tcp(port: u16) -> Self {
        Self { before: format!("postgres://{ADMIN}:{ADMIN_PASSWORD}@127.0.0.1:{port}/"), after: String::new() }
    }

    /// Of the URL of any database on the server.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        let malformed = || format!("`{url}` is no URL of a server: `postgres://USER:PASSWORD@HOST:PORT/DATABASE`");
        let (scheme, rest) = url.split_once("://").ok_or_else(malformed)?;
        let end = rest.find('?').unwrap_or(rest.len());
        let (server, after) = rest.split_at(end);
        let server = server.split('/').next().filter(|server| !server.is_empty()).ok_or_else(malformed)?;
        Ok(Self { before: format!("{scheme}://{server}/"), after: after.into() })
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("{}{database}{}", self.before, self.after)
    }

    pub(crate) fn user(&self) -> &str {
        self.sign_in().split(':').next().unwrap_or_default()
    }

    pub(crate) fn password(&self) -> &str {
        self.sign_in().split_once(':').map_or("", |(_, password)| password)
    }

    /// A name, or the folder of the server's socket.
    pub(crate) fn host(&self) -> &str {
        let host = self.after.trim_start_matches('?').split('&').find_map(|p| p.strip_prefix("host="));
        host.unwrap_or_else(|| self.place().rsplit_once(':').map_or(self.place(), |(host, _)| host))
    }

    pub(crate) fn port(&self) -> &str {
        self.place().rsplit_once(':').map_or("5432", |(_, port)| port)
    }

    /// The same way of signing in, at another port of this machine.
    pub(crate) fn at(&self, port: u16) -> Self {
        let (scheme, _) = self.before.split_once("://").unwrap_or(("postgres", ""));
        let sign_in = self.sign_in();
        Self { before: format!("{scheme}://{sign_in}@127.0.0.1:{port}/"), after: self.after.clone() }
    }

    fn server(&self) -> &str {
        self.before.split_once("://").map_or("", |(_, server)| server).trim_end_matches('/')
    }

    fn sign_in(&self) -> &str {
        self.server().rsplit_once('@').map_or("", |(sign_in, _)| sign_in)
    }

    fn place(&self) -> &str {
        self.server().rsplit_once('@').map_or(self.server(), |(_, place)| place)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_url_takes_another_database_and_keeps_the_rest() {
        let address = Address::parse("postgres://me:secret@db.test:5433/app?sslmode=require").unwrap();
        assert_eq!(address.url("other"), "postgres://me:secret@db.test:5433/other?sslmode=require");
        let parts = [address.user(), address.password(), address.host(), address.port()];
        assert_eq!(parts, ["me", "secret", "db.test", "5433"]);
        assert_eq!(Address::parse("postgres://me@db.test").unwrap().url("x"), "postgres://me@db.test/x");
    }

    #[test]
    fn a_proxy_is_signed_in_to_as_the_server_is() {
        let address = Address::parse("postgres://me:secret@localhost:5433/app?sslmode=disable").unwrap();
        assert_eq!(address.at(7).url("x"), "postgres://me:secret@127.0.0.1:7/x?sslmode=disable");
    }

    #[test]
    fn a_socket_is_a_host_too() {
        let address = Address::socket(Path::new("/tmp/a"), 5000);
        assert_eq!(address.url("x"), "postgres://admin@localhost:5000/x?host=/tmp/a");
        assert_eq!((address.host(), address.port(), address.password()), ("/tmp/a", "5000", ""));
    }

    #[test]
    fn what_is_no_url_is_refused() {
        assert!(Address::parse("host=localhost").unwrap_err().contains("`host=localhost` is no URL"));
        assert!(Address::parse("postgres:///app").is_err());
    }
}
