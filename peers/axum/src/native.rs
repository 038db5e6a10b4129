//! tokio-postgres instead of sqlx: what a second driver would gain. It can send several statements without waiting, so a tenant
//! is entered in the same flush without any wire.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use futures_util::{StreamExt, TryStreamExt, future::try_join4, lock::Mutex, stream};
use tokio::sync::mpsc;
use tokio_postgres::{
    Client, Error, NoTls, Row, Statement,
    types::{ToSql, Type},
};

use crate::{
    Args, Result,
    scenario::{self, Failed, NewNote, READ, User, WRITE},
};

/// What stands around a statement.
#[derive(Clone, Copy)]
pub(crate) enum Around {
    /// Nothing: no tenants.
    Nothing,
    /// One setting, which row security compares with.
    Row,
    /// The search path; each connection prepares a text once for each tenant, as the wire does.
    Schema,
}

impl Around {
    const fn scope(self) -> &'static str {
        match self {
            Self::Nothing | Self::Row => "SELECT pg_catalog.set_config('app.tenant', $1, true)",
            Self::Schema => "SELECT pg_catalog.set_config('search_path', $1, true)",
        }
    }
}

struct Session {
    client: Client,
    around: Around,
    begin: Statement,
    scope: Statement,
    commit: Statement,
    prepared: HashMap<(String, &'static str), Statement>,
}

type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

impl Session {
    async fn open(database: &str, around: Around) -> std::result::Result<Self, Error> {
        let (client, connection) = tokio_postgres::connect(database, NoTls).await?;
        tokio::spawn(connection);
        let path = if matches!(around, Around::Row) { "all_tenants" } else { "public" };
        client.batch_execute(&format!("SET search_path = {path}")).await?;
        let begin = client.prepare("BEGIN").await?;
        let scope = client.prepare_typed(around.scope(), &[Type::TEXT]).await?;
        let commit = client.prepare("COMMIT").await?;
        Ok(Self { client, around, begin, scope, commit, prepared: HashMap::new() })
    }

    async fn run(
        &mut self,
        tenant: &str,
        text: &'static str,
        values: Values<'_>,
    ) -> std::result::Result<Vec<Row>, Error> {
        let statement = self.prepared(tenant, text).await?;
        if matches!(self.around, Around::Nothing) {
            return self.client.query(&statement, values).await;
        }
        let scope: Values<'_> = &[&tenant];
        let (_, _, rows, _) = try_join4(
            self.client.query(&self.begin, &[]),
            self.client.query(&self.scope, scope),
            self.client.query(&statement, values),
            self.client.query(&self.commit, &[]),
        )
        .await?;
        Ok(rows)
    }

    async fn prepared(&mut self, tenant: &str, text: &'static str) -> std::result::Result<Statement, Error> {
        let of = if matches!(self.around, Around::Schema) { tenant } else { "" };
        let key = (of.to_owned(), text);
        if let Some(known) = self.prepared.get(&key) {
            return Ok(known.clone());
        }
        self.client.query(&self.begin, &[]).await?;
        self.client.query(&self.scope, &[&tenant]).await?;
        let statement = self.client.prepare(text).await?;
        self.client.query(&self.commit, &[]).await?;
        self.prepared.insert(key, statement.clone());
        Ok(statement)
    }
}

/// Sessions that nobody uses.
#[derive(Clone)]
struct Idle {
    gives: mpsc::Sender<Session>,
    takes: Arc<Mutex<mpsc::Receiver<Session>>>,
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("no session is left")]
    NoSession,
    #[error(transparent)]
    Database(#[from] Error),
}

impl Idle {
    async fn run(&self, tenant: &str, text: &'static str, values: Values<'_>) -> std::result::Result<Vec<Row>, Fault> {
        let mut session = self.takes.lock().await.recv().await.ok_or(Fault::NoSession)?;
        let rows = session.run(tenant, text, values).await;
        drop(self.gives.try_send(session));
        Ok(rows?)
    }
}

pub(crate) async fn app(args: &Args, around: Around) -> Result<Router> {
    let (gives, takes) = mpsc::channel(args.connections as usize);
    let opened = stream::iter(0..args.connections).map(|_| Session::open(&args.database, around)).buffer_unordered(4);
    let opened: Vec<Session> = opened.try_collect().await?;
    opened.into_iter().for_each(|session| drop(gives.try_send(session)));
    let idle = Idle { gives, takes: Arc::new(Mutex::new(takes)) };
    let router = Router::new().route("/t/{tenant}/users", get(users)).route("/t/{tenant}/notes", post(note));
    Ok(router.with_state(idle))
}

async fn users(State(idle): State<Idle>, Path(tenant): Path<String>) -> Result<Json<Vec<User>>, Failed> {
    let rows = idle.run(&tenant, READ, &[]).await?;
    Ok(scenario::users(rows.iter().map(|row| (row.get(0), row.get(1))).collect()))
}

async fn note(
    State(idle): State<Idle>,
    Path(tenant): Path<String>,
    Json(new): Json<NewNote>,
) -> Result<StatusCode, Failed> {
    idle.run(&tenant, WRITE, &[&new.text]).await?;
    Ok(StatusCode::CREATED)
}
