-- What of tenants' calls code of the shared schema unasked: rows (caller, called), one at most. Triggers, views and policies are run by
-- statements only.
SET LOCAL search_path = pg_catalog, pg_temp;
SELECT pg_describe_object(d.classid, d.objid, d.objsubid) AS caller, pg_describe_object(d.refclassid, d.refobjid, 0) AS called
  FROM (SELECT classid, objid FROM pg_depend
         WHERE refclassid = 'pg_namespace'::regclass AND refobjid = 'shared'::regnamespace
           AND (classid IN ('pg_proc'::regclass, 'pg_operator'::regclass)
                OR classid = 'pg_type'::regclass AND objid IN (SELECT oid FROM pg_type WHERE typtype = 'd'))) s
  JOIN pg_depend d ON d.refclassid = s.classid AND d.refobjid = s.objid AND d.deptype IN ('n', 'a'),
       pg_identify_object(d.classid, d.objid, d.objsubid) of
 WHERE d.classid NOT IN ('pg_trigger'::regclass, 'pg_rewrite'::regclass, 'pg_policy'::regclass)
   AND coalesce(of.schema, substring(of.identity FROM ' on (\w+)\.'), substring(of.identity FROM '^for (\w+)\.'), '') <> 'shared'
   -- An extension's own code is none of the block's, unless it is kept as a text, which finds what the block has made.
   AND (NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = s.classid AND e.objid = s.objid AND e.deptype = 'e')
        OR EXISTS (SELECT FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
                    WHERE s.classid = 'pg_proc'::regclass AND p.oid = s.objid AND p.prosqlbody IS NULL
                      AND l.lanname NOT IN ('internal', 'c')))
 LIMIT 1;
