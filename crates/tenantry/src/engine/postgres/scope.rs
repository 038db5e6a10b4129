//! [`PgScope`]: what is put on a connection for one transaction.

use std::{sync::Arc, time::Duration};

use super::names::{SHARED, TENANT, literal, quoted};
use crate::{
    engine::{Begin, Level, Placement},
    tenant::Isolation,
};

/// The words that begin a transaction of one tenant. They are local to it: nothing is left when it ends.
#[derive(Debug)]
pub(crate) struct PgScope {
    /// The scope alone; empty at a place that is the tenant's own.
    enter: String,
    read: Arc<str>,
    write: Arc<str>,
    /// Which schema has to come first once the scope was entered. One that is gone, or closed to the role, is no error in
    /// a search path: the names in it would fall through to the shared tables.
    pub(super) schema: Option<Arc<str>>,
    /// Whose schema a connection grows by.
    pub(super) schema_of: Option<crate::id::TenantId>,
    isolation: Option<Isolation>,
    settings: Settings,
    /// Whether the place is the tenant's own, so that a statement needs no scope around it.
    pub(super) own: bool,
    /// Whether a pooler may give each transaction another connection.
    pub(super) pooled: bool,
}

/// What a scope sets, for whoever sends it along with a statement.
#[derive(Debug, Default)]
pub(super) struct Settings {
    path: String,
    tenant: Option<String>,
    role: Option<String>,
    schema: Option<Arc<str>>,
}

impl Settings {
    /// One statement that enters the scope, or fails. The values are text, in the order of [`Settings::values`].
    pub(super) fn sql(&self, read_only: bool) -> &'static str {
        // The schema of the path comes first only if it is there and open to the role: nothing else is divided by.
        macro_rules! scope {
            ($($before:literal),*) => {
                concat!(
                    "SELECT ", $($before,)* "pg_catalog.set_config('search_path', $1, true), ",
                    "pg_catalog.set_config('tenantry.tenant', $2, true), ",
                    "1 / (pg_catalog.current_schema()::text IS NOT DISTINCT FROM $3)::int"
                )
            };
        }
        match (&self.tenant, &self.role, read_only) {
            (Some(_), Some(_), false) => scope!("pg_catalog.set_config('role', $4, true), "),
            (Some(_), Some(_), true) => scope!(
                "pg_catalog.set_config('transaction_read_only', 'on', true), ",
                "pg_catalog.set_config('role', $4, true), "
            ),
            (Some(_), None, false) => scope!(),
            (Some(_), None, true) => scope!("pg_catalog.set_config('transaction_read_only', 'on', true), "),
            (None, _, false) => "SELECT pg_catalog.set_config('search_path', $1, true)",
            (None, _, true) => {
                "SELECT pg_catalog.set_config('transaction_read_only', 'on', true), \
                 pg_catalog.set_config('search_path', $1, true)"
            }
        }
    }

    pub(super) fn values(&self) -> Vec<&str> {
        let (tenant, schema) = (self.tenant.as_deref(), self.schema.as_deref());
        let all = [Some(self.path.as_str()), tenant, schema, self.role.as_deref()];
        all.into_iter().flatten().collect()
    }
}

impl PgScope {
    pub(super) fn of_tenant(placement: &Placement, role: &str, pooled: Option<Duration>) -> Self {
        let id = placement.id.to_string();
        let (settings, schema) = match placement.isolation {
            Isolation::Row => (vec![path_of(&path(TENANT)), set("tenantry.tenant", &id)], Some(TENANT.into())),
            Isolation::Schema => {
                let physical = Arc::clone(&placement.physical);
                let role = format!("SET LOCAL ROLE {}", quoted(role));
                (vec![role, path_of(&path(&physical)), set("tenantry.tenant", &id)], Some(physical))
            }
            Isolation::Database => (Vec::new(), None),
        };
        let schema_of = (placement.isolation == Isolation::Schema).then_some(placement.id);
        let wanted = match placement.isolation {
            Isolation::Database => Settings::default(),
            isolation => Settings {
                path: path(schema.as_deref().unwrap_or(TENANT)),
                tenant: Some(id),
                role: (isolation == Isolation::Schema).then(|| role.to_owned()),
                schema: schema.clone(),
            },
        };
        Self {
            schema_of,
            isolation: Some(placement.isolation),
            settings: wanted,
            ..Self::new(settings, schema, pooled)
        }
    }

    pub(super) fn of_shared(pooled: Option<Duration>) -> Self {
        let settings = Settings { path: SHARED_PATH.into(), ..Settings::default() };
        Self { settings, ..Self::new(vec![path_of(SHARED_PATH)], None, pooled) }
    }

