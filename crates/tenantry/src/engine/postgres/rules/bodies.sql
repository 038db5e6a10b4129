-- The texts of functions that the server has not parsed: rows (name, body, is_sql). Those of other schemas that triggers run too.
SET LOCAL search_path = pg_catalog, pg_temp;
SELECT {routine} AS name, p.prosrc AS body, l.lanname = 'sql' AS is_sql
  FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
 WHERE l.lanname IN ('sql', 'plpgsql') AND p.prosqlbody IS NULL
   AND p.oid IN (SELECT objid FROM pg_depend WHERE refclassid = 'pg_namespace'::regclass
                    AND refobjid = '{schema}'::regnamespace AND classid = 'pg_proc'::regclass
                 UNION
                 SELECT g.tgfoid FROM pg_depend d JOIN pg_trigger g ON d.classid = 'pg_class'::regclass AND g.tgrelid = d.objid
                  WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = '{schema}'::regnamespace
                    AND NOT g.tgisinternal)
   AND NOT EXISTS (SELECT FROM pg_depend e JOIN pg_roles o ON o.oid = p.proowner
                    WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e' AND o.rolsuper)
 ORDER BY 1;
