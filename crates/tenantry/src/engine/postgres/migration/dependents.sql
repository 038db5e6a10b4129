-- What a file of the shared tables must leave as it was: all that others have built on them, as one number, and how many rows of theirs
-- this transaction has changed. CASCADE drops it, whoever owns it.
SET LOCAL search_path = pg_catalog, pg_temp;
WITH held AS (
  SELECT DISTINCT d.classid, d.objid, d.objsubid
    FROM (SELECT classid, objid FROM pg_depend
           WHERE refclassid = 'pg_namespace'::regclass AND refobjid = 'shared'::regnamespace
          UNION
          -- Those of arrays and of rows depend on no schema.
          SELECT 'pg_type'::regclass, oid FROM pg_type WHERE typnamespace = 'shared'::regnamespace) s
    JOIN pg_depend d ON d.refclassid = s.classid AND d.refobjid = s.objid AND d.deptype IN ('n', 'a')
),
placed AS (
  SELECT held.*,
         CASE classid
           WHEN 'pg_class'::regclass THEN (SELECT relnamespace FROM pg_class WHERE oid = objid)
           WHEN 'pg_proc'::regclass THEN (SELECT pronamespace FROM pg_proc WHERE oid = objid)
           WHEN 'pg_type'::regclass THEN (SELECT typnamespace FROM pg_type WHERE oid = objid)
           WHEN 'pg_constraint'::regclass THEN (SELECT connamespace FROM pg_constraint WHERE oid = objid)
           WHEN 'pg_attrdef'::regclass THEN (SELECT relnamespace FROM pg_attrdef e JOIN pg_class c ON c.oid = e.adrelid WHERE e.oid = objid)
           WHEN 'pg_trigger'::regclass THEN (SELECT relnamespace FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid WHERE g.oid = objid)
           WHEN 'pg_policy'::regclass THEN (SELECT relnamespace FROM pg_policy q JOIN pg_class c ON c.oid = q.polrelid WHERE q.oid = objid)
           WHEN 'pg_rewrite'::regclass THEN (SELECT relnamespace FROM pg_rewrite w JOIN pg_class c ON c.oid = w.ev_class WHERE w.oid = objid)
           WHEN 'pg_operator'::regclass THEN (SELECT oprnamespace FROM pg_operator WHERE oid = objid)
           WHEN 'pg_statistic_ext'::regclass THEN (SELECT stxnamespace FROM pg_statistic_ext WHERE oid = objid)
           WHEN 'pg_ts_config'::regclass THEN (SELECT cfgnamespace FROM pg_ts_config WHERE oid = objid)
           WHEN 'pg_ts_dict'::regclass THEN (SELECT dictnamespace FROM pg_ts_dict WHERE oid = objid)
           -- Where it is anybody else's, it is theirs.
           WHEN 'pg_cast'::regclass THEN (
             SELECT coalesce(max(n.place) FILTER (WHERE n.place NOT IN ('shared'::regnamespace, 'pg_catalog'::regnamespace)),
                             'shared'::regnamespace)
               FROM pg_cast c,
                    LATERAL (SELECT typnamespace AS place FROM pg_type WHERE oid IN (c.castsource, c.casttarget)
                             UNION ALL SELECT pronamespace FROM pg_proc WHERE oid = c.castfunc) n
              WHERE c.oid = objid)
           WHEN 'pg_collation'::regclass THEN (SELECT collnamespace FROM pg_collation WHERE oid = objid)
           -- Whatever else it is: it counts as somebody else's.
           ELSE 0
         END AS place
    FROM held
)
SELECT encode(sha256(convert_to(coalesce(string_agg(line, chr(10) ORDER BY line), ''), 'UTF8')), 'hex')
       || ' ' || (SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_xact_all_tables
                   WHERE schemaname = 'tenant' OR schemaname ~ '^t_[0-9a-f]{32}$') AS state
  FROM (SELECT CASE classid
                 -- The server makes a reference anew where the type of a column changes.
                 WHEN 'pg_constraint'::regclass THEN (
                   SELECT concat_ws(' ', classid, conrelid, contypid, conname, contype, conkey, confkey, confupdtype, confdeltype)
                     FROM pg_constraint k WHERE k.oid = objid)
                 ELSE concat_ws(' ', classid, objid, objsubid) END AS line
          FROM placed WHERE place IS DISTINCT FROM 'shared'::regnamespace) held;
