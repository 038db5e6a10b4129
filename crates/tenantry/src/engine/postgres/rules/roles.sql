-- The installation's roles, all over the server, and the login that the operator has made for apps: rows (code, what, repair).
WITH ours AS MATERIALIZED (
  SELECT r.*, r.rolname::text AS name,
         -- A tenant of schema isolation has no database of its own, and nobody signs in as its role.
         pg_catalog.starts_with(r.rolname::text, '{tenants}')
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_database d WHERE d.datname = r.rolname) AS is_of_schema
    FROM pg_catalog.pg_roles r
   WHERE pg_catalog.starts_with(r.rolname::text, '{prefix}') OR r.rolname = '{own}'
)
SELECT code, what, repair FROM (
  SELECT 'role_attribute' AS code, pg_catalog.format('role %s has %s', ours.name, word) AS what,
         pg_catalog.format('ALTER ROLE %I NO%s', ours.name, word) AS repair
    FROM ours, LATERAL (VALUES (rolsuper, 'SUPERUSER'), (rolbypassrls AND name <> '{prefix}auditor', 'BYPASSRLS'), (rolcreaterole, 'CREATEROLE'),
           (rolcreatedb, 'CREATEDB'), (rolreplication, 'REPLICATION'), (rolcanlogin AND rolinherit AND NOT is_of_schema, 'INHERIT'),
           (rolcanlogin AND (is_of_schema OR name IN ('{owner}', '{prefix}rows_owner', '{prefix}shared_owner', '{prefix}authors', '{prefix}rows', '{prefix}auditor')
                             OR pg_catalog.starts_with(name, '{prefix}o_')), 'LOGIN')) attribute(there, word)
   WHERE there
  UNION ALL
  -- Tenants' roles are members of it: they would see and end the sessions of such a login.
  SELECT 'role_attribute', pg_catalog.format('role %s has LOGIN', name),
         pg_catalog.format('run `tenantry migrate up`, and then: ALTER ROLE %I NOLOGIN', name)
    FROM ours WHERE rolcanlogin AND name ~ '^{prefix}on_.*_reader$'
  UNION ALL
  SELECT 'role_setting', pg_catalog.concat_ws(' ', kind, ours.name, 'starts with', setting),
         pg_catalog.format('ALTER %s RESET %s', target, pg_catalog.split_part(setting, '=', 1))
    FROM pg_catalog.pg_db_role_setting s LEFT JOIN ours ON ours.oid = s.setrole
    LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase, pg_catalog.unnest(s.setconfig) setting,
         LATERAL (SELECT CASE WHEN s.setrole <> 0 THEN 'role' WHEN s.setdatabase = 0 THEN 'everybody'
                              ELSE 'whoever connects to ' || pg_catalog.quote_ident(d.datname) END AS kind,
                         CASE WHEN s.setrole = 0 AND s.setdatabase <> 0 THEN pg_catalog.format('DATABASE %I', d.datname)
                              ELSE 'ROLE ' || CASE s.setrole WHEN 0 THEN 'ALL' ELSE pg_catalog.quote_ident(ours.name) END
                                   || CASE s.setdatabase WHEN 0 THEN '' ELSE pg_catalog.format(' IN DATABASE %I', d.datname) END
                              END AS target) of
   WHERE (s.setrole = 0 OR ours.oid IS NOT NULL)
     AND (s.setdatabase = 0 OR d.datname = pg_catalog.current_database() OR pg_catalog.starts_with(d.datname::text, '{prefix}'))
     AND (setting ~* '^(tenantry\.|role=|row_security=|session_authorization=|standard_conforming_strings=|client_encoding=|event_triggers=|track_counts=)'
          OR setting ~* '^session_replication_role=' AND NOT coalesce(ours.name ~ '^{prefix}on_.*_m[0-9]+$', false)
          OR ours.name ~ '^{prefix}on_.*_m[0-9]+$' AND setting !~ '^session_replication_role=')
  UNION ALL
  -- A login of the schemas may be a member of tenants' roles, that of the rows of their role, and of nothing else; a tenant's
  -- role of the reader of the shared tables.
  SELECT 'role_membership', pg_catalog.format('role %s is a member of %s', ours.name, other.rolname),
         pg_catalog.format('REVOKE %I FROM %I', other.rolname, ours.name)
    FROM ours JOIN pg_catalog.pg_auth_members m ON m.member = ours.oid
    JOIN pg_catalog.pg_roles other ON other.oid = m.roleid
   WHERE m.admin_option OR NOT (ours.rolcanlogin
                                AND NOT EXISTS (SELECT FROM pg_catalog.pg_database d WHERE d.datname = other.rolname)
                                AND (ours.name = '{own}' OR ours.name ~ '^{prefix}on_.*_s[0-9]+$')
                                AND pg_catalog.starts_with(other.rolname::text, '{tenants}')
                            OR (ours.name = '{own}' OR ours.name LIKE '%\_row') AND other.rolname = '{prefix}rows'
                            OR ours.is_of_schema AND pg_catalog.starts_with(other.rolname::text, '{prefix}')
                                AND other.rolname LIKE '%\_reader'
                            -- An owner of tenants' tables may refer to the shared tables, and a slot that runs a file is
                            -- a member of what the file's target belongs to.
                            OR NOT ours.rolcanlogin AND other.rolname = '{prefix}authors'
                                AND (pg_catalog.starts_with(ours.name, '{prefix}o_') OR ours.name = '{prefix}rows_owner')
                            -- It counts rows, in sessions of a slot that write nothing.
                            OR ours.name = '{prefix}auditor' AND other.rolname = 'pg_read_all_data'
                            OR ours.name ~ '^{prefix}on_.*_m[0-9]+$'
                                AND EXISTS (SELECT FROM pg_catalog.pg_stat_activity s WHERE s.usename = ours.rolname))
) finding ORDER BY code, what
