//! Installations of older versions, as their programs have left them: `fixtures/catalog/make.sh` makes the dumps.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};
use tenantry_testbed::Postgres;

use crate::support::Site;

/// That of the fixtures: everybody knows it.
const KEY: &str = "dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHR0dHQ=";

/// What the tenants of the fixtures were made with.
const USERS: &str = "CREATE TABLE users (id INTEGER PRIMARY KEY, username TEXT UNIQUE);\n";

/// One version of the catalog on one engine.
#[derive(Clone, Copy, Debug)]
pub struct Dump {
    pub version: &'static str,
    on_postgres: bool,
    catalog: &'static str,
    /// The tenants' files, each after a line with its name.
    tenants: &'static str,
}

macro_rules! dump {
    ($file:literal, on_postgres: $on_postgres:literal) => {
        Dump {
            version: $file,
            on_postgres: $on_postgres,
            catalog: include_str!(concat!("../../fixtures/catalog/", $file, ".sql")),
            tenants: include_str!(concat!("../../fixtures/catalog/", $file, ".tenants.sql")),
        }
    };
}

/// Those whose processes are in [`super::old`]: the newest that is older than the program, and the last that counted steps.
pub const RUNNING: [Dump; 4] = [
    dump!("v3.sqlite", on_postgres: false),
    dump!("v3.postgres", on_postgres: true),
    dump!("v2.sqlite", on_postgres: false),
    dump!("v2.postgres", on_postgres: true),
];

/// All of them. Catalogs on PostgreSQL came with version 2.
pub fn all() -> Vec<Dump> {
    [RUNNING.as_slice(), &[dump!("v1.sqlite", on_postgres: false)]].concat()
}

impl Dump {
    /// Whether its processes write steps down by their names, and not only by their number.
    pub fn names_steps(&self) -> bool {
        self.version.starts_with("v3")
    }
}

/// A dump that lives again, in a directory of its own. The leases of its operations are over, whatever the clock says.
pub struct Restored {
    pub site: Site,
    pub dump: Dump,
}

impl Restored {
    pub fn new(dump: Dump) -> Self {
        let database = dump.on_postgres.then(|| Postgres::shared().unwrap().database().unwrap());
        let restored = Self { site: Site { database, ..Site::empty() }, dump };
        let server = restored.sealed_server();
        restored.settings();
        restored.tenants();
        restored.catalog(dump.catalog);
        restored.sql(&format!("UPDATE servers SET admin_url = '{server}'"));
        restored.let_leases_run_out();
        restored
    }

    /// The address of the server in this directory, sealed with the fixtures' key by the program itself.
    fn sealed_server(&self) -> String {
        self.site.write("tenantry.key", KEY);
        for_its_owner_only(&self.site.path("tenantry.key"));
        self.site.ok(&["init"]);
        let file = self.site.path("catalog.db");
        let sealed = on_file(&file, async |c| sqlx::query_scalar("SELECT admin_url FROM servers").fetch_one(c).await);
        fs::remove_file(file).unwrap();
        sealed.unwrap()
    }

    fn settings(&self) {
        let url = self.site.database.as_ref().map(|database| format!("[catalog]\nurl = \"{}\"\n", database.tcp_url()));
        // Nothing of the dump is purged because time has passed since it was made.
        self.site.write("tenantry.toml", &format!("{}[tenants]\ngrace_days = 36500\n", url.unwrap_or_default()));
        self.site.write("migrations/tenant/0001_users.sql", USERS);
    }

    fn tenants(&self) {
        for file in self.dump.tenants.split("-- file: ").skip(1) {
            let (name, text) = file.split_once('\n').unwrap();
            let path = self.site.path(&format!("data/tenants/{name}"));
            on_file(&path, async |c| sqlx::raw_sql(AssertSqlSafe(text)).execute(c).await).unwrap();
            for_its_owner_only(&path);
        }
    }

    fn catalog(&self, text: &'static str) {
        match &self.site.database {
            Some(database) => drop(database.sql(text).unwrap()),
            None => {
                let file = self.site.path("catalog.db");
                on_file(&file, async |c| sqlx::raw_sql(text).execute(c).await).unwrap();
            }
        }
    }

    /// Runs SQL in the catalog, beside all programs, and gives the first column.
    pub fn sql(&self, text: &str) -> Vec<String> {
        match &self.site.database {
            Some(database) => {
                let found = database.sql(&format!("SET search_path = tenantry_catalog; {text}")).unwrap();
                found.lines().map(str::to_owned).collect()
            }
            None => {
                let text = AssertSqlSafe(text);
                on_file(&self.site.path("catalog.db"), async |c| sqlx::query_scalar(text).fetch_all(c).await).unwrap()
            }
        }
    }

    /// As if nobody had said anything of any operation for a while.
    pub fn let_leases_run_out(&self) {
        self.sql("UPDATE operations SET lease_until = 0 WHERE state = 'running'");
    }

    /// What the journal says of the operation that runs on a tenant: number, name of the step.
    pub fn step_of(&self, key: &str) -> String {
        let rows = self.sql(&format!(
            "SELECT CAST(step AS text) || ' ' || coalesce(step_name, '-') FROM operations
              WHERE running_on = (SELECT id FROM tenants WHERE key = '{key}')"
        ));
        rows.join("; ")
    }
}

fn for_its_owner_only(file: &Path) {
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Work on a file of SQLite that nobody else has open for long; it is whole when this returns.
fn on_file<T>(
    file: &Path,
    work: impl AsyncFnOnce(&mut SqliteConnection) -> Result<T, sqlx::Error>,
) -> Result<T, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(file).create_if_missing(true);
    let options = options.journal_mode(SqliteJournalMode::Wal);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = options.connect().await?;
        let done = work(&mut connection).await;
        connection.close().await?;
        done
    })
}
