-- What the database that is connected to opens beside the tenants' tables: rows (code, what, repair).
SET LOCAL search_path = pg_catalog, pg_temp;
WITH allowed AS MATERIALIZED (
  SELECT oid FROM pg_roles WHERE rolname = ANY ('{allowed}'::text[]) OR rolsuper
),
db AS MATERIALIZED (SELECT * FROM pg_database WHERE datname = current_database()),
door AS (
  SELECT 'database' AS word, quote_ident(datname) AS name, datdba AS holder, g.*
    FROM db, aclexplode(coalesce(datacl, acldefault('d', datdba))) g
  UNION ALL
  SELECT 'schema', quote_ident(nspname), nspowner, g.*
    FROM pg_namespace, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) g
   WHERE nspname NOT IN ('tenant', 'pg_catalog', 'information_schema') AND NOT (starts_with(nspname, 't_') AND length(nspname) = 34)
),
reference AS MATERIALIZED (
  SELECT c.oid, c.relname, c.relowner, c.relacl
    FROM pg_depend d JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid
   WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = 'shared'::regnamespace AND c.relkind IN ('r', 'p', 'v')
),
given AS (
  SELECT relname, relowner, '' AS columns, g.* FROM reference, aclexplode(relacl) g
  UNION ALL
  SELECT relname, relowner, format(' (%I)', a.attname), g.*
    FROM reference JOIN pg_attribute a ON a.attrelid = reference.oid AND a.attacl IS NOT NULL, aclexplode(a.attacl) g
),
-- What the server keeps for itself as it is made, and what somebody has opened of it since.
guarded AS MATERIALIZED (
  SELECT 'pg_class'::regclass AS catalog, c.oid, a.attnum AS part, coalesce(a.attacl, c.relacl) AS acl, c.relowner AS holder,
         c.oid::regclass::text AS name, CASE WHEN a.attnum > 0 THEN format(' (%I)', a.attname) ELSE '' END AS columns
    FROM pg_class c JOIN LATERAL (SELECT 0 AS attnum, NULL::name AS attname, NULL::aclitem[] AS attacl
                                   UNION ALL SELECT attnum, attname, attacl FROM pg_attribute
                                              WHERE attrelid = c.oid AND attacl IS NOT NULL) a ON true
   WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.oid < 16384
     AND coalesce(a.attacl, c.relacl) IS NOT NULL
  UNION ALL
  SELECT 'pg_proc'::regclass, p.oid, 0, coalesce(p.proacl, acldefault('f', p.proowner)), p.proowner, p.oid::regprocedure::text, ''
    FROM pg_proc p JOIN pg_init_privs i ON i.classoid = 'pg_proc'::regclass AND i.objoid = p.oid WHERE p.oid < 16384
),
ledger AS MATERIALIZED (
  SELECT c.oid::regclass::text AS name, c.relowner AS holder, CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE '' END AS word,
         '' AS columns, g.*
    FROM pg_class c, aclexplode(c.relacl) g
   WHERE c.relnamespace = to_regnamespace('tenantry') AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  UNION ALL
  SELECT c.oid::regclass::text, c.relowner, '', format(' (%I)', a.attname), g.*
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attacl IS NOT NULL, aclexplode(a.attacl) g
   WHERE c.relnamespace = to_regnamespace('tenantry')
)
SELECT code, what, repair FROM (
  SELECT 'catalog_opened' AS code, format('%s%s: %s has %s', name, columns, who, g.privilege_type) AS what,
         format('REVOKE %s%s ON %s%s FROM %s CASCADE', g.privilege_type, columns,
                CASE catalog WHEN 'pg_proc'::regclass THEN 'ROUTINE ' ELSE '' END, name, who) AS repair
    FROM guarded, aclexplode(acl) g,
         LATERAL (SELECT CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END AS who) w
   WHERE g.grantee <> holder AND (g.grantee = 0 OR starts_with(who, '{prefix}') OR who = quote_ident('{own}'))
     AND NOT EXISTS (SELECT FROM pg_init_privs i, aclexplode(i.initprivs) o
                      WHERE i.classoid = catalog AND i.objoid = guarded.oid AND i.objsubid = part
                        AND o.grantee = g.grantee AND o.privilege_type = g.privilege_type)
     -- The engine gives this one to its logins: the wall is looked at by itself.
     AND guarded.oid <> 'pg_catalog.set_config(text, text, boolean)'::regprocedure
  UNION ALL
  -- What PUBLIC has of the others it has from the start, or the wall has taken it: no role was given any.
  SELECT 'catalog_opened', format('%s: %s has EXECUTE', p.oid::regprocedure, who),
         format('REVOKE EXECUTE ON ROUTINE %s FROM %s CASCADE', p.oid::regprocedure, who)
    FROM pg_proc p, aclexplode(p.proacl) g, LATERAL (SELECT quote_ident(pg_get_userbyid(g.grantee)) AS who) w
   WHERE p.oid < 16384 AND g.grantee <> 0 AND g.grantee <> p.proowner AND (starts_with(who, '{prefix}') OR who = quote_ident('{own}'))
     AND p.oid <> 'pg_catalog.set_config(text, text, boolean)'::regprocedure
     AND p.oid NOT IN (SELECT oid FROM guarded WHERE catalog = 'pg_proc'::regclass)
  UNION ALL
  SELECT 'ledger_opened', format('%s%s: %s has %s', name, columns, who, privilege_type),
         format('REVOKE %s%s ON %s%s FROM %s CASCADE', privilege_type, columns, word, name, who)
    FROM ledger, LATERAL (SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS who) w
   WHERE grantee <> holder AND (grantee = 0 OR starts_with(who, '{prefix}') OR who = quote_ident('{own}'))
  UNION ALL
  SELECT CASE privilege_type WHEN 'CREATE' THEN 'may_create' WHEN 'CONNECT' THEN 'may_connect' ELSE 'may_make_temp' END
           AS code,
         format('%s %s: %s has %s', word, name, who, privilege_type) AS what,
         format('REVOKE %s ON %s %s FROM %s CASCADE', privilege_type, word, name, who) AS repair
    FROM door, LATERAL (SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS who) w
   WHERE grantee <> holder AND grantee NOT IN (SELECT oid FROM allowed)
     AND (privilege_type = 'CREATE' AND (grantee = 0 OR (starts_with(who, '{prefix}') OR who = quote_ident('{own}')))
          OR privilege_type = 'TEMPORARY' AND (grantee = 0 OR (starts_with(who, '{prefix}') OR who = quote_ident('{own}')))
          OR privilege_type = 'CONNECT' AND ({private} OR grantee = 0))
  UNION ALL
  -- Only the login of the shared tables writes them. The owner of tenants' tables may refer to them.
  SELECT 'shared_writable', format('table shared.%I: %s has %s%s', relname, who, privilege_type, columns),
         format('REVOKE %s%s ON shared.%I FROM %s CASCADE', privilege_type, columns, relname, who)
    FROM given, LATERAL (SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS who) w
   WHERE grantee <> relowner AND privilege_type <> 'SELECT' AND (grantee = 0 OR (starts_with(who, '{prefix}') OR who = quote_ident('{own}')))
     AND pg_get_userbyid(grantee) IS DISTINCT FROM '{shared_login}'
     AND NOT (privilege_type = 'REFERENCES' AND pg_get_userbyid(grantee) IN ('{owner}', '{prefix}authors'))
  UNION ALL
  -- It reads with its owner's rights, and belongs to no schema that is looked at by itself.
  SELECT CASE WHEN of.extension IS NULL THEN 'outside_definer' ELSE 'extension_definer' END, format('function %s runs with the rights of %s, and %s may call it', p.oid::regprocedure,
                                   pg_get_userbyid(p.proowner), string_agg(DISTINCT who, ', ')),
         format('REVOKE EXECUTE ON ROUTINE %s FROM %s CASCADE', p.oid::regprocedure, string_agg(DISTINCT who, ', '))
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace,
         aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g,
         LATERAL (SELECT CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END AS who) w,
         LATERAL (SELECT (SELECT e.refobjid FROM pg_depend e
                           WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e') AS extension) of
   WHERE p.prosecdef AND n.nspname <> 'tenant' AND (n.nspname <> 'shared' OR {private}) AND (p.oid >= 16384 OR of.extension IS NOT NULL)
     AND NOT (starts_with(n.nspname, 't_') AND length(n.nspname) = 34)
     -- By these a session that runs a file asks and says what its own slot works on.
     AND p.oid NOT IN (SELECT f.oid FROM unnest(ARRAY[to_regprocedure('tenantry.missing()'),
                         to_regprocedure('tenantry.applied(bigint)')]) f(oid) WHERE f.oid IS NOT NULL)
     AND (g.grantee = 0 OR starts_with(who, '{prefix}') OR who = quote_ident('{own}'))
     AND EXISTS (SELECT FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) u
                  WHERE u.privilege_type = 'USAGE' AND (u.grantee = 0
                     OR starts_with(pg_get_userbyid(u.grantee)::text, '{prefix}') OR pg_get_userbyid(u.grantee) = '{own}'))
     -- Looked at by itself, below.
     AND p.oid IS DISTINCT FROM to_regprocedure('tenantry.may_write()')
     AND p.oid IS DISTINCT FROM to_regprocedure('tenantry.hide_first(regclass)')
     AND p.oid IS DISTINCT FROM to_regprocedure('tenantry.told_statistics()')
     AND p.oid IS DISTINCT FROM to_regprocedure('tenantry.hide_statistics(boolean)')
     AND p.oid IS DISTINCT FROM to_regprocedure('tenantry.hide_at_once()')
   GROUP BY p.oid, p.proowner, of.extension
  UNION ALL
  -- Tables, and views of what they read, that no rule looks at.
  SELECT 'outside_relation', format('%s%s: %s has %s', c.oid::regclass, columns, who, g.privilege_type),
         format('REVOKE %s%s ON %s FROM %s CASCADE', g.privilege_type, columns, c.oid::regclass, who)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,
         LATERAL (SELECT '' AS columns, g.* FROM aclexplode(c.relacl) g
                  UNION ALL
                  SELECT format(' (%I)', a.attname), g.* FROM pg_attribute a, aclexplode(a.attacl) g
                   WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL) g,
         LATERAL (SELECT CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END AS who) w
   WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'f', 'm', 'v', 't') AND n.nspname NOT IN ('tenant', 'shared', 'tenantry')
     AND NOT (starts_with(n.nspname, 't_') AND length(n.nspname) = 34)
     AND g.grantee <> c.relowner AND (g.grantee = 0 OR starts_with(who, '{prefix}') OR who = quote_ident('{own}'))
     AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
  UNION ALL
  SELECT 'outside_relation', format('%s belongs to %s', c.oid::regclass, pg_get_userbyid(c.relowner)),
         format('ALTER TABLE %s OWNER TO CURRENT_USER', c.oid::regclass)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'f', 'm', 'v')
     AND n.nspname NOT IN ('tenant', 'shared') AND NOT (starts_with(n.nspname, 't_') AND length(n.nspname) = 34)
     AND (starts_with(pg_get_userbyid(c.relowner)::text, '{prefix}') OR pg_get_userbyid(c.relowner) = '{own}')
  UNION ALL
  -- By an extension whoever may use one reads whatever its mapping's user may.
  SELECT 'outside_server', format('%s: %s has USAGE', s.name, who), format('REVOKE USAGE ON %s FROM %s', s.name, who)
    FROM (SELECT format('FOREIGN SERVER %I', srvname) AS name, srvowner AS holder, srvacl AS acl FROM pg_foreign_server
           WHERE srvname <> 'tenantry_home'
          UNION ALL
          SELECT format('FOREIGN DATA WRAPPER %I', fdwname), fdwowner, fdwacl FROM pg_foreign_data_wrapper) s,
         aclexplode(s.acl) g,
         LATERAL (SELECT CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END AS who) w
   WHERE g.grantee <> s.holder AND (g.grantee = 0 OR starts_with(who, '{prefix}') OR who = quote_ident('{own}'))
  UNION ALL
  -- In a tenant's own database the shared tables are shown by the way home, and nothing else is.
  SELECT 'outside_relation', format('%s shows another table than the shared one of its name', c.oid::regclass),
         format('DROP FOREIGN TABLE %s', c.oid::regclass)
    FROM pg_foreign_table f JOIN pg_class c ON c.oid = f.ftrelid JOIN pg_foreign_server s ON s.oid = f.ftserver
   WHERE {private}
     AND (s.srvname <> 'tenantry_home' OR c.relnamespace <> 'shared'::regnamespace
          OR NOT coalesce(f.ftoptions, '{}') @> ARRAY['schema_name=shared'])
  UNION ALL
  SELECT 'outside_server', format('the way home goes by another login: %s', o), 'run `tenantry migrate up`'
    FROM pg_user_mappings m, unnest(m.umoptions) o
   WHERE {private} AND m.srvname = 'tenantry_home' AND starts_with(o, 'user=') AND o !~ '^user={prefix}on_.*_remote$'
  UNION ALL
  -- The administrator writes these tables: what is fastened to them runs with its rights.
  SELECT 'ledger_opened', format('%s has the trigger %I', g.tgrelid::regclass, g.tgname),
         format('DROP TRIGGER %I ON %s', g.tgname, g.tgrelid::regclass)
    FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
   WHERE c.relnamespace = to_regnamespace('tenantry') AND NOT g.tgisinternal
  UNION ALL
  SELECT 'ledger_opened', format('%s has the rule %I', w.ev_class::regclass, w.rulename),
         format('DROP RULE %I ON %s', w.rulename, w.ev_class::regclass)
    FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class
   WHERE c.relnamespace = to_regnamespace('tenantry') AND c.relkind IN ('r', 'p')
  UNION ALL
  SELECT 'ledger_opened', format('%s calls %s', of.relid::regclass, p.oid::regprocedure),
         CASE of.word WHEN '' THEN format('DROP INDEX %s', of.objid::regclass)
                      ELSE format('ALTER TABLE %s %s', of.relid::regclass, of.word) END
    FROM (SELECT e.adrelid AS relid, 'pg_attrdef'::regclass AS classid, e.oid AS objid, format('ALTER %I DROP DEFAULT', a.attname) AS word
            FROM pg_attrdef e JOIN pg_attribute a ON a.attrelid = e.adrelid AND a.attnum = e.adnum
          UNION ALL SELECT conrelid, 'pg_constraint'::regclass, oid, format('DROP CONSTRAINT %I', conname) FROM pg_constraint
          UNION ALL SELECT indrelid, 'pg_class'::regclass, indexrelid, '' FROM pg_index) of
    JOIN pg_class c ON c.oid = of.relid AND c.relnamespace = to_regnamespace('tenantry')
    JOIN pg_depend d ON d.classid = of.classid AND d.objid = of.objid AND d.refclassid = 'pg_proc'::regclass
    JOIN pg_proc p ON p.oid = d.refobjid
  UNION ALL
  -- Of a DBA's own only those that run where an app signs in, or that call what a file may replace.
  SELECT 'event_trigger', format('event trigger %I runs %s in everybody''s sessions', e.evtname, e.evtfoid::regprocedure),
         format('DROP EVENT TRIGGER %I', e.evtname)
    FROM pg_event_trigger e JOIN pg_proc p ON p.oid = e.evtfoid JOIN pg_namespace n ON n.oid = p.pronamespace
   WHERE (e.evtevent = 'login' OR starts_with(pg_get_userbyid(p.proowner)::text, '{prefix}')
          OR n.nspname IN ('tenant', 'shared') OR starts_with(n.nspname, 't_') AND length(n.nspname) = 34)
     AND NOT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_event_trigger'::regclass AND x.objid = e.oid AND x.deptype = 'e')
  UNION ALL
  -- Whoever owns the engine's own changes the ledger.
  SELECT 'ledger_opened', format('%s belongs to %s', i.identity, pg_get_userbyid(d.refobjid)),
         format('ALTER %s %s OWNER TO CURRENT_USER', upper(i.type), i.identity)
    FROM pg_shdepend d, pg_identify_object(d.classid, d.objid, 0) i
   WHERE d.deptype = 'o' AND d.refclassid = 'pg_authid'::regclass
     AND (starts_with(pg_get_userbyid(d.refobjid)::text, '{prefix}') OR pg_get_userbyid(d.refobjid) = '{own}')
     AND (d.dbid = (SELECT oid FROM db)
          AND (i.schema = 'tenantry' OR d.classid = 'pg_namespace'::regclass AND i.name IN ('tenantry', 'public'))
          OR d.dbid = 0 AND d.classid = 'pg_database'::regclass AND d.objid = (SELECT oid FROM db))
  UNION ALL
  SELECT 'shared_closed', 'schema shared: PUBLIC has no USAGE', 'GRANT USAGE ON SCHEMA shared TO PUBLIC'
    FROM pg_namespace n
   WHERE n.nspname = 'shared' AND NOT {private}
     AND NOT EXISTS (SELECT FROM aclexplode(n.nspacl) g WHERE g.grantee = 0 AND g.privilege_type = 'USAGE')
  UNION ALL
  SELECT 'parameter_opened', format('setting %s: %s has %s', p.parname, who, g.privilege_type),
         format('REVOKE %s ON PARAMETER %s FROM %s', g.privilege_type, p.parname, who)
    FROM pg_parameter_acl p, aclexplode(p.paracl) g,
         LATERAL (SELECT CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END AS who) w
   WHERE g.grantee = 0 OR starts_with(who, '{prefix}') OR who = quote_ident('{own}')
  UNION ALL
  SELECT 'large_objects_opened', format('function %s: %s may call it', p.oid::regprocedure, who),
         format('REVOKE EXECUTE ON ROUTINE %s FROM %s CASCADE', p.oid::regprocedure, who)
    FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g,
         LATERAL (SELECT CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END AS who) w
   WHERE NOT {private} AND p.pronamespace = 'pg_catalog'::regnamespace AND p.proname ~ '^(lo_.*|loread|lowrite)$'
     AND g.grantee <> p.proowner AND (g.grantee = 0 OR starts_with(who, '{prefix}') OR who = quote_ident('{own}'))
     -- They can be given away by superusers only, and were taken from everybody when the place was made.
     AND EXISTS (SELECT FROM pg_proc o WHERE o.oid = 'pg_catalog.lo_unlink(oid)'::regprocedure AND o.proacl IS NOT NULL)
  UNION ALL
  -- What a superuser has made of the server's own: it would see rows before they are hidden, or run with somebody's rights.
  SELECT 'server_function', format('function %s of the server %s', p.oid::regprocedure, fault),
         format('ALTER ROUTINE %s %s', p.oid::regprocedure, mend)
    FROM pg_proc p, LATERAL (VALUES
           (p.proleakproof AND p.oid <> ALL ('{{leakproof}}'::oid[])
            AND current_setting('server_version_num')::int < {leakproof_unknown}, 'was made LEAKPROOF', 'NOT LEAKPROOF'),
           (p.procost < 1, 'costs less than the policy''s comparison', 'COST 1'),
           (p.prosecdef, 'was made SECURITY DEFINER', 'SECURITY INVOKER'),
           (starts_with(pg_get_userbyid(p.proowner)::text, '{prefix}') OR pg_get_userbyid(p.proowner) = '{own}',
            'belongs to ' || pg_get_userbyid(p.proowner), format('OWNER TO %I', pg_get_userbyid(10))),
           (p.proconfig IS NOT NULL, 'runs with settings of its own', 'RESET ALL')) v(there, fault, mend)
   WHERE p.oid < 16384 AND p.pronamespace = 'pg_catalog'::regnamespace AND v.there
  UNION ALL
  -- Where a reference is checked the server calls it with the rights of the table's owner. Those of the schemas are looked at with them.
  SELECT 'outside_cast', format('the cast from %s to %s calls %s', format_type(c.castsource, NULL), format_type(c.casttarget, NULL), p.oid::regprocedure),
         format('DROP CAST (%s AS %s)', format_type(c.castsource, NULL), format_type(c.casttarget, NULL))
    FROM pg_cast c JOIN pg_proc p ON p.oid = c.castfunc JOIN pg_language l ON l.oid = p.prolang
   WHERE c.oid >= 16384 AND c.castmethod = 'f' AND l.lanname NOT IN ('internal', 'c')
     AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_cast'::regclass AND e.objid = c.oid AND e.deptype = 'e')
  UNION ALL
  SELECT 'tenant_function', format('tenantry.tenant() is %s', fault),
         'ALTER FUNCTION tenantry.tenant() STABLE SECURITY INVOKER RESET ALL'
    FROM pg_proc p, LATERAL (VALUES
           (p.provolatile = 'i' AND p.prosrc ~* 'current_setting', 'IMMUTABLE, so that its answer is kept in plans'),
           (p.prosecdef, 'SECURITY DEFINER'),
           (p.proconfig IS NOT NULL, 'run with settings of its own'),
           (starts_with(pg_get_userbyid(p.proowner)::text, '{prefix}') AND pg_get_userbyid(p.proowner) <> '{owner}',
            'owned by ' || pg_get_userbyid(p.proowner))) v(there, fault)
   WHERE p.oid = to_regprocedure('tenantry.tenant()') AND v.there
  UNION ALL
  SELECT 'tenant_function', 'tenantry.tenant() has another body than the engine gives it',
         CASE WHEN {private} THEN format('CREATE OR REPLACE FUNCTION tenantry.tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS %L',
                                         format('SELECT %L::uuid', (SELECT owner FROM tenantry.place)))
              ELSE '{make_tenant}' END
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
   WHERE p.oid = to_regprocedure('tenantry.tenant()')
     AND (l.lanname <> 'sql'
          OR btrim(p.prosrc) <> CASE WHEN {private} THEN format('SELECT %L::uuid', (SELECT owner FROM tenantry.place)) ELSE '{tenant}' END)
  UNION ALL
  SELECT 'tenant_function', 'tenantry.may_write() is not as the engine makes it',
         'ALTER FUNCTION tenantry.may_write() OWNER TO CURRENT_USER; {make_may_write}'
    FROM pg_proc p
   WHERE p.oid = to_regprocedure('tenantry.may_write()')
     AND (p.prosrc <> '{may_write}' OR p.provolatile = 'i' OR NOT p.prosecdef OR p.proleakproof
          OR p.proconfig IS DISTINCT FROM ARRAY['search_path=pg_catalog, pg_temp']
          OR starts_with(pg_get_userbyid(p.proowner)::text, '{prefix}'))
  UNION ALL
  SELECT 'tenant_function', 'tenantry.may_write() is missing', '{make_may_write}'
   WHERE to_regprocedure('tenantry.may_write()') IS NULL AND NOT {private}
  UNION ALL
  SELECT 'tenant_function', 'tenantry.tenant() is gone', 'run `tenantry doctor --repair`'
   WHERE to_regprocedure('tenantry.tenant()') IS NULL
) finding ORDER BY code, what;
