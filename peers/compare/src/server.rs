//! The PostgreSQL server of a comparison, with everybody's databases.

use std::collections::BTreeMap;

use tenantry_testbed::{Postgres, PrivatePostgres};

use crate::{
    Result, processes,
    processes::Memory,
    seed,
    systems::{System, Tenants},
};

pub(crate) struct Server {
    postgres: PrivatePostgres,
}

/// What was found in the tables after the load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) notes: u64,
    /// In the table of a tenant that they were not meant for.
    pub(crate) misplaced: u64,
}

/// Connections of each system, those of its second instance for counting, and some to look.
const CONNECTIONS_A_SYSTEM: usize = 72;

impl Server {
    /// As it is delivered but for its size, on a disk that keeps what it is told to.
    pub(crate) fn start(systems: &[&'static System], tenants: usize) -> Result<Self> {
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

    pub(crate) fn version(&self) -> String {
        let version = self.postgres.version();
        format!("{}.{}", version / 10_000, version % 10_000)
    }

    pub(crate) fn main_process(&self) -> u32 {
        self.postgres.pid()
    }

    pub(crate) fn port(&self) -> Result<u16> {
        let url = self.postgres.tcp_url("");
        let port = url.trim_end_matches('/').rsplit(':').next().and_then(|port| port.parse().ok());
        port.ok_or_else(|| "the server has no port".into())
    }

    /// What a system signs in with: of the seeded database, or the administrator's of a new one of its own.
    pub(crate) fn url_for(&self, system: &System, use_: &str, port: u16) -> Result<String> {
        if is_own(system) {
            let name = own_database(system, use_);
            self.postgres.sql("postgres", &format!("CREATE DATABASE {name}"))?;
            return Ok(self.postgres.tcp_url(&name).replace(&format!(":{}/", self.port()?), &format!(":{port}/")));
        }
        Ok(format!("postgres://{}:{}@127.0.0.1:{port}/{}", system.name, seed::PASSWORD, seed::DATABASE))
    }

    /// Of the processes that serve a system's connections, or of all that serve tenants' own databases.
    pub(crate) fn memory_for(&self, system: &System) -> Result<Memory> {
        let whose = match system.tenants {
            // The login of a tenant's own database is named after that.
            Tenants::OwnUpTo(_) => format!("datname = '{}' OR datname = usename", own_database(system, "load")),
            Tenants::Seeded | Tenants::None => format!("usename = '{}'", system.name),
        };
        let question = format!("SELECT pid FROM pg_stat_activity WHERE {whose}");
        let answer = self.postgres.sql("postgres", &question)?;
        Ok(processes::memory(answer.lines().filter_map(|line| line.parse().ok())))
    }

    /// What each system has written, in all databases.
    pub(crate) fn written(&self) -> Result<BTreeMap<String, Written>> {
        let databases = self.postgres.sql("postgres", "SELECT datname FROM pg_database WHERE NOT datistemplate")?;
        let mut all = BTreeMap::<String, Written>::new();
        for database in databases.lines() {
            for (system, written) in self.postgres.sql(database, seed::WRITTEN)?.lines().filter_map(written_of) {
                let sum = all.entry(system).or_default();
                sum.notes += written.notes;
                sum.misplaced += written.misplaced;
            }
        }
        Ok(all)
    }
}

fn is_own(system: &System) -> bool {
    matches!(system.tenants, Tenants::OwnUpTo(_))
}

fn own_database(system: &System, use_: &str) -> String {
    format!("{}_{use_}", system.name.replace('-', "_"))
}

fn written_of(line: &str) -> Option<(String, Written)> {
    let mut fields = line.split('|');
    let system = fields.next()?.to_owned();
    Some((system, Written { notes: fields.next()?.parse().ok()?, misplaced: fields.next()?.parse().ok()? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_from_the_servers_lines() {
        assert_eq!(written_of("flask|12|1"), Some(("flask".into(), Written { notes: 12, misplaced: 1 })));
        assert_eq!(written_of(""), None);
    }
}
