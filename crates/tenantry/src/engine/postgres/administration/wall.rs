//! The closed wall: what a tenant's SQL would need to leave its scope is taken from everybody but the engine's logins.
//!
//! A statement of row or schema isolation runs as a role without rights of its own beside the tenant's. To become another one
//! it has to set `role`, `search_path` or `tenantry.tenant`: by `set_config`, or by code in a language that runs any text.
//! Where the administrator may not take these away the wall is open, and says so: [`Wall`].

use sqlx::{AssertSqlSafe, Executor, Row, postgres::PgConnection};

use super::statistics;
use crate::{
    engine::{
        Finding, Wall,
        postgres::{
            names::{Names, literal, quoted},
            rules::{FIRST_POLICY, HIDES_FIRST},
        },
    },
    error::Result,
};

const SET_CONFIG: &str = "pg_catalog.set_config(text,text,boolean)";

/// The server's functions that run a text which they are given, as whoever calls them: no word of a statement tells what such a text
/// says. And those that look past row security: at rows, or at how far the log or an index has grown, by which an insert tells whether an
/// index that tenants share has its value already; and at the counter behind `xmax`.
const LOOK_BEYOND: &str = "p.pronamespace = 'pg_catalog'::regnamespace
    AND (p.proname ~ '^(query|cursor|table|schema|database)_to_xml'
         OR p.proname IN ('ts_stat', 'currtid2')
         OR p.proname ~ '^pg_(current_wal_|last_wal_|available_wal_|wal_summary_|get_wal_summarizer_)'
         OR p.proname IN ('pg_logical_emit_message', 'pg_control_checkpoint', 'pg_get_replication_slots', 'pg_get_multixact_members',
                          'mxid_age', 'pg_column_toast_chunk_id', 'pg_relation_size', 'pg_table_size', 'pg_indexes_size',
                          'pg_total_relation_size', 'pg_tablespace_size')
         OR p.oid = 'pg_catalog.ts_rewrite(tsquery,text)'::regprocedure)";

/// What stands in front of a statement's own conditions (`rules::HIDES_FIRST`): to the planner it costs less than nothing, together with the
/// comparison in it, and nothing that a statement can name does. It is no fraction, which a tiny `cpu_operator_cost` would make
/// nothing of. The server looks the code up by its name for each statement, from the beginning of a list of thousands: `booleq` stands
/// there. The owner of a table cannot name it either, so the policy is made by a function of the administrator's.
fn hide_first(names: &Names) -> String {
    format!(
        "CREATE SCHEMA IF NOT EXISTS tenantry_wall;
         DO $others$ DECLARE who text;
         BEGIN
             FOR who IN SELECT DISTINCT CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_catalog.pg_get_userbyid(g.grantee)) END
                          FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) g
                         WHERE n.nspname = 'tenantry_wall' AND g.grantee <> n.nspowner LOOP
                 EXECUTE pg_catalog.format('REVOKE ALL ON SCHEMA tenantry_wall FROM %s CASCADE', who);
             END LOOP;
         END $others$;
         CREATE OR REPLACE FUNCTION tenantry_wall.mine(boolean, boolean) RETURNS boolean
             LANGUAGE internal IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'booleq';
         UPDATE pg_catalog.pg_proc SET procost = -2 WHERE oid = 'tenantry_wall.mine(boolean,boolean)'::regprocedure;
         UPDATE pg_catalog.pg_proc SET procost = 1
          WHERE oid IN ('pg_catalog.uuid_eq'::regproc, 'pg_catalog.booland_statefunc'::regproc) AND procost <> 1;
         CREATE OR REPLACE FUNCTION tenantry.hide_first(place regclass) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
             SET search_path = pg_catalog, pg_temp AS $hide_first${body}$hide_first$;
         REVOKE ALL ON FUNCTION tenantry.hide_first(regclass) FROM PUBLIC;
         GRANT EXECUTE ON FUNCTION tenantry.hide_first(regclass) TO {owners}",
        body = hide_first_body(),
        owners = owners(names)
    )
}

