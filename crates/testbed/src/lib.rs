//! Real database servers for the tests of the workspace, which start by themselves.
//!
//! [`Postgres::shared`] is the server that all tests of a user share; the first test starts it, and it ends by itself
//! when nobody has used it for half a minute. [`Postgres::private`] is a server of the test's own, to be stopped and
//! configured at will. Both need nothing but the programs of PostgreSQL, 15 or newer; they also run when the tests run
//! as root, which the server itself refuses. `TENANTRY_TEST_POSTGRES_URL` names another server to share, as a superuser.
//!
//! ```no_run
//! use tenantry_testbed::Postgres;
//!
//! let server = Postgres::shared()?;
//! let database = server.database()?;
//! assert_eq!(database.sql("SELECT 1 + 1")?, "2");
//! // Connect to `database.url()`; the database is dropped with the value.
//! # Ok::<(), String>(())
//! ```
//!
//! Nothing outlives the tests for ever, not even if they are killed: each server has a keeper, a small shell script of a
//! process of its own, that notices when its users are gone. What is left if the keepers are killed too is removed by
//! the next start.

mod address;
mod area;
mod bouncer;
mod database;
mod install;
mod keeper;
mod port;
mod private;
mod process;
mod programs;
mod proxy;
mod server;
mod settings;
mod shared;
mod template;
mod tls;
mod user;

pub use bouncer::PgBouncer;
pub use database::TestDatabase;
pub use install::{install_postgres, missing_postgres};
pub use private::PrivatePostgres;
pub use proxy::Proxy;
pub use server::Postgres;
pub use tls::LOCALHOST;

/// What went wrong, as a text for whoever reads the failed test.
type Result<T = (), E = String> = std::result::Result<T, E>;

/// Says what was being done when a call of the system failed.
trait During<T> {
    fn during(self, what: &str) -> Result<T>;
}

impl<T, E: std::fmt::Display> During<T> for std::result::Result<T, E> {
    fn during(self, what: &str) -> Result<T> {
        self.map_err(|error| format!("{what}: {error}"))
    }
}
