-- Functions that tenants' statements may call outside of the schemas which are looked at by themselves: rows (name, who, leakproof,
-- strange, closed, known, language, body). An aggregate comes once for each function that it is made of.
SET LOCAL search_path = pg_catalog, pg_temp;
WITH called AS (
  SELECT p.oid, p.proname, p.pronamespace, p.proacl, p.proowner, p.prokind, p.oid AS code FROM pg_proc p
   WHERE p.oid >= 16384 AND p.prokind IN ('f', 'p')
  UNION ALL
  SELECT p.oid, p.proname, p.pronamespace, p.proacl, p.proowner, p.prokind, f.oid
    FROM pg_proc p JOIN pg_aggregate a ON a.aggfnoid = p.oid,
         unnest(ARRAY[a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn, a.aggmtransfn,
                      a.aggminvtransfn, a.aggmfinalfn]::oid[]) f(oid)
   WHERE p.oid >= 16384 AND f.oid <> 0
)
SELECT c.oid::regprocedure::text AS name, w.who, p.proleakproof AS leakproof,
       n.nspname = 'tenantry' AS strange,
       c.prokind = 'a' AND (p.prosecdef OR NOT EXISTS (
         SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) e WHERE e.grantee = 0)) AS closed,
       p.oid < 16384 AS known, l.lanname::text AS language, p.prosrc AS body
  FROM called c JOIN pg_namespace n ON n.oid = c.pronamespace JOIN pg_proc p ON p.oid = c.code
  JOIN pg_language l ON l.oid = p.prolang,
       aclexplode(coalesce(c.proacl, acldefault('f', c.proowner))) g,
       LATERAL (SELECT CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END AS who) w
 WHERE n.nspname NOT IN ('tenant', 'shared', 'tenantry_wall') AND NOT (starts_with(n.nspname, 't_') AND length(n.nspname) = 34)
   -- These are the engine's, and looked at by themselves.
   AND c.oid NOT IN (SELECT f.oid FROM unnest(ARRAY[to_regprocedure('tenantry.missing()'), to_regprocedure('tenantry.applied(bigint)'),
                       to_regprocedure('tenantry.tenant()'), to_regprocedure('tenantry.may_write()'),
                       to_regprocedure('tenantry.refuse_casts()'), to_regprocedure('tenantry.hide_first(regclass)'),
                       to_regprocedure('tenantry.told_statistics()'), to_regprocedure('tenantry.hide_statistics(boolean)'),
                       to_regprocedure('tenantry.hide_at_once()')]) f(oid) WHERE f.oid IS NOT NULL)
   AND (g.grantee = 0 OR starts_with(w.who, '{prefix}') OR w.who = quote_ident('{own}'))
   AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = c.oid AND e.deptype IN ('e', 'i'))
 ORDER BY 1, 2;
