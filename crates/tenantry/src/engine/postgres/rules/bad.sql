-- The functions and relations that nothing in a schema may use.
bad AS MATERIALIZED (
  SELECT false AS is_relation, oid, proname::text AS name FROM pg_proc
   WHERE proname = ANY ('{bad_functions}'::name[]) AND oid < 16384
     AND provolatile <> 'i'
  UNION ALL
  SELECT true, oid, relname::text FROM pg_class WHERE relname = ANY ('{bad_relations}'::name[]) AND oid < 16384
  UNION ALL
  -- By the index: all names that begin so.
  SELECT false, oid, proname::text FROM pg_proc
   WHERE proname >= 'pg_stat_get_' AND proname < 'pg_stat_get`' AND oid < 16384 AND provolatile <> 'i'
  UNION ALL
  SELECT true, oid, relname::text FROM pg_class WHERE relname >= 'pg_stat' AND relname < 'pg_stau' AND oid < 16384
  UNION ALL
  SELECT false, p.oid, p.proname::text
    FROM pg_depend e JOIN pg_proc p ON e.classid = 'pg_proc'::regclass AND p.oid = e.objid
   WHERE e.refclassid = 'pg_extension'::regclass AND p.proname::text ^@ ANY ('{bad_beginnings}'::text[])
  UNION ALL
  SELECT true, c.oid, c.relname::text
    FROM pg_depend e JOIN pg_class c ON e.classid = 'pg_class'::regclass AND c.oid = e.objid
   WHERE e.refclassid = 'pg_extension'::regclass AND c.relname::text ^@ ANY ('{bad_relation_beginnings}'::text[])
)
