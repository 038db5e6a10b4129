//! An installation in a directory of its own, and the real program run in it, without a terminal.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};
use tenantry_testbed::{Postgres, TestDatabase};

pub struct Site {
    pub dir: tempfile::TempDir,
    /// Where the tenants live, if not in files.
    pub database: Option<TestDatabase>,
}

/// What a run left behind.
#[derive(Debug)]
pub struct Ran {
    /// `None`: killed by a signal.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Site {
    /// An empty directory.
    pub fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), database: None }
    }

    /// A directory in which `tenantry init` was run.
    pub fn new() -> Self {
        let site = Self::empty();
        site.ok(&["init"]);
        site
    }

    /// With one table for tenants, not yet applied to anything, and these tenants.
    pub fn with_tenants(keys: &[&str]) -> Self {
        let site = Self::new();
        site.write(
            "migrations/tenant/0001_users.sql",
            "CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT UNIQUE);",
        );
        for key in keys {
            site.ok(&["tenant", "create", key]);
        }
        site
    }

    /// With a server `main` on PostgreSQL in the place of the SQLite one, and two migrations for tenants that are not yet
    /// applied to anything: a table, and a row in it.
    pub fn on_postgres() -> Self {
        let database = Postgres::shared().unwrap().database().unwrap();
        let site = Self { database: Some(database), ..Self::new() };
        // By the way on which a password is asked for.
        site.ok(&["server", "add", "main", &site.database().tcp_url()]);
        site.write("migrations/tenant/0001_users.sql", USERS);
        site.write("migrations/tenant/0002_first.data.sql", "INSERT INTO users (username) VALUES ('first');");
        site
    }

    /// What the audit has of a tenant that had that key, in order: action and outcome.
    pub fn audited(&self, key: &str) -> Vec<(String, String)> {
        let catalog = SqliteConnectOptions::new().filename(self.dir.path().join("catalog.db"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut catalog = catalog.connect().await.unwrap();
            let entries = "SELECT action, outcome FROM audit WHERE tenant_id IN
                             (SELECT tenant_id FROM audit WHERE ' ' || names || ' ' LIKE '% key:' || $1 || ' %')
                            ORDER BY epoch";
            let entries = sqlx::query_as(entries).bind(key).fetch_all(&mut catalog).await.unwrap();
            catalog.close().await.unwrap();
            entries
        })
    }

    /// How many operations have not come to their end.
    pub fn running(&self) -> i64 {
        let catalog = SqliteConnectOptions::new().filename(self.dir.path().join("catalog.db"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut catalog = catalog.connect().await.unwrap();
            let running = "SELECT count(*) FROM operations WHERE state = 'running'";
            let running = sqlx::query_scalar(running).fetch_one(&mut catalog).await.unwrap();
            catalog.close().await.unwrap();
            running
        })
    }

    /// As if a killed process had not been heard of for the time of its lease. Whoever waits for that to happen by itself, as the
    /// tests of crashes on SQLite do, waits for 10 s.
    pub fn let_leases_run_out(&self) {
        let catalog = SqliteConnectOptions::new().filename(self.dir.path().join("catalog.db"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut catalog = catalog.connect().await.unwrap();
            let over = "UPDATE operations SET lease_until = 0 WHERE state = 'running'";
            sqlx::query(over).execute(&mut catalog).await.unwrap();
            catalog.close().await.unwrap();
        });
    }

    pub fn database(&self) -> &TestDatabase {
        self.database.as_ref().unwrap()
    }

    /// What there is on the server that bears the name of a tenant's place, or of a template that is not whole.
    pub fn places(&self) -> Vec<String> {
        let found = self.database().sql(
            "WITH mark AS (SELECT 'tn_' || right(replace(owner::text, '-', ''), 12) || '_' AS mark FROM tenantry.place)
             SELECT 'schema' FROM pg_namespace WHERE starts_with(nspname, 't_')
             UNION ALL SELECT 'database' FROM pg_database, mark WHERE starts_with(datname, mark || 't_')
             UNION ALL SELECT 'owner' FROM pg_roles, mark WHERE starts_with(rolname, mark || 'o_')
             UNION ALL SELECT 'role' FROM pg_roles, mark WHERE starts_with(rolname, mark || 't_')
             UNION ALL SELECT 'half a template' FROM pg_database, mark
                        WHERE starts_with(datname, mark || 'tpl_') AND length(datname) > length(mark || 'tpl_') + 16
             ORDER BY 1",
        );
        found.unwrap().lines().map(str::to_owned).collect()
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tenantry"));
        command.current_dir(self.dir.path()).args(args).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if ["TENANTRY_", "PG", "RUST_LOG", "NO_COLOR"].iter().any(|own| text.starts_with(own)) {
                command.env_remove(&name);
            }
        }
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        self.finish(self.command(args))
    }

    /// Runs it to its end. Whatever it says holds no secret and cannot steer a terminal.
    pub fn finish(&self, mut command: Command) -> Ran {
        let output = command.output().unwrap();
        let ran = Ran {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        let said = format!("{}{}", ran.out, ran.err);
        if let Ok(key) = std::fs::read_to_string(self.dir.path().join("tenantry.key")) {
            assert!(key.is_empty() || !said.contains(key.trim()), "the key is in the output: {ran:?}");
        }
        assert!(!said.contains("v1:"), "a sealed value is in the output: {ran:?}");
        assert!(!said.contains("admin-password"), "the administrator's password is in the output: {ran:?}");
        assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "a control character is in the output: {ran:?}");
        ran
    }

    /// Runs it, expects success and gives what it said on stdout.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {ran:?}");
        ran.out
    }

    /// Runs it and expects this exit code.
    #[track_caller]
    pub fn exits(&self, code: i32, args: &[&str]) -> Ran {
        let ran = self.run(args);
        assert_eq!(ran.code, Some(code), "{args:?}: {ran:?}");
        ran
    }

    /// Runs it with `--json`, expects success, and reads the one document that it answers.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        let out = self.ok(&[args, &["--json"]].concat());
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{args:?}: {e}: {out}"))
    }

    /// As [`Site::json`] for long work: a document a line.
    #[track_caller]
    pub fn json_lines(&self, code: i32, args: &[&str]) -> Vec<Value> {
        let ran = self.exits(code, &[args, &["--json"]].concat());
        ran.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    }

    pub fn write(&self, file: &str, text: &str) {
        std::fs::write(self.dir.path().join(file), text).unwrap();
    }

    pub fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(file)).unwrap()
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    /// The file of a tenant.
    pub fn file_of(&self, key: &str) -> PathBuf {
        let id = self.json(&["tenant", "show", key])["id"].as_str().unwrap().replace('-', "");
        self.path(&format!("data/tenants/t_{id}.db"))
    }

    /// Everything in the directory of tenants' files.
    pub fn tenant_files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.path("data/tenants")).unwrap();
        let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Keys and states of all tenants.
    pub fn tenants(&self) -> Vec<(String, String)> {
        let list = self.json(&["tenant", "list"]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        list.as_array().unwrap().iter().map(|t| (text(&t["key"]), text(&t["state"]))).collect()
    }
}

