//! A server that can be used, whoever started it: its URLs, and SQL by `psql`.

use std::{
    env,
    fs::File,
    io::{Seek, Write},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use crate::{
    During, Result, TestDatabase, address::Address, private::PrivatePostgres, programs, programs::Programs,
    proxy::Proxy, shared, tls::Certificates,
};

/// A PostgreSQL server and its superuser. A clone is the same server.
#[derive(Clone, Debug)]
pub struct Postgres {
    socket: Address,
    tcp: Address,
    programs: Programs,
    version: u32,
    /// By which the shared server's keeper sees that it is used.
    _use: Option<Arc<File>>,
}

impl Postgres {
    /// The server that all tests of this user share, which is started if it does not run; or the one that
    /// `TENANTRY_TEST_POSTGRES_URL` names.
    ///
    /// # Errors
    /// A text that says what is missing or what the server's log complains about.
    pub fn shared() -> Result<Self> {
        shared::usual()
    }

    /// As [`shared`](Self::shared), among those that use the same folder, which has a short path and nobody else's files
    /// in it. It ends when nobody has used it for `idle`, to the second.
    ///
    /// # Errors
    /// As for [`shared`](Self::shared).
    pub fn shared_in(folder: &Path, idle: std::time::Duration) -> Result<Self> {
        shared::in_folder(folder, idle)
    }

    /// A server of the caller's own, with further lines for `postgresql.conf`.
    ///
    /// # Errors
    /// As for [`shared`](Self::shared); a setting that the server refuses is in its log.
    pub fn private(settings: &[(&str, &str)]) -> Result<PrivatePostgres> {
        PrivatePostgres::start_new(settings, None)
    }

    /// A private server with TLS, whose certificate is for these names and addresses: [`LOCALHOST`](crate::LOCALHOST),
    /// or others for a test in which the certificate is the wrong one. Sign in by
    /// [`tcp_url`](Self::tcp_url) and [`ca_file`](PrivatePostgres::ca_file).
    ///
    /// # Errors
    /// As for [`private`](Self::private), and if `openssl` is missing.
    pub fn private_with_tls(names: &[&str], settings: &[(&str, &str)]) -> Result<PrivatePostgres> {
        PrivatePostgres::start_new(settings, Some(Certificates::for_names(names)))
    }

    pub(crate) fn ours(folder: &Path, port: u16, programs: Programs, version: u32) -> Self {
        let (socket, tcp) = (Address::socket(folder, port), Address::tcp(port));
        Self { socket, tcp, programs, version, _use: None }
    }

    /// Somebody else's server.
    pub(crate) fn at(url: &str) -> Result<Self> {
        let address = Address::parse(url)?;
        let programs = Programs::find().or_else(|missing| {
            let psql = programs::find("psql").ok_or(missing)?;
            Ok::<_, String>(Programs::at(psql.parent().unwrap_or(Path::new("/"))))
        })?;
        let mut server = Self { socket: address.clone(), tcp: address, programs, version: 0, _use: None };
        let version = server.sql_at(url, "SHOW server_version_num")?;
        server.version = version.parse().during(&format!("the server has version `{version}`"))?;
        Ok(server)
    }

    pub(crate) fn used_by(self, lock: File) -> Self {
        Self { _use: Some(Arc::new(lock)), ..self }
    }

    /// The admin over the server's unix socket.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.socket.url(database)
    }

    /// The admin with its password over TCP, on 127.0.0.1.
    #[must_use]
    pub fn tcp_url(&self, database: &str) -> String {
        self.tcp.url(database)
    }

    /// A proxy before the server, and the URL of [`tcp_url`](Self::tcp_url) that goes through it.
    ///
    /// # Errors
    /// If no port is free, or the server is on another machine.
    pub fn proxied(&self, database: &str) -> Result<(Proxy, String)> {
        let (host, port) = (self.tcp.host(), self.tcp.port());
        let port = port.parse().ok().filter(|_| matches!(host, "localhost" | "127.0.0.1"));
        let proxy = Proxy::before(port.ok_or_else(|| format!("no proxy goes before a server on `{host}`"))?)?;
        let url = self.tcp.at(proxy.port()).url(database);
        Ok((proxy, url))
    }

    /// As `server_version_num` says it: 150018 is 15.18.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// A fresh database without anything in it, dropped with the answered value.
    ///
    /// # Errors
    /// What `psql` complains about.
    pub fn database(&self) -> Result<TestDatabase> {
        TestDatabase::create(self.clone())
    }

    /// Runs SQL as the admin by `psql`, for what no API of the product does: the rows as lines, their columns
    /// separated by `|`. The statements are transactions of their own.
    ///
    /// # Errors
    /// What `psql` complains about; statements before the failing one have had their effect.
    pub fn sql(&self, database: &str, text: &str) -> Result<String> {
        self.sql_at(&self.url(database), text)
    }

    /// The same as somebody else, or elsewhere: the URL says it all.
    ///
    /// # Errors
    /// What `psql` complains about.
    pub fn sql_at(&self, url: &str, text: &str) -> Result<String> {
        let mut command = Command::new(self.programs.named("psql"));
        command.args(["-X", "-A", "-t", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-d", url]).stdin(input(text)?);
        // The settings of whoever runs the tests must not reach the server.
        let settings = env::vars_os().map(|(name, _)| name).filter(|name| name.to_string_lossy().starts_with("PG"));
        settings.for_each(|name| {
            command.env_remove(name);
        });
        let output = programs::output(command.env("PGCLIENTENCODING", "UTF8"))?;
        Ok(output.strip_suffix('\n').unwrap_or(&output).into())
    }

    pub(crate) fn address(&self) -> &Address {
        &self.socket
    }
}

/// By a file: with a pipe a long text and a long answer would wait for each other.
fn input(text: &str) -> Result<Stdio> {
    let write = || {
        let mut file = tempfile::tempfile()?;
        file.write_all(text.as_bytes())?;
        file.rewind()?;
        Ok::<_, std::io::Error>(file)
    };
    write().during("write the SQL for `psql`").map(Stdio::from)
}
