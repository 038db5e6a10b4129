//! The servers of the testbed, started for real.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tenantry_testbed::{LOCALHOST, PgBouncer, Postgres};

/// A process that uses the shared server of a folder, until it is dropped.
struct User {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl User {
    fn start(folder: &Path) -> Self {
        Self::run(&[folder.to_str().unwrap(), "1"])
    }

    fn run(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_testbed"));
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, output }
    }

    fn url(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().into()
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for User {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.output.read_to_end(&mut Vec::new());
        let _ = self.child.wait();
    }
}

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("testbed-").tempdir_in("/tmp").unwrap()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}, after a minute");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The first line of a file with a process's number.
fn pid(file: &Path) -> u32 {
    fs::read_to_string(file).unwrap().lines().next().unwrap().parse().unwrap()
}

fn runs(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

/// The number of the server's segment of shared memory, which the system keeps when the server is killed.
fn memory(shared: &Path) -> String {
    let text = fs::read_to_string(shared.join("data/postmaster.pid")).unwrap();
    text.lines().nth(6).unwrap().split_whitespace().nth(1).unwrap().into()
}

fn has_memory(id: &str) -> bool {
    let segments = fs::read_to_string("/proc/sysvipc/shm").unwrap();
    segments.lines().any(|line| line.split_whitespace().nth(1) == Some(id))
}

/// The folder of a server's socket.
fn home(url: &str) -> PathBuf {
    url.split_once("?host=").unwrap().1.into()
}

fn socket(url: &str) -> PathBuf {
    let port = url.rsplit_once(':').unwrap().1.split('/').next().unwrap();
    home(url).join(format!(".s.PGSQL.{port}"))
}

fn kill(pid: u32) {
    signal("-KILL", pid);
}

/// It may have ended by itself.
fn signal(name: &str, pid: u32) {
    Command::new("kill").args([name, &pid.to_string()]).status().unwrap();
}

/// The keepers that look after something in this folder, and what they have just forked.
fn keepers(folder: &Path) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
    let keeps = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        line.contains("tenantry-testbed-keeper") && line.contains(folder.to_str().unwrap())
    };
    processes.filter(keeps).collect()
}

/// What it had just called may hold its lock a moment longer.
fn kill_keeper(folder: &Path) {
    wait_until("the keeper still runs", || {
        keepers(folder).into_iter().for_each(kill);
        fs::File::open(folder.join("keeper.lock")).unwrap().try_lock().is_ok()
    });
}

#[test]
fn processes_that_start_at_once_share_one_server() {
    let folder = folder();
    let mut users: Vec<User> = (0..4).map(|_| User::start(folder.path())).collect();
    let urls: Vec<String> = users.iter_mut().map(User::url).collect();
    assert!(urls[0].starts_with("postgres://admin@localhost:"), "{urls:?}");
    assert!(urls.iter().all(|url| *url == urls[0]), "{urls:?}");
    drop(users);
    wait_until("the shared server is still there", || !folder.path().join("shared").exists());
}

#[test]
fn a_shared_server_outlives_its_starter_and_ends_when_its_last_user_is_killed() {
    let folder = folder();
    let mut starter = User::start(folder.path());
    let url = starter.url();
    let mut other = User::start(folder.path());
    assert_eq!(other.url(), url);
    let server = pid(&folder.path().join("shared/data/postmaster.pid"));
    starter.kill();
    // Longer than a server without users lives.
    thread::sleep(Duration::from_secs(4));
    assert!(runs(server));
    other.kill();
    wait_until("the shared server is still there", || !folder.path().join("shared").exists());
    wait_until("the server still runs", || !runs(server));
    wait_until("the keeper still runs", || keepers(folder.path()).is_empty());
}

#[test]
fn what_kill_9_left_of_a_shared_server_is_replaced() {
    let folder = folder();
    let mut user = User::start(folder.path());
    let url = user.url();
    let server = pid(&folder.path().join("shared/data/postmaster.pid"));
    let memory = memory(&folder.path().join("shared"));
    kill_keeper(folder.path());
    kill(server);
    user.kill();
    wait_until("the killed server still answers", || UnixStream::connect(socket(&url)).is_err());
    assert!(folder.path().join("shared/state").exists() && has_memory(&memory));
    let mut next = User::start(folder.path());
    assert_ne!(next.url(), url);
    wait_until("the killed server's memory is still there", || !has_memory(&memory));
    assert_ne!(pid(&folder.path().join("shared/data/postmaster.pid")), server);
    drop(next);
    wait_until("the shared server is still there", || !folder.path().join("shared").exists());
}