/// Longer than the lease of a process that was killed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs it and kills it at that failpoint. `false`: it was not reached.
#[track_caller]
pub fn killed_at(site: &Site, point: &str, args: &[&str]) -> bool {
    let mut command = site.command(args);
    command.env("TENANTRY_FAILPOINT", format!("{point}=kill"));
    let ran = site.finish(command);
    assert!(matches!(ran.code, None | Some(0)), "{point}: {ran:?}");
    ran.code.is_none()
}

/// Lets the doctor repair until what a killed process left is no longer its own.
pub fn repair_until(site: &Site, is_right: impl Fn() -> bool) {
    let started = Instant::now();
    loop {
        site.ok(&["doctor", "--repair"]);
        // An operation whose lease still runs is nobody's yet.
        if is_right() && site.running() == 0 {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "the doctor did not repair it: {:?}", site.tenants());
        thread::sleep(Duration::from_millis(500));
    }
}

/// A table of tenants as it is under every isolation.
pub const USERS: &str = "CREATE TABLE users (
    tenant_id uuid NOT NULL DEFAULT tenantry.tenant(),
    id bigint GENERATED BY DEFAULT AS IDENTITY,
    username text NOT NULL,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, username)
);";

impl Ran {
    /// It said nothing on stdout, and this on stderr.
    #[track_caller]
    pub fn says_only_on_stderr(&self, text: &str) {
        assert_eq!(self.out, "", "{self:?}");
        assert!(self.err.contains(text), "`{text}` is not in {self:?}");
    }
}
