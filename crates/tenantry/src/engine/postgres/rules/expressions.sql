-- What expressions call or read that nobody may: rows (code, object, detail, correction).
SET LOCAL search_path = pg_catalog, pg_temp;
WITH member AS MATERIALIZED (
  SELECT classid, objid FROM pg_depend
   WHERE refclassid = 'pg_namespace'::regclass AND refobjid = '{schema}'::regnamespace
),
-- What the schema's expressions, views, rules, policies and the like call or read, as the server has parsed it: the spelling
-- does not matter there. `forbidden` holds what of it nobody may use.
tree AS (
  SELECT format('%I', c.relname) AS object, e.adbin::text AS text,
         format('ALTER TABLE %I ALTER COLUMN %I DROP %s', c.relname, a.attname,
                CASE a.attgenerated WHEN '' THEN 'DEFAULT' ELSE 'EXPRESSION' END) AS correction
    FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
    JOIN pg_attrdef e ON e.adrelid = c.oid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = e.adnum
  UNION ALL
  SELECT format('%I.%I', c.relname, k.conname), k.conbin::text,
         format('ALTER TABLE %I DROP CONSTRAINT %I', c.relname, k.conname)
    FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
    JOIN pg_constraint k ON k.conrelid = c.oid WHERE k.conbin IS NOT NULL
  UNION ALL
  SELECT format('%I', t.typname), concat(t.typdefaultbin, k.conbin), format('DROP DOMAIN %I', t.typname)
    FROM member m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
    LEFT JOIN pg_constraint k ON k.contypid = t.oid WHERE t.typtype = 'd'
  UNION ALL
  SELECT format(CASE WHEN w.rulename = '_RETURN' THEN '%I' ELSE '%I.%I' END, c.relname, w.rulename),
         concat(w.ev_action, w.ev_qual),
         CASE WHEN w.rulename <> '_RETURN' THEN format('DROP RULE %I ON %I', w.rulename, c.relname)
              ELSE format('DROP %s %I', CASE c.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END, c.relname) END
    FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
    JOIN pg_rewrite w ON w.ev_class = c.oid WHERE c.relhasrules
  UNION ALL
  SELECT format('%I.%I', c.relname, g.tgname), g.tgqual::text, format('DROP TRIGGER %I ON %I', g.tgname, c.relname)
    FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
    JOIN pg_trigger g ON g.tgrelid = c.oid WHERE c.relhastriggers AND g.tgqual IS NOT NULL
  UNION ALL
  SELECT format('%I.%I', c.relname, q.polname), concat(q.polqual, q.polwithcheck),
         format('DROP POLICY %I ON %I', q.polname, c.relname)
    FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
    JOIN pg_policy q ON q.polrelid = c.oid AND q.polname NOT IN ('{policy}', '{first_policy}')
  -- Indexes, statistics and partition keys call IMMUTABLE functions only, which are looked at by themselves.
  UNION ALL
  SELECT {routine}, concat(p.prosqlbody, p.proargdefaults),
         format('DROP ROUTINE %s', {routine})
    FROM member m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
   WHERE p.prosqlbody IS NOT NULL OR p.proargdefaults IS NOT NULL
),
used AS (
  -- Cut at the field's name: a regular expression over every tree costs ten times as much.
  SELECT tree.object, tree.correction, field = ':relid ' AS is_relation, split_part(piece, ' ', 1)::oid AS oid
    FROM tree, unnest(ARRAY[':funcid ', ':aggfnoid ', ':winfnoid ', ':relid ']) field,
         string_to_table(tree.text, field) WITH ORDINALITY cut(piece, place)
   WHERE place > 1
  UNION ALL
  -- What is called through a name of the schema's own.
  SELECT {routine}, format('DROP AGGREGATE %s', {routine}), false, f.oid
    FROM member m JOIN pg_aggregate a ON m.classid = 'pg_proc'::regclass AND a.aggfnoid = m.objid
    JOIN pg_proc p ON p.oid = a.aggfnoid,
         unnest(ARRAY[a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn, a.aggmtransfn,
                      a.aggminvtransfn, a.aggmfinalfn]::oid[]) f(oid)
  UNION ALL
  SELECT o.oid::regoperator::text, format('DROP OPERATOR %s', replace(o.oid::regoperator::text, '{schema}.', '')), false, o.oprcode
    FROM member m JOIN pg_operator o ON m.classid = 'pg_operator'::regclass AND o.oid = m.objid
  UNION ALL
  SELECT t.oid::regtype::text, format('DROP CAST (%s AS %s)', c.castsource::regtype, c.casttarget::regtype), false, c.castfunc
    FROM pg_cast c JOIN pg_type t ON t.oid IN (c.castsource, c.casttarget)
   WHERE c.oid >= 16384 AND t.typnamespace = '{schema}'::regnamespace
  UNION ALL
  SELECT format('%I.%I', c.relname, g.tgname), format('DROP TRIGGER %I ON %I', g.tgname, c.relname), false, g.tgfoid
    FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
    JOIN pg_trigger g ON g.tgrelid = c.oid WHERE c.relhastriggers AND NOT g.tgisinternal
),
{bad},
forbidden AS (
  SELECT used.object, bad.name, used.correction FROM used JOIN bad USING (is_relation, oid)
  UNION ALL
  -- It is counted for all of the server: of a shared table it tells which rows others refer to.
  SELECT tree.object, 'xmax', tree.correction FROM tree WHERE position(':varattno -4 ' IN tree.text) > 0
)
SELECT DISTINCT CASE WHEN starts_with(correction, 'DROP ROUTINE') THEN 'function_scope' ELSE 'expression_scope' END AS code,
       object, name AS detail, correction
  FROM forbidden ORDER BY object, name;
