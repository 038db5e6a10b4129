-- Whether `any.sql` has to be asked at all: true for everything that it could report, and for a little more.
-- Planning that query takes longer than making a table does, and a new tenant nearly always has nothing to report.
SET LOCAL search_path = pg_catalog, pg_temp;
WITH member AS MATERIALIZED (
  SELECT classid, objid FROM pg_depend
   WHERE refclassid = 'pg_namespace'::regclass AND refobjid = '{schema}'::regnamespace
),
rel AS MATERIALIZED (
  SELECT c.oid, c.relkind, c.relowner, c.relacl, c.relhasrules, c.relhastriggers, c.relhassubclass
    FROM member m JOIN pg_class c ON c.oid = m.objid
   WHERE m.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
),
fun AS MATERIALIZED (
  SELECT p.oid, p.proname, p.proowner <> '{owner}'::regrole OR p.prosecdef OR p.proleakproof OR p.proconfig IS NOT NULL
                OR p.prosqlbody IS NOT NULL AND p.provolatile <> 'i' OR p.prosrc ~ '\mt_[0-9a-f]{32}\M' OR p.prokind = 'a'
                OR p.proacl IS NOT NULL
                OR l.lanname NOT IN ('sql', 'plpgsql') AND p.prokind <> 'a'
                   AND NOT EXISTS (SELECT FROM pg_depend i WHERE i.classid = 'pg_proc'::regclass AND i.objid = p.oid
                                      AND i.deptype = 'i') AS doubtful,
         p.provolatile = 'i' AND p.prokind = 'f' AND l.lanname NOT IN ('internal', 'c') AS immutable,
         CASE WHEN l.lanname IN ('sql', 'plpgsql') THEN p.prosrc END AS body, l.lanname = 'sql' AS is_sql
    FROM member m JOIN pg_proc p ON p.oid = m.objid JOIN pg_language l ON l.oid = p.prolang
   WHERE m.classid = 'pg_proc'::regclass
),
rule AS MATERIALIZED (
  SELECT w.oid FROM rel JOIN pg_rewrite w ON w.ev_class = rel.oid WHERE rel.relhasrules
),
known AS (SELECT oid FROM rel UNION ALL SELECT oid FROM fun UNION ALL SELECT oid FROM rule),
-- The same trees as in expressions.sql, but of each only what it calls and reads: one relation an arm is planned in a third.
tree AS (
  SELECT t.text FROM member m, LATERAL (
    SELECT adbin::text AS text FROM pg_attrdef WHERE m.classid = 'pg_class'::regclass AND adrelid = m.objid
    UNION ALL
    SELECT conbin::text FROM pg_constraint
     WHERE m.classid = 'pg_class'::regclass AND conrelid = m.objid AND conbin IS NOT NULL
    UNION ALL
    SELECT concat(t.typdefaultbin, k.conbin) FROM pg_type t LEFT JOIN pg_constraint k ON k.contypid = t.oid
     WHERE m.classid = 'pg_type'::regclass AND t.oid = m.objid AND t.typtype = 'd'
    UNION ALL
    SELECT concat(ev_action, ev_qual) FROM pg_rewrite WHERE m.classid = 'pg_class'::regclass AND ev_class = m.objid
    UNION ALL
    SELECT tgqual::text FROM pg_trigger
     WHERE m.classid = 'pg_class'::regclass AND tgrelid = m.objid AND tgqual IS NOT NULL
    UNION ALL
    SELECT concat(polqual, polwithcheck) FROM pg_policy WHERE m.classid = 'pg_class'::regclass AND polrelid = m.objid
    UNION ALL
    SELECT proargdefaults::text FROM pg_proc
     WHERE m.classid = 'pg_proc'::regclass AND oid = m.objid AND proargdefaults IS NOT NULL
  ) t
),
used AS MATERIALIZED (
  SELECT DISTINCT field = ':relid ' AS is_relation, split_part(piece, ' ', 1)::oid AS oid
    FROM tree, unnest(ARRAY[':funcid ', ':aggfnoid ', ':winfnoid ', ':relid ']) field,
         string_to_table(tree.text, field) WITH ORDINALITY cut(piece, place)
   WHERE place > 1
),
{bad}
SELECT (SELECT coalesce(bool_or(immutable), false) FROM fun) AS immutable, NULL AS body, false AS is_sql,
       EXISTS (SELECT FROM used JOIN bad USING (is_relation, oid))
    OR EXISTS (SELECT FROM member WHERE classid = 'pg_operator'::regclass)
    OR EXISTS (SELECT FROM member m JOIN pg_constraint k ON m.classid = 'pg_type'::regclass AND k.contypid = m.objid)
    OR EXISTS (SELECT FROM member m JOIN pg_range r ON m.classid = 'pg_type'::regclass AND r.rngtypid = m.objid
                WHERE r.rngsubdiff <> 0 OR r.rngcanonical <> 0)
    OR EXISTS (SELECT FROM pg_cast c LEFT JOIN pg_proc p ON p.oid = c.castfunc, pg_type t
                WHERE c.oid >= 16384 AND t.oid IN (c.castsource, c.casttarget)
                  AND '{schema}'::regnamespace IN (t.typnamespace, p.pronamespace))
    OR EXISTS (SELECT FROM rel WHERE relowner <> '{owner}'::regrole OR relkind = 'f')
    OR EXISTS (SELECT FROM fun WHERE doubtful)
    OR EXISTS (SELECT FROM fun JOIN pg_depend d ON d.refclassid = 'pg_proc'::regclass AND d.refobjid = fun.oid
                 LEFT JOIN pg_proc f ON d.classid = 'pg_proc'::regclass AND f.oid = d.objid
                WHERE NOT fun.immutable
                  AND (f.provolatile = 'i' OR d.classid NOT IN ('pg_proc'::regclass, 'pg_trigger'::regclass, 'pg_rewrite'::regclass)))
    OR EXISTS (SELECT FROM rel JOIN pg_attribute a ON a.attrelid = rel.oid AND a.attnum > 0 AND a.atttypid >= 16384
                 JOIN pg_type t ON t.oid = a.atttypid WHERE t.typnamespace = 'shared'::regnamespace AND t.typtype <> 'e')
    OR EXISTS (SELECT FROM member m JOIN pg_type h ON m.classid = 'pg_type'::regclass AND h.oid = m.objid
                 JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass
                  AND (d.classid = 'pg_type'::regclass AND d.objid = h.oid OR d.classid = 'pg_class'::regclass AND d.objid = h.typrelid)
                 JOIN pg_type t ON t.oid = d.refobjid AND t.typnamespace = 'shared'::regnamespace
                WHERE h.typtype <> 'c' OR EXISTS (SELECT FROM pg_class c WHERE c.oid = h.typrelid AND c.relkind = 'c'))
    OR EXISTS (SELECT FROM member m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
                 JOIN pg_type b ON b.typname = t.typname AND b.typnamespace = 'pg_catalog'::regnamespace)
    OR EXISTS (SELECT FROM fun JOIN pg_proc b ON b.proname = fun.proname AND b.pronamespace = 'pg_catalog'::regnamespace)
    OR EXISTS (SELECT FROM member WHERE classid = 'pg_extension'::regclass)
    OR EXISTS (SELECT FROM rel, aclexplode(rel.relacl) g
                WHERE g.grantee NOT IN ('{owner}'::regrole, '{role}'::regrole)
                   OR g.grantee = '{role}'::regrole
                      AND (g.is_grantable OR g.privilege_type IN ('REFERENCES', 'TRIGGER', 'MAINTAIN')))
    OR EXISTS (SELECT FROM rel WHERE relacl IS NOT NULL AND relkind IN ('r', 'p', 'S')
                AND (SELECT count(*) FROM aclexplode(relacl) g
                      WHERE g.grantee = relowner AND g.privilege_type <> 'MAINTAIN') < CASE relkind WHEN 'S' THEN 3 ELSE 7 END)
    OR EXISTS (SELECT FROM rel JOIN pg_attribute a ON a.attrelid = rel.oid WHERE a.attacl IS NOT NULL)
    OR EXISTS (SELECT FROM member m JOIN pg_type t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid WHERE t.typacl IS NOT NULL)
    OR EXISTS (SELECT FROM rel JOIN pg_policy p ON p.polrelid = rel.oid WHERE p.polroles <> '{0}')
    OR EXISTS (SELECT FROM pg_namespace n
                WHERE n.oid = '{schema}'::regnamespace
                  AND (n.nspowner <> '{owner}'::regrole
                       OR n.nspacl IS NOT NULL
                          AND (SELECT count(*) FROM aclexplode(n.nspacl) g WHERE g.grantee = n.nspowner) < 2
                       OR EXISTS (SELECT FROM aclexplode(n.nspacl) g
                                   WHERE g.grantee <> '{owner}'::regrole
                                     AND (g.grantee <> '{role}'::regrole OR g.is_grantable OR g.privilege_type <> 'USAGE'))))
    OR EXISTS (SELECT FROM pg_default_acl
                WHERE defaclrole = '{owner}'::regrole AND defaclnamespace IN (0, '{schema}'::regnamespace)
                   OR defaclrole = '{role}'::regrole
                   OR pg_get_userbyid(defaclrole) ~ {owns_nothing})
    OR EXISTS (SELECT FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid
                WHERE d.refclassid = 'pg_authid'::regclass AND d.deptype = 'o'
                  AND (r.rolname = '{role}' OR r.rolname ~ {owns_nothing}))
    OR EXISTS (SELECT FROM member m JOIN pg_shdepend d ON d.classid = m.classid AND d.objid = m.objid AND d.deptype = 'o'
                WHERE d.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND d.refobjid <> '{owner}'::regrole
                  AND m.classid NOT IN ('pg_class'::regclass, 'pg_proc'::regclass))
    OR EXISTS (SELECT FROM rel JOIN pg_index i ON i.indrelid = rel.oid WHERE NOT i.indisvalid)
    -- `xmax` in a view.
    OR EXISTS (SELECT FROM rel JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = rel.oid AND d.refobjsubid = -4)
    OR EXISTS (SELECT FROM rel JOIN pg_inherits i ON i.inhrelid = rel.oid WHERE i.inhparent NOT IN (SELECT oid FROM rel))
    OR EXISTS (SELECT FROM rel JOIN pg_constraint k ON k.conrelid = rel.oid
                WHERE k.contype = 'f' AND (k.confdeltype NOT IN ('a', 'r') OR k.confupdtype NOT IN ('a', 'r'))
                  AND k.confrelid NOT IN (SELECT oid FROM rel))
    -- The triggers of a foreign key stand on both of its tables, each with the other's name.
    OR EXISTS (SELECT FROM rel JOIN pg_trigger g ON g.tgrelid = rel.oid
                WHERE rel.relhastriggers
                  AND CASE WHEN g.tgisinternal
                           THEN g.tgenabled <> 'O'
                             OR g.tgconstrrelid <> 0 AND g.tgconstrrelid NOT IN (SELECT oid FROM rel)
                                AND (g.tgfoid NOT IN ('"RI_FKey_check_ins"'::regproc, '"RI_FKey_check_upd"'::regproc)
                                     OR (SELECT relnamespace FROM pg_class WHERE oid = g.tgconstrrelid)
                                        <> 'shared'::regnamespace)
                           ELSE g.tgfoid NOT IN (SELECT oid FROM fun) END)
    OR EXISTS (SELECT FROM rule JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = rule.oid
                WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid NOT IN (SELECT oid FROM rel))
    OR EXISTS (SELECT FROM rel JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = rel.oid
                WHERE (d.deptype = 'n' AND d.classid IN ('pg_rewrite'::regclass, 'pg_policy'::regclass, 'pg_proc'::regclass,
                                                         'pg_class'::regclass)
                       OR d.deptype = 'a' AND d.classid = 'pg_class'::regclass AND d.refobjsubid = 0
                          AND rel.relhassubclass)
                  AND d.objid NOT IN (SELECT oid FROM known)) AS doubtful
UNION ALL SELECT false, body, is_sql, false FROM fun WHERE body IS NOT NULL;
