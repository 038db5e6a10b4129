//! Where the shop of a test lives: a directory, and on PostgreSQL a database.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use tenantry_testbed::{Postgres, TestDatabase};

use crate::support::{SECRET, Shop};

/// Where tenants live, and how they are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    PostgresRow,
    PostgresSchema,
    PostgresDatabase,
}

impl Engine {
    pub(crate) const fn isolation(self) -> &'static str {
        match self {
            Self::PostgresRow => "row",
            Self::PostgresSchema => "schema",
            Self::Sqlite | Self::PostgresDatabase => "database",
        }
    }
}

/// Goes away with all that is in it.
pub(crate) struct Home {
    dir: TempDir,
    options: Vec<(&'static str, String)>,
    pub(crate) database: Option<TestDatabase>,
}

impl Home {
    pub(crate) fn on(engine: Engine) -> Self {
        if engine == Engine::Sqlite {
            return Self::with(Vec::new());
        }
        let database = Postgres::shared().unwrap().database().unwrap();
        // By the way on which everybody has to have the right password.
        let options = vec![("--server", database.tcp_url()), ("--isolation", engine.isolation().into())];
        Self { database: Some(database), ..Self::with(options) }
    }

    pub(crate) fn with(options: Vec<(&'static str, String)>) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), options, database: None }
    }

    /// Another directory with the same server.
    pub(crate) fn beside(&self) -> Self {
        Self::with(self.options.clone())
    }

    /// From here on it is started with nothing but the arguments given.
    pub(crate) fn forget_options(&mut self) {
        self.options.clear();
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The program, not started yet, without what the caller's shell sets for its own.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare_command();
        for (option, value) in &self.options {
            command.args([option, value.as_str()]);
        }
        command.args(arguments);
        command
    }

    /// The same with the environment in the place of options.
    pub(crate) fn command_by_environment(&self) -> Command {
        let mut command = self.bare_command();
        for (option, value) in &self.options {
            command.env(option.replace("--", "SHOP_").to_uppercase(), value);
        }
        command
    }

    fn bare_command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_shop"));
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|n| ["SHOP_", "TENANTRY_", "PG", "RUST_LOG"].iter().any(|p| n.starts_with(p)))
            {
                command.env_remove(name);
            }
        }
        command.args(["--listen", "127.0.0.1:0", "--jwt-secret", SECRET]).current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// Starts it and waits until it serves.
    pub(crate) fn start(self, arguments: &[&str]) -> Shop {
        let (child, banner) = self.serve(arguments, "log");
        Shop::of(self, child, banner)
    }

    /// One more process of what lives here, which writes its log into that file.
    pub(crate) fn serve(&self, arguments: &[&str], log_file: &str) -> (Child, Vec<String>) {
        let log = File::create(self.path().join(log_file)).unwrap();
        let mut child = self.command(arguments).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let Some(first) = lines.next() else {
            let status = child.wait().unwrap();
            let log = std::fs::read_to_string(self.path().join(log_file)).unwrap();
            panic!("the shop ended with {status}: {log}");
        };
        let mut banner = vec![first];
        // The last line names the operator's program; the pipe stays open behind it.
        while banner.last().is_some_and(|line| !line.contains("tenantry --config")) {
            banner.push(lines.next().unwrap());
        }
        (child, banner)
    }
}
