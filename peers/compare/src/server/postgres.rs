//! PostgreSQL, with the databases of everybody who uses it.

use tenantry_testbed::{Postgres, PrivatePostgres};

use super::{AllWritten, seed};
use crate::{
    Result, processes,
    processes::Memory,
    systems::{System, Tenants},
};

pub(super) struct PostgresServer {
    postgres: PrivatePostgres,
}

/// Connections of each system, those of its second instance for counting, and some to look.
const CONNECTIONS_A_SYSTEM: usize = 72;

impl PostgresServer {
    /// As it is delivered but for its size, on a disk that keeps what it is told to.
    pub(super) fn start(systems: &[&'static System], tenants: usize) -> Result<Self> {
        let connections = (systems.len() * CONNECTIONS_A_SYSTEM + 50).to_string();
        let settings = [
            ("fsync", "on"),
            ("full_page_writes", "on"),
            ("shared_buffers", "512MB"),
            ("max_connections", connections.as_str()),
            ("max_locks_per_transaction", "256"),
        ];
        let server = Self { postgres: Postgres::private(&settings)? };
        let seeded: Vec<_> = systems.iter().filter(|s| !is_own(s)).map(|system| system.name).collect();
        server.postgres.sql("postgres", &seed::logins(&seeded))?;
        server.postgres.sql(seed::DATABASE, &seed::seed(tenants))?;
        Ok(server)
    }

    pub(super) fn version(&self) -> String {
        let version = self.postgres.version();
        format!("PostgreSQL {}.{}", version / 10_000, version % 10_000)
    }

    pub(super) fn main_process(&self) -> u32 {
        self.postgres.pid()
    }

    pub(super) fn port(&self) -> Result<u16> {
        let url = self.postgres.tcp_url("");
        let port = url.trim_end_matches('/').rsplit(':').next().and_then(|port| port.parse().ok());
        port.ok_or_else(|| "the server has no port".into())
    }

    /// What a system signs in with: of the seeded database, or the administrator's of a new one of its own.
    pub(super) fn url_for(&self, system: &System, use_: &str, port: u16) -> Result<String> {
        if is_own(system) {
            let name = own_database(system, use_);
            self.postgres.sql("postgres", &format!("CREATE DATABASE {name}"))?;
            return Ok(self.postgres.tcp_url(&name).replace(&format!(":{}/", self.port()?), &format!(":{port}/")));
        }
        Ok(format!("postgres://{}:{}@127.0.0.1:{port}/{}", system.name, seed::PASSWORD, seed::DATABASE))
    }

    /// Of the processes that serve a system's connections, or of all that serve tenants' own databases.
    pub(super) fn memory_for(&self, system: &System) -> Result<Memory> {
        let whose = match system.tenants {
            // The login of a tenant's own database is named after that.
            Tenants::OwnUpTo(_) => format!("datname = '{}' OR datname = usename", own_database(system, "load")),
            Tenants::Seeded | Tenants::None => format!("usename = '{}'", system.name),
        };
        let question = format!("SELECT pid FROM pg_stat_activity WHERE {whose}");
        let answer = self.postgres.sql("postgres", &question)?;
        Ok(processes::memory(answer.lines().filter_map(|line| line.parse().ok())))
    }

    pub(super) fn written(&self, all: &mut AllWritten) -> Result {
        let all_of_them = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate";
        let databases = self.postgres.sql("postgres", all_of_them)?;
        for database in databases.lines() {
            all.read(&self.postgres.sql(database, seed::WRITTEN)?, '|');
        }
        Ok(())
    }
}

fn is_own(system: &System) -> bool {
    matches!(system.tenants, Tenants::OwnUpTo(_))
}

fn own_database(system: &System, use_: &str) -> String {
    format!("{}_{use_}", system.name.replace('-', "_"))
}