/// For the tables that are there already and lack the policy, where a superuser closes the wall or doctor repairs it.
/// Only in the tables that tenants have in common: elsewhere a file may have given its own policies these names.
const HIDE_FIRST_IN_TABLES: &str = "SELECT tenantry.hide_first(c.oid) FROM pg_class c \
       JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped \
                          AND a.atttypid = 'uuid'::regtype \
      WHERE c.relnamespace = to_regnamespace('tenant') AND c.relkind IN ('r', 'p') \
        AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polname = '!tenantry') \
        AND NOT EXISTS (SELECT FROM pg_policy f WHERE f.polrelid = c.oid AND f.polname = '!tenantry_first')";

/// Who speaks for the session has to be a member of the table's owner, as a slot is while its file runs.
fn hide_first_body() -> String {
    format!(
        " BEGIN
             IF NOT EXISTS (SELECT FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
                             WHERE c.oid = place AND c.relkind IN ('r', 'p') AND pg_has_role(session_user, c.relowner, 'MEMBER')
                               AND a.attname = 'tenant_id' AND NOT a.attisdropped AND a.atttypid = 'uuid'::regtype) THEN
                 RAISE EXCEPTION 'the policy of % is made by its owner', place USING ERRCODE = 'insufficient_privilege';
             END IF;
             EXECUTE format('DROP POLICY IF EXISTS {FIRST_POLICY:?} ON %s', place);
             EXECUTE format('CREATE POLICY {FIRST_POLICY:?} ON %s AS RESTRICTIVE FOR ALL TO PUBLIC USING (%s) WITH CHECK (true)', place,
                            {hides});
         END ",
        hides = literal(HIDES_FIRST)
    )
}

/// Whether that is in force, as the engine has made it.
fn hides_first(names: &Names) -> String {
    format!(
        "EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
                   JOIN pg_catalog.pg_roles o ON o.oid = p.proowner JOIN pg_catalog.pg_roles s ON s.oid = n.nspowner
                  WHERE n.nspname = 'tenantry_wall' AND p.proname = 'mine' AND p.proargtypes = '16 16'::oidvector
                    AND p.prosrc = 'booleq' AND p.prolang = 12 AND p.procost = -2 AND p.provolatile = 'i'
                    AND p.proleakproof AND p.proisstrict AND NOT p.prosecdef AND p.proconfig IS NULL AND p.prosupport = 0
                    AND pg_catalog.has_function_privilege('public', p.oid, 'EXECUTE') AND o.rolsuper AND s.rolsuper
                    AND NOT EXISTS (SELECT FROM pg_catalog.aclexplode(n.nspacl) g WHERE g.grantee <> n.nspowner))
         AND EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_roles o ON o.oid = p.proowner
                      WHERE p.oid = to_regprocedure('tenantry.hide_first(regclass)') AND p.prosrc = {}
                        AND p.prosecdef AND o.rolsuper AND p.proconfig = ARRAY['search_path=pg_catalog, pg_temp']
                        AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles r
                                         WHERE r.rolname IN ({}) AND NOT pg_catalog.has_function_privilege(r.oid, p.oid, 'EXECUTE')))
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc WHERE procost <> 1
                          AND oid IN ('pg_catalog.uuid_eq'::regproc, 'pg_catalog.booland_statefunc'::regproc))",
        literal(&hide_first_body()),
        listed(owner_names(names))
    )
}

/// No file makes a cast by a function, not even for a moment: where a reference to a shared table is checked, the server would call it
/// with the rights of that table's owner, and neither the end of a statement nor that of a block tells what was there in between.
fn casts_body(names: &Names) -> String {
    format!(
        " BEGIN
             IF session_user ~ {slots} AND EXISTS (
                 SELECT FROM pg_event_trigger_ddl_commands() d JOIN pg_cast c ON d.classid = 'pg_cast'::regclass AND c.oid = d.objid
                  WHERE c.castmethod = 'f' AND NOT d.in_extension) THEN
                 RAISE EXCEPTION 'a file of migrations may not make a cast by a function: a reference would call it with another''s rights'
                     USING ERRCODE = 'feature_not_supported', HINT = 'call the function where it is needed';
             END IF;
         END ",
        slots = literal(&format!("^{}m[0-9]+$", names.of_server("")))
    )
}

