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

/// What makes the planner forget all that there is, as any owner of tables may call it.
pub(crate) const HIDE: &str = "SELECT tenantry.hide_statistics()";

const TOLD_OF: &str = "SELECT DISTINCT relation::text FROM tenantry.told_statistics() ORDER BY 1";

/// What is stored is removed behind a lock that ANALYZE takes too: it would write its rows anew.
const HIDING: &str = " DECLARE
     of regclass;
     what text;
 BEGIN
     FOR of IN SELECT DISTINCT relation FROM tenantry.told_statistics() LOOP
         EXECUTE format('LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE', of);
         FOR what IN SELECT statement FROM tenantry.told_statistics() WHERE relation = of LOOP
             EXECUTE what;
         END LOOP;
     END LOOP;
 END ";

const SIGNATURES: [&str; 2] = ["tenantry.told_statistics()", "tenantry.hide_statistics()"];

/// Both functions, for whoever applies files.
pub(crate) fn make(owners: &str) -> String {
    let [told, hide] = SIGNATURES;
    format!(
        "CREATE OR REPLACE FUNCTION {told} RETURNS TABLE (relation regclass, statement text) LANGUAGE plpgsql SECURITY DEFINER
             SET search_path = pg_catalog, pg_temp AS $told${}$told$;
         CREATE OR REPLACE FUNCTION {hide} RETURNS void LANGUAGE plpgsql SECURITY DEFINER
             SET search_path = pg_catalog, pg_temp AS $hide${HIDING}$hide$;
         REVOKE ALL ON FUNCTION {told}, {hide} FROM PUBLIC;
         GRANT EXECUTE ON FUNCTION {told}, {hide} TO {owners}",
        told_body()
    )
}

/// On one line and without its comments, because an operator gets to see it.
fn told_body() -> String {
    let lines: Vec<&str> = TOLD.lines().map(str::trim).filter(|line| !line.starts_with("--")).collect();
    format!(" BEGIN RETURN QUERY {};\n END ", lines.join(" "))
}

/// Whether both are there as the engine has made them, and may be called by whoever has to: a condition.
pub(crate) fn are_made(owners: &str) -> String {
    let [told, hide] = SIGNATURES;
    format!(
        "(SELECT count(*) = 2 FROM (VALUES ('{told}', {}), ('{hide}', {})) f(name, body)
            JOIN pg_catalog.pg_proc p ON p.oid = to_regprocedure(f.name) AND p.prosrc = f.body
            JOIN pg_catalog.pg_roles o ON o.oid = p.proowner AND o.rolsuper
           WHERE p.prosecdef AND p.proconfig = ARRAY['search_path=pg_catalog, pg_temp']
             AND pg_catalog.has_function_privilege(current_user, p.oid, 'EXECUTE')
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles r
                              WHERE r.rolname IN ({owners}) AND NOT pg_catalog.has_function_privilege(r.oid, p.oid, 'EXECUTE')))",
        literal(&told_body()),
        literal(HIDING)
    )
}

/// The tables of which the planner knows values, or would the next time: somebody has asked for it behind the engine's back.
pub(crate) async fn findings(admin: &mut PgConnection) -> Result<Vec<Finding>> {
    let told: Vec<String> = sqlx::query_scalar(TOLD_OF).fetch_all(admin).await?;
    Ok(told
        .into_iter()
        .map(|table| Finding {
            code: "statistics_kept",
            what: format!("row isolation: `{table}`: the planner keeps values of all tenants' rows"),
            repair: HIDE.into(),
        })
        .collect())
}
