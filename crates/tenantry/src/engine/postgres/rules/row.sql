-- What is unsafe in row isolation, beside what is unsafe everywhere: rows (code, object, detail, correction).
SET LOCAL search_path = pg_catalog, pg_temp;
WITH own AS MATERIALIZED (
  SELECT '{schema}'::regnamespace::oid AS oid, 'shared'::regnamespace::oid AS shared, '{role}'::regrole::oid AS role
),
member AS MATERIALIZED (
  SELECT classid, objid FROM pg_depend
   WHERE refclassid = 'pg_namespace'::regclass AND refobjid = '{schema}'::regnamespace
),
rel AS MATERIALIZED (
  SELECT c.oid, c.relname, c.relkind, c.relacl, c.relispartition, c.relrowsecurity, c.relforcerowsecurity,
         coalesce((SELECT split_part(o, '=', 2)::bool FROM unnest(c.reloptions) o
                    WHERE split_part(o, '=', 1) = 'security_invoker'), false) AS invoker,
         a.attnum AS tenant, a.atttypid, a.attnotnull, a.attgenerated, a.attidentity,
         (SELECT pg_get_expr(e.adbin, e.adrelid) FROM pg_attrdef e WHERE e.adrelid = c.oid AND e.adnum = a.attnum)
           AS tenant_default
    FROM member m JOIN pg_class c ON c.oid = m.objid
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
   WHERE m.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
),
tbl AS MATERIALIZED (SELECT * FROM rel WHERE relkind IN ('r', 'p')),
fk AS MATERIALIZED (
  SELECT k.conname, t.relname, k.confdeltype, k.confupdtype, k.confmatchtype, target.oid IS NOT NULL AS of_tenants,
         k.conkey[1] IS NOT DISTINCT FROM t.tenant AND k.confkey[1] IS NOT DISTINCT FROM target.tenant
           AND t.tenant IS NOT NULL AS led,
         coalesce(t.tenant = ANY (coalesce(k.confdelsetcols, k.conkey)), false) AS delete_touches,
         coalesce(t.tenant = ANY (k.conkey), false) AS holds_tenant,
         format('ALTER TABLE %I ADD CONSTRAINT %I FOREIGN KEY (%s) REFERENCES %s (%s)%s%s%s', t.relname, k.conname,
           concat_ws(', ', CASE WHEN target.oid IS NOT NULL THEN 'tenant_id' END, own.columns),
           replace(k.confrelid::regclass::text, '{schema}.', ''),
           concat_ws(', ', CASE WHEN target.oid IS NOT NULL THEN 'tenant_id' END, own.targets),
           CASE k.confupdtype WHEN 'c' THEN ' ON UPDATE CASCADE' WHEN 'r' THEN ' ON UPDATE RESTRICT' ELSE '' END,
           CASE k.confdeltype WHEN 'c' THEN ' ON DELETE CASCADE' WHEN 'r' THEN ' ON DELETE RESTRICT'
             WHEN 'n' THEN format(' ON DELETE SET NULL (%s)', own.set_columns)
             WHEN 'd' THEN format(' ON DELETE SET DEFAULT (%s)', own.set_columns) ELSE '' END,
           CASE WHEN k.condeferred THEN ' DEFERRABLE INITIALLY DEFERRED'
                WHEN k.condeferrable THEN ' DEFERRABLE' ELSE '' END) AS correction
    FROM tbl t JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype = 'f' AND k.conparentid = 0
    LEFT JOIN tbl target ON target.oid = k.confrelid
   CROSS JOIN LATERAL (
      SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY place) FILTER (WHERE a.attname <> 'tenant_id') AS columns,
             string_agg(quote_ident(f.attname), ', ' ORDER BY place) FILTER (WHERE f.attname <> 'tenant_id') AS targets,
             coalesce(string_agg(quote_ident(a.attname), ', ' ORDER BY place)
                        FILTER (WHERE a.attname <> 'tenant_id' AND a.attnum = ANY (k.confdelsetcols)),
                      string_agg(quote_ident(a.attname), ', ' ORDER BY place)
                        FILTER (WHERE a.attname <> 'tenant_id')) AS set_columns
        FROM unnest(k.conkey, k.confkey) WITH ORDINALITY u(mine, theirs, place)
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.mine
        JOIN pg_attribute f ON f.attrelid = k.confrelid AND f.attnum = u.theirs) own
),
key AS MATERIALIZED (
  SELECT t.relname, ic.relname AS index, k.conname, i.indisprimary, i.indisexclusion, i.indexrelid,
         pg_get_constraintdef(k.oid) AS def,
         (i.indkey[0] = t.tenant AND (k.contype IS DISTINCT FROM 'x'
            OR (SELECT oprname FROM pg_operator WHERE oid = k.conexclop[1]) = '=')) IS TRUE AS led
    FROM tbl t JOIN pg_index i ON i.indrelid = t.oid AND (i.indisunique OR i.indisexclusion)
    JOIN pg_class ic ON ic.oid = i.indexrelid
    LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = t.oid AND k.contype IN ('p', 'u', 'x')
   WHERE NOT ic.relispartition
),
policy AS MATERIALIZED (
  SELECT t.relname, form.polname, form.command, form.there, form.intact
    FROM tbl t CROSS JOIN LATERAL
         {policies}
   WHERE t.tenant IS NOT NULL
)
SELECT code, object, detail, correction FROM (
  SELECT 'tenant_column' AS code, format('%I', relname) AS object,
         CASE WHEN tenant IS NULL THEN 'it is missing'
              WHEN atttypid <> 'uuid'::regtype THEN 'its type is ' || format_type(atttypid, NULL)
              WHEN attgenerated <> '' THEN 'it is generated'
              WHEN NOT attnotnull THEN 'it may be null'
              WHEN tenant_default IS NULL THEN 'it has no default'
              ELSE 'its default is ' || tenant_default END AS detail,
         format('ALTER TABLE %I ', relname) || CASE
           WHEN tenant IS NULL THEN 'ADD COLUMN tenant_id uuid NOT NULL DEFAULT tenantry.tenant()'
           WHEN attgenerated <> '' THEN 'DROP COLUMN tenant_id, ADD COLUMN tenant_id uuid NOT NULL'
                                        ' DEFAULT tenantry.tenant()'
           ELSE concat_ws(', ',
             CASE WHEN atttypid <> 'uuid'::regtype THEN
               concat_ws(', ', CASE WHEN tenant_default IS NOT NULL THEN 'ALTER COLUMN tenant_id DROP DEFAULT' END,
                         'ALTER COLUMN tenant_id TYPE uuid USING tenant_id::text::uuid') END,
             CASE WHEN NOT attnotnull THEN 'ALTER COLUMN tenant_id SET NOT NULL' END,
             'ALTER COLUMN tenant_id SET DEFAULT tenantry.tenant()') END AS correction
    FROM tbl
   WHERE tenant IS NULL OR atttypid <> 'uuid'::regtype OR attgenerated <> '' OR NOT attnotnull
      OR tenant_default IS DISTINCT FROM 'tenantry.tenant()'
  UNION ALL
  SELECT 'key_not_led', format('%I.%I', relname, coalesce(conname, index)), coalesce(def, 'unique index'),
         CASE WHEN conname IS NULL THEN
           regexp_replace(replace(pg_get_indexdef(indexrelid), '{schema}.', ''), '( USING \w+ )\(', '\1(tenant_id, ')
         ELSE format('ALTER TABLE %I ADD CONSTRAINT %I %s', relname, conname,
           regexp_replace(regexp_replace(def, ', tenant_id(?: WITH [^ ,)]+)?(?=[,)])|(?<=\()tenant_id WITH [^ ,)]+, ', ''),
                          '\(', CASE WHEN indisexclusion THEN '(tenant_id WITH =, ' ELSE '(tenant_id, ' END)) END
    FROM key WHERE NOT led
  UNION ALL
  -- The planner gives a leakproof condition to an index that it fits, which is searched over the rows of all tenants then. Whether that
  -- finds anything decides whether the next index is searched at all (BitmapAnd), before any row is looked at.
  SELECT 'index_without_tenant', format('%I.%I', t.relname, ic.relname), NULL,
         CASE WHEN am.amname IN ('btree', 'hash', 'gin', 'gist')
              THEN replace(regexp_replace(replace(pg_get_indexdef(i.indexrelid), '{schema}.', ''), '( USING \w+ )\(', '\1(tenant_id, '),
                           ' USING hash (', ' USING btree (')
              ELSE format('DROP INDEX %I', ic.relname) END
    FROM tbl t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am am ON am.oid = ic.relam
   WHERE NOT i.indisunique AND NOT i.indisexclusion AND NOT ic.relispartition AND t.tenant IS NOT NULL
     AND NOT EXISTS (SELECT FROM generate_series(0, i.indnkeyatts - 1) n WHERE i.indkey[n] = t.tenant)
     -- gin takes no condition but those of its operators, and one that is not leakproof is not used before the rows are hidden; gist,
     -- spgist and brin search for NULL too, and a partial index is searched without any condition. To put a value into a hash index
     -- takes longer the more tenants have it.
     AND (am.amname <> 'gin' OR i.indpred IS NOT NULL
          OR EXISTS (SELECT FROM generate_series(0, i.indnkeyatts - 1) n JOIN pg_opclass c ON c.oid = i.indclass[n]
                       JOIN pg_amop m ON m.amopfamily = c.opcfamily
                       JOIN pg_operator o ON o.oid = m.amopopr JOIN pg_proc p ON p.oid = o.oprcode
                      WHERE p.proleakproof))
  UNION ALL
  -- A condition on what stands in front of the tenant is searched for over the rows of all.
  SELECT 'index_not_led', format('%I.%I', t.relname, ic.relname), NULL,
         CASE WHEN regexp_count(def, again) = 1
              THEN regexp_replace(regexp_replace(replace(def, '{schema}.', ''), again, ''), '( USING \w+ )\(', '\1(tenant_id, ')
              ELSE format('DROP INDEX %I', ic.relname) END
    FROM tbl t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am am ON am.oid = ic.relam,
         LATERAL (VALUES (pg_get_indexdef(i.indexrelid), ', tenant_id(?: ASC| DESC| NULLS FIRST| NULLS LAST)*(?=[,)])')) text (def, again)
   WHERE NOT i.indisunique AND NOT i.indisexclusion AND NOT ic.relispartition AND am.amname <> 'gin' AND i.indkey[0] <> t.tenant
     AND EXISTS (SELECT FROM generate_series(1, i.indnkeyatts - 1) n WHERE i.indkey[n] = t.tenant)
  UNION ALL
  -- To put a key into its place, such an index computes with the keys of all tenants. It fails where one of them has stored a value
  -- beyond what a number or a page holds, or that cannot be compared: others could write no more, and by when it fails tell what is
  -- there. brin keeps a summary of all tenants' values, and finds by that. These only compare, and keep what has a size of its own.
  SELECT DISTINCT 'index_computes', format('%I.%I', t.relname, ic.relname), c.opcname::text,
         CASE WHEN k.conname IS NOT NULL THEN format('ALTER TABLE %I DROP CONSTRAINT %I', t.relname, k.conname)
              WHEN am.amname = 'hash' THEN replace(replace(pg_get_indexdef(i.indexrelid), '{schema}.', ''), ' USING hash (', ' USING btree (')
              WHEN slow.pending THEN format('ALTER INDEX %I RESET (fastupdate, gin_pending_list_limit)', ic.relname)
              WHEN am.amname = 'brin' THEN
                regexp_replace(regexp_replace(replace(replace(pg_get_indexdef(i.indexrelid), '{schema}.', ''), ' USING brin (', ' USING btree ('),
                                              ' \w+_(minmax|minmax_multi|inclusion|bloom)_ops( \([^)]*\))?', '', 'g'),
                               '\) WITH \([^)]*\)', ')')
              ELSE format('DROP INDEX %I', ic.relname) END
    FROM tbl t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am am ON am.oid = ic.relam
    LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.conrelid = t.oid AND k.contype IN ('p', 'u', 'x')
   CROSS JOIN generate_series(0, i.indnkeyatts - 1) n
    JOIN pg_opclass c ON c.oid = i.indclass[n]
    JOIN pg_attribute a ON a.attrelid = i.indexrelid AND a.attnum = n + 1
    LEFT JOIN pg_attribute col ON col.attrelid = t.oid AND col.attnum = i.indkey[n]
   CROSS JOIN LATERAL (SELECT EXISTS (
      WITH RECURSIVE within (oid) AS (
        SELECT coalesce(col.atttypid, a.atttypid) UNION
        SELECT part.oid FROM within w JOIN pg_type wt ON wt.oid = w.oid
          LEFT JOIN pg_range r ON w.oid IN (r.rngtypid, r.rngmultitypid)
         CROSS JOIN LATERAL (VALUES (wt.typbasetype), (wt.typelem), (r.rngsubtype)) part (oid) WHERE part.oid <> 0)
      SELECT FROM within JOIN pg_type wt ON wt.oid = within.oid WHERE wt.typtype = 'c' OR wt.oid = 'record'::regtype)) compared (by_field),
         LATERAL (SELECT EXISTS (SELECT FROM pg_amop m JOIN pg_operator o ON o.oid = m.amopopr JOIN pg_proc p ON p.oid = o.oprcode
                                  WHERE m.amopfamily = c.opcfamily AND (p.proleakproof OR m.amoppurpose = 'o'))) searched (by_leakproof),
         LATERAL (SELECT coalesce(bool_or(CASE split_part(o, '=', 1) WHEN 'fastupdate' THEN NOT split_part(o, '=', 2)::boolean
                                                                     WHEN 'gin_pending_list_limit' THEN true END), false)
                    FROM unnest(ic.reloptions) o WHERE am.amname = 'gin') slow (pending)
   -- A partition's index is as its parent's, but for its options.
   WHERE (NOT ic.relispartition OR ic.reloptions IS NOT NULL OR a.attoptions IS NOT NULL)
     AND (i.indkey[n] IS DISTINCT FROM t.tenant OR am.amname IN ('brin', 'hash'))
     AND CASE am.amname
           -- One of the tenant alone, which no rule before this names.
           WHEN 'hash' THEN i.indkey[n] = t.tenant
           -- Each key of gin is searched and sorted by itself, over all tenants: an operator that is leakproof would ask it.
           WHEN 'gin' THEN searched.by_leakproof OR compared.by_field
                -- Without its list of what is pending, each row takes its time by what others have.
                OR slow.pending
           -- Behind the tenant only rows of one tenant are compared.
           WHEN 'btree' THEN false
           -- A page is looked at if a condition fits what all rows on it span, and tenants share pages. An order is searched for by any
           -- operator.
           WHEN 'gist' THEN searched.by_leakproof OR a.attoptions IS NOT NULL OR NOT CASE
             WHEN c.opcname IN ('range_ops', 'multirange_ops')
             THEN a.atttypid < 16384 AND a.atttypid NOT IN ('numrange'::regtype, 'nummultirange'::regtype)
             ELSE c.opcname = ANY ('{tsquery_ops,tsvector_ops,gist_enum_ops,gist__intbig_ops,gist__ltree_ops,gist_hstore_ops,
                                   gist_geometry_ops_nd}') END
           ELSE true
         END
  UNION ALL
  -- Where any statement is planned, the check of a reference too: as the owner, and past row security.
  SELECT DISTINCT 'index_calls', of.object, p.oid::regprocedure::text, of.correction
    FROM tbl t,
         {computed}
   WHERE {kept_as_text} AND of_extension.yes
      -- Or one that no rule looks at.
      OR p.oid >= 16384 AND NOT of_extension.yes AND p.pronamespace NOT IN ('{schema}'::regnamespace, 'shared'::regnamespace)
  UNION ALL
  SELECT 'trigger_replica', format('%I.%I', t.relname, g.tgname), NULL, format('ALTER TABLE %I ENABLE TRIGGER %I', t.relname, g.tgname)
    FROM tbl t JOIN pg_trigger g ON g.tgrelid = t.oid WHERE NOT g.tgisinternal AND g.tgenabled = 'R'
  UNION ALL
  SELECT 'foreign_key_not_led', format('%I.%I', relname, conname), NULL, correction FROM fk WHERE of_tenants AND NOT led
  UNION ALL
  SELECT 'foreign_key_sets_tenant', format('%I.%I', relname, conname), NULL, correction
    FROM fk WHERE confdeltype IN ('n', 'd') AND delete_touches
  UNION ALL
  SELECT 'foreign_key_on_update', format('%I.%I', relname, conname), NULL, correction
    FROM fk WHERE confupdtype IN ('n', 'd') AND (of_tenants OR holds_tenant)
  UNION ALL
  SELECT 'foreign_key_match_full', format('%I.%I', relname, conname), NULL, correction
    FROM fk WHERE confmatchtype = 'f' AND (of_tenants OR holds_tenant)
  UNION ALL
  SELECT 'materialized_view', format('%I', relname), NULL,
         format('CREATE VIEW %I WITH (security_invoker = true) AS%s', relname,
                replace(pg_get_viewdef(oid), '{schema}.', ''))
    FROM rel WHERE relkind = 'm'
  UNION ALL
  SELECT 'view_not_invoker', format('%I', relname), NULL,
         format('CREATE VIEW %I WITH (security_invoker = true) AS%s', relname,
                replace(pg_get_viewdef(oid), '{schema}.', ''))
    FROM rel WHERE relkind = 'v' AND NOT invoker
  UNION ALL
  SELECT 'inheritance', format('%I', t.relname), 'of ' || replace(i.inhparent::regclass::text, '{schema}.', ''),
         format('ALTER TABLE %I NO INHERIT %s', t.relname, replace(i.inhparent::regclass::text, '{schema}.', ''))
    FROM tbl t JOIN pg_inherits i ON i.inhrelid = t.oid WHERE NOT t.relispartition
  UNION ALL
  SELECT 'rewrite_rule', format('%I.%I', rel.relname, w.rulename), NULL,
         format('DROP RULE %I ON %I', w.rulename, rel.relname)
    FROM rel JOIN pg_rewrite w ON w.ev_class = rel.oid WHERE w.rulename <> '_RETURN'
  UNION ALL
  SELECT DISTINCT 'policy_immutable', format('%I.%I', t.relname, q.polname), p.oid::regprocedure::text,
         format('DROP POLICY %I ON %I', q.polname, t.relname)
    FROM tbl t JOIN pg_policy q ON q.polrelid = t.oid
    JOIN pg_depend d ON d.classid = 'pg_policy'::regclass AND d.objid = q.oid AND d.refclassid = 'pg_proc'::regclass
    JOIN pg_proc p ON p.oid = d.refobjid WHERE p.provolatile = 'i' AND q.polname <> '{first_policy}'
  UNION ALL
  SELECT 'rls_off', format('%I', relname), CASE WHEN relrowsecurity THEN 'not forced' ELSE 'not enabled' END,
         format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', relname)
    FROM tbl WHERE NOT (relrowsecurity AND relforcerowsecurity)
  UNION ALL
  SELECT 'policy_altered', format('%I.%I', relname, polname), CASE WHEN there THEN 'altered' ELSE 'missing' END,
         CASE WHEN there THEN format('DROP POLICY %I ON %I; ', polname, relname) ELSE '' END
         || coalesce(format('CREATE POLICY %I ON %I ', polname, relname) || command,
                     format('SELECT tenantry.hide_first(%L)', format('{schema}.%I', relname)))
    FROM policy WHERE NOT intact
  UNION ALL
  SELECT 'policy_former', format('%I.%I', t.relname, q.polname), NULL, format('DROP POLICY %I ON %I', q.polname, t.relname)
    FROM tbl t JOIN pg_policy q ON q.polrelid = t.oid WHERE q.polname = '{former_policy}'
  UNION ALL
  -- Restrictive policies are evaluated in the order of their names, byte by byte.
  SELECT 'policy_order', format('%I.%I', t.relname, q.polname), NULL,
         format('ALTER POLICY %I ON %I RENAME TO %I', q.polname, t.relname,
                'p_' || regexp_replace(q.polname, '\W', '', 'g'))
    FROM tbl t JOIN pg_policy q ON q.polrelid = t.oid WHERE q.polname < '{policy}'
  UNION ALL
  SELECT 'excess_privilege', format('%I', rel.relname), g.privilege_type || ' to {role}',
         format('REVOKE %s ON %I FROM %I', g.privilege_type, rel.relname, '{role}')
    FROM own, rel, aclexplode(rel.relacl) g
   WHERE g.grantee = own.role
     AND (rel.relispartition OR rel.relkind = 'm' OR g.privilege_type NOT IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'USAGE')
          OR rel.relkind = 'S' AND g.privilege_type <> 'USAGE')
     AND g.privilege_type NOT IN ('REFERENCES', 'TRIGGER', 'MAINTAIN')
  UNION ALL
  SELECT 'excess_privilege', format('%I.%I', rel.relname, a.attname), g.privilege_type || ' to {role}',
         format('REVOKE %s (%I) ON %I FROM %I', g.privilege_type, a.attname, rel.relname, '{role}')
    FROM own, rel JOIN pg_attribute a ON a.attrelid = rel.oid AND a.attacl IS NOT NULL, aclexplode(a.attacl) g
   WHERE g.grantee = own.role
) breach ORDER BY code, object, detail;
