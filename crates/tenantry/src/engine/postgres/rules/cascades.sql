-- Triggers that fire while a reference acts, before a row is changed: rows (object, function, language, body, calls, correction).
-- The server lets the action of a reference run as the owner of the table, and past forced row security; what such a trigger reads
-- or changes is that of all tenants. A trigger AFTER the change waits until the action is over, and runs as the caller.
SET LOCAL search_path = pg_catalog, pg_temp;
SELECT DISTINCT format('%I.%I', c.relname, g.tgname) AS object, p.oid::regprocedure::text AS function,
       l.lanname::text AS language, p.prosrc AS body, p.oid < 16384 AS builtin,
       format('CREATE TRIGGER %I AFTER %s ON %I FOR EACH ROW EXECUTE FUNCTION %s', g.tgname,
              CASE WHEN g.tgtype & 8 <> 0 THEN 'DELETE' ELSE 'UPDATE' END, c.relname,
              replace(p.oid::regprocedure::text, '{schema}.', '')) AS correction
  FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
  JOIN pg_trigger g ON g.tgrelid = c.oid AND NOT g.tgisinternal
  JOIN pg_proc p ON p.oid = g.tgfoid JOIN pg_language l ON l.oid = p.prolang
  JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'f'
 WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = '{schema}'::regnamespace AND d.classid = 'pg_class'::regclass
   -- For each row, and before it.
   AND g.tgtype & 1 <> 0 AND g.tgtype & 2 <> 0
   AND (g.tgtype & 8 <> 0 AND k.confdeltype = 'c'
        OR g.tgtype & 16 <> 0 AND (k.confdeltype IN ('n', 'd') OR k.confupdtype IN ('c', 'n', 'd')))
 ORDER BY 1;
