//! Extensions, by what they mean for a connection that many tenants share.

use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::{AssertSqlSafe, postgres::PgConnection};

use super::names::quoted;
use crate::{engine::Finding, error::Result};

/// What an extension means for whoever shares a connection with its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Its functions keep nothing in the session but settings, which `DISCARD ALL` takes back.
    Stateless,
    /// It keeps, or may keep, something in the session that `DISCARD ALL` does not take back. The connections are closed.
    Stateful,
    /// It is a way around the walls: a file that makes it is refused. The text says why.
    Refused(&'static str),
}

/// Types, operators, index methods and pure functions. What of them is set (`pg_trgm.similarity_threshold`, `hnsw.ef_search`)
/// is a setting of the server's, and `uuid-ossp` keeps a clock sequence that tells nothing of a tenant. `tablefunc` runs
/// texts that it is given, but read only: the server refuses SET in them. `plpgsql` has no variables of the session, and
/// `postgres_fdw` closes its connections with the transaction, by the option with which the engine makes its server.
const STATELESS: &[&str] = &[
    "bloom",
    "btree_gin",
    "btree_gist",
    "citext",
    "cube",
    "dict_int",
    "dict_xsyn",
    "earthdistance",
    "fuzzystrmatch",
    "hstore",
    "intagg",
    "intarray",
    "ltree",
    "pg_stat_statements",
    "pg_trgm",
    "pgcrypto",
    "plpgsql",
    "postgres_fdw",
    "seg",
    "tablefunc",
    "tsm_system_rows",
    "tsm_system_time",
    "unaccent",
    "uuid-ossp",
    "vector",
];

const RUNS_TEXTS: &str = "its functions run a text that they are given, which may leave the tenant's scope";
const READS_FILES: &str = "it reads the server's files, where other tenants' rows are too";
const READS_PAGES: &str = "it reads or changes the pages of tables, past every right and policy";
const UNTRUSTED: &str = "code in an untrusted language may do whatever the server itself may";

const REFUSED: &[(&str, &str)] = &[
    ("adminpack", READS_FILES),
    ("file_fdw", READS_FILES),
    ("lo", "large objects belong to no tenant"),
    ("pageinspect", READS_PAGES),
    ("pg_background", RUNS_TEXTS),
    ("pg_cron", RUNS_TEXTS),
    ("pg_dirtyread", READS_PAGES),
    ("pg_surgery", READS_PAGES),
    ("pg_walinspect", READS_PAGES),
    ("plperlu", UNTRUSTED),
    ("plpython2u", UNTRUSTED),
    ("plpython3u", UNTRUSTED),
    ("plpythonu", UNTRUSTED),
    ("plsh", UNTRUSTED),
    ("pltclu", UNTRUSTED),
    ("xml2", RUNS_TEXTS),
];

/// What is not listed may keep anything.
pub(super) fn class(name: &str) -> Class {
    if STATELESS.contains(&name) {
        return Class::Stateless;
    }
    let refused = REFUSED.iter().find(|(refused, _)| *refused == name);
    refused.map_or(Class::Stateful, |(_, why)| Class::Refused(why))
}

/// Extensions that are there although no file could have made them.
pub(super) async fn findings(admin: &mut PgConnection) -> Result<Vec<Finding>> {
    let names: String = sqlx::query_scalar(AssertSqlSafe(format!("SELECT {ASK}"))).fetch_one(admin).await?;
    let finding = |name: &str| match class(name) {
        Class::Refused(why) => Some(Finding {
            code: "extension_refused",
            what: format!("the extension `{name}` is a way around the walls: {why}"),
            repair: format!("DROP EXTENSION {}", quoted(name)),
        }),
        Class::Stateless | Class::Stateful => None,
    };
    Ok(names.split(',').filter_map(finding).collect())
}

/// Tells the extensions of a database, by [`Known::learn`].
pub(super) const ASK: &str =
    "coalesce((SELECT pg_catalog.string_agg(extname::text, ',') FROM pg_catalog.pg_extension), '')";

/// What is known of the extensions of the database where tenants share connections.
#[derive(Default)]
pub(super) struct Known {
    keeps_state: AtomicBool,
}

impl Known {
    /// Takes the answer to [`ASK`].
    pub(super) fn learn(&self, names: &str) {
        let stateful = names.split(',').any(|name| !name.is_empty() && class(name) != Class::Stateless);
        self.keeps_state.store(stateful, Ordering::Relaxed);
    }

    /// Whether a function may be called that leaves something in the session.
    pub(super) fn keep_state(&self) -> bool {
        self.keeps_state.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_that_nobody_knows_may_keep_anything() {
        let known = Known::default();
        for (names, keep) in [
            ("", false),
            ("plpgsql", false),
            ("plpgsql,citext,uuid-ossp", false),
            ("plpgsql,dblink", true),
            ("isn", true),
            ("plperl", true),
            ("somebodys_own", true),
            ("plpgsql,pgcrypto", false),
        ] {
            known.learn(names);
            assert_eq!(known.keep_state(), keep, "{names}");
        }
    }

    #[test]
    fn what_runs_texts_reads_files_or_is_untrusted_is_refused() {
        for name in ["xml2", "adminpack", "file_fdw", "pageinspect", "plpython3u", "plperlu"] {
            assert!(matches!(class(name), Class::Refused(_)), "{name}");
        }
    }
}
