//! Opening connections for apps, each bound to its place.

use std::sync::Arc;

use sqlx::{
    AssertSqlSafe, ConnectOptions, Executor, Row,
    postgres::{PgConnectOptions, PgConnection},
};
use tenantry_sql::postgres::settings;

use super::{
    control::Control,
    dial::{has_wrong_password, in_time, patiently},
    extensions,
    link::PgLink,
    scope::{Limits, path},
    scram,
    wire::{self, Certificates, Wire},
};
use crate::{
    engine::{
        Place, Placement,
        postgres::{
            names::{Names, TENANT, literal, quoted},
            rules,
        },
    },
    error::{Error, ErrorKind, Result},
    ident::Ident,
    secret::{Secret, SecretKey},
};

/// What the sealed password of a tenant's login is bound to.
pub(crate) const PASSWORD_PURPOSE: &str = "tenant password";

/// Where and as whom an app's connections of one server are opened.
pub(crate) struct Door {
    /// Where apps go; the user is another for each place.
    pub(crate) app: PgConnectOptions,
    /// Where the administrator goes: tenants' own databases are never behind a pooler.
    pub(crate) direct: PgConnectOptions,
    pub(crate) names: Names,
    pub(crate) key: Arc<SecretKey>,
    pub(crate) control: Arc<Control>,
    /// What the passwords of the logins follow from that the engine has made.
    pub(crate) secret: Option<Secret>,
    pub(crate) pooler: bool,
    /// Whether statements go through a wire where they can.
    pub(crate) wire: bool,
    /// Of the app's way, and of the administrator's.
    pub(crate) certificates: [Certificates; 2],
    pub(crate) limits: Limits,
    /// Held by whoever makes the template of new databases.
    pub(crate) template: tokio::sync::Mutex<()>,
}

impl Door {
    pub(crate) async fn connect(&self, place: &Place) -> Result<PgLink> {
        let pooled = self.is_pooled(place);
        let opened = match (self.open(place).await, place) {
            (Err(error), Place::Tenant(own)) if has_wrong_password(&error) => {
                self.give_password_back(own).await?;
                self.open(place).await
            }
            (opened, _) => opened,
        };
        let (mut connection, mut wire) = opened.map_err(|e| cannot_open(place, e))?;
        let (pid, enters_role) = wire::drive(wire.as_mut(), async {
            let pid = self.prove(&mut connection, place).await?;
            if matches!(place, Place::Schemas(_)) {
                self.control.own_types.look(&mut connection).await.map_err(|e| cannot_open(place, e))?;
            }
            Ok::<_, Error>(pid)
        })
        .await?;
        let (pid, idle) = ((!pooled).then_some(pid), self.limits.idle_in_transaction);
        let link =
            PgLink::new(connection, Arc::clone(&self.control), wire, pid, idle, !matches!(place, Place::Tenant(_)));
        Ok(if enters_role { link } else { link.enters_no_role() })
    }

    async fn open(&self, place: &Place) -> Result<(PgConnection, Option<Wire>), sqlx::Error> {
        let options = self.options(place)?;
        // A pooler may change the server's process between two flushes.
        let can = self.wire && !self.is_pooled(place);
        let Some(local) = can.then(wire::LocalSocket::open).flatten() else {
            return Ok((in_time(&options).await?, None));
        };
        let own_tables = matches!(place, Place::Schemas(_));
        let (connection, wire) = patiently(wire::connect(options, self.certificates(place), own_tables, local)).await?;
        Ok((connection, Some(wire)))
    }

    /// In a database of its own a tenant's block may change the password of the tenant's login.
    async fn give_password_back(&self, own: &Placement) -> Result<()> {
        let Some(sealed) = &own.password else { return Ok(()) };
        let secret = scram::secret(&self.key.open(PASSWORD_PURPOSE, sealed)?)?;
        let login = quoted(&self.names.of_tenant(&own.physical));
        let mut admin = self.control.admin().await?;
        admin.execute(AssertSqlSafe(format!("ALTER ROLE {login} PASSWORD {}", literal(&secret)))).await?;
        admin.done();
        Ok(())
    }

    const fn certificates(&self, place: &Place) -> &Certificates {
        let [app, direct] = &self.certificates;
        if matches!(place, Place::Tenant(_)) { direct } else { app }
    }

    /// Whether transactions at this place may meet another process of the server each.
    pub(crate) const fn is_pooled(&self, place: &Place) -> bool {
        self.pooler && !matches!(place, Place::Tenant(_))
    }

