//! A process of catalog version 2 or 3 that has had the catalog open since before its upgrade. Its statements are those that
//! the program of that version sends; it prepares them before the upgrade.

use sqlx::{
    ConnectOptions, PgConnection, Row, SqliteConnection,
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};
use tokio::runtime::Runtime;

use super::dump::Restored;

const TENANT: &str = r#"SELECT "tenants"."id", "tenants"."key", "tenants"."state", "tenants"."isolation", "tenants"."server", "tenants"."physical", "tenants"."login", "tenants"."password", "tenants"."version", "tenants"."failure", "tenants"."was_suspended", "tenants"."created_at", "tenants"."deleted_at" FROM "tenants" WHERE "tenants"."key" = $1 LIMIT $2"#;
const TENANT_INSERT: &str = r#"INSERT INTO "tenants" ("id", "key", "state", "isolation", "server", "physical", "login", "password", "version", "failure", "was_suspended", "created_at", "deleted_at") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"#;
const TENANT_STATE: &str = r#"UPDATE "tenants" SET "state" = $1 WHERE "tenants"."id" = $2 RETURNING "id", "key", "state", "isolation", "server", "physical", "login", "password", "version", "failure", "was_suspended", "created_at", "deleted_at""#;
const TENANT_DELETE: &str = r#"DELETE FROM "tenants" WHERE "tenants"."id" = $1"#;
const DOMAINS_DELETE: &str = r#"DELETE FROM "domains" WHERE "domains"."tenant_id" = $1"#;
const EPOCH: &str = r#"UPDATE "installation" SET "epoch" = "epoch" + $1 WHERE "installation"."one" = $2 RETURNING "one", "id", "schema_version", "epoch", "key_check""#;
const AUDIT: &str = r#"INSERT INTO "audit" ("epoch", "at", "actor", "action", "outcome", "tenant_id", "names", "detail") VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"#;
const QUARANTINE: &str = r#"INSERT INTO "quarantine" ("name", "until") VALUES ($1, $2)"#;
const BEGIN: &str = r#"INSERT INTO "operations" ("id", "kind", "tenant_id", "running_on", "state", "step", "owner", "lease_until", "error", "created_at", "updated_at") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"#;
const BEGIN_3: &str = r#"INSERT INTO "operations" ("id", "kind", "tenant_id", "running_on", "state", "step", "owner", "lease_until", "error", "created_at", "updated_at", "step_name") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"#;
const RENEW: &str = r#"UPDATE "operations" SET "updated_at" = $1, "lease_until" = $2 WHERE "operations"."id" = $3 AND "operations"."owner" = $4 AND "operations"."state" = $5 AND "operations"."lease_until" > $6"#;
const STEP: &str = r#"UPDATE "operations" SET "step" = $1 WHERE "operations"."id" = $2"#;
const STEP_3: &str = r#"UPDATE "operations" SET "step_name" = $1, "step" = $2 WHERE "operations"."id" = $3"#;
const TAKE: &str = r#"UPDATE "operations" SET "owner" = $1, "lease_until" = $2 WHERE "operations"."running_on" = $3 AND "operations"."lease_until" <= $4"#;
const TAKEN: &str = r#"SELECT "operations"."id", "operations"."kind", "operations"."tenant_id", "operations"."running_on", "operations"."state", "operations"."step", "operations"."owner", "operations"."lease_until", "operations"."error", "operations"."created_at", "operations"."updated_at" FROM "operations" WHERE "operations"."running_on" = $1 LIMIT $2"#;
const TAKEN_3: &str = r#"SELECT "operations"."id", "operations"."kind", "operations"."tenant_id", "operations"."running_on", "operations"."state", "operations"."step", "operations"."owner", "operations"."lease_until", "operations"."error", "operations"."created_at", "operations"."updated_at", "operations"."step_name" FROM "operations" WHERE "operations"."running_on" = $1 LIMIT $2"#;
const END: &str = r#"UPDATE "operations" SET "updated_at" = $1, "state" = $2, "running_on" = $3, "error" = $4 WHERE "operations"."id" = $5 AND "operations"."owner" = $6 AND "operations"."state" = $7 AND "operations"."lease_until" > $8"#;

/// In milliseconds; longer than the program's, for nothing renews it while a test does something else.
const LEASE: i64 = 60_000;

