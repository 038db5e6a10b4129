-- IMMUTABLE functions whose text has to be read: rows (oid, name, language, atomic, body, arguments, result, path, home).
SET LOCAL search_path = pg_catalog, pg_temp;
SELECT p.oid::text AS oid, replace(p.oid::regprocedure::text, '{schema}.', '') AS name, l.lanname::text AS language,
       p.prosqlbody IS NOT NULL AS atomic, p.prosrc AS body, pg_get_function_identity_arguments(p.oid) AS arguments,
       pg_get_function_result(p.oid) AS result,
       (SELECT substr(setting, 13) FROM unnest(p.proconfig) setting WHERE setting ~* '^search_path=') AS path,
       (SELECT home FROM unnest(ARRAY['tenantry', '{schema}']) home WHERE has_schema_privilege(home, 'CREATE') LIMIT 1) AS home
  FROM pg_depend d JOIN pg_proc p ON p.oid = d.objid JOIN pg_language l ON l.oid = p.prolang
 WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = ANY ('{schemas}'::regnamespace[])
   AND d.classid = 'pg_proc'::regclass AND p.provolatile = 'i' AND p.prokind = 'f'
   AND l.lanname NOT IN ('internal', 'c') AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
 ORDER BY 2;