fn refuse_casts(names: &Names) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION tenantry.refuse_casts() RETURNS event_trigger LANGUAGE plpgsql
             SET search_path = pg_catalog, pg_temp AS $refuse_casts${}$refuse_casts$;
         REVOKE ALL ON FUNCTION tenantry.refuse_casts() FROM PUBLIC;
         DROP EVENT TRIGGER IF EXISTS tenantry_casts;
         CREATE EVENT TRIGGER tenantry_casts ON ddl_command_end WHEN TAG IN ('CREATE CAST')
             EXECUTE FUNCTION tenantry.refuse_casts();
         ALTER EVENT TRIGGER tenantry_casts ENABLE ALWAYS",
        casts_body(names)
    )
}

/// Whether that is in force, as the engine has made it.
fn refuses_casts(names: &Names) -> String {
    format!(
        "EXISTS (SELECT FROM pg_catalog.pg_event_trigger e JOIN pg_catalog.pg_proc p ON p.oid = e.evtfoid
                  WHERE e.evtname = 'tenantry_casts' AND e.evtevent = 'ddl_command_end' AND e.evtenabled = 'A'
                    AND e.evttags = ARRAY['CREATE CAST'] AND p.prosrc = {}
                    AND p.proconfig = ARRAY['search_path=pg_catalog, pg_temp'])",
        literal(&casts_body(names))
    )
}

