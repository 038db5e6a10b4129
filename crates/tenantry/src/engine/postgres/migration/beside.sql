-- What a tenant's file must leave as it was: the shared schema with everything in it, as one number, and how many of its rows
-- this transaction has changed. A reference makes the server run code of the file's as the owner of the shared tables.
SET LOCAL search_path = pg_catalog, pg_temp;
WITH rel AS MATERIALIZED (
  SELECT c.* FROM pg_class c WHERE c.relnamespace = 'shared'::regnamespace
),
line (text) AS (
  SELECT concat_ws(' ', 'schema', nspowner, nspacl) FROM pg_namespace WHERE oid = 'shared'::regnamespace
  UNION ALL
  SELECT concat_ws(' ', classid, objid) FROM pg_depend
   WHERE refclassid = 'pg_namespace'::regclass AND refobjid = 'shared'::regnamespace
  UNION ALL
  -- That a table is referred to is written down in it, and in triggers of the server's: those may come.
  SELECT concat_ws(' ', 'relation', oid, relname, relkind, relowner, relacl, reloptions, relrowsecurity, relforcerowsecurity,
                   relhasrules, relispartition, relfilenode, relreplident, relpersistence, reltablespace, relam) FROM rel
  UNION ALL
  SELECT 'trigger ' || CASE WHEN tgisinternal THEN concat_ws(' ', tgname, tgenabled, tgfoid, tgtype) ELSE (g.*)::text END
    FROM rel JOIN pg_trigger g ON g.tgrelid = rel.oid WHERE NOT tgisinternal OR tgenabled <> 'O'
  UNION ALL
  SELECT 'column ' || (a.*)::text FROM rel JOIN pg_attribute a ON a.attrelid = rel.oid AND a.attnum > 0
  UNION ALL
  SELECT 'default ' || (e.*)::text FROM rel JOIN pg_attrdef e ON e.adrelid = rel.oid
  UNION ALL
  SELECT 'constraint ' || (k.*)::text FROM rel JOIN pg_constraint k ON k.conrelid = rel.oid
  UNION ALL
  SELECT 'index ' || (i.*)::text FROM rel JOIN pg_index i ON i.indrelid = rel.oid
  UNION ALL
  SELECT 'rule ' || (w.*)::text FROM rel JOIN pg_rewrite w ON w.ev_class = rel.oid
  UNION ALL
  SELECT 'policy ' || (q.*)::text FROM rel JOIN pg_policy q ON q.polrelid = rel.oid
  UNION ALL
  SELECT 'child ' || (i.*)::text FROM rel JOIN pg_inherits i ON i.inhparent = rel.oid
  UNION ALL
  SELECT 'sequence ' || (s.*)::text FROM rel JOIN pg_sequence s ON s.seqrelid = rel.oid
  UNION ALL
  SELECT 'statistics ' || (s.*)::text FROM pg_statistic_ext s
   WHERE s.stxnamespace = 'shared'::regnamespace OR s.stxrelid IN (SELECT oid FROM rel)
  UNION ALL
  SELECT 'function ' || (p.*)::text || coalesce((a.*)::text, '')
    FROM pg_proc p LEFT JOIN pg_aggregate a ON a.aggfnoid = p.oid WHERE p.pronamespace = 'shared'::regnamespace
  UNION ALL
  SELECT 'type ' || (t.*)::text FROM pg_type t WHERE t.typnamespace = 'shared'::regnamespace
  UNION ALL
  SELECT 'check ' || (k.*)::text FROM pg_type t JOIN pg_constraint k ON k.contypid = t.oid
   WHERE t.typnamespace = 'shared'::regnamespace
  UNION ALL
  SELECT 'label ' || (e.*)::text FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid
   WHERE t.typnamespace = 'shared'::regnamespace
  UNION ALL
  SELECT 'operator ' || (o.*)::text FROM pg_operator o WHERE o.oprnamespace = 'shared'::regnamespace
  UNION ALL
  SELECT 'dictionary ' || (d.*)::text FROM pg_ts_dict d WHERE d.dictnamespace = 'shared'::regnamespace
  UNION ALL
  SELECT 'configuration ' || (c.*)::text || coalesce((m.*)::text, '')
    FROM pg_ts_config c LEFT JOIN pg_ts_config_map m ON m.mapcfg = c.oid WHERE c.cfgnamespace = 'shared'::regnamespace
  UNION ALL
  -- Casts have no schema.
  SELECT 'cast ' || (c.*)::text FROM pg_cast c
   WHERE c.oid >= 16384
     AND (EXISTS (SELECT FROM pg_type t WHERE t.oid IN (c.castsource, c.casttarget) AND t.typnamespace = 'shared'::regnamespace)
          OR EXISTS (SELECT FROM pg_proc p WHERE p.oid = c.castfunc AND p.pronamespace = 'shared'::regnamespace))
  UNION ALL
  SELECT 'comment ' || (c.*)::text
    FROM pg_depend d JOIN pg_description c ON c.classoid = d.classid AND c.objoid = d.objid
   WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = 'shared'::regnamespace
  UNION ALL
  SELECT concat_ws(' ', 'rights', a.oid, defaclacl) FROM pg_default_acl a JOIN pg_namespace n ON n.nspowner = a.defaclrole
   WHERE n.oid = 'shared'::regnamespace
)
SELECT (SELECT encode(sha256(convert_to(string_agg(text, chr(10) ORDER BY text), 'UTF8')), 'hex') FROM line)
       || ' ' || (SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_xact_all_tables
                   WHERE schemaname = 'shared') AS state;
