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
    JOIN pg_policy q ON q.polrelid = c.oid
  UNION ALL
  SELECT i.indexrelid::regclass::text, concat(i.indexprs, i.indpred),
         format('DROP INDEX %s', replace(i.indexrelid::regclass::text, '{schema}.', ''))
    FROM member m JOIN pg_index i ON m.classid = 'pg_class'::regclass AND i.indrelid = m.objid
   WHERE i.indexprs IS NOT NULL OR i.indpred IS NOT NULL
  UNION ALL
  SELECT format('%I', s.stxname), s.stxexprs::text, format('DROP STATISTICS %I', s.stxname)
    FROM member m JOIN pg_statistic_ext s ON m.classid = 'pg_class'::regclass AND s.stxrelid = m.objid
   WHERE s.stxexprs IS NOT NULL
  UNION ALL
  SELECT format('%I', c.relname), t.partexprs::text, format('DROP TABLE %I', c.relname)
    FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
    JOIN pg_partitioned_table t ON t.partrelid = c.oid WHERE t.partexprs IS NOT NULL
  UNION ALL
  SELECT replace(p.oid::regprocedure::text, '{schema}.', ''), concat(p.prosqlbody, p.proargdefaults),
         format('DROP ROUTINE %s', replace(p.oid::regprocedure::text, '{schema}.', ''))
    FROM member m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
   WHERE p.prosqlbody IS NOT NULL OR p.proargdefaults IS NOT NULL
),
used AS (
  SELECT tree.object, tree.correction, m[1] = 'relid' AS is_relation, m[2]::oid AS oid
    FROM tree, regexp_matches(tree.text, ':(funcid|aggfnoid|winfnoid|relid) (\d+)', 'g') m
  UNION ALL
  -- What is called through a name of the schema's own.
  SELECT replace(a.aggfnoid::text, '{schema}.', ''),
         format('DROP AGGREGATE %s', replace(a.aggfnoid::oid::regprocedure::text, '{schema}.', '')), false, f.oid
    FROM member m JOIN pg_aggregate a ON m.classid = 'pg_proc'::regclass AND a.aggfnoid = m.objid,
         unnest(ARRAY[a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn, a.aggmtransfn,
                      a.aggminvtransfn, a.aggmfinalfn]::oid[]) f(oid)
  UNION ALL
  SELECT o.oid::regoperator::text, format('DROP OPERATOR %s', replace(o.oid::regoperator::text, '{schema}.', '')), false, o.oprcode
    FROM member m JOIN pg_operator o ON m.classid = 'pg_operator'::regclass AND o.oid = m.objid
  UNION ALL
  SELECT format('%I', t.typname), format('DROP CAST (%s AS %s)', c.castsource::regtype, c.casttarget::regtype), false, c.castfunc
    FROM member m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
    JOIN pg_cast c ON t.oid IN (c.castsource, c.casttarget)
  UNION ALL
  SELECT format('%I', t.typname), format('DROP TYPE %I', t.typname), false, f.oid
    FROM member m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
    JOIN pg_range r ON r.rngtypid = t.oid, unnest(ARRAY[r.rngcanonical, r.rngsubdiff]::oid[]) f(oid)
  UNION ALL
  SELECT format('%I.%I', c.relname, g.tgname), format('DROP TRIGGER %I ON %I', g.tgname, c.relname), false, g.tgfoid
    FROM member m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
    JOIN pg_trigger g ON g.tgrelid = c.oid WHERE c.relhastriggers AND NOT g.tgisinternal
),
forbidden AS (
  SELECT used.object, p.proname::text AS name, used.correction
    FROM used JOIN pg_proc p ON NOT used.is_relation AND p.oid = used.oid
   WHERE p.proname ~ '{bad_functions}'
     AND (p.oid < 16384 OR EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid
                                      AND e.deptype = 'e'))
  UNION ALL
  SELECT used.object, c.relname::text, used.correction
    FROM used JOIN pg_class c ON used.is_relation AND c.oid = used.oid
   WHERE c.relname ~ '{bad_relations}'
     AND (c.oid < 16384 OR EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid
                                      AND e.deptype = 'e'))
)