#[test]
fn a_shared_server_that_lost_its_keeper_gets_another() {
    let folder = folder();
    let mut user = User::start(folder.path());
    let url = user.url();
    kill_keeper(folder.path());
    let mut next = User::start(folder.path());
    assert_eq!(next.url(), url);
    wait_until("there is no keeper", || !keepers(folder.path()).is_empty());
    drop(user);
    drop(next);
    wait_until("the shared server is still there", || !folder.path().join("shared").exists());
}

#[test]
fn a_keeper_whose_folder_was_removed_by_hand_ends() {
    let folder = folder();
    let mut user = User::start(folder.path());
    user.url();
    wait_until("there is no keeper", || !keepers(folder.path()).is_empty());
    let server = pid(&folder.path().join("shared/data/postmaster.pid"));
    signal("-QUIT", server);
    wait_until("the server still runs", || !runs(server));
    drop(user);
    fs::remove_dir_all(folder.path()).unwrap();
    wait_until("the keeper still runs", || keepers(folder.path()).is_empty());
}

#[test]
fn a_server_that_is_named_is_used_as_it_is() {
    let server = Postgres::private(&[]).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_testbed"));
    command.env("TENANTRY_TEST_POSTGRES_URL", server.tcp_url("template1")).stdin(Stdio::null());
    let output = command.output().unwrap();
    let url = server.tcp_url("postgres");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{url}\n{url}\n"));
    command.env("TENANTRY_TEST_POSTGRES_URL", server.tcp_url("template1").replace("-password", ""));
    let error = String::from_utf8(command.output().unwrap().stderr).unwrap();
    assert!(
        error.contains("TENANTRY_TEST_POSTGRES_URL") && error.contains("password authentication failed"),
        "{error}"
    );
}

#[test]
fn a_folder_that_others_may_write_to_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let error = Postgres::shared_in(folder.path(), Duration::from_secs(1)).unwrap_err();
    assert!(error.contains("not a folder of yours alone"), "{error}");
}

