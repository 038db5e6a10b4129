//! Functions and expressions that must be refused, in many spellings.

/// Refused in row isolation, each by its code.
pub(super) const FUNCTIONS: &[(&str, &str, &str)] = &[
    (
        "a folded function that joins its argument with a table",
        "CREATE FUNCTION names_of(ids bigint[]) RETURNS text LANGUAGE sql IMMUTABLE AS
           $$SELECT string_agg(p.username, ',') FROM unnest(ids) u(id), users p WHERE p.id = u.id$$",
        "immutable_reads",
    ),
    (
        "a folded function with a comment before its table",
        "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT count(*) FROM /* here */ users'",
        "immutable_reads",
    ),
    (
        "a folded function with a join in parentheses",
        "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql IMMUTABLE AS
           'SELECT count(*) FROM (users JOIN items ON users.id = items.id)'",
        "immutable_reads",
    ),
    (
        "a folded function with quoted and escaped names",
        "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql IMMUTABLE AS
           'SELECT count(*) FROM \"tenant\".U&\"\\0075sers\"'",
        "immutable_reads",
    ),
    (
        "a folded function that reads a view",
        "CREATE VIEW v WITH (security_invoker) AS SELECT 1 AS one FROM users;
         CREATE FUNCTION f() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT count(one) FROM v'",
        "immutable_reads",
    ),
    (
        "a function that is made foldable later",
        "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM users';
         ALTER FUNCTION f() IMMUTABLE",
        "immutable_reads",
    ),
    (
        "a folded function through an operator",
        "CREATE FUNCTION n(int, int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM users';
         CREATE OPERATOR ### (LEFTARG = int, RIGHTARG = int, FUNCTION = n);
         CREATE FUNCTION f() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 1 ### 2'",
        "immutable_reads",
    ),
    (
        "a folded function through an aggregate",
        "CREATE FUNCTION n(bigint, int) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT $1 + count(*) FROM users';
         CREATE AGGREGATE total(int) (SFUNC = n, STYPE = bigint, INITCOND = '0');
         CREATE FUNCTION f() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT total(x) FROM unnest(ARRAY[1]) x'",
        "immutable_reads",
    ),
    (
        "a folded function through an overload",
        "CREATE FUNCTION lower(bigint) RETURNS text LANGUAGE sql STABLE AS 'SELECT max(username) FROM users';
         CREATE FUNCTION f() RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower(1::bigint)'",
        "immutable_reads",
    ),
    (
        "a folded function through the check of a domain",
        "CREATE FUNCTION known(text) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT EXISTS (SELECT FROM users WHERE username = $1)';
         CREATE DOMAIN handle AS text CHECK (known(VALUE));
         CREATE FUNCTION f(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT t::handle::text'",
        "immutable_reads",
    ),
    (
        "a folded function through a cast",
        "CREATE TYPE pair AS (a int, b int);
         CREATE FUNCTION counted(pair) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM users';
         CREATE CAST (pair AS bigint) WITH FUNCTION counted(pair);
         CREATE FUNCTION f() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT ROW(1, 2)::pair::bigint'",
        "immutable_reads",
    ),
    (
        "a folded function of a parsed body",
        "CREATE FUNCTION f() RETURNS bigint IMMUTABLE RETURN (SELECT count(*) FROM users)",
        "immutable_reads",
    ),
    (
        "a folded function that asks who is there",
        "CREATE FUNCTION f() RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT session_user::text'",
        "immutable_reads",
    ),
    (
        "a folded function whose text the server did not read",
        "SET LOCAL check_function_bodies = off;
         CREATE FUNCTION f() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 1; END; DROP TABLE users; SELECT 2'",
        "immutable_reads",
    ),
    (
        "a folded function of any type",
        "CREATE FUNCTION f(anyelement) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT count(*) FROM users'",
        "immutable_reads",
    ),
    (
        "a folded function that puts its text together",
        "CREATE FUNCTION f(t text) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS
           $$DECLARE n bigint; BEGIN EXECUTE 'SELECT count(*) FROM ' || t INTO n; RETURN n; END$$",
        "immutable_reads",
    ),
    (
        "a folded function of the shared schema that finds the tenant's",
        "SET LOCAL check_function_bodies = off; RESET ROLE;
         CREATE FUNCTION tenant.helper(text) RETURNS text LANGUAGE sql STABLE AS 'SELECT max(username) FROM users';
         CREATE FUNCTION shared.helped(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT helper($1)'",
        "immutable_unbound",
    ),
    (
        "a body that sets the time zone",
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$BEGIN SET TIME ZONE 'Asia/Tokyo'; END$$",
        "function_scope",
    ),
    (
        "a body that makes the session read only",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY'",
        "function_scope",
    ),
    (
        "a body that sets a setting with a digit",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$SET app.v2x = 'a'$$",
        "function_scope",
    ),
    ("a body that sets the seed", "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'SELECT setseed(0.42)'", "function_scope"),
    ("a body that resets", "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS 'BEGIN RESET timezone; END'", "function_scope"),
    ("a body that listens", "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS 'BEGIN LISTEN c; END'", "function_scope"),
    ("a body that asks for the last value", "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT lastval()'", "function_scope"),
    (
        "a body that looks at others' statements",
        "CREATE FUNCTION f() RETURNS SETOF text LANGUAGE sql AS
           'SELECT query FROM pg_stat_activity WHERE usename = session_user'",
        "function_scope",
    ),
    (
        "a body that commits",
        "CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN COMMIT; END'",
        "function_scope",
    ),
    (
        "a body that runs a text it is given",
        "CREATE FUNCTION f(t text) RETURNS void LANGUAGE plpgsql AS 'BEGIN EXECUTE t; END'",
        "dynamic_sql",
    ),
    (
        "a body that locks a table in common",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'LOCK TABLE users IN ACCESS EXCLUSIVE MODE'",
        "function_locks",
    ),
    (
        "an aggregate over set_config",
        "CREATE AGGREGATE pick(text, boolean) (SFUNC = pg_catalog.set_config, STYPE = text)",
        "expression_scope",
    ),
    (
        "an operator over a function of the session",
        "CREATE OPERATOR ### (RIGHTARG = regclass, FUNCTION = pg_catalog.currval)",
        "expression_scope",
    ),
    (
        "a default of an argument that sets",
        "CREATE FUNCTION f(t text DEFAULT set_config('a.b', 'c', false)) RETURNS text LANGUAGE sql AS 'SELECT t'",
        "function_scope",
    ),
    (
        "a default that asks for the last value",
        "ALTER TABLE items ADD COLUMN n bigint DEFAULT lastval()",
        "expression_scope",
    ),
    (
        "a domain that sets",
        "CREATE DOMAIN d AS text CHECK (set_config('a.b', VALUE, false) <> '')",
        "expression_scope",
    ),
    (
        "a domain with a default that sets",
        "CREATE DOMAIN d AS text DEFAULT set_config('a.b', 'c', false)",
        "expression_scope",
    ),
    (
        "a policy that sets",
        "CREATE POLICY p ON users AS RESTRICTIVE USING (set_config('a.b', username, false) <> '')",
        "expression_scope",
    ),
    (
        "a trigger's condition that locks",
        "CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER t BEFORE UPDATE ON users FOR EACH ROW WHEN (pg_try_advisory_lock(NEW.id)) EXECUTE FUNCTION t()",
        "expression_scope",
    ),
    (
        "a view that reads others' statements",
        "CREATE VIEW v WITH (security_invoker) AS SELECT query FROM pg_stat_activity",
        "expression_scope",
    ),
    (
        "a view that runs a text",
        "CREATE VIEW v WITH (security_invoker) AS SELECT query_to_xml('set role none', true, true, '') FROM users",
        "expression_scope",
    ),
    (
        "a parsed body that locks",
        "CREATE FUNCTION f() RETURNS void BEGIN ATOMIC SELECT pg_advisory_lock(1); END",
        "function_scope",
    ),
    (
        "a trigger that counts before a reference's cascade deletes",
        "CREATE TABLE parts (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint, item_id bigint,
           PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, item_id) REFERENCES items ON DELETE CASCADE);
         CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN UPDATE users SET username = username || '!'; RETURN OLD; END $$;
         CREATE TRIGGER gone BEFORE DELETE ON parts FOR EACH ROW EXECUTE FUNCTION gone()",
        "trigger_in_cascade",
    ),
    (
        "a trigger that reads before a reference sets null",
        "CREATE TABLE parts (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint, item_id bigint, n bigint,
           PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, item_id) REFERENCES items ON DELETE SET NULL (item_id));
         CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN NEW.n := (SELECT count(*) FROM users); RETURN NEW; END $$;
         CREATE TRIGGER seen BEFORE UPDATE ON parts FOR EACH ROW EXECUTE FUNCTION seen()",
        "trigger_in_cascade",
    ),
    (
        "a cast that runs where a reference is checked",
        "CREATE TYPE sneak AS ENUM ('one');
         CREATE FUNCTION sneak_int(sneak) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;
         CREATE CAST (sneak AS int) WITH FUNCTION sneak_int(sneak) AS IMPLICIT",
        "cast_function",
    ),
    (
        "a cast of a table's row",
        "CREATE FUNCTION item_int(items) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;
         CREATE CAST (items AS int) WITH FUNCTION item_int(items) AS IMPLICIT",
        "cast_function",
    ),
    (
        "a cast of an array",
        "CREATE TYPE pair AS (a text);
         CREATE FUNCTION pairs_int(pair[]) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;
         CREATE CAST (pair[] AS int) WITH FUNCTION pairs_int(pair[]) AS ASSIGNMENT",
        "cast_function",
    ),
    (
        "a function whose texts are read by other rules",
        "CREATE FUNCTION peek() RETURNS SETOF text LANGUAGE plpgsql SET standard_conforming_strings = off AS
           $$ BEGIN RETURN QUERY SELECT username FROM users; END $$",
        "function_setting",
    ),
    (
        "a check that a reference's action evaluates",
        "CREATE TABLE parts (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint, item_id bigint, n text,
           PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, item_id) REFERENCES items ON DELETE SET NULL (item_id));
         CREATE FUNCTION seen(t text) RETURNS boolean LANGUAGE plpgsql STABLE AS
           $$ BEGIN RETURN t <> (SELECT string_agg(username, ',') FROM users); END $$;
         ALTER TABLE parts ADD CHECK (seen(n))",
        "code_in_cascade",
    ),
    (
        "a default that a reference sets",
        "CREATE TABLE parts (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint, item_id bigint, n text,
           PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, item_id) REFERENCES items ON DELETE SET DEFAULT (item_id));
         CREATE FUNCTION seen(t text) RETURNS boolean LANGUAGE plpgsql STABLE AS
           $$ BEGIN RETURN t <> (SELECT string_agg(username, ',') FROM users); END $$;
         CREATE FUNCTION count_users() RETURNS bigint LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT count(*) FROM users); END $$;
         ALTER TABLE parts ALTER COLUMN item_id SET DEFAULT count_users()",
        "code_in_cascade",
    ),
    (
        "a domain whose check a reference's action evaluates",
        "CREATE TABLE parts (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint, item_id bigint, n text,
           PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, item_id) REFERENCES items ON DELETE SET NULL (item_id));
         CREATE FUNCTION seen(t text) RETURNS boolean LANGUAGE plpgsql STABLE AS
           $$ BEGIN RETURN t <> (SELECT string_agg(username, ',') FROM users); END $$;
         CREATE DOMAIN odd AS text CHECK (seen(VALUE)); ALTER TABLE parts ADD COLUMN o odd",
        "code_in_cascade",
    ),
    (
        "an operator in a check that a reference's action evaluates",
        "CREATE TABLE parts (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint, item_id bigint, n text,
           PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, item_id) REFERENCES items ON DELETE SET NULL (item_id));
         CREATE FUNCTION seen(t text) RETURNS boolean LANGUAGE plpgsql STABLE AS
           $$ BEGIN RETURN t <> (SELECT string_agg(username, ',') FROM users); END $$;
         CREATE FUNCTION beside(a text, b text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN a <> (SELECT min(username) FROM users); END $$;
         CREATE OPERATOR ### (FUNCTION = beside, LEFTARG = text, RIGHTARG = text);
         ALTER TABLE parts ADD CHECK (n ### 'x')",
        "code_in_cascade",
    ),
    (
        "a condition of a trigger that a reference's action evaluates",
        "CREATE TABLE parts (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint, item_id bigint, n text,
           PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, item_id) REFERENCES items ON DELETE CASCADE);
         CREATE FUNCTION seen(t text) RETURNS boolean LANGUAGE plpgsql STABLE AS
           $$ BEGIN RETURN t <> (SELECT string_agg(username, ',') FROM users); END $$;
         CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$;
         CREATE TRIGGER gone AFTER DELETE ON parts FOR EACH ROW WHEN (seen(OLD.n)) EXECUTE FUNCTION gone()",
        "code_in_cascade",
    ),
    (
        "a trigger before the statement of a reference's action",
        "CREATE TABLE parts (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint, item_id bigint, n text,
           PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, item_id) REFERENCES items ON DELETE CASCADE);
         CREATE FUNCTION seen(t text) RETURNS boolean LANGUAGE plpgsql STABLE AS
           $$ BEGIN RETURN t <> (SELECT string_agg(username, ',') FROM users); END $$;
         CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE users SET username = 'x'; RETURN NULL; END $$;
         CREATE TRIGGER gone BEFORE DELETE ON parts FOR EACH STATEMENT EXECUTE FUNCTION gone()",
        "trigger_in_cascade",
    ),
    (
        "a function by the name of the server's",
        "CREATE FUNCTION lower(items) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN 'x'; END $$",
        "name_of_server",
    ),
    (
        "an aggregate by the name of the server's",
        "CREATE FUNCTION adds(n numeric, i items) RETURNS numeric LANGUAGE sql AS 'SELECT 1::numeric';
         CREATE AGGREGATE sum(items) (SFUNC = adds, STYPE = numeric)",
        "name_of_server",
    ),
    (
        "an operator by the name of the server's",
        "CREATE FUNCTION same(a items, b items) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN true; END $$;
         CREATE OPERATOR = (FUNCTION = same, LEFTARG = items, RIGHTARG = items)",
        "name_of_server",
    ),
    (
        "a function that is changed below an IMMUTABLE one",
        "CREATE FUNCTION below(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT t';
         CREATE FUNCTION above(t text) RETURNS text LANGUAGE sql IMMUTABLE RETURN below(t);
         ALTER FUNCTION below(text) STABLE",
        "immutable_depends",
    ),
    (
        "a trigger that runs where a reference moves a row to another partition",
        "CREATE TABLE parts (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint, item_id bigint, n text,
           FOREIGN KEY (tenant_id, item_id) REFERENCES items (tenant_id, id) ON DELETE SET NULL (item_id)) PARTITION BY LIST (item_id);
         CREATE TABLE parts_null PARTITION OF parts FOR VALUES IN (NULL);
         CREATE TABLE parts_rest PARTITION OF parts DEFAULT;
         CREATE FUNCTION moved() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN NEW.n := (SELECT string_agg(username, ',') FROM users); RETURN NEW; END $$;
         CREATE TRIGGER moved BEFORE INSERT ON parts FOR EACH ROW EXECUTE FUNCTION moved()",
        "trigger_in_cascade",
    ),
    (
        "a trigger in a cascade with an operator of the app's",
        "CREATE TABLE parts (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint, item_id bigint, n text,
           PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, item_id) REFERENCES items ON DELETE CASCADE);
         CREATE FUNCTION seen(t text) RETURNS boolean LANGUAGE plpgsql STABLE AS
           $$ BEGIN RETURN t <> (SELECT string_agg(username, ',') FROM users); END $$;
         CREATE FUNCTION beside(a text, b text) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT min(username) FROM users); END $$;
         CREATE OPERATOR ### (FUNCTION = beside, LEFTARG = text, RIGHTARG = text);
         CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN OLD.n := OLD.n ### 'x'; RETURN OLD; END $$;
         CREATE TRIGGER gone BEFORE DELETE ON parts FOR EACH ROW EXECUTE FUNCTION gone()",
        "trigger_in_cascade",
    ),
    (
        "a trigger in a cascade with a domain's check",
        "CREATE TABLE parts (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint, item_id bigint, n text,
           PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, item_id) REFERENCES items ON DELETE CASCADE);
         CREATE FUNCTION seen(t text) RETURNS boolean LANGUAGE plpgsql STABLE AS
           $$ BEGIN RETURN t <> (SELECT string_agg(username, ',') FROM users); END $$;
         CREATE DOMAIN odd AS text CHECK (seen(VALUE));
         CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE o odd; BEGIN o := OLD.n; RETURN OLD; END $$;
         CREATE TRIGGER gone BEFORE DELETE ON parts FOR EACH ROW EXECUTE FUNCTION gone()",
        "trigger_in_cascade",
    ),
    (
        "a trigger in a cascade that calls a function like a column",
        "CREATE TABLE parts (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint, item_id bigint, n text,
           PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, item_id) REFERENCES items ON DELETE CASCADE);
         CREATE FUNCTION seen(t text) RETURNS boolean LANGUAGE plpgsql STABLE AS
           $$ BEGIN RETURN t <> (SELECT string_agg(username, ',') FROM users); END $$;
         CREATE FUNCTION peek(p parts) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT min(username) FROM users); END $$;
         CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE p parts; BEGIN p := OLD; OLD.n := (p).peek; RETURN OLD; END $$;
         CREATE TRIGGER gone BEFORE DELETE ON parts FOR EACH ROW EXECUTE FUNCTION gone()",
        "trigger_in_cascade",
    ),
    (
        "a function that takes a wall down",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ALTER TABLE users DISABLE ROW LEVEL SECURITY; RETURN NULL; END $$",
        "function_defines",
    ),
    (
        "a function that empties a table",
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'TRUNCATE users'; END $$",
        "function_defines",
    ),
    (
        "a function that gives rights away",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'GRANT SELECT ON users TO PUBLIC'",
        "function_defines",
    ),
    (
        "a function that chooses plans",
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET LOCAL enable_bitmapscan = on; END $$",
        "function_plans",
    ),
    (
        "a function that leaves its statement less memory",
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET LOCAL work_mem = '64kB'; END $$",
        "function_plans",
    ),
    (
        "a function that tells how large a table of all tenants is",
        "CREATE FUNCTION f() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN pg_relation_size('users'); END $$",
        "function_scope",
    ),
    (
        "a function that tells how far the log has grown",
        "CREATE FUNCTION f() RETURNS numeric LANGUAGE plpgsql AS $$ BEGIN RETURN pg_current_wal_insert_lsn() - '0/0'; END $$",
        "function_scope",
    ),
    (
        "a function that chooses plans by what they cost, in a text",
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'SET LOCAL \"Seq_Page_Cost\" = 1e9'; END $$",
        "function_plans",
    ),
    (
        "a function with a setting for plans",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET timezone = 'UTC' SET gin_fuzzy_search_limit = 1 AS 'SELECT 1'",
        "function_plans",
    ),
    (
        "a function that changes how texts are read",
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET LOCAL client_encoding = 'GBK'; END $$",
        "function_scope",
    ),
    (
        "a function that changes how texts are read, by another word",
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET LOCAL NAMES 'SJIS'; END $$",
        "function_scope",
    ),
    (
        "a domain whose check runs what is no constant",
        "CREATE FUNCTION esc(a text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN a <> (SELECT min(username) FROM users); END $$;
         CREATE DOMAIN de AS text CHECK (esc(VALUE))",
        "domain_calls",
    ),
    (
        "a domain whose check calls by an operator",
        "CREATE FUNCTION beside(a text, b text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN a <> (SELECT min(username) FROM users); END $$;
         CREATE OPERATOR ### (FUNCTION = beside, LEFTARG = text, RIGHTARG = text);
         CREATE DOMAIN de AS text CHECK (VALUE ### 'x')",
        "domain_calls",
    ),
    (
        "a folded function that reads a text as a domain",
        "CREATE FUNCTION esc(a text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN a <> (SELECT min(username) FROM users); END $$;
         CREATE DOMAIN de AS text CHECK (esc(VALUE));
         CREATE FUNCTION f() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT ('{x}'::de[])::text $$",
        "domain_calls",
    ),
    (
        "a function that runs a program",
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN COPY (SELECT current_user) TO PROGRAM 'cat'; END $$",
        "function_defines",
    ),
    (
        "a function that does not let itself be stopped",
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN LOOP BEGIN PERFORM pg_sleep(1); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$",
        "function_scope",
    ),
    (
        "a function that does not let itself be stopped, by the code",
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1); EXCEPTION WHEN SQLSTATE '57014' THEN NULL; END $$",
        "function_scope",
    ),
];
