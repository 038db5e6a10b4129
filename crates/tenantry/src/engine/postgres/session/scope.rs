//! [`PgScope`]: what is put on a connection for one transaction.

use std::{sync::Arc, time::Duration};

use tenantry_sql::postgres::settings;

use crate::{
    engine::{
        Begin, Level, Placement,
        postgres::names::{SHARED, TENANT, literal, quoted},
    },
    id::TenantId,
    tenant::Isolation,
};

/// The path of the engine's own statements: in the app's, a function of the app's by the name of the server's would be called
/// where its arguments fit better.
pub(crate) const OURS: &str = "SET LOCAL search_path = pg_catalog, pg_temp";

/// What a transaction of one tenant, or on the shared tables, is entered with. It is local to the transaction: nothing is
/// left when that ends.
#[derive(Debug)]
pub(crate) struct PgScope {
    /// `None` at a place that is the tenant's own, where a statement needs nothing around it.
    settings: Option<Settings>,
    /// Whose schema a connection grows by.
    pub(crate) schema_of: Option<TenantId>,
    isolation: Option<Isolation>,
    /// What limits a transaction where a pooler may give each another connection.
    limits_behind_pooler: Option<Limits>,
    /// The same scope for a login that has the rights on the rows itself, as older versions made it.
    without_role: Option<Arc<Self>>,
}

/// How long a statement may run, and how long a transaction may be idle before the server ends it with its connection: its
/// locks make others wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) statement: Duration,
    pub(crate) idle_in_transaction: Duration,
}

#[derive(Clone, Debug)]
struct Settings {
    path: String,
    tenant: Option<String>,
    role: Option<String>,
    /// Which schema has to come first once the scope was entered. One that is gone, or closed to the role, is no error in
    /// a search path: the names in it would fall through to the shared tables.
    schema: Option<Arc<str>>,
}

impl PgScope {
    pub(crate) fn of_tenant(placement: &Placement, role: &str, pooled: Option<Limits>) -> Self {
        let isolation = placement.isolation;
        let schema: Option<Arc<str>> = match isolation {
            Isolation::Row => Some(TENANT.into()),
            Isolation::Schema => Some(Arc::clone(&placement.physical)),
            Isolation::Database => None,
        };
        let settings = schema.map(|schema| Settings {
            path: path(&schema),
            tenant: Some(placement.id.to_string()),
            role: Some(role.to_owned()),
            schema: Some(schema),
        });
        let scope = Self {
            settings,
            schema_of: (isolation == Isolation::Schema).then_some(placement.id),
            isolation: Some(isolation),
            limits_behind_pooler: pooled,
            without_role: None,
        };
        if isolation == Isolation::Row { scope.or_without_role() } else { scope }
    }

    fn or_without_role(self) -> Self {
        let settings = self.settings.as_ref().map(|settings| Settings { role: None, ..settings.clone() });
        let Self { schema_of, isolation, limits_behind_pooler, .. } = self;
        let bare = Self { settings, schema_of, isolation, limits_behind_pooler, without_role: None };
        Self { without_role: Some(Arc::new(bare)), ..self }
    }

    /// What enters the scope on a connection whose login may not take on the role of row isolation.
    pub(crate) const fn without_role(&self) -> Option<&Arc<Self>> {
        self.without_role.as_ref()
    }

    pub(crate) fn of_shared(pooled: Option<Limits>) -> Self {
        let settings = Settings { path: SHARED_PATH.into(), tenant: None, role: None, schema: None };
        Self {
            settings: Some(settings),
            schema_of: None,
            isolation: None,
            limits_behind_pooler: pooled,
            without_role: None,
        }
    }

    pub(crate) const fn is_pooled(&self) -> bool {
        self.limits_behind_pooler.is_some()
    }

    /// Whether the place is the tenant's own, so that a statement needs no scope around it.
    pub(crate) const fn is_own(&self) -> bool {
        self.settings.is_none()
    }

    pub(crate) const fn isolation(&self) -> Option<Isolation> {
        self.isolation
    }

    /// Which schema has to come first once the scope was entered.
    pub(crate) fn schema(&self) -> Option<&str> {
        self.settings.as_ref()?.schema.as_deref()
    }

