-- Row isolation: makes every relation of a schema what it has to be, and touches nothing that is so already.
-- Runs as the owner. What another role owns is left alone here and reported by the rules.
SET LOCAL search_path = pg_catalog, pg_temp;
DO $protect$
DECLARE
  todo text;
BEGIN
  FOR todo IN
    WITH login AS (SELECT '{role}'::regrole::oid AS oid),
    relation AS MATERIALIZED (
      SELECT c.oid, c.relkind, c.relacl, format('%I.%I', '{schema}', c.relname) AS name,
             c.relrowsecurity AND c.relforcerowsecurity AS forced,
             EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'
                       AND NOT a.attisdropped AND a.atttypid = 'uuid'::regtype) AS has_tenant,
             CASE c.relkind
               WHEN 'S' THEN ARRAY['USAGE']
               WHEN 'v' THEN (SELECT array_agg(p ORDER BY p)
                                FROM pg_relation_is_updatable(c.oid, true) can,
                                     (VALUES ('SELECT', 0), ('UPDATE', 4), ('INSERT', 8), ('DELETE', 16)) v(p, bit)
                               WHERE can & bit = bit)
               WHEN 'm' THEN ARRAY[]::text[]
               WHEN 'f' THEN ARRAY[]::text[]
               ELSE CASE WHEN c.relispartition THEN ARRAY[]::text[]
                         ELSE ARRAY['DELETE', 'INSERT', 'SELECT', 'UPDATE'] END
             END AS wanted
        FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
       WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = '{schema}'::regnamespace
         AND d.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
         AND pg_has_role(c.relowner, 'USAGE') AND c.relname LIKE '{relations}'
    ),
    policy AS MATERIALIZED (
      SELECT t.name, form.polname, form.command, form.there, form.intact
        FROM relation t CROSS JOIN LATERAL
             {policies}
       WHERE t.relkind IN ('r', 'p') AND t.has_tenant
    ),
    -- The name that the policy had before it was evaluated ahead of the app's own.
    former AS MATERIALIZED (
      SELECT r.name, have.polname FROM relation r JOIN pg_policy have ON have.polrelid = r.oid
       WHERE have.polname = '{former_policy}' AND r.relkind IN ('r', 'p') AND r.has_tenant
    ),
    held AS MATERIALIZED (
      SELECT r.oid, r.relkind, r.name, r.wanted,
             coalesce(array_agg(g.privilege_type ORDER BY g.privilege_type) FILTER (WHERE g.grantee <> 0), '{}') AS has,
             coalesce(bool_or(g.grantee = 0 OR g.is_grantable), false)
               OR EXISTS (SELECT FROM pg_attribute a, aclexplode(a.attacl) x
                           WHERE a.attrelid = r.oid AND a.attacl IS NOT NULL
                             AND x.grantee IN (0, (SELECT oid FROM login))) AS strange
        FROM relation r
        LEFT JOIN LATERAL aclexplode(r.relacl) g ON g.grantee IN (0, (SELECT oid FROM login))
       GROUP BY r.oid, r.relkind, r.name, r.wanted
    ),
    schema_held AS (
      SELECT coalesce(array_agg(g.privilege_type) FILTER (WHERE g.grantee <> 0), '{}') AS has,
             coalesce(bool_or(g.grantee = 0 OR g.is_grantable), false) AS strange
        FROM pg_namespace n, aclexplode(n.nspacl) g
       WHERE n.oid = '{schema}'::regnamespace AND g.grantee IN (0, (SELECT oid FROM login))
    )
    SELECT statement FROM (
      SELECT 1, format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name)
        FROM relation WHERE relkind IN ('r', 'p') AND NOT forced
      UNION ALL SELECT 2, format('DROP POLICY %I ON %s', polname, name) FROM policy WHERE there AND NOT intact
      UNION ALL SELECT 3, coalesce(format('CREATE POLICY %I ON %s ', polname, name) || command, format('SELECT tenantry.hide_first(%L)', name))
        FROM policy WHERE NOT intact
      UNION ALL SELECT 4, format('DROP POLICY %I ON %s', polname, name) FROM former
      UNION ALL SELECT 4, format('REVOKE ALL ON %s%s FROM PUBLIC, %I CASCADE',
                                 CASE relkind WHEN 'S' THEN 'SEQUENCE ' ELSE '' END, name, '{role}')
        FROM held WHERE strange OR NOT has::text[] <@ wanted
      UNION ALL SELECT 5, format('GRANT %s ON %s%s TO %I', array_to_string(wanted, ', '),
                                 CASE relkind WHEN 'S' THEN 'SEQUENCE ' ELSE '' END, name, '{role}')
        FROM held WHERE wanted <> '{}' AND (strange OR has::text[] <> wanted)
      UNION ALL SELECT 4, format('REVOKE ALL ON SCHEMA %I FROM PUBLIC, %I CASCADE', '{schema}', '{role}')
        FROM schema_held WHERE strange OR NOT has::text[] <@ ARRAY['USAGE']
      UNION ALL SELECT 5, format('GRANT USAGE ON SCHEMA %I TO %I', '{schema}', '{role}')
        FROM schema_held WHERE strange OR has::text[] <> ARRAY['USAGE']
    ) plan(step, statement) ORDER BY step
  LOOP
    EXECUTE todo;
  END LOOP;
  IF to_regprocedure('tenantry.hide_statistics(boolean)') IS NOT NULL THEN
    PERFORM tenantry.hide_statistics(false);
  END IF;
END
$protect$;
