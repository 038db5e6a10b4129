-- Everything that has to be looked at by its author.
CREATE TABLE employees (badge text) INHERITS (users);
CREATE TABLE users_copy (LIKE users INCLUDING ALL);
CREATE TABLE best AS SELECT * FROM users WHERE active;
CREATE TABLE typed OF a_type (PRIMARY KEY (id));
CREATE TABLE hand_made (tenant_id bigint NOT NULL REFERENCES customers (id), name text UNIQUE);
CREATE TABLE countries_here (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), code text REFERENCES shared.countries, PRIMARY KEY (tenant_id, code));
CREATE TABLE shared.extra (id int PRIMARY KEY);
CREATE TABLE public.posts (tenant_id uuid NOT NULL DEFAULT tenantry.tenant(), id bigint, author bigint, PRIMARY KEY (tenant_id, id), CONSTRAINT posts_author_fkey FOREIGN KEY (tenant_id, author) REFERENCES public.users (tenant_id, id));
CREATE TABLE replies (
    tenant_id uuid NOT NULL DEFAULT tenantry.tenant(),
    post bigint REFERENCES posts MATCH FULL,
    user_id bigint REFERENCES users ON UPDATE SET NULL,
    ghost_id bigint REFERENCES ghosts,
    other_id bigint,
    copy_id bigint REFERENCES users_copy (id),
    UNIQUE (user_id, tenant_id),
    CONSTRAINT replies_ghost_id_excl EXCLUDE USING hash (tenant_id WITH =, ghost_id WITH =),
    CONSTRAINT replies_other_id_fkey FOREIGN KEY (tenant_id, other_id) REFERENCES others (tenant_id, id)
);
CREATE INDEX ON replies (tenant_id);
ALTER TABLE strangers ADD COLUMN name text, ADD CONSTRAINT strangers_name_key UNIQUE (tenant_id, name);
ALTER TABLE users ADD COLUMN IF NOT EXISTS extra text, ADD CONSTRAINT users_extra_key UNIQUE (tenant_id, extra);
ALTER TABLE users ENABLE ROW LEVEL SECURITY, OWNER TO somebody;
ALTER TABLE employees ADD UNIQUE (badge);
CREATE INDEX ON users (tenant_id, (username || email));
CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM users;
REFRESH MATERIALIZED VIEW totals;
CREATE VIEW wide WITH (security_invoker = true) AS SELECT u.*, o.quantity * 2 AS twice FROM users u, orders o;
CREATE VIEW owned WITH (security_invoker = false) AS SELECT id FROM users;
ALTER VIEW paid RESET (security_invoker);
CREATE RULE no_delete AS ON DELETE TO users DO INSTEAD (UPDATE users SET active = false; SELECT 1);
CREATE POLICY mine ON users USING (true);
CREATE FOREIGN TABLE far (id int) SERVER somewhere;
CREATE EXTENSION btree_gist;
CREATE FUNCTION count_all() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = public
    AS 'SELECT count(*) FROM users';
CREATE OR REPLACE FUNCTION keep(e text) RETURNS void LANGUAGE plpgsql AS $body$
BEGIN
    INSERT INTO users (email, username) VALUES (e, '') ON CONFLICT (email) DO NOTHING;
    INSERT INTO users VALUES (1, e);
    TRUNCATE log;
    INSERT INTO users (email, username) VALUES (e, 'on conflict (a)') ON CONFLICT (tenant_id, email) DO NOTHING;
END $body$;
DO $$ BEGIN EXECUTE 'CREATE TABLE hidden (id int PRIMARY KEY)'; END $$;
INSERT INTO roles (name) VALUES ('admin') ON CONFLICT (name) DO NOTHING;
GRANT SELECT ON users TO somebody;
SET search_path = public;
BEGIN;
\d users