enum Value {
    Text(Option<String>),
    Int(Option<i32>),
    Big(Option<i64>),
    Bool(bool),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(Some(text.clone()))
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Int(Some(number))
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Big(Some(number))
    }
}

macro_rules! values {
    ($($value:expr),* $(,)?) => { &[$(Value::from($value)),*] };
}

macro_rules! bound {
    ($sql:expr, $values:expr) => {
        $values.iter().fold(sqlx::query($sql), |query, value| match value {
            Value::Text(text) => query.bind(text.clone()),
            Value::Int(number) => query.bind(*number),
            Value::Big(number) => query.bind(*number),
            Value::Bool(yes) => query.bind(*yes),
        })
    };
}

enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

pub struct OldProcess {
    runtime: Runtime,
    connection: Connection,
    ids: u64,
    names_steps: bool,
}

/// An operation as the old program holds it.
#[derive(Debug)]
pub struct OldOperation {
    pub id: String,
    pub tenant: String,
    pub step: i32,
    /// The name of its first step.
    first: &'static str,
    owner: String,
}

impl OldProcess {
    /// Opens the catalog and does a little of everything, so that its statements are prepared.
    pub fn open(restored: &Restored) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let connection = runtime.block_on(async {
            match &restored.site.database {
                Some(database) => {
                    let options: PgConnectOptions = database.tcp_url().parse().unwrap();
                    let options = options.options([("search_path", "tenantry_catalog")]);
                    Connection::Postgres(options.connect().await.unwrap())
                }
                None => {
                    let options = SqliteConnectOptions::new().filename(restored.site.path("catalog.db"));
                    let options = options.journal_mode(SqliteJournalMode::Wal).foreign_keys(true);
                    Connection::Sqlite(options.connect().await.unwrap())
                }
            }
        });
        let mut process = Self { runtime, connection, ids: 0, names_steps: restored.dump.names_steps() };
        process.warm_up();
        process
    }

    fn warm_up(&mut self) {
        let operation = self.create("warm-up");
        assert!(self.heartbeat(&operation));
        assert!(self.step(&operation, 1));
        assert!(self.take_over("warm-up").is_none(), "its lease runs");
        assert!(self.end_purge("warm-up", &operation));
    }

    fn id(&mut self) -> String {
        self.ids += 1;
        format!("01a20000-0000-7000-8000-{:012x}", self.ids)
    }

    fn run(&mut self, sql: &'static str, values: &[Value]) -> u64 {
        self.runtime.block_on(async {
            match &mut self.connection {
                Connection::Sqlite(c) => bound!(sql, values).execute(c).await.unwrap().rows_affected(),
                Connection::Postgres(c) => bound!(sql, values).execute(c).await.unwrap().rows_affected(),
            }
        })
    }

    fn number<T>(&mut self, sql: &'static str, values: &[Value], column: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
    {
        self.runtime.block_on(async {
            match &mut self.connection {
                Connection::Sqlite(c) => bound!(sql, values).fetch_one(c).await.unwrap().get(column),
                Connection::Postgres(c) => bound!(sql, values).fetch_one(c).await.unwrap().get(column),
            }
        })
    }

    fn in_tx<T>(&mut self, work: impl FnOnce(&mut Self, i64) -> T) -> T {
        let is_sqlite = matches!(self.connection, Connection::Sqlite(_));
        self.run(if is_sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" }, &[]);
        if !is_sqlite {
            self.run("SELECT pg_advisory_xact_lock(7463205552)", &[]);
        }
        let clock = if is_sqlite {
            "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now"
        } else {
            "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint) AS now"
        };
        let now = self.number(clock, &[], "now");
        let done = work(self, now);
        self.run("COMMIT", &[]);
        done
    }

    fn tenant(&mut self, key: &str) -> String {
        self.number(TENANT, values![key, 1_i64], "id")
    }

    fn begin(&mut self, kind: &str, tenant: &str, now: i64) -> OldOperation {
        let first = if kind == "provision" { "place" } else { "drain" };
        let (id, owner) = (self.id(), self.id());
        let error = Value::Text(None);
        let [id_value, owner_value] = [Value::from(&id), Value::from(&owner)];
        let [kind, on, also_on, state] = [kind, tenant, tenant, "running"].map(Value::from);
        let times = [now + LEASE, now, now].map(Value::from);
        let [lease, created, updated] = times;
        let mut row = vec![id_value, kind, on, also_on, state, 0.into(), owner_value, lease, error, created, updated];
        if self.names_steps {
            row.push(Value::Text(None));
        }
        assert_eq!(self.run(if self.names_steps { BEGIN_3 } else { BEGIN }, &row), 1);
        OldOperation { id, tenant: tenant.to_owned(), step: 0, first, owner }
    }

    fn audit(&mut self, now: i64, action: &str, key: &str, tenant: &str) {
        let epoch: i64 = self.number(EPOCH, values![1, 1], "epoch");
        let names = format!("key:{key} id:{tenant}");
        self.run(AUDIT, values![epoch, now, "cli:old", action, "ok", tenant, &names, ""]);
    }

    /// Reserves a key and begins to provision.
    pub fn create(&mut self, key: &str) -> OldOperation {
        let tenant = self.id();
        let physical = format!("t_{}", tenant.replace('-', ""));
        self.in_tx(|me, now| {
            let [login, password, failure] = [Value::Int(None), Value::Text(None), Value::Text(None)];
            let [id, key, state, isolation] = [tenant.as_str(), key, "provisioning", "database"].map(Value::from);
            let [server, physical] = ["local", physical.as_str()].map(Value::from);
            let [version, created, deleted] = [Value::from(0_i64), Value::from(now), Value::Big(None)];
            let suspended = Value::Bool(false);
            let place = [id, key, state, isolation, server, physical, login, password];
            let rest = [version, failure, suspended, created, deleted];
            let row: Vec<Value> = place.into_iter().chain(rest).collect();
            assert_eq!(me.run(TENANT_INSERT, &row), 1);
            me.begin("provision", &tenant, now)
        })
    }

    pub fn begin_purge(&mut self, key: &str) -> OldOperation {
        let tenant = self.tenant(key);
        self.in_tx(|me, now| {
            me.run(TENANT_STATE, values!["purging", &tenant]);
            me.audit(now, "tenant.purge_begin", key, &tenant);
            me.begin("purge", &tenant, now)
        })
    }

    fn renew(&mut self, operation: &OldOperation, now: i64) -> bool {
        let (id, owner) = (&operation.id, &operation.owner);
        self.run(RENEW, values![now, now + LEASE, id, owner, "running", now]) == 1
    }

    /// `false`: the operation is no longer its own, and it stops.
    pub fn heartbeat(&mut self, operation: &OldOperation) -> bool {
        self.in_tx(|me, now| me.renew(operation, now))
    }

    /// Writes down that so many steps are done, if the operation is still its own.
    pub fn step(&mut self, operation: &OldOperation, number: i32) -> bool {
        self.in_tx(|me, now| {
            let written = |me: &mut Self| match me.names_steps {
                true => me.run(STEP_3, values![operation.first, number, &operation.id]),
                false => me.run(STEP, values![number, &operation.id]),
            };
            me.renew(operation, now) && written(me) == 1
        })
    }

    pub fn take_over(&mut self, key: &str) -> Option<OldOperation> {
        let (tenant, owner) = (self.tenant(key), self.id());
        self.in_tx(|me, now| {
            // The columns are asked for even if nothing is taken, so that the statement is prepared.
            let taken = me.run(TAKE, values![&owner, now + LEASE, &tenant, now]);
            let statement = if me.names_steps { TAKEN_3 } else { TAKEN };
            let step = me.number(statement, values![&tenant, 1_i64], "step");
            let id = me.number(statement, values![&tenant, 1_i64], "id");
            (taken == 1).then_some(OldOperation { id, tenant, step, first: "drain", owner })
        })
    }

    /// The end of a purge whose steps are done, if the operation is still its own.
    pub fn end_purge(&mut self, key: &str, operation: &OldOperation) -> bool {
        let tenant = &operation.tenant;
        self.in_tx(|me, now| {
            let [none, also_none] = [Value::Text(None), Value::Text(None)];
            let [id, owner, running] = [operation.id.as_str(), operation.owner.as_str(), "running"].map(Value::from);
            let ended = [now.into(), "done".into(), none, also_none, id, owner, running, now.into()];
            if me.run(END, &ended) == 0 {
                return false;
            }
            me.run(QUARANTINE, values![&format!("key:{key}"), now + LEASE]);
            me.run(DOMAINS_DELETE, values![tenant]);
            me.run(TENANT_DELETE, values![tenant]);
            me.audit(now, "tenant.purge", key, tenant);
            true
        })
    }
}
