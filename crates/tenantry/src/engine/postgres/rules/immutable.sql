-- IMMUTABLE functions whose body has to be read: rows (oid, name, language, atomic, body, definition, path, own). Those of an
-- extension are its maker's.
SET LOCAL search_path = pg_catalog, pg_temp;
SELECT p.oid::text AS oid, {routine} AS name, l.lanname::text AS language,
       p.prosqlbody IS NOT NULL AS atomic, p.prosrc AS body, pg_get_functiondef(p.oid) AS definition,
       (SELECT substr(setting, 13) FROM unnest(p.proconfig) setting WHERE setting ~* '^search_path=') AS path,
       p.pronamespace = '{schema}'::regnamespace AS own
  FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid JOIN pg_language l ON l.oid = p.prolang
 WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = ANY ('{schemas}'::regnamespace[])
   AND d.classid = 'pg_proc'::regclass AND p.provolatile = 'i' AND p.prokind = 'f'
   AND l.lanname NOT IN ('internal', 'c') AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
   AND NOT EXISTS (SELECT FROM pg_depend e JOIN pg_roles o ON o.oid = p.proowner
                    WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e' AND o.rolsuper)
 ORDER BY 2;
