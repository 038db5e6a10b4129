//! Extensions, by what they mean for a connection that many tenants share.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use sqlx::{AssertSqlSafe, Row, postgres::PgConnection};

use super::names::{Names, literal, quoted};
use crate::{
    engine::{Finding, StatelessExtension},
    error::Result,
};

/// What an extension means for whoever shares a connection with its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Its functions keep nothing in the session but settings, which `DISCARD ALL` takes back.
    Stateless,
    /// It is known to keep something in the session that `DISCARD ALL` does not take back. The text says what.
    Stateful(&'static str),
    /// Nobody has looked. It counts as stateful, unless the settings say that it keeps nothing.
    Unknown,
    /// Its functions keep nothing in the session, but show what other tenants do: a file that makes it is refused. The text says why.
    Telling(&'static str),
    /// It is a way around the walls: a file that makes it is refused. The text says why.
    Refused(&'static str),
}

/// Types, operators, index methods, pure functions, and functions that look at tables. The libraries of contrib (PostgreSQL 15)
/// of all but the ones named here have not a byte of data that they could change, by their symbols.
///
/// What the others do have:
/// - `pg_trgm` and `vector` have settings of the server's (`pg_trgm.similarity_threshold`, `hnsw.ef_search`).
/// - `bloom` draws numbers that it seeds anew for each value; `btree_gist`, `cube` and `seg` have constants and a parser, which
///   starts anew for each text.
/// - `pgcrypto` keeps the tables of DES for the last key, which no function gives away, and whether it tells what it does.
/// - `plpgsql` compiles functions, and has no variables of the session.
/// - `pg_prewarm` has one page that it reads into.
/// - `postgres_fdw` closes its connections with the transaction, by the option with which the engine makes its server.
/// - `uuid-ossp` leaves a clock sequence to a library of the system: it tells nothing of a tenant.
const STATELESS: &[&str] = &[
    "amcheck",
    "autoinc",
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
    "insert_username",
    "intagg",
    "intarray",
    "ltree",
    "moddatetime",
    "pg_buffercache",
    "pg_freespacemap",
    "pg_prewarm",
    "pg_trgm",
    "pg_visibility",
    "pgcrypto",
    "pgstattuple",
    "plpgsql",
    "postgres_fdw",
    "seg",
    "sslinfo",
    "tsm_system_rows",
    "tsm_system_time",
    "unaccent",
    "uuid-ossp",
    "vector",
];

const CONNECTIONS: &str = "it keeps connections to other servers open, which the next tenant could use";
const VARIABLES: &str = "it keeps variables of the session, which the next tenant could read";
const GLOBALS: &str = "its functions share variables for as long as the session lasts (`%_SHARED`, `GD` and the like)";
const SWITCHES: &str = "it has switches of the session that are no settings of the server's";

const STATEFUL: &[(&str, &str)] = &[
    ("dblink", CONNECTIONS),
    // `isn_weak()`: a setting since PostgreSQL 18.
    ("isn", SWITCHES),
    ("mongo_fdw", CONNECTIONS),
    ("multicorn", CONNECTIONS),
    ("mysql_fdw", CONNECTIONS),
    ("oracle_fdw", CONNECTIONS),
    // `dbms_output`, `dbms_pipe`, `plvdate`.
    ("orafce", VARIABLES),
    ("pg_variables", VARIABLES),
    ("pllua", GLOBALS),
    ("plperl", GLOBALS),
    ("plr", GLOBALS),
    ("pltcl", GLOBALS),
    ("plv8", GLOBALS),
    ("session_variable", VARIABLES),
    ("tds_fdw", CONNECTIONS),
    // `set_system_time()`.
    ("temporal_tables", SWITCHES),
];

const RUNS_TEXTS: &str = "its functions run a text that they are given, which may leave the tenant's scope";
const READS_FILES: &str = "it reads the server's files, where other tenants' rows are too";
const READS_PAGES: &str = "it reads or changes the pages of tables, past every right and policy";
const UNTRUSTED: &str = "code in an untrusted language may do whatever the server itself may";

const STATEMENTS: &str = "it shows a tenant of row isolation the statements of all the others; make it in the server's database `postgres`, where it tells of all";

const LOCKS: &str = "it shows a tenant of row isolation which rows others have locked";

const TELLING: &[(&str, &str)] =
    &[("pg_stat_monitor", STATEMENTS), ("pg_stat_statements", STATEMENTS), ("pgrowlocks", LOCKS)];

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
    // What stands in the arguments of its triggers.
    ("refint", RUNS_TEXTS),
    ("tablefunc", RUNS_TEXTS),
    ("xml2", RUNS_TEXTS),
];

/// What is on no list may keep anything.
pub(super) fn class(name: &str) -> Class {
    if STATELESS.contains(&name) {
        return Class::Stateless;
    }
    let of = |list: &[(&str, &'static str)]| list.iter().find(|(listed, _)| *listed == name).map(|(_, why)| *why);
    let listed = of(REFUSED).map(Class::Refused).or_else(|| of(STATEFUL).map(Class::Stateful));
    listed.or_else(|| of(TELLING).map(Class::Telling)).unwrap_or(Class::Unknown)
}

/// Why the settings may not say of an extension that it keeps nothing in a session.
pub(crate) fn known_to_keep(name: &str) -> Option<&'static str> {
    match class(name) {
        Class::Stateful(why) | Class::Refused(why) => Some(why),
        Class::Stateless | Class::Telling(_) | Class::Unknown => None,
    }
}

/// Extensions that are there although no file could have made them.
pub(super) async fn findings(admin: &mut PgConnection, names: &Names) -> Result<Vec<Finding>> {
    let there: String = sqlx::query_scalar(AssertSqlSafe(format!("SELECT {ASK}"))).fetch_one(&mut *admin).await?;
    let mut found = Vec::new();
    for name in there.split(',') {
        match class(name) {
            Class::Refused(why) => found.push(Finding {
                code: "extension_refused",
                what: format!("the extension `{name}` is a way around the walls: {why}"),
                repair: format!("DROP EXTENSION {}", quoted(name)),
            }),
            Class::Telling(_) => found.extend(tells(admin, names, name).await?),
            Class::Stateless | Class::Stateful(_) | Class::Unknown => {}
        }
    }
    Ok(found)
}

/// What of the extension the role of row isolation may read.
async fn tells(admin: &mut PgConnection, names: &Names, extension: &str) -> Result<Option<Finding>> {
    let (role, extension) = (literal(&quoted(&names.rows_role())), literal(extension));
    let text = format!(
        "SELECT string_agg(open.name, ', ' ORDER BY open.name) AS what, string_agg(open.revoke, '; ' ORDER BY open.name) AS repair
           FROM pg_catalog.pg_extension e
           JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e',
                LATERAL (
                  SELECT c.oid::regclass::text, format('REVOKE ALL ON %s FROM PUBLIC, {{role}}', c.oid::regclass)
                    FROM pg_catalog.pg_class c
                   WHERE d.classid = 'pg_catalog.pg_class'::regclass AND c.oid = d.objid
                     AND pg_catalog.has_table_privilege(to_regrole({role}), c.oid, 'SELECT')
                  UNION ALL
                  SELECT p.oid::regprocedure::text, format('REVOKE ALL ON FUNCTION %s FROM PUBLIC, {{role}}', p.oid::regprocedure)
                    FROM pg_catalog.pg_proc p
                   WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND p.oid = d.objid
                     AND pg_catalog.has_function_privilege(to_regrole({role}), p.oid, 'EXECUTE')) open(name, revoke)
          WHERE e.extname = {extension}"
    )
    .replace("{role}", &quoted(&names.rows_role()));
    let row = sqlx::query(AssertSqlSafe(text)).fetch_one(admin).await?;
    let what: Option<String> = row.try_get("what")?;
    Ok(what.map(|what| Finding {
        code: "statements_shown",
        what: format!("tenants of row isolation may read the statements of others: {what}"),
        repair: row.get("repair"),
    }))
}

/// Tells the extensions of a database, by [`Known::learn`].
pub(super) const ASK: &str =
    "coalesce((SELECT pg_catalog.string_agg(extname::text, ',') FROM pg_catalog.pg_extension), '')";

/// What is known of the extensions of the database where tenants share connections.
pub(super) struct Known {
    /// What the settings say of those that are on no list.
    stateless: Arc<[StatelessExtension]>,
    keeps_state: AtomicBool,
}

impl Known {
    pub(super) fn new(stateless: Arc<[StatelessExtension]>) -> Self {
        Self { stateless, keeps_state: AtomicBool::default() }
    }

    /// Takes the answer to [`ASK`].
    pub(super) fn learn(&self, names: &str) {
        let stateful = names.split(',').any(|name| !name.is_empty() && self.may_keep_state(name));
        self.keeps_state.store(stateful, Ordering::Relaxed);
    }

    fn may_keep_state(&self, name: &str) -> bool {
        match class(name) {
            Class::Stateless | Class::Telling(_) => false,
            Class::Unknown => !self.stateless.iter().any(|stateless| stateless.as_str() == name),
            Class::Stateful(_) | Class::Refused(_) => true,
        }
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
        let known = Known::new(Arc::default());
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
    fn what_the_settings_say_holds_for_extensions_that_nobody_knows_only() {
        let known = Known::new(["somebodys_own", "postgis"].map(|name| name.parse().expect(name)).into());
        for (names, keep) in [
            ("plpgsql,somebodys_own", false),
            ("plpgsql,postgis,somebodys_own", false),
            ("plpgsql,postgis,another", true),
            ("postgis,dblink", true),
        ] {
            known.learn(names);
            assert_eq!(known.keep_state(), keep, "{names}");
        }
    }

    #[test]
    fn no_extension_is_on_two_lists_and_each_list_is_sorted() {
        let names = |list: &[(&'static str, &str)]| list.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        let lists = [STATELESS.to_vec(), names(STATEFUL), names(TELLING), names(REFUSED)];
        for list in &lists {
            assert!(list.is_sorted(), "{list:?}");
        }
        let mut all = lists.concat();
        all.sort_unstable();
        assert!(all.windows(2).all(|two| two[0] != two[1]), "{all:?}");
    }

    #[test]
    fn what_runs_texts_reads_files_or_is_untrusted_is_refused() {
        for name in ["xml2", "adminpack", "file_fdw", "pageinspect", "plpython3u", "plperlu"] {
            assert!(matches!(class(name), Class::Refused(_)), "{name}");
        }
    }
}
