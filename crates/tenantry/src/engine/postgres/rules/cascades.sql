-- Code of the app's that runs while a reference acts: rows (code, object, detail, language, body, harmless, correction).
-- The server lets the action of a reference run as the owner of the table, and past forced row security: what is read or changed
-- there is that of all tenants. A trigger AFTER the change waits until the action is over, but its condition does not.
SET LOCAL search_path = pg_catalog, pg_temp;
WITH acting AS MATERIALIZED (
  SELECT c.oid, c.relname, bool_or(k.confdeltype = 'c') AS deletes,
         bool_or(k.confdeltype IN ('n', 'd') OR k.confupdtype IN ('c', 'n', 'd')) AS updates,
         bool_or(k.confdeltype = 'd' OR k.confupdtype = 'd') AS defaults, c.relkind = 'p' OR c.relispartition AS is_parted
    FROM pg_depend d JOIN pg_class c ON c.oid = d.objid JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'f'
   WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = '{schema}'::regnamespace AND d.classid = 'pg_class'::regclass
     AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd'))
   GROUP BY c.oid, c.relname, c.relkind, c.relispartition
),
-- An update that takes a row to another partition is a deletion and an insertion.
tbl AS MATERIALIZED (
  SELECT oid, relname, updates, defaults,
         CASE WHEN deletes THEN 8 ELSE 0 END | CASE WHEN updates THEN 16 ELSE 0 END
           | CASE WHEN updates AND is_parted THEN 4 | 8 ELSE 0 END AS events
    FROM acting
),
-- What an expression of the app's calls: an IMMUTABLE function is looked at by itself, and reads nothing. One of an extension is
-- its maker's, but what is kept as a text finds the app's functions.
fun AS MATERIALIZED (
  SELECT p.oid FROM pg_proc p,
         LATERAL (SELECT EXISTS (SELECT FROM pg_depend e JOIN pg_roles o ON o.oid = p.proowner
                      WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e' AND o.rolsuper) AS yes) of_extension
   WHERE p.oid >= 16384 AND p.oid IS DISTINCT FROM to_regprocedure('tenantry.tenant()')
     AND EXISTS (SELECT FROM tbl)
     AND CASE WHEN of_extension.yes THEN {kept_as_text} ELSE p.provolatile <> 'i' END
),
calls AS MATERIALIZED (
  SELECT d.classid, d.objid, fun.oid AS function
    FROM pg_depend d JOIN fun ON d.refclassid = 'pg_proc'::regclass AND d.refobjid = fun.oid
  UNION
  SELECT d.classid, d.objid, fun.oid FROM pg_depend d
    JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid JOIN fun ON fun.oid = o.oprcode
),
-- What the words of a body may call without a name and a parenthesis.
hidden AS MATERIALIZED (
  SELECT EXISTS (SELECT FROM pg_operator o JOIN fun ON fun.oid = o.oprcode)
         OR EXISTS (SELECT FROM calls JOIN pg_constraint k ON calls.classid = 'pg_constraint'::regclass AND k.oid = calls.objid
                     WHERE k.contypid <> 0) AS is_there
),
held AS (
  SELECT tbl.relname, g.tgname AS name, 'trigger' AS word, calls.function
    FROM tbl JOIN pg_trigger g ON g.tgrelid = tbl.oid AND NOT g.tgisinternal
    JOIN calls ON calls.classid = 'pg_trigger'::regclass AND calls.objid = g.oid AND calls.function <> g.tgfoid
   WHERE g.tgtype & tbl.events <> 0
  UNION ALL
  SELECT tbl.relname, k.conname, 'constraint', calls.function
    FROM tbl JOIN pg_constraint k ON k.conrelid = tbl.oid AND k.contype = 'c'
    JOIN calls ON calls.classid = 'pg_constraint'::regclass AND calls.objid = k.oid WHERE tbl.updates
  UNION ALL
  SELECT tbl.relname, a.attname, CASE a.attgenerated WHEN '' THEN 'default' ELSE 'generated' END, calls.function
    FROM tbl JOIN pg_attrdef e ON e.adrelid = tbl.oid JOIN pg_attribute a ON a.attrelid = tbl.oid AND a.attnum = e.adnum
    JOIN calls ON calls.classid = 'pg_attrdef'::regclass AND calls.objid = e.oid
   WHERE CASE a.attgenerated WHEN '' THEN tbl.defaults ELSE tbl.updates END
  UNION ALL
  -- Where a column has no default of its own, that of its domain is set.
  SELECT tbl.relname, a.attname, 'type', calls.function
    FROM tbl JOIN pg_attribute a ON a.attrelid = tbl.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384,
         calls WHERE tbl.defaults AND calls.classid = 'pg_type'::regclass
  UNION ALL
  SELECT tbl.relname, i.indexrelid::regclass::text, 'index', calls.function
    FROM tbl JOIN pg_index i ON i.indrelid = tbl.oid
    JOIN calls ON calls.classid = 'pg_class'::regclass AND calls.objid = i.indexrelid WHERE tbl.updates
  UNION ALL
  -- The key by which it is parted.
  SELECT tbl.relname, tbl.relname, 'table', calls.function
    FROM tbl JOIN calls ON calls.classid = 'pg_class'::regclass AND calls.objid = tbl.oid WHERE tbl.updates
  UNION ALL
  SELECT tbl.relname, a.attname, 'type', calls.function
    FROM tbl JOIN pg_attribute a ON a.attrelid = tbl.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type t ON t.oid = a.atttypid AND t.oid >= 16384,
         calls JOIN pg_constraint k ON calls.classid = 'pg_constraint'::regclass AND k.oid = calls.objid AND k.contypid <> 0
   WHERE tbl.updates AND t.typtype <> 'e' AND NOT t.typelem IN (SELECT oid FROM pg_type WHERE typtype = 'e')
)
SELECT DISTINCT 'trigger_in_cascade' AS code, format('%I.%I', tbl.relname, g.tgname) AS object, p.oid::regprocedure::text AS detail,
       l.lanname::text AS language, p.prosrc AS body, p.oid < 16384 AS harmless,
       (SELECT is_there FROM hidden) AS hidden,
       format('CREATE TRIGGER %I AFTER %s ON %I FOR EACH ROW EXECUTE FUNCTION %s', g.tgname,
              CASE WHEN g.tgtype & 8 <> 0 THEN 'DELETE' WHEN g.tgtype & 16 <> 0 THEN 'UPDATE' ELSE 'INSERT' END, tbl.relname,
              {routine}) AS correction
  FROM tbl JOIN pg_trigger g ON g.tgrelid = tbl.oid AND NOT g.tgisinternal
  JOIN pg_proc p ON p.oid = g.tgfoid JOIN pg_language l ON l.oid = p.prolang
 WHERE g.tgtype & 2 <> 0 AND g.tgtype & tbl.events <> 0
UNION ALL
SELECT DISTINCT 'code_in_cascade', format('%I.%I', relname, name), function::regprocedure::text, '', '', false, true,
       CASE word WHEN 'trigger' THEN format('DROP TRIGGER %I ON %I', name, relname)
                 WHEN 'constraint' THEN format('ALTER TABLE %I DROP CONSTRAINT %I', relname, name)
                 WHEN 'default' THEN format('ALTER TABLE %I ALTER COLUMN %I DROP DEFAULT', relname, name)
                 WHEN 'generated' THEN format('ALTER TABLE %I ALTER COLUMN %I DROP EXPRESSION', relname, name)
                 WHEN 'index' THEN format('DROP INDEX %s', replace(name, '{schema}.', ''))
                 WHEN 'table' THEN format('DROP TABLE %I', relname)
                 ELSE format('ALTER TABLE %I ALTER COLUMN %I TYPE text', relname, name) END
  FROM held
 ORDER BY 1, 2, 3;
