//! The wire's own statements: how a scope is entered, and a transaction begun.

use bytes::BytesMut;
use postgres_protocol::message::frontend;

use super::frames::broken;
use crate::engine::{Begin, postgres::PgScope};

/// PostgreSQL's number of the type `text`.
const TEXT: u32 = 25;

/// What the wire has prepared on its connection.
#[derive(Default)]
pub(super) struct Own {
    prepared: Vec<Prepared>,
    /// Raised with each forgetting: names are never used twice.
    generation: u64,
}

struct Prepared {
    sql: String,
    name: String,
}

/// Whether that is how a scope fails that cannot be entered: by its schema, its role, or the right to it. Any other error
/// leaves open whether the wire's own statements are still what they should be.
pub(super) fn is_refusal(code: &str) -> bool {
    matches!(code, "22012" | "22023" | "42501" | "42704")
}

/// Whether a statement had to be prepared along with its use.
pub(super) type Parsed = bool;

impl Own {
    /// The server has forgotten all statements, or it is not known what it still has.
    pub(super) fn forget(&mut self) {
        self.prepared.clear();
        self.generation += 1;
    }

    /// Binds and executes the statement that enters the scope. It fails unless the scope is entered wholly.
    pub(super) fn enter(&mut self, scope: &PgScope, read_only: bool, out: &mut BytesMut) -> std::io::Result<Parsed> {
        self.run(scope.sql(read_only), scope.values(), out)
    }

    pub(super) fn begin(&mut self, scope: &PgScope, begin: Begin, out: &mut BytesMut) -> std::io::Result<Parsed> {
        self.run(&scope.begin_alone(begin), std::iter::empty(), out)
    }

    fn run<'v>(
        &mut self,
        sql: &str,
        values: impl Iterator<Item = &'v str> + Clone,
        out: &mut BytesMut,
    ) -> std::io::Result<Parsed> {
        let known = self.prepared.iter().position(|known| known.sql == sql);
        let at = known.unwrap_or(self.prepared.len());
        if known.is_none() {
            let name = format!("tenantry_own_{}_{at}", self.generation);
            frontend::parse(&name, sql, values.clone().map(|_| TEXT), out)?;
            self.prepared.push(Prepared { sql: sql.to_owned(), name });
        }
        let write = |value: &str, out: &mut BytesMut| {
            out.extend_from_slice(value.as_bytes());
            Ok(postgres_protocol::IsNull::No)
        };
        frontend::bind("", &self.prepared[at].name, [], values, write, [], out)
            .map_err(|_| broken("a scope that cannot be written down"))?;
        frontend::execute("", 0, out)?;
        Ok(known.is_none())
    }
}