#[test]
fn a_database_is_empty_and_its_own_and_dropped_with_its_value() {
    let server = Postgres::shared().unwrap();
    let (one, other) = (server.database().unwrap(), server.database().unwrap());
    one.sql("CREATE TABLE notes (text text); INSERT INTO notes VALUES ('a'), ('b')").unwrap();
    assert_eq!(one.sql("SELECT text, length(text) FROM notes ORDER BY text").unwrap(), "a|1\nb|1");
    assert_eq!(other.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").unwrap(), "0");
    assert_eq!(server.sql_at(&one.tcp_url(), "SELECT current_database()").unwrap(), one.name());
    let name = one.name().to_owned();
    drop(one);
    let left = server.sql("postgres", &format!("SELECT count(*) FROM pg_database WHERE datname = '{name}'"));
    assert_eq!(left.unwrap(), "0");
}

#[test]
fn sql_that_fails_says_what_the_server_says() {
    let server = Postgres::shared().unwrap();
    let error = server.sql("postgres", "SELECT 1;\nSELECT nothing").unwrap_err();
    assert!(error.contains(r#"column "nothing" does not exist"#), "{error}");
}

#[test]
fn a_server_has_the_settings_that_the_tests_rely_on() {
    let server = Postgres::private(&[]).unwrap();
    let names = ["server_version_num", "synchronous_commit", "password_encryption", "autovacuum"];
    let values = names.map(|name| server.sql("postgres", &format!("SHOW {name}")).unwrap());
    assert_eq!(values, [&server.version().to_string(), "on", "scram-sha-256", "on"]);
    let template = server.sql("postgres", "SELECT pg_encoding_to_char(encoding), datcollate FROM pg_database LIMIT 1");
    assert_eq!(template.unwrap(), "UTF8|C.UTF-8");
}

#[test]
fn only_the_admin_signs_in_without_a_password_and_only_by_the_socket() {
    let server = Postgres::private(&[]).unwrap();
    server.sql("postgres", "CREATE ROLE app LOGIN PASSWORD 'app-password'").unwrap();
    let app = |password: &str| server.url("postgres").replace("admin@", &format!("app{password}@"));
    assert_eq!(server.sql_at(&app(":app-password"), "SELECT current_user").unwrap(), "app");
    for url in [app(""), app(":wrong"), server.tcp_url("postgres").replace("-password", "")] {
        let error = server.sql_at(&url, "SELECT 1").unwrap_err();
        assert!(error.contains("password"), "{error}");
    }
}

#[test]
fn a_private_server_keeps_what_was_committed_over_an_immediate_restart() {
    let server = Postgres::private(&[("max_connections", "17"), ("cluster_name", "it's ours")]).unwrap();
    assert_eq!(server.sql("postgres", "SHOW max_connections; SHOW cluster_name").unwrap(), "17\nit's ours");
    let database = server.database().unwrap();
    database.sql("CREATE TABLE notes (text text); INSERT INTO notes VALUES ('kept')").unwrap();
    let (url, pid) = (database.url(), server.pid());
    server.stop_immediately().unwrap();
    assert!(!runs(pid));
    assert!(database.sql("SELECT 1").is_err());
    server.start().unwrap();
    assert_ne!(server.pid(), pid);
    assert_eq!((database.url(), database.sql("SELECT text FROM notes").unwrap()), (url, "kept".into()));
    server.restart_immediately().unwrap();
    assert_eq!(database.sql("SELECT text FROM notes").unwrap(), "kept");
    assert!(server.log().contains("was not properly shut down"), "{}", server.log());
}

#[test]
fn a_private_server_that_cannot_start_shows_its_log_and_leaves_nothing() {
    let error = Postgres::private(&[("shared_buffers", "much")]).unwrap_err();
    assert!(error.contains(r#"invalid value for parameter "shared_buffers": "much""#), "{error}");
}

#[test]
fn a_private_server_goes_with_its_value() {
    let server = Postgres::private(&[]).unwrap();
    let (home, pid) = (home(&server.url("postgres")), server.pid());
    assert!(home.is_dir() && runs(pid));
    drop(server);
    assert!(!home.exists() && !runs(pid));
    assert!(keepers(&home).is_empty());
}

#[test]
fn a_private_server_goes_when_its_process_is_killed() {
    let mut owner = User::run(&["private"]);
    let home = home(&owner.url());
    let server = pid(&home.join("data/postmaster.pid"));
    assert!(runs(server));
    owner.kill();
    wait_until("the private server is still there", || !home.exists());
    assert!(!runs(server));
    wait_until("the keeper still runs", || keepers(&home).is_empty());
}

#[test]
fn a_private_server_without_a_keeper_is_swept_by_the_next_start() {
    // What a killed test whose keeper was killed too leaves behind: a folder that nobody holds.
    let server = Postgres::private(&[]).unwrap();
    let area = home(&server.url("postgres")).parent().unwrap().to_owned();
    let left = area.join("private-left0000");
    fs::create_dir(&left).unwrap();
    fs::write(left.join("owner"), "").unwrap();
    drop(Postgres::private(&[]).unwrap());
    assert!(!left.exists());
    assert_eq!(server.sql("postgres", "SELECT 1").unwrap(), "1");
}

#[test]
fn a_certificate_holds_for_its_names_only() {
    let server = Postgres::private_with_tls(LOCALHOST, &[]).unwrap();
    let verified = |server: &str, ca: &Path| format!("{server}?sslmode=verify-full&sslrootcert={}", ca.display());
    let ca = server.ca_file().unwrap();
    for host in LOCALHOST {
        let url = verified(&server.tcp_url("postgres").replace("127.0.0.1", host), ca);
        let tls = server.sql_at(&url, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()");
        assert_eq!(tls.unwrap(), "t");
    }
    let elsewhere = Postgres::private_with_tls(&["elsewhere.test"], &[]).unwrap();
    let wrong_name = verified(&elsewhere.tcp_url("postgres"), elsewhere.ca_file().unwrap());
    let error = server.sql_at(&wrong_name, "SELECT 1").unwrap_err();
    assert!(error.contains("does not match host name"), "{error}");
    let error = server.sql_at(&verified(&elsewhere.tcp_url("postgres"), ca), "SELECT 1").unwrap_err();
    assert!(error.contains("certificate verify failed"), "{error}");
}

#[test]
fn a_login_signs_in_through_pgbouncer_with_its_scram_password() {
    let server = Postgres::private(&[]).unwrap();
    let database = server.database().unwrap();
    database.sql("CREATE ROLE app LOGIN PASSWORD 'app-password'").unwrap();
    let bouncer = PgBouncer::before(&server, "*", &[("default_pool_size", "3")]).unwrap();
    let url = bouncer.url("app", "app-password", database.name());
    assert_eq!(
        server.sql_at(&url, "SELECT current_user, current_database()").unwrap(),
        format!("app|{}", database.name())
    );
    let error = server.sql_at(&bouncer.url("app", "wrong", database.name()), "SELECT 1").unwrap_err();
    assert!(error.contains("SASL authentication failed"), "{error}");
    let settings = server.sql_at(&bouncer.admin_url("pgbouncer"), "SHOW CONFIG").unwrap();
    assert!(settings.contains("default_pool_size|3|") && settings.contains("pool_mode|transaction|"), "{settings}");
    assert_eq!(server.sql_at(&bouncer.admin_url("postgres"), "SELECT current_user").unwrap(), "admin");
}
