//! `tenantry sql`.

use std::io::{IsTerminal, Read};

use clap::Args;
use tenantry::TenantDb;

use crate::{
    context::Context,
    exit::Exit,
    failure::{Failure, Result},
};

mod answer;
mod prompt;
mod run;
mod value;

const NOTES: &str = "\
The statements run as an app's would, with the tenant's own role, login or file: they read and write this tenant's tables,
and read the shared ones. Tables are changed by migrations only. The text of -c, or all that a pipe brings, is one
transaction: done as a whole or not at all. At a prompt each statement is one; it ends with `;` at the end of a line.
In row isolation, and behind a pooler, one plain statement at a time runs: SELECT, INSERT, UPDATE, DELETE or MERGE.

Values of PostgreSQL are shown in its own words. With --json numbers, truth values and documents are what they are,
bytes are {\"hex\": ...}, and all other types texts.

Examples:
  tenantry sql acme -c 'SELECT count(*) FROM users'
  tenantry sql acme --json -c 'SELECT * FROM users' | jq '.statements[0].rows'
  tenantry sql acme < mend.sql";

/// As whom, and what.
#[derive(Debug, Args)]
#[command(after_help = NOTES)]
pub(crate) struct Sql {
    /// The tenant's key
    key: String,
    /// The statement; without it they are read from stdin
    #[arg(short, long = "command", value_name = "SQL", allow_hyphen_values = true)]
    command: Option<String>,
}

impl Sql {
    pub(crate) async fn run(self, context: &Context) -> Result<Exit> {
        let mut settings = context.settings()?;
        // What stands in the way of a migration has to be mended before it.
        settings.tenants.require_migrated = false;
        let db = context.open_to_serve(settings).await?.tenant(&self.key).await?;
        match self.command {
            Some(text) => run_and_show(context, &db, &text).await?,
            None if std::io::stdin().is_terminal() => prompt::run(context, &db).await?,
            None => {
                let text = tokio::task::spawn_blocking(read_all)
                    .await
                    .map_err(|e| Failure::new("reading was cut off").caused_by(e))??;
                run_and_show(context, &db, &text).await?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn read_all() -> Result<String> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .read_to_string(&mut text)
        .map_err(|e| Failure::new("stdin cannot be read").code("io").caused_by(e))?;
    Ok(text)
}

async fn run_and_show(context: &Context, db: &TenantDb, text: &str) -> Result<()> {
    answer::show(context, &run::statements(db, text).await?)
}
