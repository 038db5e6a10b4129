//! [`PgLink`]: a connection to PostgreSQL, and the words by which transactions are begun, ended and undone on it.

mod every;
mod idle;
mod line;
mod settle;

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sqlx::{AssertSqlSafe, Executor, Row, SqlSafeStr, SqlStr, postgres::PgConnection};

pub(crate) use line::Line;

use idle::Idle;

use super::{control::Control, outcome::schema_is_gone, process::Process, scope::PgScope, wire::Wire};
use crate::{
    engine::{Begin, SqlText},
    error::{Error, ErrorKind},
    id::TenantId,
};

/// After so many tenants of schema isolation a connection is closed: the server's side of it grows with each. All that one
/// login serves at a time fit in; closed before that, a connection would never know them all.
const MOST_SCHEMAS: usize = 600;

/// Of how many texts a connection remembers that the driver knows their types.
const MOST_TEXTS: usize = 4_096;

/// A connection without the role of row isolation is closed after this long: `migrate up` may have made the role since.
const LONGEST_ROLELESS: Duration = Duration::from_secs(10);

fn hash(sql: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(sql)
}

/// Counts what was served, over all connections.
static SERVED: AtomicU64 = AtomicU64::new(0);

/// The larger, the later.
fn now() -> u64 {
    SERVED.fetch_add(1, Ordering::Relaxed)
}

pub(crate) struct PgLink {
    /// Nothing is said on it but by a [`Line`], or it would wait for ever: see [`drive`].
    connection: PgConnection,
    control: Arc<Control>,
    /// What stands behind the connection, if anything does.
    wire: Option<Wire>,
    process: Arc<Process>,
    /// Whether a statement was sent whose end nobody has read.
    busy: bool,
    /// Whether a COPY was begun that has not ended in order. The driver does not count its answers: by a question behind it
    /// nobody would learn where they end.
    copying: bool,
    pooled: bool,
    /// To a database that tenants have in common: what its extensions are is known to all connections there.
    in_common: bool,
    /// Something was run that may have left what no reset takes back.
    spoiled: bool,
    /// Something was run that may have called any function.
    called: bool,
    /// Since when it is known that its login may not take on the role of row isolation: older versions gave the login the
    /// rights on the rows itself.
    roleless: Option<Instant>,
    /// Tenants of schema isolation that it has served, and when: the larger, the later.
    tenants: HashMap<TenantId, u64>,
    /// The last of them.
    tenant: Option<TenantId>,
    /// Hashes of texts of whose columns and parameters the driver knows the types.
    types_of: HashSet<u64>,
    /// One that it has met with its last statement, and when: served, if its scope was entered.
    met: Option<(TenantId, u64)>,
    idle: Idle,
}

type Done = Result<(), sqlx::Error>;

impl PgLink {
    /// `idle`: how long the server lets a transaction wait. `in_common`: it is not to a tenant's own database.
    pub(in crate::engine::postgres) fn new(
        connection: PgConnection,
        control: Arc<Control>,
        wire: Option<Wire>,
        pid: Option<i32>,
        idle: Duration,
        in_common: bool,
    ) -> Self {
        let pooled = pid.is_none();
        Self {
            connection,
            in_common,
            process: Arc::new(Process::new(Arc::clone(&control), pid)),
            control,
            wire,
            busy: false,
            copying: false,
            pooled,
            spoiled: false,
            called: false,
            roleless: None,
            tenants: HashMap::new(),
            tenant: None,
            types_of: HashSet::new(),
            met: None,
            idle: Idle::new(idle),
        }
    }

    pub(crate) fn stopper(&self) -> Arc<Process> {
        Arc::clone(&self.process)
    }

    /// Its login has the rights on the rows of row isolation itself.
    pub(crate) fn enters_no_role(mut self) -> Self {
        self.roleless = Some(Instant::now());
        self
    }

