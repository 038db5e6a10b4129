//! The servers of a comparison, filled.

mod mariadb;
mod postgres;
mod seed;

use std::{collections::BTreeMap, path::Path};

use mariadb::MariaDb;
pub(crate) use mariadb::missing as missing_mariadb;
use postgres::PostgresServer;

use crate::{
    Result,
    processes::Memory,
    systems::{Engine, System},
};

/// Whose users the untenanted systems read.
pub(crate) const SINGLE: &str = "single";

/// Those that the systems need; they stop with this value.
pub(crate) struct Servers {
    postgres: PostgresServer,
    mariadb: Option<MariaDb>,
}

impl Servers {
    pub(crate) fn start(systems: &[&'static System], tenants: usize, scratch: &Path) -> Result<Self> {
        let of = |engine| systems.iter().copied().filter(|s| s.engine == engine).collect::<Vec<_>>();
        let postgres = PostgresServer::start(&of(Engine::Postgres), tenants)?;
        let uses_mariadb = !of(Engine::MariaDb).is_empty();
        let mariadb = uses_mariadb.then(|| MariaDb::start(tenants, &scratch.join("mariadb"))).transpose()?;
        Ok(Self { postgres, mariadb })
    }

    pub(crate) fn versions(&self) -> String {
        let mariadb = self.mariadb.as_ref().map(|server| format!(" and {}", server.version())).unwrap_or_default();
        format!("{}{mariadb}", self.postgres.version())
    }

    /// Of the server of a system.
    pub(crate) fn main_process(&self, system: &System) -> Result<u32> {
        self.each(system, |postgres| Ok(postgres.main_process()), |mariadb| Ok(mariadb.main_process()))
    }

    pub(crate) fn port(&self, system: &System) -> Result<u16> {
        self.each(system, PostgresServer::port, |mariadb| Ok(mariadb.port()))
    }

    /// What a system signs in with, through this port; where it has a database of its own, in a new one for this use.
    pub(crate) fn url_for(&self, system: &System, use_: &str, port: u16) -> Result<String> {
        self.each(system, |postgres| postgres.url_for(system, use_, port), |_| Ok(mariadb::url(port)))
    }

    /// Of the processes behind a system's connections, where these are processes.
    pub(crate) fn memory_for(&self, system: &System) -> Result<Option<Memory>> {
        self.each(system, |postgres| postgres.memory_for(system).map(Some), |_| Ok(None))
    }

    /// What each system has written, in all databases.
    pub(crate) fn written(&self) -> Result<AllWritten> {
        let mut all = AllWritten::default();
        self.postgres.written(&mut all)?;
        self.mariadb.iter().try_for_each(|server| server.written(&mut all))?;
        Ok(all)
    }

    fn each<T>(
        &self,
        system: &System,
        postgres: impl FnOnce(&PostgresServer) -> Result<T>,
        mariadb: impl FnOnce(&MariaDb) -> Result<T>,
    ) -> Result<T> {
        match (system.engine, &self.mariadb) {
            (Engine::Postgres, _) => postgres(&self.postgres),
            (Engine::MariaDb, Some(server)) => mariadb(server),
            (Engine::MariaDb, None) => Err("MariaDB was not started".into()),
        }
    }
}

/// What was found of one system in the tables after the load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) notes: u64,
    /// In the table of a tenant that they were not meant for.
    pub(crate) misplaced: u64,
}

#[derive(Debug, Default)]
pub(crate) struct AllWritten(BTreeMap<String, Written>);

impl AllWritten {
    pub(crate) fn by(&self, system: &System) -> Written {
        self.0.get(system.name).copied().unwrap_or_default()
    }

    /// Adds a server's lines: system, notes, notes in another tenant's table.
    fn read(&mut self, lines: &str, separator: char) {
        for line in lines.lines() {
            let mut fields = line.split(separator);
            let Some(sum) = fields.next().map(|system| self.0.entry(system.to_owned()).or_default()) else { continue };
            let mut number = || fields.next().and_then(|field| field.parse::<u64>().ok()).unwrap_or_default();
            sum.notes += number();
            sum.misplaced += number();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systems;

    #[test]
    fn what_was_written_is_added_up_over_the_databases() {
        let (mut all, flask) = (AllWritten::default(), systems::named("flask-search-path").unwrap());
        all.read("flask-search-path|12|1\nsqlx-row|5|0", '|');
        all.read("flask-search-path\t3\t1\n", '\t');
        assert_eq!(all.by(flask), Written { notes: 15, misplaced: 2 });
        assert_eq!(all.by(systems::named("untenanted").unwrap()), Written::default());
    }
}