    fn new(mut settings: Vec<String>, schema: Option<Arc<str>>, pooled: Option<Duration>) -> Self {
        let own = settings.is_empty();
        let mut asked = Vec::new();
        if schema.is_some() {
            // The keyword, not the function and a cast: those are looked up by name in each new path, which costs the
            // server more than all the rest of the scope.
            asked.push("current_schema AS schema");
        }
        if let Some(limit) = pooled {
            // Behind a pooler nothing can come with the connection, and only inside of a transaction is it known which
            // process of the server would have to be stopped.
            settings.push(set("statement_timeout", &limit.as_millis().to_string()));
            settings.push(set("standard_conforming_strings", "on"));
            settings.push(set("row_security", "on"));
            asked.push("pg_backend_pid() AS pid");
        }
        if !asked.is_empty() {
            settings.push(format!("SELECT {}", asked.join(", ")));
        }
        let enter: String = settings.iter().map(|setting| format!("; {setting}")).collect();
        Self {
            read: format!("BEGIN READ ONLY{enter}").into(),
            write: format!("BEGIN READ WRITE{enter}").into(),
            enter,
            schema,
            schema_of: None,
            isolation: None,
            settings: Settings::default(),
            own,
            pooled: pooled.is_some(),
        }
    }

    pub(crate) const fn is_pooled(&self) -> bool {
        self.pooled
    }

    pub(crate) const fn isolation(&self) -> Option<Isolation> {
        self.isolation
    }

    pub(super) const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Enters the scope and leaves it again: whether this connection's server can.
    pub(super) fn probe(&self) -> String {
        format!("{}; ROLLBACK", self.read)
    }

    /// The statement that begins a transaction, without the scope.
    pub(super) fn begin_alone(&self, begin: Begin) -> String {
        let access = if begin.read_only { "READ ONLY" } else { "READ WRITE" };
        match begin.level {
            None => format!("BEGIN {access}"),
            Some(level) => format!("BEGIN ISOLATION LEVEL {} {access}", words(level)),
        }
    }

    /// The text that begins a transaction and enters the scope: one round trip.
    pub(super) fn begin(&self, begin: Begin) -> Arc<str> {
        match begin {
            Begin { read_only: true, level: None } => Arc::clone(&self.read),
            Begin { read_only: false, level: None } => Arc::clone(&self.write),
            Begin { read_only, level: Some(level) } => {
                let access = if read_only { "READ ONLY" } else { "READ WRITE" };
                format!("BEGIN ISOLATION LEVEL {} {access}{}", words(level), self.enter).into()
            }
        }
    }
}

const SHARED_PATH: &str = "shared,pg_temp";

/// The search path of a tenant: its own schema, the shared tables, and temporary tables last, never first.
pub(super) fn path(schema: &str) -> String {
    format!("{},{SHARED},pg_temp", quoted(schema))
}

fn set(setting: &str, value: &str) -> String {
    format!("SET LOCAL {setting} = {}", literal(value))
}

fn path_of(path: &str) -> String {
    format!("SET LOCAL search_path = {path}")
}

const fn words(level: Level) -> &'static str {
    match level {
        Level::ReadUncommitted => "READ UNCOMMITTED",
        Level::ReadCommitted => "READ COMMITTED",
        Level::RepeatableRead => "REPEATABLE READ",
        Level::Serializable => "SERIALIZABLE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TenantId;

    fn placement(isolation: Isolation) -> Placement {
        let id: TenantId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().expect("an id");
        let physical = "t_01890a5dac96774bbcceb302099a8057".into();
        Placement { id, isolation, physical, login: None, password: None }
    }

    #[test]
    fn the_scope_of_each_isolation_is_local_to_one_transaction() {
        let of =
            |isolation| PgScope::of_tenant(&placement(isolation), "tn_x_t_1", None).begin(Begin::WRITE).to_string();
        assert_eq!(
            of(Isolation::Row),
            "BEGIN READ WRITE; SET LOCAL search_path = \"tenant\",shared,pg_temp; \
             SET LOCAL tenantry.tenant = '01890a5d-ac96-774b-bcce-b302099a8057'; \
             SELECT current_schema AS schema"
        );
        assert_eq!(
            of(Isolation::Schema),
            "BEGIN READ WRITE; SET LOCAL ROLE \"tn_x_t_1\"; \
             SET LOCAL search_path = \"t_01890a5dac96774bbcceb302099a8057\",shared,pg_temp; \
             SET LOCAL tenantry.tenant = '01890a5d-ac96-774b-bcce-b302099a8057'; \
             SELECT current_schema AS schema"
        );
        assert_eq!(of(Isolation::Database), "BEGIN READ WRITE");
    }
}
