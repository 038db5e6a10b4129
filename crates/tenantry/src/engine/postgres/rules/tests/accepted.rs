//! Migrations that must not be refused.

/// Accepted in every isolation: name and migration.
pub(super) const ACCEPTED: &[(&str, &str)] = &[
    (
        "functions in SQL that insert",
        "CREATE FUNCTION f(t text) RETURNS void LANGUAGE sql AS $$ INSERT INTO users (username) VALUES (t);
           WITH u AS (INSERT INTO users (username) SELECT t || 'x' RETURNING id) INSERT INTO items (id, owner_id) SELECT id, id FROM u $$",
    ),
    (
        "a domain whose check compares",
        "CREATE DOMAIN email AS text CHECK (VALUE ~ '^[^@]+@[^@]+$' AND length(VALUE) < 200 AND VALUE = lower(VALUE));
         CREATE DOMAIN part AS numeric DEFAULT 0 CHECK (VALUE BETWEEN 0 AND 1 AND VALUE <> ALL ('{0.5}'::numeric[]))",
    ),
    (
        "a folded function with defaults",
        "CREATE FUNCTION f(a int, b int DEFAULT 1 + 1, c text DEFAULT lower('X')) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT c || (a + b)'",
    ),
    (
        "operators that are each other's partners",
        "CREATE FUNCTION like_it(a text, b text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT a = b';
         CREATE FUNCTION unlike_it(a text, b text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT a <> b';
         CREATE OPERATOR ==== (FUNCTION = like_it, LEFTARG = text, RIGHTARG = text, NEGATOR = !===, COMMUTATOR = ====);
         CREATE OPERATOR !=== (FUNCTION = unlike_it, LEFTARG = text, RIGHTARG = text, NEGATOR = ====)",
    ),
    (
        "many to many",
        "CREATE TABLE owns (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), user_id bigint, item_id bigint,
           PRIMARY KEY (tenant_id, user_id, item_id),
           FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id) ON DELETE CASCADE,
           FOREIGN KEY (tenant_id, item_id) REFERENCES items (tenant_id, id) ON DELETE CASCADE)",
    ),
    (
        "a self reference",
        "ALTER TABLE users ADD COLUMN manager_id bigint;
         ALTER TABLE users ADD FOREIGN KEY (tenant_id, manager_id) REFERENCES users (tenant_id, id)
           ON DELETE SET NULL (manager_id)",
    ),
    (
        "partitions, one attached later, one by default",
        "CREATE TABLE events (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), at date NOT NULL, user_id bigint,
           PRIMARY KEY (tenant_id, at),
           FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id)) PARTITION BY RANGE (at);
         CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
         CREATE TABLE events_2 (LIKE events INCLUDING ALL);
         ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
         CREATE TABLE events_rest PARTITION OF events DEFAULT;
         CREATE INDEX ON events (tenant_id, user_id)",
    ),
    (
        "a foreign key to a partitioned table",
        "CREATE TABLE events (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint, PRIMARY KEY (tenant_id, id))
           PARTITION BY HASH (id);
         CREATE TABLE events_0 PARTITION OF events FOR VALUES WITH (MODULUS 1, REMAINDER 0);
         CREATE TABLE notes (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), event_id bigint,
           FOREIGN KEY (tenant_id, event_id) REFERENCES events (tenant_id, id))",
    ),
    (
        "a generated column",
        "ALTER TABLE items ADD COLUMN gross numeric GENERATED ALWAYS AS (price * 1.2) STORED",
    ),
    (
        "a trigger with a plain function",
        "ALTER TABLE users ADD COLUMN updated_at timestamptz;
         CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.updated_at := now(); RETURN NEW; END';
         CREATE TRIGGER touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch()",
    ),
    (
        "a body that updates a column by the name of role",
        "ALTER TABLE users ADD COLUMN role text;
         CREATE FUNCTION promote() RETURNS void LANGUAGE sql AS $$UPDATE users SET role = 'admin'$$;
         CREATE FUNCTION demote() RETURNS void LANGUAGE plpgsql AS
           $$BEGIN UPDATE \"users\" SET role = 'guest'; UPDATE users u SET role = NULL; INSERT INTO users (username, role) VALUES ('a', 'b')
             ON CONFLICT (tenant_id, username) DO UPDATE SET role = EXCLUDED.role; END$$",
    ),
    (
        "expression, partial and covering indexes",
        "CREATE INDEX ON users (tenant_id, lower(username));
         CREATE UNIQUE INDEX ON users (tenant_id, lower(username)) INCLUDE (id) WHERE username <> '';
         ALTER TABLE users ADD COLUMN doc jsonb, ADD COLUMN words tsvector;
         CREATE INDEX ON users USING gin (doc); CREATE INDEX ON users USING gin (words);
         ALTER TABLE users ADD COLUMN during tstzrange;
         CREATE INDEX ON users USING gist (tenant_id, during) WHERE username <> '';
         CREATE INDEX ON users USING gist (tenant_id, words); CREATE INDEX ON users USING gin (tenant_id, doc) WHERE doc IS NOT NULL;
         ALTER TABLE users ADD COLUMN room uuid, ADD COLUMN floor int8;
         ALTER TABLE users ADD EXCLUDE USING gist (tenant_id WITH =, int8range(floor, floor, '[]') WITH &&, during WITH &&);
         ALTER TABLE users ADD EXCLUDE USING gist (tenant_id WITH =,
           int8range(uuid_hash_extended(room, 0), uuid_hash_extended(room, 0), '[]') WITH &&, during WITH &&)",
    ),
    (
        "keys that are compared field by field, and keys of one value",
        "CREATE TYPE contact AS (email text, meta text); CREATE DOMAIN age AS int; CREATE TYPE mood AS ENUM ('a');
         ALTER TABLE users ADD COLUMN contact contact, ADD COLUMN age age, ADD COLUMN mood mood, ADD COLUMN ages int[],
                           ADD COLUMN span int4range, ADD COLUMN spans int4multirange;
         CREATE INDEX ON users (tenant_id, contact);
         CREATE INDEX ON users (tenant_id, age, mood, ages, span, spans)",
    ),
    (
        "a deferrable key and an exclusion constraint",
        "ALTER TABLE items ADD UNIQUE (tenant_id, price) DEFERRABLE INITIALLY DEFERRED;
         ALTER TABLE items ADD EXCLUDE USING btree (tenant_id WITH =, owner_id WITH =)",
    ),
    (
        "a foreign key to a shared table",
        "ALTER TABLE users ADD COLUMN plan_id int REFERENCES shared.plans (id) ON DELETE RESTRICT",
    ),
    (
        "views that run as their caller, in every spelling",
        "CREATE VIEW a WITH (security_invoker) AS SELECT username FROM users;
         CREATE VIEW b WITH (security_invoker = on) AS SELECT count(*) FROM users;
         CREATE VIEW c WITH (security_invoker = 1, security_barrier) AS SELECT * FROM a JOIN shared.plans ON true;
         CREATE VIEW d WITH (security_invoker = 'yes') AS SELECT * FROM shared.plans",
    ),
    (
        "enums, domains, checks and a composite type",
        "CREATE TYPE mood AS ENUM ('good', 'bad');
         CREATE DOMAIN percent AS int CHECK (VALUE BETWEEN 0 AND 100);
         CREATE TYPE pair AS (a int, b int);
         CREATE TYPE span AS RANGE (SUBTYPE = numeric);
         ALTER TABLE users ADD COLUMN mood mood, ADD COLUMN share percent, ADD COLUMN p pair,
           ADD CHECK (length(username) > 1)",
    ),
    (
        "an IMMUTABLE function that computes",
        "CREATE FUNCTION slug(t text) RETURNS text LANGUAGE sql IMMUTABLE AS
           $$SELECT lower(substring(t FROM 1 FOR 3)) || extract(year FROM date '2020-01-01')$$;
         CREATE INDEX ON users (tenant_id, slug(username))",
    ),
    (
        "IMMUTABLE functions that compute with others, with aggregates and operators",
        "CREATE FUNCTION squeeze(t text) RETURNS text LANGUAGE sql IMMUTABLE AS
           $$SELECT regexp_replace(lower(t), '\\s+', ' ', 'g') -- spaces$$;
         CREATE FUNCTION words(t text, OUT first text, OUT n int) LANGUAGE sql IMMUTABLE AS
           'SELECT split_part(squeeze(t), '' '', 1), cardinality(string_to_array(t, '' ''))';
         CREATE FUNCTION squares(n int) RETURNS TABLE (i int, square int) LANGUAGE sql IMMUTABLE AS
           'SELECT g, g * g FROM generate_series(1, n) g';
         CREATE FUNCTION joined(VARIADIC parts text[]) RETURNS text LANGUAGE sql IMMUTABLE AS
           'SELECT string_agg(p, '','' ORDER BY p) FROM unnest(parts) p';
         CREATE FUNCTION full_name(a text, b text DEFAULT '') RETURNS text LANGUAGE sql IMMUTABLE AS
           'SELECT concat_ws('' '', a, b) || to_char(1, ''9'')';
         CREATE FUNCTION half(n numeric) RETURNS numeric IMMUTABLE RETURN n / 2;
         CREATE OPERATOR ### (LEFTARG = text, RIGHTARG = text, FUNCTION = full_name);
         CREATE INDEX ON users (tenant_id, squeeze(username));
         ALTER TABLE items ADD COLUMN halved numeric GENERATED ALWAYS AS (half(price)) STORED;
         CREATE STATISTICS s ON (squeeze(username)), id FROM users",
    ),
    (
        "an IMMUTABLE function over a domain",
        "CREATE DOMAIN slug AS text CHECK (VALUE = lower(VALUE));
         CREATE FUNCTION slugged(t text) RETURNS slug LANGUAGE sql IMMUTABLE AS 'SELECT lower(t)::slug'",
    ),
    (
        "STABLE functions that read",
        "CREATE FUNCTION names() RETURNS SETOF text LANGUAGE sql STABLE AS 'SELECT username FROM users';
         CREATE FUNCTION mine() RETURNS uuid LANGUAGE sql STABLE AS 'SELECT tenantry.tenant()'",
    ),
    (
        "bodies whose settings end with the transaction",
        "CREATE FUNCTION slow() RETURNS void LANGUAGE plpgsql AS
           $$BEGIN SET LOCAL statement_timeout = '1min'; SET CONSTRAINTS ALL DEFERRED; PERFORM pg_advisory_xact_lock(1); END$$;
         CREATE FUNCTION fixed() RETURNS text LANGUAGE sql STABLE SET timezone = 'UTC' AS 'SELECT now()::text';
         CREATE FUNCTION report() RETURNS text LANGUAGE sql STABLE SET work_mem = '64MB' SET search_path = tenant AS 'SELECT 1::text'",
    ),
    (
        "a body that runs a text which stands in it",
        "CREATE FUNCTION f() RETURNS bigint LANGUAGE plpgsql AS
           $$DECLARE n bigint; BEGIN EXECUTE 'SELECT count(*) FROM users WHERE id > $1' INTO n USING 0; RETURN n; END$$",
    ),
    (
        "comments and messages that speak of settings",
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS
           $$BEGIN /* SET role, lastval() */ RAISE NOTICE 'set role to %', 'reset all'; -- LISTEN here
           END$$",
    ),
    (
        "a trigger of the server's own",
        "CREATE TRIGGER same BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    ),
    (
        "a permissive policy of the author's own",
        "CREATE FUNCTION visible(text) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT $1 <> ''hidden''';
         CREATE POLICY visible ON users AS RESTRICTIVE USING (visible(username));
         CREATE POLICY everything ON users FOR SELECT USING (true)",
    ),
    (
        "an aggregate, an operator and a cast",
        "CREATE FUNCTION add(numeric, numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT $1 + $2';
         CREATE AGGREGATE total(numeric) (SFUNC = add, STYPE = numeric, INITCOND = '0');
         CREATE OPERATOR %%% (LEFTARG = numeric, RIGHTARG = numeric, FUNCTION = add)",
    ),
    (
        "a function with a search path of its own",
        "CREATE FUNCTION f() RETURNS bigint LANGUAGE sql STABLE SET search_path = shared, pg_temp AS 'SELECT 1::bigint'",
    ),
    (
        "a sequence, a serial column and a later change of type",
        "CREATE SEQUENCE numbers;
         ALTER TABLE items ADD COLUMN n serial;
         ALTER TABLE items ALTER COLUMN price TYPE numeric(12, 2);
         ALTER TABLE items RENAME COLUMN n TO number",
    ),
    (
        "a table with odd names",
        "CREATE TABLE \"Order Lines\" (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), \"the (id)\" int,
           PRIMARY KEY (tenant_id, \"the (id)\"))",
    ),
    (
        "dropping what a key stood on",
        "ALTER TABLE users DROP CONSTRAINT users_tenant_id_username_key; ALTER TABLE users DROP COLUMN username",
    ),
    (
        "a foreign key that is not validated yet",
        "ALTER TABLE items ADD FOREIGN KEY (tenant_id, owner_id) REFERENCES users (tenant_id, id) NOT VALID",
    ),
    (
        "a trigger that notes the time of a change, beside a reference that acts",
        "ALTER TABLE items ADD COLUMN changed_at timestamptz,
           ADD FOREIGN KEY (tenant_id, owner_id) REFERENCES users (tenant_id, id) ON DELETE SET NULL (owner_id);
         CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN IF NEW IS DISTINCT FROM OLD THEN NEW.changed_at := now(); END IF; RETURN NEW; END $$;
         CREATE TRIGGER touch BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION touch()",
    ),
    (
        "a trigger that counts after a reference's cascade",
        "CREATE TABLE parts (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint, item_id bigint,
           PRIMARY KEY (tenant_id, id), FOREIGN KEY (tenant_id, item_id) REFERENCES items (tenant_id, id) ON DELETE CASCADE);
         CREATE FUNCTION gone() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN UPDATE users SET username = username || '!'; RETURN OLD; END $$;
         CREATE TRIGGER gone AFTER DELETE ON parts FOR EACH ROW EXECUTE FUNCTION gone()",
    ),
    (
        "columns by the names of verbs, in a CASE of a function",
        "CREATE FUNCTION f(comment text, cluster text) RETURNS text LANGUAGE sql STABLE AS
           'SELECT CASE WHEN comment IS NULL THEN cluster ELSE comment END'",
    ),
    (
        "a check by an IMMUTABLE function, beside a reference that acts",
        "CREATE FUNCTION is_short(t text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT length(t) < 9';
         ALTER TABLE items ADD COLUMN note text CHECK (is_short(note)),
           ADD FOREIGN KEY (tenant_id, owner_id) REFERENCES users (tenant_id, id) ON DELETE SET NULL (owner_id)",
    ),
];
