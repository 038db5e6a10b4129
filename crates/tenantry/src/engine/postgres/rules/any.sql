-- What is unsafe under every isolation: rows (code, object, detail, correction).
-- The objects of a schema are found through pg_depend, whose index knows it; pg_class has none by schema. This runs at each
-- creation of a tenant and is planned each time, so it has few arms: what can be asked in one pass is asked in one.
SET LOCAL search_path = pg_catalog, pg_temp;
WITH own AS MATERIALIZED (
  SELECT n.oid, n.nspowner, n.nspacl, '{owner}'::regrole::oid AS owner, '{role}'::regrole::oid AS role,
         ARRAY[n.oid, 'shared'::regnamespace, 'tenantry'::regnamespace, 'pg_catalog'::regnamespace,
               'information_schema'::regnamespace]::oid[] AS reachable,
         n.nspname = 'shared' AS is_shared, substring('{owner}' FROM '^tn_[^_]+_') AS prefix
    FROM pg_namespace n WHERE n.oid = '{schema}'::regnamespace
),
member AS MATERIALIZED (
  SELECT classid, objid FROM pg_depend
   WHERE refclassid = 'pg_namespace'::regclass AND refobjid = '{schema}'::regnamespace
),
rel AS MATERIALIZED (
  SELECT c.oid, c.relname, c.relkind, c.relowner, c.relacl, c.relhasrules, c.relhastriggers, c.relispartition,
         EXISTS (SELECT FROM unnest(c.reloptions) o
                  WHERE split_part(o, '=', 1) = 'security_invoker' AND split_part(o, '=', 2)::bool) AS invoker,
         CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                        WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END AS word
    FROM member m JOIN pg_class c ON c.oid = m.objid
   WHERE m.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
),
fun AS MATERIALIZED (
  SELECT p.oid, p.proowner, p.prosecdef, p.proleakproof, p.proconfig, p.prolang, p.prokind, s.name, s.body, of.extension
    FROM member m JOIN pg_proc p ON p.oid = m.objid,
         LATERAL (SELECT {routine} AS name,
                         CASE WHEN p.prosqlbody IS NULL THEN p.prosrc ELSE pg_get_function_sqlbody(p.oid) END AS body) s,
         LATERAL (SELECT (SELECT quote_ident(e.extname) FROM pg_depend i JOIN pg_extension e ON e.oid = i.refobjid
                           WHERE i.classid = 'pg_proc'::regclass AND i.objid = p.oid AND i.deptype = 'e') AS extension) of
   WHERE m.classid = 'pg_proc'::regclass
     -- The constructors of a range type belong to the type, and an extension's functions to the extension: but no superuser
     -- has made one that runs with its owner's rights, or one that is not a superuser's.
     AND NOT EXISTS (SELECT FROM pg_depend i
                      WHERE i.classid = 'pg_proc'::regclass AND i.objid = p.oid AND i.deptype = 'i')
     AND (of.extension IS NULL OR p.prosecdef OR NOT (SELECT rolsuper FROM pg_roles o WHERE o.oid = p.proowner))
),
acl AS (
  SELECT CASE rel.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE '' END || quote_ident(rel.relname) AS target,
         quote_ident(rel.relname) AS object, '' AS columns, rel.relowner AS holder, g.*
    FROM rel, aclexplode(rel.relacl) g
   -- An extension opens its own tables to readers.
   WHERE g.privilege_type <> 'SELECT'
      OR NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = rel.oid AND e.deptype = 'e')
  UNION ALL
  SELECT quote_ident(rel.relname), format('%I.%I', rel.relname, a.attname), format(' (%I)', a.attname), rel.relowner, g.*
    FROM rel JOIN pg_attribute a ON a.attrelid = rel.oid AND a.attacl IS NOT NULL, aclexplode(a.attacl) g
  UNION ALL
  SELECT 'SCHEMA {schema}', 'schema {schema}', '', own.nspowner, g.* FROM own, aclexplode(own.nspacl) g
  UNION ALL
  -- Everybody may call a function and name a type as it is made. Another's role that is named here could not be dropped.
  SELECT 'ROUTINE ' || fun.name, fun.name, '', p.proowner, g.*
    FROM fun JOIN pg_proc p ON p.oid = fun.oid, aclexplode(p.proacl) g WHERE fun.extension IS NULL AND g.grantee <> 0
  UNION ALL
  SELECT format('TYPE %I', t.typname), format('%I', t.typname), '', t.typowner, g.*
    FROM member m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid, aclexplode(t.typacl) g
   WHERE g.grantee <> 0
)
SELECT code, object, detail, correction FROM (
  SELECT finding.code, format('%I', rel.relname) AS object, finding.detail, finding.correction
    FROM own, rel, LATERAL (VALUES
      ('wrong_owner', CASE WHEN relowner <> own.owner THEN pg_get_userbyid(relowner)::text END,
       format('ALTER %s %I OWNER TO {owner}', word, relname)),
      ('foreign_table', CASE WHEN relkind = 'f' THEN '' END, format('DROP FOREIGN TABLE %I', relname))
    ) finding(code, detail, correction) WHERE finding.detail IS NOT NULL
  UNION ALL
  SELECT finding.code, fun.name, finding.detail, finding.correction
    FROM own, fun JOIN pg_language l ON l.oid = fun.prolang, LATERAL (VALUES
      ('extension_member', extension, format('ALTER EXTENSION %s DROP ROUTINE %s', extension, name)),
      ('wrong_owner', CASE WHEN proowner <> own.owner AND extension IS NULL THEN pg_get_userbyid(proowner)::text END,
       format('ALTER ROUTINE %s OWNER TO {owner}', name)),
      ('security_definer', CASE WHEN prosecdef AND extension IS NULL THEN '' END, format('ALTER ROUTINE %s SECURITY INVOKER', name)),
      ('leakproof_function', CASE WHEN proleakproof THEN '' END, format('ALTER ROUTINE %s NOT LEAKPROOF', name)),
      ('untrusted_language', CASE WHEN lanname NOT IN ('sql', 'plpgsql') AND prokind <> 'a' THEN lanname::text END,
       format('CREATE FUNCTION %s ... LANGUAGE plpgsql', name)),
      ('reaches_other_tenant', substring(replace(body, '{schema}', '') FROM '\mt_[0-9a-f]{32}\M'),
       format('DROP ROUTINE %s', name))
    ) finding(code, detail, correction) WHERE finding.detail IS NOT NULL
  UNION ALL
  -- What the owner may not do with its own a reference and a purge cannot do either.
  SELECT 'owner_right', held.object, string_agg(held.needed, ', '), format('GRANT ALL ON %s TO {owner}', held.target)
    FROM (SELECT quote_ident(rel.relname) AS object,
                 CASE rel.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || quote_ident(rel.relname) AS target,
                 rel.relacl AS acl, rel.relowner AS holder,
                 CASE rel.relkind WHEN 'S' THEN '{USAGE,SELECT,UPDATE}'
                      ELSE '{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}' END::text[] AS needs
            FROM rel WHERE rel.relkind IN ('r', 'p', 'S')
          UNION ALL
          SELECT fun.name, 'ROUTINE ' || fun.name, p.proacl, p.proowner, '{EXECUTE}'
            FROM fun JOIN pg_proc p ON p.oid = fun.oid WHERE fun.extension IS NULL
          UNION ALL
          SELECT quote_ident(t.typname), format('TYPE %I', t.typname), t.typacl, t.typowner, '{USAGE}'
            FROM member m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
          UNION ALL
          SELECT 'schema {schema}', 'SCHEMA {schema}', nspacl, nspowner, '{USAGE,CREATE}' FROM own) given,
         LATERAL (SELECT given.object, given.target, needed FROM unnest(given.needs) needed
                   WHERE given.acl IS NOT NULL
                     AND NOT EXISTS (SELECT FROM aclexplode(given.acl) g
                                      WHERE g.grantee IN (given.holder, 0) AND g.privilege_type = needed)) held
   GROUP BY held.object, held.target
  UNION ALL
  -- The server's functions come first, and yet another one is called where its arguments fit better: by what was read long ago
  -- too, and by statements of every tenant.
  SELECT 'name_of_server', fun.name, 'pg_catalog.' || p.proname,
         format('ALTER ROUTINE %s RENAME TO %I', fun.name, 'app_' || p.proname)
    FROM fun JOIN pg_proc p ON p.oid = fun.oid
   WHERE fun.extension IS NULL
     AND EXISTS (SELECT FROM pg_proc b WHERE b.proname = p.proname AND b.pronamespace = 'pg_catalog'::regnamespace)
  UNION ALL
  SELECT 'name_of_server', o.oid::regoperator::text, 'pg_catalog.' || o.oprname,
         format('DROP OPERATOR %s', replace(o.oid::regoperator::text, '{schema}.', ''))
    FROM member m JOIN pg_operator o ON m.classid = 'pg_operator'::regclass AND o.oid = m.objid
   WHERE NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_operator'::regclass AND e.objid = o.oid AND e.deptype = 'e')
     AND EXISTS (SELECT FROM pg_operator b WHERE b.oprname = o.oprname AND b.oprnamespace = 'pg_catalog'::regnamespace)
  UNION ALL
  SELECT 'name_of_server', format('%I', t.typname), 'pg_catalog.' || t.typname, format('ALTER TYPE %I RENAME TO %I', t.typname, 'app_' || t.typname)
    FROM member m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
   WHERE EXISTS (SELECT FROM pg_type b WHERE b.typname = t.typname AND b.typnamespace = 'pg_catalog'::regnamespace)
     AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_type'::regclass AND e.objid = t.oid AND e.deptype = 'e')
  UNION ALL
  -- What was bound to it, or to an operator of it, holds it for IMMUTABLE. The server has asked for that only when that was made, and
  -- runs it where no statement calls it: for an index, a generated column, a partition, statistics.
  SELECT DISTINCT 'immutable_depends', fun.name, pg_describe_object(d.classid, d.objid, 0),
         format('ALTER ROUTINE %s IMMUTABLE', fun.name)
    FROM fun JOIN pg_proc p ON p.oid = fun.oid AND p.provolatile <> 'i',
         LATERAL (SELECT 'pg_proc'::regclass::oid AS class, fun.oid AS id
                  UNION ALL
                  SELECT o.classid, o.objid FROM pg_depend o
                   WHERE o.refclassid = 'pg_proc'::regclass AND o.refobjid = fun.oid AND o.classid = 'pg_operator'::regclass) called
    JOIN pg_depend d ON d.refclassid = called.class AND d.refobjid = called.id
   WHERE CASE d.classid
           WHEN 'pg_proc'::regclass THEN EXISTS (SELECT FROM pg_proc f WHERE f.oid = d.objid AND f.provolatile = 'i')
           WHEN 'pg_class'::regclass THEN EXISTS (SELECT FROM pg_class i WHERE i.oid = d.objid AND i.relkind IN ('i', 'I', 'p', 'r'))
           WHEN 'pg_attrdef'::regclass THEN EXISTS (
             SELECT FROM pg_attrdef e JOIN pg_attribute a ON a.attrelid = e.adrelid AND a.attnum = e.adnum
              WHERE e.oid = d.objid AND a.attgenerated <> '')
           WHEN 'pg_constraint'::regclass THEN EXISTS (
             SELECT FROM pg_constraint k WHERE k.oid = d.objid AND (k.contype = 'x' OR k.contypid <> 0))
           ELSE d.classid IN ('pg_statistic_ext'::regclass, 'pg_opclass'::regclass, 'pg_opfamily'::regclass) END
  UNION ALL
  -- One that triggers of tenants' tables run has none, neither in a tenant's own schema: a tenant's file would be refused for it.
  SELECT DISTINCT 'trigger_function', fun.name, pg_describe_object('pg_trigger'::regclass, g.oid, 0),
         format('ALTER ROUTINE %s RESET ALL', fun.name)
    FROM own, fun JOIN pg_trigger g ON g.tgfoid = fun.oid AND NOT g.tgisinternal JOIN pg_class c ON c.oid = g.tgrelid
   WHERE own.is_shared AND c.relnamespace <> own.oid AND fun.proconfig IS NOT NULL
  UNION ALL
  SELECT CASE WHEN kind.path THEN 'function_search_path' ELSE 'function_setting' END, name, setting,
         format('ALTER ROUTINE %s RESET %s', name, split_part(setting, '=', 1))
    FROM fun, unnest(proconfig) setting, LATERAL (SELECT setting ~* '^search_path=' AS path) kind
   WHERE setting ~* '^(tenantry\.|role=|row_security=|session_authorization=|standard_conforming_strings=|client_encoding=|seed=)'
      OR path AND EXISTS (SELECT FROM regexp_split_to_table(substr(setting, 13), '\s*,\s*') part
           WHERE btrim(part, '" ''') NOT IN ('', '{schema}', 'shared', 'tenantry', 'pg_catalog', 'pg_temp'))
      -- Where the server's schema does not come first, a type of the app's is taken for the server's.
      OR path AND setting ~* ',\s*"?pg_catalog"?'
  UNION ALL
  SELECT 'function_plans', name, setting, format('ALTER ROUTINE %s RESET %s', name, split_part(setting, '=', 1))
    FROM fun, unnest(proconfig) setting, LATERAL (SELECT lower(split_part(setting, '=', 1)) AS named) what
   WHERE named !~ '[.]' AND named <> ALL ('{free_settings}') AND named NOT IN ('search_path', 'role', 'row_security', 'session_authorization',
                                                                               'standard_conforming_strings')
  UNION ALL
  -- A reference's check runs as the owner of the table that is referred to, and so does a cast in it.
  -- Looked at from the casts: the type of a table's rows and that of an array depend on no schema.
  SELECT 'cast_function', c.castsource::regtype::text, c.castfunc::regprocedure::text,
         format('DROP CAST (%s AS %s)', c.castsource::regtype, c.casttarget::regtype)
    FROM own, pg_cast c JOIN pg_proc p ON p.oid = c.castfunc
   WHERE c.castfunc >= 16384 AND p.prolang <> 12
     AND (p.pronamespace = own.oid
          OR EXISTS (SELECT FROM pg_type t WHERE t.oid IN (c.castsource, c.casttarget) AND t.typnamespace = own.oid))
     AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_cast'::regclass AND e.objid = c.oid AND e.deptype = 'e')
  UNION ALL
  -- Read from the tree, in which the server's own functions are too: whoever reads a text as the domain calls them.
  SELECT DISTINCT 'domain_calls', format('%I', t.typname), coalesce(p.oid::regprocedure::text, 'who asks or when'),
         format('ALTER DOMAIN %I DROP CONSTRAINT %I', t.typname, k.conname)
    FROM member m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
    JOIN pg_constraint k ON k.contypid = t.oid,
         regexp_matches(k.conbin::text, ':(funcid|aggfnoid|winfnoid|opno) (\d+)|\{(SQLVALUEFUNCTION|NEXTVALUEEXPR)', 'g') f
    LEFT JOIN pg_operator o ON f[1] = 'opno' AND o.oid = f[2]::oid
    LEFT JOIN pg_proc p ON p.oid = coalesce(o.oprcode::oid, f[2]::oid)
   WHERE (f[3] IS NOT NULL OR p.provolatile IS DISTINCT FROM 'i'
      -- An extension's that is kept as a text finds the app's functions.
      OR {kept_as_text}
         AND EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e'))
     AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_type'::regclass AND e.objid = t.oid AND e.deptype = 'e')
  UNION ALL
  -- An index, ANALYZE and the action of a reference hand them the values of all rows, whose they are.
  SELECT DISTINCT 'range_function', format('%I', t.typname), p.oid::regprocedure::text, format('DROP TYPE %I', t.typname)
    FROM member m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
    JOIN pg_range r ON r.rngtypid = t.oid JOIN pg_proc p ON p.oid IN (r.rngsubdiff, r.rngcanonical)
   WHERE p.oid >= 16384
     AND ({kept_as_text}
          OR NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e'))
  UNION ALL
  -- The server puts one in the place of the other, which no tree names.
  SELECT DISTINCT 'operator_partner', o.oid::regoperator::text, other.oprcode::regprocedure::text,
         format('DROP OPERATOR %s', replace(o.oid::regoperator::text, '{schema}.', ''))
    FROM member m JOIN pg_operator o ON m.classid = 'pg_operator'::regclass AND o.oid = m.objid
    JOIN pg_operator other ON other.oid IN (o.oprcom, o.oprnegate)
    JOIN pg_proc mine ON mine.oid = o.oprcode JOIN pg_proc theirs ON theirs.oid = other.oprcode
   WHERE mine.provolatile <> theirs.provolatile
  UNION ALL
  -- The same of tenants' operators that a shared function stands behind: their files would be refused for it.
  SELECT DISTINCT 'operator_partner', o.oid::regoperator::text, other.oprcode::regprocedure::text,
         format('ALTER ROUTINE %s %s', fun.name, CASE theirs.provolatile WHEN 'i' THEN 'IMMUTABLE' WHEN 's' THEN 'STABLE' ELSE 'VOLATILE' END)
    FROM own, fun JOIN pg_depend d ON d.refclassid = 'pg_proc'::regclass AND d.refobjid = fun.oid AND d.classid = 'pg_operator'::regclass
    JOIN pg_operator o ON o.oid = d.objid JOIN pg_operator other ON other.oid IN (o.oprcom, o.oprnegate)
    JOIN pg_proc mine ON mine.oid = o.oprcode JOIN pg_proc theirs ON theirs.oid = other.oprcode
   WHERE own.is_shared AND o.oprnamespace <> own.oid AND mine.provolatile <> theirs.provolatile
  UNION ALL
  -- A file of the shared tables could have a check of it look at every tenant's values, and no own database has it.
  SELECT DISTINCT 'shared_domain', format('%I.%I', rel.relname, a.attname), t.oid::regtype::text,
         format('ALTER TABLE %I ALTER COLUMN %I TYPE %s', rel.relname, a.attname,
                CASE t.typtype WHEN 'd' THEN format_type(t.typbasetype, t.typtypmod) ELSE 'text' END
                || CASE a.atttypid WHEN t.typarray THEN '[]' ELSE '' END)
    FROM own, rel JOIN pg_attribute a ON a.attrelid = rel.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384
    JOIN pg_type t ON t.typnamespace = 'shared'::regnamespace AND a.atttypid IN (t.oid, t.typarray)
   WHERE NOT own.is_shared AND rel.relkind IN ('r', 'p', 'm')
     AND t.typtype IN ('c', 'd', 'm', 'r')
     AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_type'::regclass AND e.objid = t.oid AND e.deptype = 'e')
  UNION ALL
  -- The same by a domain over it, a range of it, or a composite that has one.
  SELECT DISTINCT 'shared_domain', held.oid::regtype::text, t.oid::regtype::text, format('DROP TYPE %s', held.oid::regtype)
    FROM own, member m JOIN pg_type held ON m.classid = 'pg_type'::regclass AND held.oid = m.objid
    JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass
     AND (d.classid = 'pg_type'::regclass AND d.objid = held.oid
          OR d.classid = 'pg_class'::regclass AND d.objid = held.typrelid AND d.objsubid <> 0)
    JOIN pg_type t ON t.typnamespace = 'shared'::regnamespace AND d.refobjid IN (t.oid, t.typarray)
   WHERE NOT own.is_shared AND t.typtype IN ('c', 'd', 'm', 'r') AND held.typtype IN ('c', 'd', 'm', 'r')
     AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_type'::regclass AND e.objid = t.oid AND e.deptype = 'e')
  UNION ALL
  -- What tenants' own databases show of the shared schema (tables, enums, functions) has nothing else of it to stand on.
  SELECT DISTINCT 'shared_type', pg_describe_object(d.refclassid, d.refobjid, 0), pg_describe_object(d.classid, d.objid, d.objsubid),
         format('DROP %s %s', upper(held.type), held.identity)
    FROM own, member m JOIN pg_depend d ON d.classid = m.classid AND d.objid = m.objid AND d.deptype = 'n',
         pg_identify_object(d.refclassid, d.refobjid, 0) held
   WHERE own.is_shared
     AND (d.classid = 'pg_proc'::regclass AND EXISTS (SELECT FROM pg_proc p WHERE p.oid = d.objid AND p.prokind IN ('f', 'p'))
          OR d.classid = 'pg_class'::regclass AND d.objsubid <> 0
             AND EXISTS (SELECT FROM pg_class c WHERE c.oid = d.objid AND c.relkind IN ('r', 'p', 'v', 'm')))
     AND CASE d.refclassid
           -- A column of a domain or a composite is shown by the type under it, but not many of them.
           WHEN 'pg_type'::regclass THEN EXISTS (
             SELECT FROM pg_type t LEFT JOIN pg_type e ON e.typarray = t.oid, LATERAL (SELECT coalesce(e.typtype, t.typtype) AS kind) of
              WHERE t.oid = d.refobjid AND t.typnamespace = own.oid
                AND (of.kind IN ('r', 'm') OR of.kind IN ('d', 'c') AND (d.classid = 'pg_proc'::regclass OR e.oid IS NOT NULL))
                AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = coalesce(e.typrelid, t.typrelid) AND c.relkind <> 'c'))
           WHEN 'pg_class'::regclass THEN EXISTS (
             SELECT FROM pg_class c WHERE c.oid = d.refobjid AND c.relnamespace = own.oid AND c.relkind NOT IN ('r', 'p', 'v', 'm'))
           WHEN 'pg_operator'::regclass THEN EXISTS (SELECT FROM pg_operator o WHERE o.oid = d.refobjid AND o.oprnamespace = own.oid)
           WHEN 'pg_collation'::regclass THEN EXISTS (SELECT FROM pg_collation c WHERE c.oid = d.refobjid AND c.collnamespace = own.oid)
           WHEN 'pg_ts_config'::regclass THEN EXISTS (SELECT FROM pg_ts_config c WHERE c.oid = d.refobjid AND c.cfgnamespace = own.oid)
           WHEN 'pg_proc'::regclass THEN EXISTS (
             SELECT FROM pg_proc f WHERE f.oid = d.refobjid AND f.pronamespace = own.oid AND f.prokind NOT IN ('f', 'p'))
           ELSE coalesce(held.schema = 'shared', false) END
     AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.deptype IN ('e', 'i')
                        AND (e.classid = d.classid AND e.objid = d.objid AND e.objsubid = 0
                             OR e.classid = d.refclassid AND e.objid = d.refobjid AND e.deptype = 'e'))
  UNION ALL
  SELECT 'wrong_owner', 'schema {schema}', pg_get_userbyid(nspowner), 'ALTER SCHEMA {schema} OWNER TO {owner}'
    FROM own WHERE nspowner <> owner
  UNION ALL
  -- Types, operators, statistics and whatever else has an owner.
  SELECT 'wrong_owner', i.identity, pg_get_userbyid(d.refobjid), format('ALTER %s %s OWNER TO {owner}', replace(upper(i.type), ' OBJECT', ''), i.identity)
    FROM own, member m JOIN pg_shdepend d ON d.classid = m.classid AND d.objid = m.objid AND d.deptype = 'o',
         pg_identify_object(m.classid, m.objid, 0) i
   WHERE d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND d.refobjid <> own.owner
     AND m.objid NOT IN (SELECT oid FROM rel UNION ALL SELECT oid FROM fun)
     AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = m.classid AND e.objid = m.objid AND e.deptype = 'e')
  UNION ALL
  -- Neither do slots own anything, nor the role that all owners are members of: by it each would reach what is another's.
  SELECT 'role_owns', r.rolname::text, pg_describe_object(d.classid, d.objid, 0), format('REASSIGN OWNED BY %I TO {owner}', r.rolname)
    FROM own, pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid
   WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype = 'o'
     AND (r.oid = own.role OR r.rolname ~ {owns_nothing})
     AND d.dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
     -- The server's own are looked at by themselves.
     AND d.classid <> 'pg_default_acl'::regclass AND d.objid >= 16384
  UNION ALL
  -- Views, materialized views and rules. A rule runs with its owner's rights, and so does a view that is not an invoker.
  SELECT DISTINCT CASE WHEN rel.invoker THEN 'reaches_other_schema' ELSE 'reads_outside' END,
         format('%I', rel.relname), c.oid::regclass::text,
         CASE WHEN rel.relkind NOT IN ('v', 'm') THEN format('DROP RULE %I ON %I', w.rulename, rel.relname)
              WHEN rel.relkind = 'v' AND NOT rel.invoker
                THEN format('ALTER VIEW %I SET (security_invoker = true)', rel.relname)
              ELSE format('DROP %s %I', rel.word, rel.relname) END
    FROM own, rel JOIN pg_rewrite w ON w.ev_class = rel.oid
    JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
    JOIN pg_class c ON c.oid = d.refobjid
   WHERE rel.relhasrules
     AND c.relnamespace <> ALL (CASE WHEN rel.invoker THEN own.reachable ELSE ARRAY[own.oid] END)
  UNION ALL
  -- Other schemas, and changes of shared rows that would go on into the rows of every tenant.
  SELECT CASE WHEN is_far THEN 'reaches_other_schema' ELSE 'foreign_key_from_shared' END,
         format('%I.%I', rel.relname, k.conname), c.oid::regclass::text,
         format('ALTER TABLE %I DROP CONSTRAINT %I', rel.relname, k.conname) || CASE WHEN is_far THEN '' ELSE
           format(', ADD CONSTRAINT %I %s', k.conname,
             regexp_replace(pg_get_constraintdef(k.oid), ' ON (UPDATE|DELETE) (CASCADE|SET (NULL|DEFAULT)( \([^)]*\))?)', '', 'g'))
           END
    FROM own, rel JOIN pg_constraint k ON k.conrelid = rel.oid JOIN pg_class c ON c.oid = k.confrelid,
         LATERAL (SELECT c.relnamespace <> ALL (own.reachable) AS is_far) far
   WHERE rel.relkind IN ('r', 'p') AND k.contype = 'f' AND k.conparentid = 0
     AND (is_far OR c.relnamespace = 'shared'::regnamespace AND NOT own.is_shared
                    AND (k.confdeltype NOT IN ('a', 'r') OR k.confupdtype NOT IN ('a', 'r')))
  UNION ALL
  SELECT CASE WHEN g.tgisinternal THEN 'foreign_key_off' ELSE 'trigger_function' END,
         CASE WHEN g.tgisinternal THEN quote_ident(rel.relname) ELSE format('%I.%I', rel.relname, g.tgname) END,
         p.oid::regprocedure::text,
         CASE WHEN g.tgisinternal THEN format('ALTER TABLE %I ENABLE TRIGGER ALL', rel.relname)
              ELSE format('DROP TRIGGER %I ON %I', g.tgname, rel.relname) END
    FROM own, rel JOIN pg_trigger g ON g.tgrelid = rel.oid JOIN pg_proc p ON p.oid = g.tgfoid
   WHERE rel.relhastriggers AND CASE WHEN g.tgisinternal THEN g.tgenabled <> 'O'
     ELSE p.pronamespace <> ALL (own.reachable)
       OR p.pronamespace <> own.oid AND (p.prosecdef OR p.proconfig IS NOT NULL) END
  UNION ALL
  -- Reading a parent asks for no right on its children, so both ends have to be here.
  SELECT 'child_elsewhere', format('%I', rel.relname), 'of ' || i.inhparent::regclass,
         format(CASE WHEN rel.relispartition THEN 'ALTER TABLE %2$s DETACH PARTITION %1$I'
                     ELSE 'ALTER TABLE %1$I NO INHERIT %2$s' END, rel.relname, i.inhparent::regclass)
    FROM rel JOIN pg_inherits i ON i.inhrelid = rel.oid WHERE i.inhparent NOT IN (SELECT oid FROM rel)
  UNION ALL
  -- What others built on these tables: a child, view, function, policy or foreign key of another schema.
  SELECT DISTINCT CASE d.classid WHEN 'pg_class'::regclass THEN 'child_elsewhere' ELSE 'used_from_outside' END,
         pg_describe_object(d.classid, d.objid, 0), format('%I', rel.relname),
         format('DROP %s %s', coalesce((SELECT CASE c.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END
                                          FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class
                                         WHERE d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid AND w.rulename = '_RETURN'),
                                       upper(holder.type)), replace(holder.identity, '"_RETURN" on ', ''))
    FROM rel JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = rel.oid,
         pg_identify_object(d.classid, d.objid, 0) holder
   WHERE (d.deptype = 'n' AND d.classid IN ('pg_rewrite'::regclass, 'pg_constraint'::regclass, 'pg_policy'::regclass,
                                            'pg_proc'::regclass)
          OR d.classid = 'pg_class'::regclass AND d.deptype IN ('n', 'a') AND d.refobjsubid = 0)
     AND coalesce(holder.schema, substring(holder.identity FROM ' on (\w+)\.'), '') <> '{schema}'
  UNION ALL
  SELECT DISTINCT 'reaches_other_schema', fun.name, c.oid::regclass::text, format('DROP ROUTINE %s', fun.name)
    FROM own, fun JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = fun.oid
    JOIN pg_class c ON d.refclassid = 'pg_class'::regclass AND c.oid = d.refobjid
   WHERE c.relnamespace <> ALL (own.reachable)
  UNION ALL
  SELECT 'invalid_index', replace(i.indexrelid::regclass::text, '{schema}.', ''), format('%I', rel.relname),
         format('REINDEX INDEX %s', replace(i.indexrelid::regclass::text, '{schema}.', ''))
    FROM rel JOIN pg_index i ON i.indrelid = rel.oid WHERE rel.relkind IN ('r', 'm') AND NOT i.indisvalid
  UNION ALL
  SELECT 'extension', pg_describe_object(classid, objid, 0), NULL,
         format('CREATE %s SCHEMA shared', upper(pg_describe_object(classid, objid, 0)))
    FROM member WHERE classid = 'pg_extension'::regclass
  UNION ALL
  SELECT CASE acl.grantee WHEN own.role THEN 'excess_privilege' ELSE 'granted_to_others' END, acl.object,
         format('%s to %s', acl.privilege_type, who.name),
         format('REVOKE %s%s%s ON %s FROM %s CASCADE', CASE WHEN acl.is_grantable THEN 'GRANT OPTION FOR ' END,
                acl.privilege_type, acl.columns, acl.target, who.name)
    FROM own, acl,
         LATERAL (SELECT CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END
                    AS name) who
   WHERE acl.grantee NOT IN (own.owner, acl.holder)
     AND CASE WHEN NOT own.is_shared THEN acl.grantee <> own.role OR acl.is_grantable
                 OR acl.privilege_type IN ('REFERENCES', 'TRIGGER', 'MAINTAIN', 'CREATE')
         -- Everybody may name what is in the shared schema. One login writes its tables; roles, not everybody, read them;
         -- owners of tenants' tables refer to them.
         ELSE NOT CASE acl.privilege_type
                WHEN 'USAGE' THEN acl.target = 'SCHEMA {schema}' OR acl.grantee = own.role AND NOT acl.is_grantable
                WHEN 'EXECUTE' THEN acl.grantee = own.role AND NOT acl.is_grantable
                WHEN 'SELECT' THEN acl.grantee <> 0 AND NOT acl.is_grantable
                WHEN 'REFERENCES' THEN starts_with(who.name, own.prefix) AND NOT acl.is_grantable
                ELSE acl.grantee = own.role AND NOT acl.is_grantable
                     AND acl.privilege_type IN ('INSERT', 'UPDATE', 'DELETE') END END
  UNION ALL
  -- With the right on a table comes that on the server's own columns: `xmax` tells which rows others refer to.
  SELECT 'shared_system_columns', format('%I', rel.relname), who.rolname::text,
         format('REVOKE SELECT ON %I FROM %I; GRANT SELECT (%s) ON %I TO %I', rel.relname, who.rolname,
                (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
                  WHERE attrelid = rel.oid AND attnum > 0 AND NOT attisdropped), rel.relname, who.rolname)
    FROM own, rel, aclexplode(rel.relacl) g JOIN pg_roles who ON who.oid = g.grantee
   WHERE own.is_shared AND rel.relkind IN ('r', 'p') AND g.privilege_type = 'SELECT'
     AND who.rolname ~ ('^' || own.prefix || '(rows|on_.*_reader)$')
  UNION ALL
  SELECT 'granted_to_others', format('%I.%I', rel.relname, p.polname), string_agg('TO ' || pg_get_userbyid(r.oid), ', '),
         format('ALTER POLICY %I ON %I TO PUBLIC', p.polname, rel.relname)
    FROM own, rel JOIN pg_policy p ON p.polrelid = rel.oid, unnest(p.polroles) r(oid)
   WHERE r.oid NOT IN (0, own.owner, own.role)
   GROUP BY rel.relname, p.polname
  UNION ALL
  SELECT 'default_privileges', 'schema {schema}', format('%s to %s', g.privilege_type, who.name),
         format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s REVOKE ALL ON %s FROM %s', pg_get_userbyid(a.defaclrole),
                CASE WHEN a.defaclnamespace <> 0 THEN ' IN SCHEMA ' || a.defaclnamespace::regnamespace END,
                CASE a.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'n' THEN 'SCHEMAS'
                     WHEN 'f' THEN 'ROUTINES' ELSE 'TYPES' END, who.name)
    FROM own, pg_default_acl a, aclexplode(a.defaclacl) g,
         LATERAL (SELECT CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END AS name) who
   WHERE (a.defaclrole = own.owner AND a.defaclnamespace IN (0, own.oid) OR a.defaclrole = own.role
          OR pg_get_userbyid(a.defaclrole) ~ {owns_nothing})
     AND g.grantee <> a.defaclrole
     AND NOT (g.grantee = 0 AND a.defaclobjtype IN ('f', 'T'))
     AND NOT (a.defaclrole = own.owner AND g.grantee = own.role AND a.defaclnamespace = own.oid AND NOT g.is_grantable
              AND g.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'USAGE', 'EXECUTE'))
  UNION ALL
  -- Where the check of a reference is planned, as the owner of the shared table and by the path of a tenant's file.
  SELECT DISTINCT 'index_calls', of.object, p.oid::regprocedure::text, of.correction
    FROM own, rel t,
         {computed}
   WHERE own.is_shared AND t.relkind IN ('r', 'p') AND {kept_as_text} AND of_extension.yes
  UNION ALL
  -- What is taken from what everybody and the owner have of all that is made: later files would make what nobody may call.
  SELECT 'default_privileges', 'schema {schema}', format('no %s for %s', w.privilege_type, who.name),
         format('ALTER DEFAULT PRIVILEGES FOR ROLE %I GRANT %s ON %s TO %s', pg_get_userbyid(a.defaclrole), w.privilege_type,
                CASE a.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'n' THEN 'SCHEMAS'
                     WHEN 'f' THEN 'ROUTINES' ELSE 'TYPES' END, who.name)
    FROM own, pg_default_acl a,
         aclexplode(acldefault(CASE a.defaclobjtype WHEN 'S' THEN 's' ELSE a.defaclobjtype END, a.defaclrole)) w,
         LATERAL (SELECT CASE w.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(w.grantee)) END AS name) who
   WHERE a.defaclrole = own.owner AND a.defaclnamespace = 0
     AND NOT EXISTS (SELECT FROM aclexplode(a.defaclacl) g WHERE g.grantee = w.grantee AND g.privilege_type = w.privilege_type)
) breach ORDER BY code, object, detail;
