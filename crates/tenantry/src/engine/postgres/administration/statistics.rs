//! Row isolation: the planner knows nothing of the values in tables that tenants have in common.
//!
//! Its statistics are those of all tenants' rows and hold single values of them. A statement cannot read these, but it notices by the
//! order of its own rows, or by its time, how many rows the planner expects for a condition: what lies between two values it finds by
//! halves, to the last letter. So none are kept. Where the wall is closed two functions of a superuser's see to it: what is stored, the
//! owner of a table may neither see nor remove.

use sqlx::postgres::PgConnection;

use crate::{
    engine::{Finding, postgres::names::literal},
    error::Result,
};

const TOLD: &str = include_str!("statistics.sql");

/// What makes the planner forget all that there is: it waits for whoever has a table.
pub(super) const HIDE: &str = "SELECT tenantry.hide_statistics(true)";

const TOLD_OF: &str = "SELECT DISTINCT relation::text FROM tenantry.told_statistics() ORDER BY 1";

/// What is stored is removed behind a lock that ANALYZE takes too: it would write its rows anew. A file waits for nobody: of the tables
/// that it has changed it holds such a lock, and what others have done to the rest is no business of its.
const HIDING: &str = " DECLARE
     of regclass;
     what text;
     had regclass[] := '{}';
 BEGIN
     FOR of IN SELECT DISTINCT relation FROM tenantry.told_statistics() ORDER BY 1 LOOP
         BEGIN
             EXECUTE format('LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE %s', of, CASE WHEN NOT patient THEN 'NOWAIT' END);
             had := had || of;
         EXCEPTION WHEN lock_not_available THEN
             IF patient THEN
                 RAISE;
             END IF;
         END;
     END LOOP;
     FOR what IN SELECT statement FROM tenantry.told_statistics() WHERE relation = ANY (had) LOOP
         EXECUTE what;
     END LOOP;
 END ";

/// An index that is built without a transaction is there before its file ends, and its statistics with it: they are hidden in the
/// transaction that makes it valid. Whoever changes the target of an index or of statistics holds no lock on the table.
const HIDING_AT_ONCE: &str = " DECLARE
     what text;
 BEGIN
     FOR what IN
         SELECT format('ALTER INDEX %s %s', c.oid::regclass, string_agg(format('ALTER COLUMN %s SET STATISTICS 0', a.attnum), ', '))
           FROM pg_event_trigger_ddl_commands() d
           JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relnamespace = to_regnamespace('tenant')
           JOIN pg_index i ON i.indexrelid = c.oid
           JOIN pg_attribute a ON a.attrelid = c.oid AND i.indkey[a.attnum - 1] = 0 AND coalesce(a.attstattarget, -1) <> 0
          GROUP BY c.oid
         UNION ALL
         SELECT format('ALTER STATISTICS %I.%I SET STATISTICS 0', n.nspname, e.stxname)
           FROM pg_event_trigger_ddl_commands() d
           JOIN pg_statistic_ext e ON d.classid = 'pg_statistic_ext'::regclass AND e.oid = d.objid AND coalesce(e.stxstattarget, -1) <> 0
           JOIN pg_namespace n ON n.oid = e.stxnamespace
           JOIN pg_class c ON c.oid = e.stxrelid AND c.relnamespace = to_regnamespace('tenant')
     LOOP
         EXECUTE what;
     END LOOP;
 END ";

const TAGS: [&str; 4] = ["ALTER INDEX", "ALTER STATISTICS", "CREATE INDEX", "CREATE STATISTICS"];

/// Each as it is made, by its name, and with what it answers.
const FUNCTIONS: [(&str, &str, &str); 3] = [
    ("tenantry.told_statistics()", "tenantry.told_statistics()", "TABLE (relation regclass, statement text)"),
    ("tenantry.hide_statistics(patient boolean)", "tenantry.hide_statistics(boolean)", "void"),
    ("tenantry.hide_at_once()", "tenantry.hide_at_once()", "event_trigger"),
];

/// The functions, for whoever applies files, and the trigger.
pub(super) fn make(owners: &str) -> String {
    let made = FUNCTIONS.iter().zip(bodies()).map(|((written, name, answers), body)| {
        format!(
            "CREATE OR REPLACE FUNCTION {written} RETURNS {answers} LANGUAGE plpgsql SECURITY DEFINER
                 SET search_path = pg_catalog, pg_temp AS $hiding${body}$hiding$;
             REVOKE ALL ON FUNCTION {name} FROM PUBLIC;
             GRANT EXECUTE ON FUNCTION {name} TO {owners}"
        )
    });
    let made: Vec<String> = made.collect();
    format!(
        "DROP EVENT TRIGGER IF EXISTS tenantry_statistics;
         {};
         CREATE EVENT TRIGGER tenantry_statistics ON ddl_command_end WHEN TAG IN ({tags})
             EXECUTE FUNCTION tenantry.hide_at_once();
         ALTER EVENT TRIGGER tenantry_statistics ENABLE ALWAYS",
        made.join("; "),
        tags = tags()
    )
}

fn tags() -> String {
    TAGS.map(literal).join(", ")
}

fn bodies() -> [String; 3] {
    [told_body(), HIDING.to_owned(), HIDING_AT_ONCE.to_owned()]
}

/// On one line and without its comments, because an operator gets to see it.
fn told_body() -> String {
    let lines: Vec<&str> = TOLD.lines().map(str::trim).filter(|line| !line.starts_with("--")).collect();
    format!(" BEGIN RETURN QUERY {};\n END ", lines.join(" "))
}

/// Whether all are there as the engine has made them, and may be called by whoever has to: a condition.
pub(super) fn are_made(owners: &str) -> String {
    let functions = FUNCTIONS.iter().zip(bodies());
    let functions: Vec<String> =
        functions.map(|((_, name, _), body)| format!("('{name}', {})", literal(&body))).collect();
    format!(
        "((SELECT count(*) = {} FROM (VALUES {}) f(name, body)
            JOIN pg_catalog.pg_proc p ON p.oid = to_regprocedure(f.name) AND p.prosrc = f.body
            JOIN pg_catalog.pg_roles o ON o.oid = p.proowner AND o.rolsuper
           WHERE p.prosecdef AND p.proconfig = ARRAY['search_path=pg_catalog, pg_temp']
             AND pg_catalog.has_function_privilege(current_user, p.oid, 'EXECUTE')
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles r
                              WHERE r.rolname IN ({owners}) AND NOT pg_catalog.has_function_privilege(r.oid, p.oid, 'EXECUTE')))
         AND EXISTS (SELECT FROM pg_catalog.pg_event_trigger e
                      WHERE e.evtname = 'tenantry_statistics' AND e.evtevent = 'ddl_command_end' AND e.evtenabled = 'A'
                        AND e.evttags = ARRAY[{tags}] AND e.evtfoid = to_regprocedure('tenantry.hide_at_once()')))",
        functions.len(),
        functions.join(", "),
        tags = tags()
    )
}

/// Where the planner knows values, or would the next time: somebody has asked for it behind the engine's back.
pub(super) async fn findings(admin: &mut PgConnection) -> Result<Option<Finding>> {
    let told: Vec<String> = sqlx::query_scalar(TOLD_OF).fetch_all(admin).await?;
    Ok((!told.is_empty()).then(|| Finding {
        code: "statistics_kept",
        what: format!("row isolation: the planner keeps values of all tenants' rows in {}", told.join(", ")),
        repair: HIDE.into(),
    }))
}