/// Closes the wall of the connected database, as far as the administrator may; may be run again. The grants come first: at
/// no moment is a login without what it needs.
pub(crate) async fn close(admin: &mut PgConnection, names: &Names) -> Result<()> {
    let text = format!(
        "DO $wall$ DECLARE who text; what text; BEGIN
             IF NOT has_function_privilege('{SET_CONFIG}', 'EXECUTE WITH GRANT OPTION') THEN RETURN; END IF;
             FOR who IN SELECT quote_ident(rolname) FROM pg_roles WHERE {logins} LOOP
                 EXECUTE 'GRANT EXECUTE ON FUNCTION {SET_CONFIG} TO ' || who;
             END LOOP;
             FOR what IN SELECT quote_ident(lanname) FROM pg_language WHERE lanpltrusted LOOP
                 EXECUTE format('GRANT USAGE ON LANGUAGE %s TO {owners}', what);
                 EXECUTE format('REVOKE USAGE ON LANGUAGE %s FROM PUBLIC', what);
             END LOOP;
             FOR what IN SELECT p.oid::regprocedure FROM pg_proc p WHERE {LOOK_BEYOND} LOOP
                 EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', what);
             END LOOP;
             REVOKE EXECUTE ON FUNCTION {SET_CONFIG} FROM PUBLIC;
             IF NOT ({hides_first}) THEN {hide_first}; END IF;
             IF NOT {refuses_casts} THEN {refuse_casts}; END IF;
             -- Whoever is none would make functions that may not look.
             IF NOT {hides_statistics} AND (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN {hide_statistics}; END IF;
         EXCEPTION WHEN insufficient_privilege THEN NULL;
         END $wall$",
        logins = logins(names),
        owners = owners(names),
        hides_first = hides_first(names),
        hide_first = hide_first(names),
        refuses_casts = refuses_casts(names),
        refuse_casts = refuse_casts(names),
        hides_statistics = statistics::are_made(&listed(owner_names(names))),
        hide_statistics = statistics::make(&owners(names))
    );
    admin.execute(AssertSqlSafe(text)).await?;
    Ok(())
}

/// The statement of a DO block that lets a new login enter scopes.
pub(crate) fn admit(login: &str) -> String {
    format!(
        "IF has_function_privilege('{SET_CONFIG}', 'EXECUTE WITH GRANT OPTION') THEN
             GRANT EXECUTE ON FUNCTION {SET_CONFIG} TO {};
         END IF;",
        quoted(login)
    )
}

/// Which of `pg_roles` are logins by which apps enter scopes.
fn logins(names: &Names) -> String {
    let [rows, shared] = [names.rows_login(), names.shared_login()].map(|name| literal(&name));
    let of_schemas = literal(&format!("^{}s[0-9]+$", names.of_server("")));
    format!("rolname IN ({rows}, {shared}) OR rolname ~ {of_schemas}")
}

/// Who may write functions: those as whom files of migrations run.
fn owners(names: &Names) -> String {
    owner_names(names).map(|name| quoted(&name)).join(", ")
}

fn owner_names(names: &Names) -> [String; 3] {
    [names.owner(), names.shared_owner(), names.authors()]
}

fn listed(names: [String; 3]) -> String {
    names.map(|name| literal(&name)).join(", ")
}

const STATISTICS_KEPT: &str = "the planner may keep values of all tenants' rows";

/// What is open, as the catalog has it now: a dump that is restored loses the revoke on the language `sql`.
pub(crate) async fn read(admin: &mut PgConnection, names: &Names) -> Result<Wall> {
    let text = format!(
        "SELECT what, by_superuser FROM (
             SELECT 1, 'everybody may call ' || p.oid::regprocedure,
                    format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', p.oid::regprocedure)
               FROM pg_catalog.pg_proc p
              WHERE p.prosrc = 'set_config_by_name' AND p.prolang = 12
                AND pg_catalog.has_function_privilege('public', p.oid, 'EXECUTE')
             UNION ALL
             SELECT 2, 'everybody may write code in the language ' || lanname,
                    format('REVOKE USAGE ON LANGUAGE %I FROM PUBLIC', lanname)
               FROM pg_catalog.pg_language WHERE lanpltrusted AND pg_catalog.has_language_privilege('public', oid, 'USAGE')
             UNION ALL
             SELECT 5, 'everybody may call functions that look beyond the walls: ' || string_agg(DISTINCT p.proname, ', '),
                    format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', string_agg(p.oid::regprocedure::text, ', '))
               FROM pg_catalog.pg_proc p
              WHERE {LOOK_BEYOND} AND pg_catalog.has_function_privilege('public', p.oid, 'EXECUTE')
             HAVING count(*) > 0
             UNION ALL
             SELECT 6, 'conditions of a statement are looked at before the rows of other tenants are hidden', {hide_first}
              WHERE NOT ({hides_first})
             UNION ALL
             SELECT 7, 'files of migrations may make casts, which a reference calls with the rights of the shared tables'' owner', {refuse_casts}
              WHERE NOT {refuses_casts}
             UNION ALL
             SELECT 8, {kept}, replace({hide_statistics}, '{{administrator}}', quote_ident(current_user)) WHERE NOT {hides_statistics}
             UNION ALL
             SELECT 3, format('tenants may call set_config as %I', g.grantee::regrole::text),
                    format('REVOKE EXECUTE ON FUNCTION {SET_CONFIG} FROM %s', g.grantee::regrole)
               FROM pg_catalog.pg_proc p, aclexplode(p.proacl) g
              WHERE p.oid = '{SET_CONFIG}'::regprocedure AND {tenants}
             UNION ALL
             SELECT 4, format('tenants may write code in the language %s as %s', l.lanname, g.grantee::regrole),
                    format('REVOKE USAGE ON LANGUAGE %I FROM %s', l.lanname, g.grantee::regrole)
               FROM pg_catalog.pg_language l, aclexplode(l.lanacl) g WHERE l.lanpltrusted AND {tenants}
         ) open(part, what, by_superuser) ORDER BY part, what",
        tenants = tenants(names),
        hides_first = hides_first(names),
        hide_first = literal(&format!("{}; {HIDE_FIRST_IN_TABLES}", hide_first(names))),
        refuses_casts = refuses_casts(names),
        refuse_casts = literal(&refuse_casts(names)),
        hides_statistics = statistics::are_made(&listed(owner_names(names))),
        kept = literal(STATISTICS_KEPT),
        hide_statistics = literal(&format!(
            "{}; {}",
            statistics::make(&format!("{}, {{administrator}}", owners(names))),
            statistics::HIDE
        ))
    );
    let rows = admin.fetch_all(AssertSqlSafe(text)).await?;
    let missing: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    let revokes: Vec<String> = rows.iter().map(|row| row.get(1)).collect();
    let close = if missing.is_empty() { String::new() } else { closing(admin, names, revokes).await? };
    Ok(Wall { missing, close })
}

