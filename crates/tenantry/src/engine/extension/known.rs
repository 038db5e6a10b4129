//! The extensions of PostgreSQL that somebody has looked at.

/// What an extension means for whoever shares a connection with its user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExtensionClass {
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
pub(crate) fn extension_class(name: &str) -> ExtensionClass {
    if STATELESS.contains(&name) {
        return ExtensionClass::Stateless;
    }
    let of = |list: &[(&str, &'static str)]| list.iter().find(|(listed, _)| *listed == name).map(|(_, why)| *why);
    let listed = of(REFUSED).map(ExtensionClass::Refused).or_else(|| of(STATEFUL).map(ExtensionClass::Stateful));
    listed.or_else(|| of(TELLING).map(ExtensionClass::Telling)).unwrap_or(ExtensionClass::Unknown)
}

/// Why the settings may not say of an extension that it keeps nothing in a session.
pub(super) fn known_to_keep(name: &str) -> Option<&'static str> {
    match extension_class(name) {
        ExtensionClass::Stateful(why) | ExtensionClass::Refused(why) => Some(why),
        ExtensionClass::Stateless | ExtensionClass::Telling(_) | ExtensionClass::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert!(matches!(extension_class(name), ExtensionClass::Refused(_)), "{name}");
        }
    }
}
