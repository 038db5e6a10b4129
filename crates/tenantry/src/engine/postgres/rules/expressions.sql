-- What expressions call or read that nobody may: rows (code, object, detail, correction).
SET LOCAL search_path = pg_catalog, pg_temp;
WITH member AS MATERIALIZED (
  SELECT classid, objid FROM pg_depend
   WHERE refclassid = 'pg_namespace'::regclass AND refobjid = '{schema}'::regnamespace
),
{used}
SELECT DISTINCT CASE WHEN starts_with(correction, 'DROP ROUTINE') THEN 'function_scope' ELSE 'expression_scope' END AS code,
       object, name AS detail, correction
  FROM forbidden ORDER BY object, name;
