//! What must be refused because it runs where no statement calls it, or later than it was looked at.

/// Refused in row isolation, each by its code.
pub(super) const LATER: &[(&str, &str, &str)] = &[
    (
        "a range whose difference is the app's",
        "CREATE FUNCTION apart(a text, b text) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT 1::float8';
         CREATE TYPE span AS RANGE (SUBTYPE = text, SUBTYPE_DIFF = apart)",
        "range_function",
    ),
    (
        "an operator whose negator runs what is no constant",
        "CREATE FUNCTION same(a text, b text) RETURNS boolean LANGUAGE sql IMMUTABLE SET search_path = tenant AS 'SELECT a = b';
         CREATE FUNCTION other(a text, b text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN a <> (SELECT min(username) FROM users); END $$;
         CREATE OPERATOR ==== (FUNCTION = same, LEFTARG = text, RIGHTARG = text, NEGATOR = !===);
         CREATE OPERATOR !=== (FUNCTION = other, LEFTARG = text, RIGHTARG = text, NEGATOR = ====)",
        "operator_partner",
    ),
    (
        "an operator whose commutator runs what is no constant",
        "CREATE FUNCTION same(a text, b text) RETURNS boolean LANGUAGE sql IMMUTABLE SET search_path = tenant AS 'SELECT a = b';
         CREATE FUNCTION other(a text, b text) RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN a <> (SELECT min(username) FROM users); END $$;
         CREATE OPERATOR <<<% (FUNCTION = same, LEFTARG = text, RIGHTARG = text, COMMUTATOR = %>>>);
         CREATE OPERATOR %>>> (FUNCTION = other, LEFTARG = text, RIGHTARG = text, COMMUTATOR = <<<%)",
        "operator_partner",
    ),
    (
        "a function that is changed below a generated column",
        "CREATE FUNCTION late(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT n';
         CREATE TABLE parts (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint, n bigint GENERATED ALWAYS AS (late(id)) STORED);
         CREATE OR REPLACE FUNCTION late(n bigint) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN (SELECT count(*) FROM users); END $$",
        "immutable_depends",
    ),
    (
        "a function that is changed below the operator of an index",
        "CREATE FUNCTION late(a text, b text) RETURNS boolean LANGUAGE sql IMMUTABLE SET search_path = tenant AS 'SELECT a = b';
         CREATE OPERATOR === (FUNCTION = late, LEFTARG = text, RIGHTARG = text);
         CREATE INDEX ON users (tenant_id) WHERE username === 'x';
         ALTER FUNCTION late(text, text) VOLATILE",
        "immutable_depends",
    ),
    (
        "a function that is changed below the key of partitions",
        "CREATE FUNCTION late(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT n';
         CREATE TABLE parts (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint) PARTITION BY LIST (late(id));
         CREATE OR REPLACE FUNCTION late(n bigint) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN (SELECT count(*) FROM users); END $$",
        "immutable_depends",
    ),
    (
        "a function that is changed below statistics",
        "CREATE FUNCTION late(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT n';
         CREATE STATISTICS lates ON username, (late(id)) FROM users;
         CREATE OR REPLACE FUNCTION late(n bigint) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN (SELECT count(*) FROM users); END $$",
        "immutable_depends",
    ),
    (
        "a generated column that a reference's action computes",
        "CREATE FUNCTION late(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT n';
         CREATE TABLE parts (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint, item_id bigint, n bigint GENERATED ALWAYS AS (late(item_id)) STORED,
           PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, item_id) REFERENCES items ON DELETE SET NULL (item_id));
         CREATE OR REPLACE FUNCTION late(n bigint) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN (SELECT count(*) FROM users); END $$",
        "code_in_cascade",
    ),
    (
        "an index that a reference's action computes",
        "CREATE FUNCTION late(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT n';
         CREATE TABLE parts (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint, item_id bigint, n text,
           PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, item_id) REFERENCES items ON DELETE SET NULL (item_id));
         CREATE INDEX ON parts (tenant_id, late(item_id));
         CREATE OR REPLACE FUNCTION late(n bigint) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN (SELECT count(*) FROM users); END $$",
        "code_in_cascade",
    ),
    (
        "a key of partitions that a reference's action computes",
        "CREATE FUNCTION late(n bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT n';
         CREATE TABLE parts (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), item_id bigint,
           FOREIGN KEY (tenant_id, item_id) REFERENCES items ON DELETE SET NULL (item_id)) PARTITION BY LIST (late(item_id));
         CREATE OR REPLACE FUNCTION late(n bigint) RETURNS bigint LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN (SELECT count(*) FROM users); END $$",
        "code_in_cascade",
    ),
    (
        "the default of a domain that a reference's action sets",
        "CREATE FUNCTION seen() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM users); END $$;
         CREATE DOMAIN ref AS bigint DEFAULT seen();
         CREATE TABLE parts (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint, item_id ref,
           PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, item_id) REFERENCES items ON DELETE SET DEFAULT (item_id))",
        "code_in_cascade",
    ),
    (
        "a trigger that gives a row to another tenant while a reference acts",
        "CREATE TABLE parts (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint, item_id bigint, n uuid,
           PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, item_id) REFERENCES items ON DELETE SET NULL (item_id));
         CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.tenant_id := coalesce(NEW.n, NEW.tenant_id); RETURN NEW; END $$;
         CREATE TRIGGER touch BEFORE UPDATE ON parts FOR EACH ROW EXECUTE FUNCTION touch()",
        "trigger_in_cascade",
    ),
    (
        "a domain whose check calls a function of the server's",
        "CREATE DOMAIN de AS text CHECK (VALUE <> current_setting('tenantry.x', true))",
        "domain_calls",
    ),
    (
        "a domain whose check asks who it is",
        "CREATE DOMAIN de AS text CHECK (VALUE <> current_user)",
        "domain_calls",
    ),
    (
        "the default of an argument of a folded function",
        "CREATE FUNCTION seen() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM users); END $$;
         CREATE FUNCTION f(n bigint DEFAULT seen()) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT n'",
        "immutable_reads",
    ),
    (
        "the default of an argument of a folded function, of the server's",
        "CREATE FUNCTION f(t text DEFAULT current_setting('tenantry.tenant')) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT t'",
        "immutable_reads",
    ),
    (
        "the default of an argument of a folded function, by an operator",
        "CREATE FUNCTION beside(a text, b text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT min(username) FROM users); END $$;
         CREATE OPERATOR %%% (FUNCTION = beside, LEFTARG = text, RIGHTARG = text);
         CREATE FUNCTION f(t text DEFAULT ('a'::text %%% 'b'::text)) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT t'",
        "immutable_reads",
    ),
    (
        "a type by the name of the server's",
        "CREATE TYPE \"text\" AS ENUM ('a')",
        "name_of_server",
    ),
    (
        "a path in which the server's schema comes late",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET search_path = tenant, pg_catalog AS 'SELECT 1'",
        "function_search_path",
    ),
    (
        "a path that is no list of names",
        "DO $do$ BEGIN PERFORM set_config('search_path', 'tenant,shared,x;commit;', true);
           EXECUTE $x$ CREATE FUNCTION tenant.f() RETURNS int LANGUAGE sql IMMUTABLE SET search_path FROM CURRENT AS 'SELECT 1' $x$; END $do$",
        "function_search_path",
    ),
    (
        "a function that makes a table by SELECT",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ SELECT 'x'::text AS v INTO stash $$",
        "function_defines",
    ),
    (
        "a function that explains",
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'EXPLAIN ANALYZE CREATE TABLE stash AS SELECT 1'; END $$",
        "function_defines",
    ),
    (
        "a function that reads what the planner knows",
        "CREATE FUNCTION f() RETURNS text LANGUAGE sql STABLE AS $$ SELECT most_common_vals::text FROM pg_stats LIMIT 1 $$",
        "function_scope",
    ),
    (
        "a function that reads counters",
        "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT pg_stat_get_xact_tuples_returned(1)'",
        "function_scope",
    ),
    (
        "a function that keeps a number in a sequence",
        "CREATE SEQUENCE channel; CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS $$ SELECT setval('channel', 7) $$",
        "function_scope",
    ),
    (
        "a view of counters",
        "CREATE VIEW counts WITH (security_invoker = true) AS SELECT idx_scan FROM pg_stat_user_indexes",
        "expression_scope",
    ),
    (
        "a function that replaces another",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           CREATE OR REPLACE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1'; RETURN NULL; END $$",
        "function_defines",
    ),
    (
        "a function that builds an index anew",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS 'REINDEX (VERBOSE) TABLE users'",
        "function_defines",
    ),
    (
        "a column of a shared domain",
        "CREATE DOMAIN shared.email AS text; ALTER TABLE users ADD COLUMN mail shared.email",
        "shared_domain",
    ),
    (
        "a domain over a shared domain",
        "CREATE DOMAIN shared.email AS text; CREATE DOMAIN mail AS shared.email",
        "shared_domain",
    ),
    (
        "a composite that has a shared domain",
        "CREATE DOMAIN shared.email AS text; CREATE TYPE card AS (name text, mail shared.email)",
        "shared_domain",
    ),
    (
        "a column of many of a shared domain",
        "CREATE DOMAIN shared.email AS text; ALTER TABLE users ADD COLUMN mails shared.email[]",
        "shared_domain",
    ),
    (
        "a function that makes a table by SELECT, behind a label",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ SELECT 'x'::text AS v, 1 AS merge INTO stash $$",
        "function_defines",
    ),
    (
        "a function that makes a table by SELECT, behind a parenthesis",
        "CREATE FUNCTION f() RETURNS void LANGUAGE sql AS $$ INSERT INTO users (username) VALUES ('a'); SELECT (1) insert INTO stash $$",
        "function_defines",
    ),
    (
        "a function that empties a table with the name of a word",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN TRUNCATE between; RETURN NULL; END $$",
        "function_defines",
    ),
];