/// Which `grantee` gives its rights to a role that tenants' statements run as: itself, or as a group. Logins and owners have
/// these rights on purpose, and nobody of the tenants is to be a member of them, which is looked at with the roles.
fn tenants(names: &Names) -> String {
    format!(
        "NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE oid = g.grantee AND ({logins} OR rolname IN ({owners})))
         AND EXISTS (
             WITH RECURSIVE below (oid) AS (
                 SELECT g.grantee UNION SELECT m.member FROM pg_catalog.pg_auth_members m JOIN below ON m.roleid = below.oid)
             SELECT FROM below JOIN pg_catalog.pg_roles r USING (oid)
              WHERE pg_catalog.starts_with(r.rolname::text, {prefix} || 't_') OR r.rolname = {rows})",
        logins = logins(names),
        owners = listed(owner_names(names)),
        prefix = literal(&names.prefix()),
        rows = literal(&names.rows_role())
    )
}

/// What a superuser types, once, so that everything goes on working: the administrator may let new logins in afterwards.
async fn closing(admin: &mut PgConnection, names: &Names, revokes: Vec<String>) -> Result<String> {
    let query = format!("SELECT quote_ident(rolname) FROM pg_roles WHERE {} ORDER BY rolname", logins(names));
    let logins: Vec<String> = sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&mut *admin).await?;
    let administrator: String = sqlx::query_scalar("SELECT quote_ident(current_user)").fetch_one(&mut *admin).await?;
    let languages =
        "SELECT string_agg(quote_ident(lanname), ', ' ORDER BY lanname) FROM pg_language WHERE lanpltrusted";
    let languages: String = sqlx::query_scalar(languages).fetch_one(admin).await?;
    let mut all = vec![
        format!("GRANT EXECUTE ON FUNCTION {SET_CONFIG} TO {}", logins.join(", ")),
        format!("GRANT EXECUTE ON FUNCTION {SET_CONFIG} TO {administrator} WITH GRANT OPTION"),
        format!("GRANT USAGE ON LANGUAGE {languages} TO {}", owners(names)),
        format!("GRANT USAGE ON LANGUAGE {languages} TO {administrator} WITH GRANT OPTION"),
    ];
    all.extend(revokes);
    Ok(all.join("; "))
}

/// What is wrong with the wall where it could be closed, and which login it shuts out.
pub(crate) async fn findings(admin: &mut PgConnection, names: &Names) -> Result<Vec<Finding>> {
    let could_be_closed: bool =
        sqlx::query_scalar("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetch_one(&mut *admin).await?;
    let Wall { missing, close } = read(admin, names).await?;
    let mut found = Vec::new();
    if could_be_closed && !missing.is_empty() {
        found.push(Finding { code: "open_wall", what: format!("open wall: {}", missing.join(", ")), repair: close });
    }
    // Without the functions the server would not even read that query.
    if !missing.iter().any(|what| what == STATISTICS_KEPT) {
        found.extend(statistics::findings(admin).await?);
    }
    let query = format!(
        "SELECT rolname::text FROM pg_roles
          WHERE ({}) AND NOT has_function_privilege(oid, '{SET_CONFIG}', 'EXECUTE') ORDER BY rolname",
        logins(names)
    );
    let shut_out: Vec<String> = sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(admin).await?;
    found.extend(shut_out.into_iter().map(|login| Finding {
        code: "login_shut_out",
        repair: format!("GRANT EXECUTE ON FUNCTION {SET_CONFIG} TO {}", quoted(&login)),
        what: format!("the login `{login}` may not call set_config: nobody can be served by it"),
    }));
    Ok(found)
}