    pub(crate) fn options(&self, place: &Place) -> Result<PgConnectOptions> {
        let names = &self.names;
        let (options, login) = match place {
            Place::Rows => (self.app.clone(), names.rows_login()),
            Place::Schemas(number) => (self.app.clone(), names.schemas_login(*number)),
            Place::Shared => (self.app.clone(), names.shared_login()),
            Place::Tenant(placement) => (self.own(placement)?, names.of_tenant(&placement.physical)),
        };
        let options = match (&self.secret, place) {
            // That of the app's URL has the password that stands there, and a tenant's own is sealed in the catalog.
            (Some(secret), Place::Schemas(_) | Place::Shared) if login != names.rows_login() => {
                options.password(&scram::password_of(secret.expose(), &login))
            }
            _ => options,
        };
        let options = options.username(&login).application_name("tenantry app").disable_statement_logging();
        if self.is_pooled(place) {
            return Ok(options);
        }
        let timeout = format!("{}ms", self.limits.statement.as_millis());
        let idle = format!("{}ms", self.limits.idle_in_transaction.as_millis());
        let options = if matches!(place, Place::Rows) { options.options([settings::NO_BITMAPS]) } else { options };
        Ok(options.options([
            ("search_path", self.search_path(place).as_str()),
            ("statement_timeout", &timeout),
            ("idle_in_transaction_session_timeout", &idle),
            // What a role's own settings would say otherwise must not hold here.
            ("standard_conforming_strings", "on"),
            ("row_security", "on"),
            // What an app that was killed had begun is stopped too.
            ("client_connection_check_interval", "500ms"),
        ]))
    }

    fn own(&self, placement: &Placement) -> Result<PgConnectOptions> {
        let options = self.direct.clone().database(&self.names.of_tenant(&placement.physical));
        let Some(sealed) = &placement.password else { return Ok(options) };
        Ok(options.password(&self.key.open(PASSWORD_PURPOSE, sealed)?))
    }

    /// Where names lead outside of a scope: in a place that many have in common nowhere.
    fn search_path(&self, place: &Place) -> String {
        match place {
            Place::Tenant(_) => path(TENANT),
            Place::Rows | Place::Schemas(_) | Place::Shared => "pg_catalog,pg_temp".into(),
        }
    }

    /// A login that may do more than it should is no wall: it is refused before any statement of an app runs on it. Beside
    /// the process it is told whether the login may take on the role of row isolation.
    async fn prove(&self, connection: &mut PgConnection, place: &Place) -> Result<(i32, bool)> {
        let (prefix, reader) = (self.names.tenants()?, Ident::new(self.names.reader())?);
        let rows = Ident::new(self.names.rows_role())?;
        // As one message: a pooler could give the statement and its execution different connections.
        let ask = format!(
            "SELECT pg_backend_pid() AS pid, session_user::text AS login,
                    coalesce(pg_has_role(session_user, to_regrole('{rows}'), 'MEMBER'), false) AS enters,
                    {} AS extensions",
            extensions::ASK
        );
        let ask = sqlx::raw_sql(AssertSqlSafe(ask));
        let row = ask.fetch_one(&mut *connection).await.map_err(|e| cannot_open(place, e))?;
        let (pid, login, enters): (i32, String, bool) = (row.get("pid"), row.get("login"), row.get("enters"));
        if !matches!(place, Place::Tenant(_)) {
            self.control.extensions.learn(row.get("extensions"));
        }
        let (is_rows, is_schemas) = (matches!(place, Place::Rows), matches!(place, Place::Schemas(_)));
        // One login of the operator's may serve row and schema isolation.
        let serves_both = self.names.has_own_login() && login == self.names.rows_login();
        let expect = rules::Expect {
            rows: (is_rows || is_schemas && serves_both).then_some(&rows),
            tenants: (is_schemas || is_rows && serves_both).then_some((&prefix, &reader)),
        };
        let breaches = rules::login_breaches(connection, expect).await.map_err(|e| cannot_open(place, e))?;
        if breaches.is_empty() {
            return Ok((pid, enters || !is_rows));
        }
        Err(Error::new(
            ErrorKind::Isolation,
            format!("the login `{login}` for {place} is refused: {}", breaches.join("; ")),
        )
        .help(format!(
            "ALTER ROLE \"{login}\" NOSUPERUSER NOBYPASSRLS NOINHERIT NOCREATEROLE NOCREATEDB NOREPLICATION, take its \
             memberships and objects away, or leave --app-url out: then the login is made for you"
        )))
    }
}

fn cannot_open(place: &Place, cause: sqlx::Error) -> Error {
    let text = format!("no connection to {place} could be opened");
    let kind = match cause.as_database_error().and_then(|e| e.code()).as_deref() {
        // Too many connections, starting up, shutting down, or a reserved slot.
        Some("53300" | "57P03" | "57P01") | None => ErrorKind::DatabaseBusy,
        Some(_) => ErrorKind::Isolation,
    };
    Error::new(kind, text).caused_by(cause).help("tenantry doctor")
}

/// Options from a URL that an operator gave; the error does not show it.
pub(crate) fn parse(url: &str, what: &str) -> Result<PgConnectOptions> {
    url.parse().map_err(|e: sqlx::Error| {
        Error::new(ErrorKind::InvalidInput, format!("the {what} cannot be read"))
            .caused_by(e)
            .help("write postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full&sslrootcert=FILE")
    })
}