    /// What enters the scope here.
    fn fitting<'s>(&self, scope: &'s Arc<PgScope>) -> &'s Arc<PgScope> {
        scope.without_role().filter(|_| self.roleless.is_some()).unwrap_or(scope)
    }

    fn has_entered(&self) -> bool {
        self.wire.as_ref().is_some_and(|wire| wire.orders().has_entered())
    }

    /// Whether the statement that has just failed was the tenant's first on this connection, and never began: the server
    /// would not let the tenant's role be taken on. Another connection may have heard of it: see [`Self::is_out_of_date`].
    pub(crate) fn has_not_heard(&self) -> bool {
        self.met.is_some() && self.wire.as_ref().is_some_and(|wire| wire.orders().was_refused())
    }

    /// What is prepared by name stays on the pooler's connection, where another client has other statements by that name.
    pub(crate) fn require_session(&self) -> Done {
        if !self.pooled {
            return Ok(());
        }
        let refused = Error::new(ErrorKind::Refused, "nothing can be prepared ahead behind a pooler")
            .help("send the statement itself, or add the server without --pooler");
        Err(refused.into())
    }

    /// Whether a last user may have left what no reset takes back. What an extension keeps is not known of any but those that
    /// are known to keep nothing.
    fn is_spoiled(&self) -> bool {
        !self.pooled && (self.spoiled || self.called && self.control.extensions.keep_state())
    }

    /// For a statement of an app that is run.
    pub(crate) fn line_of(&mut self, text: SqlText) -> Line<'_> {
        self.spoiled |= text.outlives_reset;
        self.called |= !text.reads_only;
        self.line()
    }

    /// For words of an app, or to run what cannot leave more than a reset takes back.
    pub(crate) fn line(&mut self) -> Line<'_> {
        self.line_for(true)
    }

    /// For words of the engine.
    fn own_line(&mut self) -> Line<'_> {
        self.line_for(false)
    }

    /// To describe a text, which was read before, the driver explains the statement that it has prepared: words that no app may
    /// send, and by a name that is not always the server's.
    pub(crate) fn line_to_describe(&mut self) -> Result<Line<'_>, sqlx::Error> {
        if !self.wire.as_ref().is_some_and(|wire| wire.orders().are_around()) {
            return Ok(self.own_line());
        }
        let refused = Error::new(ErrorKind::Unsupported, "a text cannot be described over the wire")
            .help("prepare it, which tells its parameters and columns, or write `wire = false` under `[pool]`");
        Err(refused.into())
    }

    /// For a COPY, until [`Self::copy_has_ended`]. A transaction that was to be begun with the next words is begun before:
    /// while rows are copied in, the server passes over the Sync behind those.
    pub(crate) async fn line_for_copy(&mut self) -> Result<Line<'_>, sqlx::Error> {
        if self.wire.as_ref().is_some_and(|wire| wire.orders().is_to_begin()) {
            self.speak("SELECT 1").await?;
        }
        self.copying = true;
        Ok(self.own_line())
    }

    /// In order, and its end was read.
    pub(crate) const fn copy_has_ended(&mut self) {
        (self.busy, self.copying) = (false, false);
    }

    fn line_for(&mut self, app: bool) -> Line<'_> {
        if let Some(wire) = &mut self.wire {
            wire.orders_mut().words_of_app(app);
        }
        self.busy = true;
        Line::new(&mut self.connection, self.wire.as_mut(), (&mut self.busy, &mut self.spoiled), &mut self.idle)
    }

    pub(crate) async fn speak(&mut self, words: impl SqlSafeStr) -> Done {
        // A transaction begins with its first words, and may have failed to.
        self.own_line().say(|connection| connection.execute(sqlx::raw_sql(words))).await.map(drop)
    }

    /// Begins a transaction in that scope. Over a wire nothing is sent yet: it goes along with the first statement.
    pub(crate) async fn enter(&mut self, scope: &Arc<PgScope>, begin: Begin) -> Done {
        let scope = self.fitting(scope);
        self.require_rest()?;
        let is_new = self.meet(scope).await?;
        self.idle.begin();
        match &mut self.wire {
            Some(wire) if !is_new => {
                wire.orders_mut().begin_with_next(scope, begin);
                return Ok(());
            }
            Some(wire) => wire.orders_mut().has_begun(scope),
            None => {}
        }
        if scope.is_pooled() {
            self.process.set(None).await;
        }
        let words = AssertSqlSafe(scope.begin(begin));
        if scope.schema().is_none() && !scope.is_pooled() {
            return self.speak(words).await;
        }
        self.enter_by(scope, words).await
    }

    /// Makes each statement from now on a transaction in that scope, which at a place of the tenant's own it is by itself.
    /// `false`: there is no wire that could.
    pub(crate) async fn enter_each(&mut self, scope: &Arc<PgScope>, read_only: bool) -> Result<bool, sqlx::Error> {
        let scope = self.fitting(scope);
        self.require_rest()?;
        if scope.is_own() {
            return Ok(true);
        }
        if self.wire.is_some() && self.meet(scope).await? {
            self.met = scope.schema_of.map(|tenant| (tenant, now()));
        }
        let Some(wire) = &mut self.wire else { return Ok(false) };
        wire.orders_mut().each_in(scope, read_only);
        Ok(true)
    }

    /// A connection whose server is gone takes no statement: another one will do. Nor does one on which a last user's words
    /// may still be waiting to be sent: they would go into the next one's scope.
    fn require_rest(&mut self) -> Done {
        let Some(wire) = &mut self.wire else { return Ok(()) };
        if self.busy {
            return Err(sqlx::Error::WorkerCrashed);
        }
        if wire.is_lost() {
            return Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into());
        }
        Ok(())
    }

    /// Sends words that enter a scope, and looks whether they have.
    async fn enter_by(&mut self, scope: &PgScope, words: impl SqlSafeStr) -> Done {
        let answer = self.own_line().say(|connection| connection.fetch_all(sqlx::raw_sql(words))).await?;
        let told = answer.first().ok_or(sqlx::Error::RowNotFound)?;
        if scope.is_pooled() {
            self.process.set(told.try_get("pid")?).await;
        }
        match scope.schema() {
            Some(schema) if told.try_get::<Option<&str>, _>("schema")? != Some(schema) => Err(schema_is_gone().into()),
            _ => {
                self.served(scope.schema_of);
                Ok(())
            }
        }
    }

    /// A statement that was prepared for one tenant's types does not fit the next one's, and in the middle of a
    /// transaction it could not be prepared again. `true`: the connection has not served this tenant before.
    async fn meet(&mut self, scope: &PgScope) -> Result<bool, sqlx::Error> {
        let met = self.met.take().filter(|_| self.has_entered());
        self.tenants.extend(met);
        let Some(tenant) = scope.schema_of else { return Ok(false) };
        let before = self.tenant.replace(tenant);
        if before.is_some_and(|before| before != tenant) && self.meets_other_types().await? {
            let forgotten = self.forget_statements().await;
            forgotten.then_some(()).ok_or(sqlx::Error::WorkerCrashed)?;
        }
        if !self.tenants.contains_key(&tenant) {
            return Ok(true);
        }
        self.served(Some(tenant));
        Ok(false)
    }

    async fn meets_other_types(&mut self) -> Result<bool, sqlx::Error> {
        let control = Arc::clone(&self.control);
        if control.own_types.are_suspected() {
            // The question is nobody's: the last tenant's scope does not go before it.
            if let Some(wire) = &mut self.wire {
                wire.orders_mut().end();
            }
            self.own_line().say(|connection| control.own_types.ask(connection)).await?;
        }
        Ok(control.own_types.are_there())
    }

    /// Another tenant's type was bound, it seems: what is prepared and known is of no use.
    pub(crate) fn suspect_types(&self) -> bool {
        let can_be = self.tenants.len() + usize::from(self.met.is_some()) > 1;
        if can_be {
            self.control.own_types.suspect();
        }
        can_be
    }

    fn served(&mut self, tenant: Option<TenantId>) {
        self.tenants.extend(tenant.map(|tenant| (tenant, now())));
    }

    async fn end(&mut self, words: &'static str) -> Done {
        // Words of a busy link may wait in the driver to be sent: what was ordered for them still holds.
        if !self.busy && self.wire.as_mut().is_some_and(|wire| wire.orders_mut().end()) {
            // Nothing was said in it yet.
            self.idle.end();
            return Ok(());
        }
        if self.pooled {
            // Once this is on its way the process may serve somebody else: it must not be stopped any more.
            self.process.set(None).await;
        }
        let ended = self.speak(words).await;
        self.idle.end();
        if let Some(wire) = &mut self.wire {
            wire.orders_mut().end();
        }
        ended
    }

    /// Whether the driver will look no type up for this text.
    pub(crate) fn knows_types_of(&self, sql: &str) -> bool {
        self.types_of.contains(&hash(sql))
    }

    /// What comes next may fail because the driver looks a type up.
    pub(crate) async fn try_begin(&mut self) -> Done {
        self.speak("SAVEPOINT tenantry_try").await
    }

    pub(crate) async fn try_undo(&mut self) -> Done {
        self.speak("ROLLBACK TO tenantry_try").await
    }

    /// It went well, and the driver knows all types that the text needs.
    pub(crate) async fn try_keep(&mut self, sql: &str) -> Done {
        if self.types_of.len() >= MOST_TEXTS {
            self.types_of.clear();
        }
        self.types_of.insert(hash(sql));
        self.speak("RELEASE tenantry_try").await
    }
}

/// The text of a statement that the engine has written itself.
pub(crate) fn own(words: String) -> SqlStr {
    AssertSqlSafe(words).into_sql_str()
}
