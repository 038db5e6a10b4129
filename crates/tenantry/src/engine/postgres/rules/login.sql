-- Why the login of this connection must not be used: rows (reason).
WITH me AS MATERIALIZED (
  SELECT * FROM pg_catalog.pg_roles WHERE rolname = session_user
),
direct AS MATERIALIZED (
  SELECT m.roleid, m.admin_option{inherits} AS too_much
    FROM pg_catalog.pg_auth_members m WHERE m.member = (SELECT oid FROM me)
)
SELECT reason FROM (
  SELECT v.reason FROM me, LATERAL (VALUES
    (me.rolsuper, 'it is a superuser'),
    (me.rolbypassrls, 'it has BYPASSRLS'),
    (me.rolcreaterole, 'it has CREATEROLE'),
    (me.rolcreatedb, 'it has CREATEDB'),
    (me.rolreplication, 'it has REPLICATION'),
    (me.rolinherit, 'it has INHERIT, so that it holds the rights of every role it is a member of'),
    (current_user <> session_user, 'it works as ' || current_user)
  ) v(holds, reason) WHERE v.holds
  UNION ALL
  SELECT 'it owns ' || pg_catalog.pg_describe_object(o.classid, o.objid, 0)
    FROM (SELECT d.classid, d.objid FROM pg_catalog.pg_shdepend d
           WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass AND d.refobjid = (SELECT oid FROM me) AND d.deptype = 'o'
             AND d.dbid IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
           LIMIT 3) o
  UNION ALL
  SELECT reason FROM (
    SELECT CASE WHEN NOT {expected} THEN 'it is a member of ' || r.rolname
                WHEN direct.too_much THEN 'it inherits the rights of ' || r.rolname || ' or may grant them'
                ELSE 'it is a member of ' || r.rolname || ', which is more than a tenant''s role' END AS reason
      FROM direct JOIN pg_catalog.pg_roles r ON r.oid = direct.roleid
     WHERE NOT {expected} OR direct.too_much OR r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb
        OR r.rolreplication
     LIMIT 3) member
  UNION ALL
  SELECT reason FROM (
    SELECT 'it is a member of ' || pg_catalog.pg_get_userbyid(m.roleid) || ' through '
           || pg_catalog.pg_get_userbyid(m.member) AS reason
      FROM (SELECT roleid AS oid FROM direct
            UNION ALL SELECT oid FROM pg_catalog.pg_roles WHERE rolname = '{reader}') held
      JOIN pg_catalog.pg_auth_members m ON m.member = held.oid
      JOIN pg_catalog.pg_roles r ON r.oid = m.roleid
     -- Tenants' roles read the shared tables as members of one role, which itself may nothing else.
     WHERE r.rolname <> '{reader}' OR r.rolsuper OR r.rolbypassrls OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication
     LIMIT 3) indirect
) breach
