-- Foreign keys that have not been validated: rows (code, object, detail, correction). Forced row security hides every row
-- from the owner, so that VALIDATE would find nothing wrong and say that all is well: it has to be lifted around it.
SET LOCAL search_path = pg_catalog, pg_temp;
SELECT 'not_validated' AS code, format('%I.%I', c.relname, k.conname) AS object, NULL AS detail,
       CASE WHEN c.relforcerowsecurity THEN
         format('BEGIN; ALTER TABLE %2$s NO FORCE ROW LEVEL SECURITY; ALTER TABLE %3$s NO FORCE ROW LEVEL SECURITY; '
                'ALTER TABLE %2$s VALIDATE CONSTRAINT %1$I; '
                'ALTER TABLE %2$s FORCE ROW LEVEL SECURITY; ALTER TABLE %3$s FORCE ROW LEVEL SECURITY; COMMIT',
                k.conname, name.own, name.other)
       ELSE format('ALTER TABLE %2$s VALIDATE CONSTRAINT %1$I', k.conname, name.own) END AS correction
  FROM pg_depend d JOIN pg_class c ON c.oid = d.objid JOIN pg_constraint k ON k.conrelid = c.oid,
       LATERAL (SELECT k.conrelid::regclass::text AS own, k.confrelid::regclass::text AS other) name
 WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = '{schema}'::regnamespace
   AND d.classid = 'pg_class'::regclass AND k.contype = 'f' AND k.conparentid = 0 AND NOT k.convalidated
 ORDER BY 2;
