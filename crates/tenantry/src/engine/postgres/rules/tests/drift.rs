//! What an administrator did behind the engine's back.

/// What an administrator did behind the engine's back, found by `doctor` in row isolation: `protect` does not run.
pub(super) const DRIFT: &[(&str, &str, &str)] = &[
    ("a table of another owner", "ALTER TABLE users OWNER TO CURRENT_USER", "wrong_owner"),
    ("a function of another owner", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "wrong_owner"),
    ("a schema of another owner", "ALTER SCHEMA tenant OWNER TO CURRENT_USER", "wrong_owner"),
    ("a table that the login owns", "ALTER TABLE users OWNER TO {role}", "role_owns"),
    ("row security switched off", "ALTER TABLE users DISABLE ROW LEVEL SECURITY", "rls_off"),
    ("row security not forced", "ALTER TABLE users NO FORCE ROW LEVEL SECURITY", "rls_off"),
    ("a dropped policy", "DROP POLICY \"!tenantry\" ON users", "policy_altered"),
    ("a widened policy", "ALTER POLICY \"!tenantry\" ON users USING (true)", "policy_altered"),
    (
        "the policy of an older version",
        "ALTER POLICY \"!tenantry\" ON users RENAME TO tenantry_isolation",
        "policy_former",
    ),
    (
        "a check of an older version",
        "ALTER POLICY \"!tenantry\" ON users
           WITH CHECK (tenant_id = (SELECT nullif(current_setting('tenantry.tenant', true), ''))::uuid)",
        "policy_altered",
    ),
    ("a right to empty the table", "GRANT TRUNCATE ON users TO {role}", "excess_privilege"),
    ("a right to refer to the table", "GRANT REFERENCES ON users TO {role}", "excess_privilege"),
    ("a right on a column", "GRANT UPDATE (username) ON users TO {role}", "excess_privilege"),
    ("a right that may be handed on", "GRANT SELECT ON users TO {role} WITH GRANT OPTION", "excess_privilege"),
    ("a right to make tables", "GRANT CREATE ON SCHEMA tenant TO {role}", "excess_privilege"),
    ("a right for everybody", "GRANT SELECT ON users TO PUBLIC", "granted_to_others"),
    ("a right for everybody by column", "GRANT SELECT (username) ON users TO PUBLIC", "granted_to_others"),
    ("the schema opened to everybody", "GRANT USAGE ON SCHEMA tenant TO PUBLIC", "granted_to_others"),
    (
        "a partition that is read directly",
        "CREATE TABLE events (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), at date NOT NULL) PARTITION BY RANGE (at);
         CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
         GRANT SELECT ON events_1 TO {role}",
        "excess_privilege",
    ),
    (
        "a function that sets the tenant",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET tenantry.tenant = '' AS 'SELECT 1'",
        "function_setting",
    ),
    (
        "a function that vouches for itself",
        "CREATE FUNCTION f(uuid) RETURNS boolean LANGUAGE plpgsql LEAKPROOF AS 'BEGIN RETURN true; END'",
        "leakproof_function",
    ),
    (
        "an index that a failed build left",
        "CREATE INDEX broken ON users (tenant_id, username);
         UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'tenant.broken'::regclass",
        "invalid_index",
    ),
    (
        "foreign keys switched off",
        "ALTER TABLE items ADD FOREIGN KEY (tenant_id, owner_id) REFERENCES users (tenant_id, id);
         ALTER TABLE items DISABLE TRIGGER ALL",
        "foreign_key_off",
    ),
    ("an extension among the tables", "CREATE EXTENSION pgcrypto SCHEMA tenant", "extension"),
    (
        "a foreign table",
        "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER elsewhere FOREIGN DATA WRAPPER nothing;
         CREATE FOREIGN TABLE far (tenant_id uuid NOT NULL DEFAULT tenantry.tenant()) SERVER elsewhere",
        "foreign_table",
    ),
];

/// Drift that no refusal is needed for: `protect` puts it right in the same transaction. Row isolation.
pub(super) const REPAIRED: &[(&str, &str)] = &[
    ("a dropped policy", "DROP POLICY \"!tenantry\" ON users"),
    ("a widened policy", "ALTER POLICY \"!tenantry\" ON users USING (true)"),
    ("a policy with a missing check", "ALTER POLICY \"!tenantry\" ON users WITH CHECK (true)"),
    ("a policy for one role", "ALTER POLICY \"!tenantry\" ON users TO pg_monitor"),
    (
        "a permissive policy of the name",
        "DROP POLICY \"!tenantry\" ON users; CREATE POLICY \"!tenantry\" ON users USING (true)",
    ),
    ("the policy of an older version", "ALTER POLICY \"!tenantry\" ON users RENAME TO tenantry_isolation"),
    ("row security switched off", "ALTER TABLE users DISABLE ROW LEVEL SECURITY"),
    ("row security not forced", "ALTER TABLE users NO FORCE ROW LEVEL SECURITY"),
    ("a right for everybody", "GRANT SELECT ON users TO PUBLIC"),
    ("a right for everybody by column", "GRANT SELECT (username) ON users TO PUBLIC"),
    ("the schema opened to everybody", "GRANT USAGE, CREATE ON SCHEMA tenant TO PUBLIC"),
    ("a table renamed with its policies", "ALTER TABLE users RENAME TO people"),
];
