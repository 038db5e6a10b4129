-- What is unsafe under every isolation: rows (code, object, detail, correction).
-- The objects of a schema are found through pg_depend, whose index knows it; pg_class has none by schema.
-- Nothing here is resolved by the caller's search path, and names print with their schema because of it.
SET LOCAL search_path = pg_catalog, pg_temp;
WITH own AS MATERIALIZED (
  SELECT n.oid, n.nspowner, n.nspacl, '{owner}'::regrole::oid AS owner, '{role}'::regrole::oid AS role,
         ARRAY[n.oid, 'shared'::regnamespace, 'tenantry'::regnamespace, 'pg_catalog'::regnamespace,
               'information_schema'::regnamespace]::oid[] AS reachable
    FROM pg_namespace n WHERE n.oid = '{schema}'::regnamespace
),
member AS MATERIALIZED (
  SELECT classid, objid FROM pg_depend
   WHERE refclassid = 'pg_namespace'::regclass AND refobjid = '{schema}'::regnamespace
),
rel AS MATERIALIZED (
  SELECT c.oid, c.relname, c.relkind, c.relowner, c.relacl, c.relispartition, c.relhasrules, c.relhastriggers,
         c.relhasindex, c.relhassubclass,
         EXISTS (SELECT FROM unnest(c.reloptions) o
                  WHERE split_part(o, '=', 1) = 'security_invoker' AND split_part(o, '=', 2)::bool) AS invoker,
         CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                        WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END AS word
    FROM member m JOIN pg_class c ON c.oid = m.objid
   WHERE m.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
),
fun AS MATERIALIZED (
  SELECT p.oid, p.proowner, p.prosecdef, p.proleakproof, p.proconfig, p.prolang, p.prokind, p.prosrc,
         replace(p.oid::regprocedure::text, '{schema}.', '') AS name,
         CASE WHEN p.prosqlbody IS NULL THEN p.prosrc ELSE pg_get_function_sqlbody(p.oid) END AS body
    FROM member m JOIN pg_proc p ON p.oid = m.objid
   WHERE m.classid = 'pg_proc'::regclass
     -- The constructors of a range type belong to the type, and an extension's functions to the extension.
     AND NOT EXISTS (SELECT FROM pg_depend i
                      WHERE i.classid = 'pg_proc'::regclass AND i.objid = p.oid AND i.deptype IN ('i', 'e'))
),
said AS MATERIALIZED (
  SELECT oid, name, t.text
    FROM fun, LATERAL (VALUES (body), (regexp_replace(body, '/\*.*?\*/|--[^\n]*', ' ', 'g'))) t(text)
   WHERE prokind <> 'a' AND prolang <> (SELECT oid FROM pg_language WHERE lanname = 'internal')
),
-- The rewritten queries of views, materialized views and rules, and what they read outside.
rule AS MATERIALIZED (
  SELECT w.oid, w.rulename, w.ev_class, rel.relname, rel.relkind, rel.invoker, w.ev_action
    FROM rel JOIN pg_rewrite w ON w.ev_class = rel.oid WHERE rel.relhasrules
),
fk AS MATERIALIZED (
  SELECT k.conname, k.conrelid, k.confrelid, rel.relname
    FROM rel JOIN pg_constraint k ON k.conrelid = rel.oid
   WHERE rel.relkind IN ('r', 'p') AND k.contype = 'f' AND k.conparentid = 0
),
scope_setter AS (SELECT '%:funcid ' || 'pg_catalog.set_config(text,text,bool)'::regprocedure::oid || ' %' AS pattern)
SELECT code, object, detail, correction FROM (
  SELECT 'wrong_owner' AS code, format('%I', relname) AS object, pg_get_userbyid(relowner)::text AS detail,
         format('ALTER %s %I OWNER TO %I', word, relname, '{owner}') AS correction
    FROM rel, own WHERE relowner <> own.owner
  UNION ALL
  SELECT 'wrong_owner', name, pg_get_userbyid(proowner), format('ALTER ROUTINE %s OWNER TO %I', name, '{owner}')
    FROM fun, own WHERE proowner <> own.owner
  UNION ALL
  SELECT 'wrong_owner', 'schema {schema}', pg_get_userbyid(nspowner),
         format('ALTER SCHEMA %I OWNER TO %I', '{schema}', '{owner}')
    FROM own WHERE nspowner <> owner
  UNION ALL
  SELECT 'role_owns', '{role}', pg_describe_object(d.classid, d.objid, 0),
         format('REASSIGN OWNED BY %I TO %I', '{role}', '{owner}')
    FROM own JOIN pg_shdepend d ON d.refclassid = 'pg_authid'::regclass AND d.refobjid = own.role
   WHERE d.deptype = 'o' AND d.dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
  UNION ALL
  SELECT 'security_definer', name, NULL, format('ALTER ROUTINE %s SECURITY INVOKER', name) FROM fun WHERE prosecdef
  UNION ALL
  SELECT 'leakproof_function', name, NULL, format('ALTER ROUTINE %s NOT LEAKPROOF', name) FROM fun WHERE proleakproof
  UNION ALL
  SELECT 'untrusted_language', name, lanname, format('CREATE FUNCTION %s ... LANGUAGE plpgsql', name)
    FROM fun JOIN pg_language l ON l.oid = prolang WHERE NOT lanpltrusted AND lanname <> 'internal'
  UNION ALL
  SELECT 'function_setting', name, setting, format('ALTER ROUTINE %s RESET %s', name, split_part(setting, '=', 1))
    FROM fun, unnest(proconfig) setting
   WHERE split_part(setting, '=', 1) ~* '^(tenantry\.|role$|row_security$|session_authorization$)'
  UNION ALL
  SELECT 'function_search_path', name, setting, format('ALTER ROUTINE %s RESET search_path', name)
    FROM fun, unnest(proconfig) setting
   WHERE setting ~* '^search_path='
     AND EXISTS (SELECT FROM regexp_split_to_table(substr(setting, 13), '\s*,\s*') part
                  WHERE btrim(part, '" ''') NOT IN ('', '{schema}', 'shared', 'tenantry', 'pg_catalog', 'pg_temp'))
  UNION ALL
  SELECT DISTINCT 'function_scope', name, substring(text from '{scope_words}'), format('DROP ROUTINE %s', name)
    FROM said WHERE text ~* '{scope_words}'
  UNION ALL
  SELECT DISTINCT 'reaches_other_tenant', name, found[1], format('DROP ROUTINE %s', name)
    FROM said, regexp_matches(text, '\mt_[0-9a-f]{32}\M', 'g') found WHERE found[1] <> '{schema}'
  UNION ALL
  SELECT 'expression_scope', format('%I', relname), 'rule ' || rulename,
         CASE WHEN relkind = 'v' THEN format('DROP VIEW %I', relname)
              ELSE format('DROP RULE %I ON %I', rulename, relname) END
    FROM rule, scope_setter WHERE ev_action::text LIKE pattern
  UNION ALL
  SELECT 'expression_scope', format('%I.%I', rel.relname, a.attname), pg_get_expr(e.adbin, e.adrelid),
         format('ALTER TABLE %I ALTER COLUMN %I DROP DEFAULT', rel.relname, a.attname)
    FROM rel JOIN pg_attrdef e ON e.adrelid = rel.oid
    JOIN pg_attribute a ON a.attrelid = e.adrelid AND a.attnum = e.adnum, scope_setter
   WHERE e.adbin::text LIKE pattern
  UNION ALL
  SELECT 'expression_scope', format('%I.%I', rel.relname, k.conname), 'check',
         format('ALTER TABLE %I DROP CONSTRAINT %I', rel.relname, k.conname)
    FROM rel JOIN pg_constraint k ON k.conrelid = rel.oid, scope_setter
   WHERE k.conbin::text LIKE pattern
  UNION ALL
  SELECT 'expression_scope', format('%I.%I', rel.relname, g.tgname), 'trigger',
         format('DROP TRIGGER %I ON %I', g.tgname, rel.relname)
    FROM rel JOIN pg_trigger g ON g.tgrelid = rel.oid, scope_setter
   WHERE rel.relhastriggers AND g.tgqual::text LIKE pattern
  UNION ALL
  SELECT 'foreign_table', format('%I', relname), NULL, format('DROP FOREIGN TABLE %I', relname)
    FROM rel WHERE relkind = 'f'
  UNION ALL
  -- A rule runs with its owner's rights, and so does a view that is not security_invoker.
  SELECT DISTINCT 'reads_outside', format('%I', rule.relname), c.oid::regclass::text,
         CASE rule.relkind WHEN 'v' THEN format('ALTER VIEW %I SET (security_invoker = true)', rule.relname)
                           WHEN 'm' THEN format('DROP MATERIALIZED VIEW %I', rule.relname)
                           ELSE format('DROP RULE %I ON %I', rule.rulename, rule.relname) END
    FROM rule JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = rule.oid
    JOIN pg_class c ON d.refclassid = 'pg_class'::regclass AND c.oid = d.refobjid
   WHERE NOT rule.invoker AND c.relnamespace <> '{schema}'::regnamespace
  UNION ALL
  SELECT DISTINCT 'reaches_other_schema', format('%I', rule.relname), c.oid::regclass::text,
         format('DROP %s %I', CASE rule.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END, rule.relname)
    FROM own, rule JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = rule.oid
    JOIN pg_class c ON d.refclassid = 'pg_class'::regclass AND c.oid = d.refobjid
   WHERE rule.invoker AND c.relnamespace <> ALL (own.reachable)
  UNION ALL
  SELECT 'reaches_other_schema', format('%I.%I', fk.relname, fk.conname), fk.confrelid::regclass::text,
         format('ALTER TABLE %I DROP CONSTRAINT %I', fk.relname, fk.conname)
    FROM own, fk JOIN pg_class c ON c.oid = fk.confrelid WHERE c.relnamespace <> ALL (own.reachable)
  UNION ALL
  SELECT DISTINCT 'reaches_other_schema', fun.name, c.oid::regclass::text, format('DROP ROUTINE %s', fun.name)
    FROM own, fun JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = fun.oid
    JOIN pg_class c ON d.refclassid = 'pg_class'::regclass AND c.oid = d.refobjid
   WHERE c.relnamespace <> ALL (own.reachable)
  UNION ALL
  SELECT 'trigger_function', format('%I.%I', rel.relname, g.tgname), p.oid::regprocedure::text,
         format('DROP TRIGGER %I ON %I', g.tgname, rel.relname)
    FROM own, rel JOIN pg_trigger g ON g.tgrelid = rel.oid JOIN pg_proc p ON p.oid = g.tgfoid
   WHERE rel.relhastriggers AND NOT g.tgisinternal
     AND (p.pronamespace <> ALL (own.reachable) OR p.pronamespace <> own.oid
          AND (p.prosecdef OR p.proconfig IS NOT NULL OR coalesce(pg_get_function_sqlbody(p.oid), p.prosrc) ~* '{scope_words}'))
  UNION ALL
  SELECT 'foreign_key_off', format('%I.%I', rel.relname, k.conname), NULL,
         format('ALTER TABLE %I ENABLE TRIGGER ALL', rel.relname)
    FROM rel JOIN pg_trigger g ON g.tgrelid = rel.oid JOIN pg_constraint k ON k.oid = g.tgconstraint
   WHERE rel.relhastriggers AND g.tgisinternal AND g.tgenabled <> 'O' AND k.contype = 'f'
  UNION ALL
  -- Reading a parent asks for no right on its children, so both ends have to be here.
  SELECT 'child_elsewhere', c.oid::regclass::text, 'of ' || rel.relname,
         format(CASE WHEN c.relispartition THEN 'ALTER TABLE %2$I DETACH PARTITION %1$s'
                     ELSE 'ALTER TABLE %1$s NO INHERIT %2$I' END, c.oid::regclass, rel.relname)
    FROM rel JOIN pg_inherits i ON i.inhparent = rel.oid JOIN pg_class c ON c.oid = i.inhrelid
   WHERE rel.relhassubclass AND c.relnamespace <> '{schema}'::regnamespace
  UNION ALL
  SELECT 'child_elsewhere', format('%I', rel.relname), 'of ' || c.oid::regclass,
         format(CASE WHEN rel.relispartition THEN 'ALTER TABLE %2$s DETACH PARTITION %1$I'
                     ELSE 'ALTER TABLE %1$I NO INHERIT %2$s' END, rel.relname, c.oid::regclass)
    FROM rel JOIN pg_inherits i ON i.inhrelid = rel.oid JOIN pg_class c ON c.oid = i.inhparent
   WHERE c.relnamespace <> '{schema}'::regnamespace
  UNION ALL
  -- What others built on these tables: a view, function, policy or foreign key of another schema.
  SELECT DISTINCT 'used_from_outside', pg_describe_object(d.classid, d.objid, 0), format('%I', rel.relname),
         CASE WHEN w.oid IS NOT NULL THEN format('DROP %s %s', CASE holder.relkind WHEN 'm' THEN 'MATERIALIZED VIEW'
                ELSE 'VIEW' END, holder.oid::regclass)
              WHEN p.oid IS NOT NULL THEN format('DROP ROUTINE %s', p.oid::regprocedure)
              WHEN k.oid IS NOT NULL THEN format('ALTER TABLE %s DROP CONSTRAINT %I', holder.oid::regclass, k.conname)
              ELSE format('DROP POLICY %I ON %s', pol.polname, holder.oid::regclass) END
    FROM rel JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = rel.oid
    LEFT JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
    LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid AND k.conparentid = 0
    LEFT JOIN pg_policy pol ON d.classid = 'pg_policy'::regclass AND pol.oid = d.objid
    LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
    LEFT JOIN pg_class holder ON holder.oid = coalesce(w.ev_class, k.conrelid, pol.polrelid)
   WHERE d.classid IN ('pg_rewrite'::regclass, 'pg_constraint'::regclass, 'pg_policy'::regclass, 'pg_proc'::regclass)
     AND coalesce(holder.relnamespace, p.pronamespace) <> '{schema}'::regnamespace
  UNION ALL
  SELECT 'invalid_index', format('%I', ic.relname), format('%I', rel.relname), format('REINDEX INDEX %I', ic.relname)
    FROM rel JOIN pg_index i ON i.indrelid = rel.oid JOIN pg_class ic ON ic.oid = i.indexrelid
   WHERE rel.relhasindex AND NOT i.indisvalid AND ic.relkind = 'i'
  UNION ALL
  SELECT 'extension', format('%I', e.extname), NULL, format('CREATE EXTENSION %I', e.extname)
    FROM member m JOIN pg_extension e ON e.oid = m.objid WHERE m.classid = 'pg_extension'::regclass
  UNION ALL
  SELECT 'granted_to_others', format('%I', rel.relname), g.privilege_type || ' to ' || coalesce(r.rolname, 'PUBLIC'),
         format('REVOKE ALL ON %s%I FROM %s', CASE rel.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE '' END, rel.relname,
                coalesce(quote_ident(r.rolname), 'PUBLIC'))
    FROM own, rel, aclexplode(rel.relacl) g LEFT JOIN pg_roles r ON r.oid = g.grantee
   WHERE g.grantee NOT IN (own.owner, own.role, rel.relowner)
  UNION ALL
  SELECT 'excess_privilege', format('%I', rel.relname), g.privilege_type || ' to {role}',
         format('REVOKE %s ON %I FROM %I', CASE WHEN g.is_grantable THEN 'GRANT OPTION FOR ' ELSE '' END
                || g.privilege_type, rel.relname, '{role}')
    FROM own, rel, aclexplode(rel.relacl) g
   WHERE g.grantee = own.role AND (g.is_grantable OR g.privilege_type IN ('REFERENCES', 'TRIGGER', 'MAINTAIN'))
  UNION ALL
  SELECT 'granted_to_others', format('%I.%I', rel.relname, a.attname),
         g.privilege_type || ' to ' || coalesce(r.rolname, 'PUBLIC'),
         format('REVOKE %s (%I) ON %I FROM %s', g.privilege_type, a.attname, rel.relname,
                coalesce(quote_ident(r.rolname), 'PUBLIC'))
    FROM own, rel JOIN pg_attribute a ON a.attrelid = rel.oid AND a.attacl IS NOT NULL,
         aclexplode(a.attacl) g LEFT JOIN pg_roles r ON r.oid = g.grantee
   WHERE g.grantee NOT IN (own.owner, own.role, rel.relowner)
  UNION ALL
  SELECT 'granted_to_others', 'schema {schema}', g.privilege_type || ' to ' || coalesce(r.rolname, 'PUBLIC'),
         format('REVOKE ALL ON SCHEMA %I FROM %s', '{schema}', coalesce(quote_ident(r.rolname), 'PUBLIC'))
    FROM own, aclexplode(own.nspacl) g LEFT JOIN pg_roles r ON r.oid = g.grantee
   WHERE g.grantee NOT IN (own.owner, own.role, own.nspowner)
  UNION ALL
  SELECT 'excess_privilege', 'schema {schema}', 'CREATE to {role}',
         format('REVOKE CREATE ON SCHEMA %I FROM %I', '{schema}', '{role}')
    FROM own, aclexplode(own.nspacl) g WHERE g.grantee = own.role AND (g.privilege_type = 'CREATE' OR g.is_grantable)
  UNION ALL
  SELECT 'default_privileges', 'schema {schema}', g.privilege_type || ' to ' || coalesce(r.rolname, 'PUBLIC'),
         format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s REVOKE ALL ON %s FROM %s', pg_get_userbyid(a.defaclrole),
                CASE WHEN a.defaclnamespace = 0 THEN '' ELSE ' IN SCHEMA {schema}' END,
                CASE a.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'n' THEN 'SCHEMAS'
                     WHEN 'f' THEN 'ROUTINES' ELSE 'TYPES' END, coalesce(quote_ident(r.rolname), 'PUBLIC'))
    FROM own, pg_default_acl a, aclexplode(a.defaclacl) g LEFT JOIN pg_roles r ON r.oid = g.grantee
   WHERE a.defaclrole = own.owner AND a.defaclnamespace IN (0, own.oid) AND g.grantee <> a.defaclrole
     AND NOT (g.grantee = 0 AND a.defaclobjtype IN ('f', 'T'))
     AND NOT (g.grantee = own.role AND a.defaclnamespace = own.oid AND NOT g.is_grantable
              AND g.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'USAGE', 'EXECUTE'))
) breach ORDER BY code, object, detail;
