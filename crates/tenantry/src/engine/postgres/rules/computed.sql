-- What the server computes by itself for a table `t`, whoever asks: the function `p` that the object `of` depends on.
LATERAL (SELECT 'pg_class'::regclass AS classid, i.indexrelid AS objid, format('%I.%I', t.relname, c.relname) AS object,
                format('DROP INDEX %I', c.relname) AS correction
           FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = t.oid
         UNION ALL
         SELECT 'pg_statistic_ext'::regclass, e.oid, quote_ident(e.stxname), format('DROP STATISTICS %I', e.stxname)
           FROM pg_statistic_ext e WHERE e.stxrelid = t.oid
         UNION ALL
         SELECT 'pg_constraint'::regclass, k.oid, format('%I.%I', t.relname, k.conname),
                format('ALTER TABLE %I DROP CONSTRAINT %I', t.relname, k.conname)
           FROM pg_constraint k WHERE k.conrelid = t.oid AND k.contype = 'c'
         UNION ALL
         -- A partition key.
         SELECT 'pg_class'::regclass, t.oid, quote_ident(t.relname), format('DROP TABLE %I', t.relname)) of
    JOIN pg_depend d ON d.classid = of.classid AND d.objid = of.objid
    LEFT JOIN pg_operator o ON d.refclassid = 'pg_operator'::regclass AND o.oid = d.refobjid
    JOIN pg_proc p ON p.oid = CASE d.refclassid WHEN 'pg_proc'::regclass THEN d.refobjid ELSE o.oprcode END,
         LATERAL (SELECT EXISTS (SELECT FROM pg_depend e
                                  WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e') AS yes) of_extension