    /// One statement that enters the scope, or fails. The values are text, in the order of [`Self::values`].
    pub(crate) fn sql(&self, read_only: bool) -> &'static str {
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
        let settings = self.settings.as_ref();
        let (tenant, role) = (settings.and_then(|s| s.tenant.as_ref()), settings.and_then(|s| s.role.as_ref()));
        match (tenant, role, read_only) {
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

    pub(crate) fn values(&self) -> impl Iterator<Item = &str> + Clone {
        self.settings.iter().flat_map(|of| {
            let all = [Some(of.path.as_str()), of.tenant.as_deref(), of.schema.as_deref(), of.role.as_deref()];
            all.into_iter().flatten()
        })
    }

    /// The statement that begins a transaction, without the scope.
    pub(crate) fn begin_alone(&self, begin: Begin) -> String {
        let access = if begin.read_only { "READ ONLY" } else { "READ WRITE" };
        match begin.level {
            None => format!("BEGIN {access}"),
            Some(level) => format!("BEGIN ISOLATION LEVEL {} {access}", words(level)),
        }
    }

    /// The text that begins a transaction and enters the scope: one round trip.
    pub(crate) fn begin(&self, begin: Begin) -> String {
        let mut text = self.begin_alone(begin);
        for word in self.words() {
            text.push_str("; ");
            text.push_str(&word);
        }
        text
    }

    /// What enters the scope, statement by statement; the last one asks for what has to be looked at.
    fn words(&self) -> Vec<String> {
        let (mut all, mut asked) = (Vec::new(), Vec::new());
        if let Some(of) = &self.settings {
            all.extend(of.role.as_ref().map(|role| format!("SET LOCAL ROLE {}", quoted(role))));
            all.push(format!("SET LOCAL search_path = {}", of.path));
            all.extend(of.tenant.as_ref().map(|id| set("tenantry.tenant", id)));
            // The keyword, not the function and a cast: those are looked up by name in each new path, which costs the
            // server more than all the rest of the scope.
            asked.extend(of.schema.as_ref().map(|_| "current_schema AS schema"));
        }
        if let Some(limits) = self.limits_behind_pooler {
            // Behind a pooler nothing can come with the connection, and only inside of a transaction is it known which
            // process of the server would have to be stopped.
            all.push(set("statement_timeout", &limits.statement.as_millis().to_string()));
            all.push(set("idle_in_transaction_session_timeout", &limits.idle_in_transaction.as_millis().to_string()));
            all.push(set("standard_conforming_strings", "on"));
            all.push(set("row_security", "on"));
            if self.isolation == Some(Isolation::Row) {
                let (name, value) = settings::NO_BITMAPS;
                all.push(set(name, value));
            }
            asked.push("pg_backend_pid() AS pid");
        }
        if !asked.is_empty() {
            all.push(format!("SELECT {}", asked.join(", ")));
        }
        all
    }
}

const SHARED_PATH: &str = "shared,pg_temp";

/// The search path of a tenant: its own schema, the shared tables, and temporary tables last, never first.
pub(crate) fn path(schema: &str) -> String {
    format!("{},{SHARED},pg_temp", quoted(schema))
}

fn set(setting: &str, value: &str) -> String {
    format!("SET LOCAL {setting} = {}", literal(value))
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

    fn placement(isolation: Isolation) -> Placement {
        let id: TenantId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().expect("an id");
        let physical = "t_01890a5dac96774bbcceb302099a8057".into();
        Placement { id, isolation, physical, login: None, password: None }
    }

    #[test]
    fn the_scope_of_each_isolation_is_local_to_one_transaction() {
        let of = |isolation| PgScope::of_tenant(&placement(isolation), "tn_x_t_1", None).begin(Begin::WRITE);
        assert_eq!(
            of(Isolation::Row),
            "BEGIN READ WRITE; SET LOCAL ROLE \"tn_x_t_1\"; SET LOCAL search_path = \"tenant\",shared,pg_temp; \
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

    #[test]
    fn behind_a_pooler_what_a_connection_would_bring_comes_with_each_transaction() {
        let seconds = Duration::from_secs;
        let limits = Limits { statement: seconds(30), idle_in_transaction: seconds(60) };
        let of = |isolation| PgScope::of_tenant(&placement(isolation), "tn_x_t_1", Some(limits)).begin(Begin::WRITE);
        let common = "SET LOCAL statement_timeout = '30000'; SET LOCAL idle_in_transaction_session_timeout = '60000'; \
                      SET LOCAL standard_conforming_strings = 'on'; SET LOCAL row_security = 'on'; ";
        let asked = "SELECT current_schema AS schema, pg_backend_pid() AS pid";
        let row = of(Isolation::Row);
        assert!(row.ends_with(&format!("{common}SET LOCAL enable_bitmapscan = 'off'; {asked}")), "{row}");
        let schema = of(Isolation::Schema);
        assert!(schema.ends_with(&format!("{common}{asked}")), "{schema}");
    }
}
