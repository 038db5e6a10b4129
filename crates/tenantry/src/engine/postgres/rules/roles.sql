-- The installation's roles, all over the server, and the login that the operator has made for apps: rows (code, what, repair).
WITH ours AS MATERIALIZED (
  SELECT r.*, r.rolname::text AS name FROM pg_catalog.pg_roles r
   WHERE pg_catalog.starts_with(r.rolname::text, '{prefix}') OR r.rolname = '{own}'
)
SELECT code, what, repair FROM (
  SELECT 'role_attribute' AS code, pg_catalog.format('role %s has %s', ours.name, word) AS what,
         pg_catalog.format('ALTER ROLE %I NO%s', ours.name, word) AS repair
    FROM ours, LATERAL (VALUES (rolsuper, 'SUPERUSER'), (rolbypassrls, 'BYPASSRLS'), (rolcreaterole, 'CREATEROLE'),
           (rolcreatedb, 'CREATEDB'), (rolreplication, 'REPLICATION'), (rolcanlogin AND rolinherit, 'INHERIT'),
           (rolcanlogin AND (name IN ('{owner}', '{prefix}rows_owner', '{prefix}shared_owner', '{prefix}authors')
                             OR pg_catalog.starts_with(name, '{prefix}o_')), 'LOGIN')) attribute(there, word)
   WHERE there
  UNION ALL
  SELECT 'role_setting', pg_catalog.format('role %s starts with %s', ours.name, setting),
         pg_catalog.format('ALTER ROLE %I RESET %s', ours.name, pg_catalog.split_part(setting, '=', 1))
    FROM ours JOIN pg_catalog.pg_db_role_setting s ON s.setrole = ours.oid, pg_catalog.unnest(s.setconfig) setting
   WHERE setting ~* '^(tenantry\.|role=|row_security=|session_authorization=|standard_conforming_strings=)'
      OR ours.name ~ '^{prefix}on_.*_m[0-9]+$' AND setting !~ '^session_replication_role='
  UNION ALL
  -- A login may be a member of tenants' roles, that of the rows of their role, and of nothing else; a tenant's role of the
  -- reader of the shared tables.
  SELECT 'role_membership', pg_catalog.format('role %s is a member of %s', ours.name, other.rolname),
         pg_catalog.format('REVOKE %I FROM %I', other.rolname, ours.name)
    FROM ours JOIN pg_catalog.pg_auth_members m ON m.member = ours.oid
    JOIN pg_catalog.pg_roles other ON other.oid = m.roleid
   WHERE m.admin_option OR NOT (ours.rolcanlogin AND NOT other.rolcanlogin
                                AND pg_catalog.starts_with(other.rolname::text, '{tenants}')
                            OR (ours.name = '{own}' OR ours.name LIKE '%\_row') AND other.rolname = '{prefix}rows'
                            OR NOT ours.rolcanlogin AND pg_catalog.starts_with(ours.name, '{tenants}')
                                AND pg_catalog.starts_with(other.rolname::text, '{prefix}')
                                AND other.rolname LIKE '%\_reader'
                            -- An owner of tenants' tables may refer to the shared tables, and a slot that runs a file is
                            -- a member of what the file's target belongs to.
                            OR NOT ours.rolcanlogin AND other.rolname = '{prefix}authors'
                                AND (pg_catalog.starts_with(ours.name, '{prefix}o_') OR ours.name = '{prefix}rows_owner')
                            OR ours.rolcanlogin AND ours.name ~ '^{prefix}on_.*_m[0-9]+$'
                                AND EXISTS (SELECT FROM pg_catalog.pg_stat_activity s WHERE s.usename = ours.rolname))
) finding ORDER BY code, what
