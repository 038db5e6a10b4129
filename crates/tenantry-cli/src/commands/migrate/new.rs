//! `tenantry migrate new`.

use std::{
    fs,
    io::{ErrorKind, Write},
    path::PathBuf,
};

use clap::Args;

use super::files;
use crate::{
    context::Context,
    exit::Exit,
    failure::{Failure, Result},
    render,
};

const EXAMPLES: &str = "\
Examples:
  tenantry migrate new users                    migrations/tenant/0001_users.sql
  tenantry migrate new plans --shared           migrations/shared/0001_plans.sql
  tenantry migrate new fill_prices --data       migrations/tenant/0002_fill_prices.data.sql";

/// What the file is for.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct New {
    /// What it does, in a-z, 0-9 and _: add_users
    name: String,
    /// For the tables that all tenants read
    #[arg(long)]
    shared: bool,
    /// Changes data, not tables: runs once per tenant, as the tenant
    #[arg(long)]
    data: bool,
}

/// With the version and the engine it still is a short file name.
const LONGEST_NAME: usize = 80;

const FORM: &str = "\
-- For PostgreSQL write plain tables, and then: tenantry migrate tenantify FILE
";

impl New {
    pub(super) fn run(self, context: &Context) -> Result<Exit> {
        check(&self.name)?;
        let path = self.create(context)?;
        let here = std::env::current_dir().unwrap_or_default();
        let shown = path.strip_prefix(&here).unwrap_or(&path).display().to_string();
        render::answer(context, &serde_json::json!({ "file": shown }), || shown.clone())?;
        render::hint(context, "write its SQL, then: tenantry migrate plan");
        Ok(Exit::Ok)
    }

    fn create(&self, context: &Context) -> Result<PathBuf> {
        let folder = context.settings()?.migrations.dir.join(if self.shared { "shared" } else { "tenant" });
        let cannot = |e| Failure::new(format!("cannot write in `{}`", folder.display())).code("io").caused_by(e);
        fs::create_dir_all(&folder).map_err(cannot)?;
        let newest = files::newest(&folder, None)?;
        let version =
            newest.checked_add(1).ok_or_else(|| Failure::new(format!("there is no version behind {newest}")))?;
        let kind = if self.data { ".data" } else { "" };
        let name = format!("{version:04}_{}{kind}.sql", self.name);
        let path = folder.join(&name);
        match fs::File::create_new(&path) {
            Ok(mut file) => file.write_all(self.header(&name).as_bytes()).map(|()| path).map_err(cannot),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                Err(Failure::new(format!("`{}` is there already", path.display())).help("run the command again"))
            }
            Err(e) => Err(cannot(e)),
        }
    }

    fn header(&self, name: &str) -> String {
        let (to, what) = match (self.shared, self.data) {
            (false, false) => {
                ("every tenant", "CREATE TABLE, ALTER TABLE, CREATE INDEX; rows are changed in a file made with --data")
            }
            (false, true) => (
                "every tenant, as that tenant",
                "INSERT, UPDATE, DELETE; tables are changed in a file made without --data",
            ),
            (true, false) => (
                "the shared tables, before any tenant",
                "CREATE TABLE, ALTER TABLE, CREATE INDEX; tenants read these tables as shared.NAME",
            ),
            (true, true) => (
                "the shared tables, before any tenant",
                "INSERT, UPDATE, DELETE; tables are changed in a file made without --data",
            ),
        };
        let form = if self.shared || self.data { "" } else { FORM };
        format!(
            "-- {name}: applied once to {to}.\n\
             -- {what}.\n\
             -- No BEGIN and COMMIT: the file and its entry in the ledger are one transaction.\n\
             -- Once it was applied anywhere it is not changed any more: write the next migration instead.\n{form}\n"
        )
    }
}

fn check(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let why = if name.is_empty() {
        "it is empty"
    } else if name.len() > LONGEST_NAME {
        "it is longer than 80 characters"
    } else if !name.chars().all(plain) {
        "it may hold only lower-case letters a-z, digits and `_`"
    } else if name.starts_with('_') || name.ends_with('_') {
        "it must start and end with a letter or a digit"
    } else {
        return Ok(());
    };
    let shown: String = name.chars().take(LONGEST_NAME).collect();
    Err(Failure::new(format!("{shown:?} cannot name a migration: {why}"))
        .code("invalid_input")
        .help("say what it does, such as add_users"))
}
