//! `tenantry server`.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;
use tenantry::{NewServer, Wall};

use crate::{
    confirm,
    context::Context,
    exit::Exit,
    failure::{Failure, Result},
    render::{self, table},
};

/// What to do with servers.
#[derive(Debug, Subcommand)]
pub(crate) enum Server {
    /// Add a server, and make what it needs
    Add(Add),
    /// List all servers, the home of the shared tables first
    #[command(visible_alias = "ls")]
    List,
    /// Remove a server that holds no tenant; its files or databases stay
    Remove {
        /// The server's name
        name: String,
    },
}

const ADD_NOTES: &str = "\
The first server is the home of the shared tables; all servers of an installation have one engine. URLs are stored sealed
with the key file, and shown nowhere.

On PostgreSQL, tenants of row and schema isolation live in the database that the URL names, those of database isolation in
databases of their own beside it. The administrator is a superuser, or has CREATEROLE and CREATEDB and owns the database;
shared tables are shown in tenants' own databases by postgres_fdw, which only a superuser may prepare. In that database
three schemas are made (tenantry, tenant, shared), and everybody loses the right to make tables in its schema public and
temporary ones. Apps sign in by restricted logins: without --app-url they are made, with passwords that are kept sealed.

With --pooler the app URL leads to PgBouncer in transaction mode (1.18 or newer), which needs
`ignore_startup_parameters = extra_float_digits, options`; the administrator's URL goes to the server itself.

Examples:
  tenantry server add main postgres://admin:secret@db.example/app --capacity 5000 --connections 50
  tenantry server add main 'postgres:///app?host=/run/postgresql'
  tenantry server add main 'postgres://admin:secret@db.example/app?sslmode=verify-full&sslrootcert=/etc/db-ca.pem'
  tenantry server add main postgres://admin:secret@db.example/app --pooler \\
      --app-url postgres://app:secret@bouncer.example:6432/app
  tenantry server add files sqlite:///srv/tenants";

/// A server to add.
#[derive(Debug, Args)]
#[command(after_help = ADD_NOTES)]
pub(crate) struct Add {
    /// How the server is called: a-z, 0-9 and _, a letter first
    name: String,
    /// Where it is and how to administer it: postgres://USER:PASSWORD@HOST/DATABASE or sqlite://DIRECTORY
    admin_url: String,
    /// Where apps sign in, with a restricted login of yours: LOGIN, NOINHERIT, and no other right or membership
    #[arg(long, value_name = "URL")]
    app_url: Option<String>,
    /// How many tenants it may hold
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    capacity: Option<u32>,
    /// How many connections one process may open to it [default: a quarter of what a database server allows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    connections: Option<u32>,
    /// The app URL leads to a pooler that gives each transaction another connection
    #[arg(long)]
    pooler: bool,
}

/// How long a list waits for a server to tell of its wall.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    server: tenantry::Server,
    tenants: u64,
    /// Whether the shared tables live here.
    home: bool,
    /// What of its wall is open; `null` if it did not answer.
    wall: Option<Wall>,
}

impl Server {
    pub(crate) async fn run(self, context: &Context) -> Result<Exit> {
        match self {
            Self::Add(add) => add.run(context).await,
            Self::List => list(context).await,
            Self::Remove { name } => remove(context, &name).await,
        }
    }
}

impl Add {
    async fn run(self, context: &Context) -> Result<Exit> {
        let tenancy = context.open().await?;
        let before = tenancy.server_list().await?;
        let mut new = NewServer::new(&self.name, &self.admin_url).pooler(self.pooler);
        if let Some(url) = &self.app_url {
            new = new.app_url(url);
        }
        if let Some(tenants) = self.capacity {
            new = new.capacity(tenants);
        }
        if let Some(connections) = self.connections {
            new = new.connections(connections);
        }
        tenancy.server_add(new).await?;
        let rows = rows(tenancy).await?;
        let added = rows.iter().find(|row| row.server.name == self.name);
        render::answer(context, &added, || format!("server `{}` is added", self.name))?;
        for gone in before.iter().filter(|server| !rows.iter().any(|row| row.server.name == server.name)) {
            let (name, engine) = (&gone.name, &gone.engine);
            render::note(&format!(
                "server `{name}` on {engine}, which nobody used, is removed: it gave way to this one"
            ));
        }
        tell_of_wall(tenancy, &self.name).await;
        Ok(Exit::Ok)
    }
}

/// A server on which the administrator may not close the wall works as any other: that its wall is open is said.
async fn tell_of_wall(tenancy: &tenantry::Tenantry, name: &str) {
    match tenancy.server_wall(name).await {
        Ok(wall) if wall.is_closed() => {}
        Ok(wall) => render::note(&format!(
            "server `{name}` has an open wall: {}\nto close it, as a superuser of its database: {}",
            wall.missing.join(", "),
            wall.close
        )),
        Err(error) => render::note(&format!("it is not known whether the wall of server `{name}` is closed: {error}")),
    }
}

async fn rows(tenancy: &tenantry::Tenantry) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (number, server) in tenancy.server_list().await?.into_iter().enumerate() {
        let tenants = tenancy.server_tenants(&server.name).await?;
        let wall = tokio::time::timeout(PATIENCE, tenancy.server_wall(&server.name)).await;
        rows.push(Row { server, tenants, home: number == 0, wall: wall.ok().and_then(Result::ok) });
    }
    Ok(rows)
}

async fn list(context: &Context) -> Result<Exit> {
    let rows = rows(context.open().await?).await?;
    render::answer(context, &rows, || {
        let number = |n: Option<i64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
        table::table(
            ["name", "engine", "wall", "pooler", "tenants", "capacity", "connections", "shared tables"],
            rows.iter().map(|row| {
                let shared = if row.home { format!("version {}", row.server.shared_version) } else { "-".into() };
                [
                    row.server.name.clone(),
                    row.server.engine.clone(),
                    wall(row).into(),
                    if row.server.pooler { "yes".into() } else { "-".into() },
                    row.tenants.to_string(),
                    number(row.server.capacity),
                    number(row.server.connections),
                    shared,
                ]
            }),
        )
    })?;
    if rows.is_empty() {
        render::hint(context, "there is no server yet: tenantry server add NAME ADMIN_URL");
    }
    Ok(Exit::Ok)
}

const fn wall(row: &Row) -> &'static str {
    match &row.wall {
        Some(wall) if wall.is_closed() => "closed",
        Some(_) => "open",
        None => "no answer",
    }
}

async fn remove(context: &Context, name: &str) -> Result<Exit> {
    let tenancy = context.open().await?;
    if !tenancy.server_list().await?.iter().any(|server| server.name == name) {
        return Err(Failure::new(format!("there is no server {name:?}"))
            .code("not_found")
            .help("tenantry server list"));
    }
    confirm::destruction(context, &format!("server `{name}` will be removed; its files or databases stay"), name)
        .await?;
    tenancy.server_remove(name).await?;
    render::answer(context, &serde_json::json!({ "removed": name }), || format!("server `{name}` is removed"))?;
    Ok(Exit::Ok)
}
