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
  -- That a table is referred to is written down in it too.
  SELECT concat_ws(' ', 'relation', oid, relname, relkind, relowner, relacl, reloptions, relrowsecurity, relforcerowsecurity,
                   relhasrules, relispartition, relfilenode) FROM rel
  UNION ALL
  SELECT concat_ws(' ', 'column', a.attrelid, attnum, attname, atttypid, atttypmod, attnotnull, attisdropped, attacl, e.adbin)
    FROM rel JOIN pg_attribute a ON a.attrelid = rel.oid AND a.attnum > 0
    LEFT JOIN pg_attrdef e ON e.adrelid = a.attrelid AND e.adnum = a.attnum
  UNION ALL
  SELECT concat_ws(' ', 'constraint', k.oid, contype, convalidated, confrelid, conkey, conbin)
    FROM rel JOIN pg_constraint k ON k.conrelid = rel.oid
  UNION ALL
  SELECT concat_ws(' ', 'index', indexrelid, indisvalid, indisunique, indkey, indexprs, indpred)
    FROM rel JOIN pg_index i ON i.indrelid = rel.oid
  UNION ALL
  SELECT concat_ws(' ', 'trigger', CASE WHEN NOT tgisinternal THEN g.oid END, tgname, tgenabled, tgfoid, tgtype, tgqual)
    FROM rel JOIN pg_trigger g ON g.tgrelid = rel.oid WHERE NOT tgisinternal OR tgenabled <> 'O'
  UNION ALL
  SELECT concat_ws(' ', 'rule', w.oid, ev_enabled, ev_qual, ev_action) FROM rel JOIN pg_rewrite w ON w.ev_class = rel.oid
  UNION ALL
  SELECT concat_ws(' ', 'policy', q.oid, polcmd, polpermissive, polroles, polqual, polwithcheck)
    FROM rel JOIN pg_policy q ON q.polrelid = rel.oid
  UNION ALL
  SELECT concat_ws(' ', 'child', inhrelid, inhparent) FROM rel JOIN pg_inherits i ON i.inhparent = rel.oid
  UNION ALL
  SELECT concat_ws(' ', 'function', oid, proname, proowner, proacl, prolang, provolatile, prosecdef, proleakproof, proconfig,
                   prosrc, prosqlbody) FROM pg_proc WHERE pronamespace = 'shared'::regnamespace
  UNION ALL
  SELECT concat_ws(' ', 'type', t.oid, typowner, typacl, typnotnull, typdefault, k.oid, k.conbin)
    FROM pg_type t LEFT JOIN pg_constraint k ON k.contypid = t.oid WHERE t.typnamespace = 'shared'::regnamespace
  UNION ALL
  SELECT concat_ws(' ', 'rights', a.oid, defaclacl) FROM pg_default_acl a JOIN pg_namespace n ON n.nspowner = a.defaclrole
   WHERE n.oid = 'shared'::regnamespace
)
SELECT (SELECT encode(sha256(convert_to(string_agg(text, chr(10) ORDER BY text), 'UTF8')), 'hex') FROM line)
       || ' ' || (SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_xact_all_tables
                   WHERE schemaname = 'shared') AS state;
