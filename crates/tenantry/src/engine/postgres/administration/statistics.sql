-- What the planner knows of the values in tables that tenants have in common, and the statement that makes it forget: rows (relation, statement).
-- Of `tenant_id` it goes on knowing how many there are, without which it would read whole tables; with that come the most common one and two more.
WITH tbl AS MATERIALIZED (
  SELECT c.oid, c.oid::regclass::text AS name FROM pg_class c
   WHERE c.relnamespace = to_regnamespace('tenant') AND c.relkind IN ('r', 'p')
),
-- The table's own columns, and what its indexes compute.
col AS MATERIALIZED (
  SELECT t.oid AS place, t.oid AS rel, t.name, a.attnum, quote_ident(a.attname) AS label, 'TABLE' AS kind, coalesce(a.attstattarget, -1) AS target,
         CASE a.attname WHEN 'tenant_id' THEN 1 ELSE 0 END AS wanted
    FROM tbl t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
   -- The server keeps none of what it computes with each read.
   WHERE a.attgenerated <> 'v'
  UNION ALL
  SELECT t.oid, i.indexrelid, i.indexrelid::regclass::text, a.attnum, a.attnum::text, 'INDEX', coalesce(a.attstattarget, -1), 0
    FROM tbl t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_attribute a ON a.attrelid = i.indexrelid AND i.indkey[a.attnum - 1] = 0
),
ext AS MATERIALIZED (
  SELECT t.oid AS place, e.oid, format('%I.%I', n.nspname, e.stxname) AS name, coalesce(e.stxstattarget, -1) AS target
    FROM tbl t JOIN pg_statistic_ext e ON e.stxrelid = t.oid JOIN pg_namespace n ON n.oid = e.stxnamespace
),
kept AS MATERIALIZED (
  SELECT c.place, c.rel, s.staattnum, c.wanted
    FROM col c JOIN pg_statistic s ON s.starelid = c.rel AND s.staattnum = c.attnum
   WHERE c.wanted = 0
      OR greatest(array_length(s.stanumbers1, 1), array_length(s.stanumbers2, 1), array_length(s.stanumbers3, 1)) > 1
      OR greatest(array_length(s.stavalues1::text::text[], 1), array_length(s.stavalues2::text::text[], 1),
                  array_length(s.stavalues3::text::text[], 1)) > 2
)
SELECT place::regclass, hide FROM (
  SELECT 1, place, format('ALTER %s %s %s', kind, name, string_agg(format('ALTER COLUMN %s SET STATISTICS %s', label, wanted), ', ' ORDER BY attnum))
    FROM col WHERE target <> wanted GROUP BY place, rel, kind, name
  UNION ALL SELECT 2, place, format('ALTER STATISTICS %s SET STATISTICS 0', name) FROM ext WHERE target <> 0
  UNION ALL SELECT 3, place, format('DELETE FROM pg_statistic WHERE starelid = %s AND staattnum = %s', rel, staattnum) FROM kept
  UNION ALL SELECT 3, place, format('DELETE FROM pg_statistic_ext_data WHERE stxoid = %s', e.oid)
              FROM ext e WHERE EXISTS (SELECT FROM pg_statistic_ext_data d WHERE d.stxoid = e.oid)
  UNION ALL SELECT DISTINCT 4, place, format('ANALYZE %s (tenant_id)', place::regclass) FROM kept WHERE wanted = 1
) told(step, place, hide) ORDER BY place, step
