-- What an IMMUTABLE function, whose body the server has parsed, does that its answer may depend on: rows (what).
SET LOCAL search_path = pg_catalog, pg_temp;
WITH RECURSIVE fun AS (
  SELECT p.oid, concat(p.prosqlbody, p.proargdefaults) AS tree, p.prorettype, p.proargtypes FROM pg_proc p WHERE p.oid = {oid}
),
-- Checks of domains are run where a value becomes one.
domain AS (
  SELECT t.oid, t.typbasetype FROM fun, pg_type t
   WHERE t.typtype = 'd' AND (t.oid = fun.prorettype OR t.oid = ANY (fun.proargtypes)
         OR t.oid IN (SELECT m[1]::oid FROM regexp_matches(fun.tree, ':resulttype (\d+)', 'g') m))
  UNION
  SELECT t.oid, t.typbasetype FROM domain JOIN pg_type t ON t.oid = domain.typbasetype WHERE t.typtype = 'd'
),
tree AS (
  SELECT tree FROM fun
  UNION ALL
  SELECT k.conbin::text FROM domain JOIN pg_constraint k ON k.contypid = domain.oid
),
ref AS (
  SELECT DISTINCT coalesce(m[1], m[3]) AS kind, m[2]::oid AS oid
    FROM tree, regexp_matches(tree, ':(funcid|aggfnoid|winfnoid|opno|relid) (\d+)|\{(SQLVALUEFUNCTION|NEXTVALUEEXPR)', 'g') m
),
called AS (
  SELECT oid FROM ref WHERE kind IN ('funcid', 'winfnoid')
  UNION
  -- The server's own operators and aggregates read nothing but what they are given.
  SELECT o.oprcode FROM ref JOIN pg_operator o ON ref.kind = 'opno' AND o.oid = ref.oid WHERE o.oid >= 16384
  UNION
  SELECT f.oid FROM ref JOIN pg_aggregate a ON ref.kind IN ('aggfnoid', 'winfnoid') AND a.aggfnoid = ref.oid,
         unnest(ARRAY[a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn, a.aggmtransfn,
                      a.aggminvtransfn, a.aggmfinalfn]::oid[]) f(oid)
   WHERE ref.oid >= 16384 AND f.oid <> 0
)
SELECT 'it calls ' || p.oid::regprocedure AS what
  FROM called JOIN pg_proc p ON p.oid = called.oid,
       LATERAL (SELECT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid
                                  AND e.deptype = 'e') AS yes) of_extension
 WHERE p.oid <> {oid}
   AND NOT CASE
     WHEN p.provolatile = 'i' THEN p.oid < 16384 OR of_extension.yes AND NOT {kept_as_text}
                                OR NOT of_extension.yes AND p.pronamespace IN ('{schema}'::regnamespace, 'shared'::regnamespace)
     -- Not IMMUTABLE only for the formats of the session.
     WHEN p.oid < 16384 THEN p.provolatile = 's' AND p.proname IN (
       'age', 'anytextcat', 'array_to_string', 'concat', 'concat_ws', 'date', 'date_part', 'date_trunc', 'extract', 'format',
       'make_timestamptz', 'overlaps', 'plainto_tsquery', 'phraseto_tsquery', 'quote_literal', 'quote_nullable', 'textanycat',
       'time', 'timestamp', 'timestamptz', 'timetz', 'timezone', 'to_char', 'to_date', 'to_number', 'to_timestamp',
       'to_tsquery', 'to_tsvector', 'websearch_to_tsquery')
     ELSE of_extension.yes AND p.proname = 'unaccent' END
UNION ALL
SELECT 'it reads ' || oid::regclass FROM ref WHERE kind = 'relid' AND oid <> 0
UNION ALL
SELECT 'it reads who asks or when' FROM ref WHERE kind IN ('SQLVALUEFUNCTION', 'NEXTVALUEEXPR');
