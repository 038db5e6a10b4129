-- Changes of later months.
ALTER TABLE users ADD COLUMN phone text UNIQUE;
ALTER TABLE users
    ADD COLUMN nick text CONSTRAINT nick_once UNIQUE,
    ADD mentor_id bigint REFERENCES users (id) ON DELETE SET NULL,
    ALTER COLUMN username SET NOT NULL,
    DROP CONSTRAINT users_email_key;
ALTER TABLE ONLY users ADD UNIQUE (email), ADD CONSTRAINT users_nick CHECK (nick <> '');
alter table users drop column phone;
alter table users add column phone text unique;

CREATE TABLE teams (name text NOT NULL, lead bigint);
ALTER TABLE teams ADD COLUMN id serial8 PRIMARY KEY;
ALTER TABLE teams ADD FOREIGN KEY (lead) REFERENCES users ON DELETE SET DEFAULT NOT VALID;
ALTER TABLE teams RENAME COLUMN id TO team_id;
ALTER TABLE teams RENAME TO crews;
ALTER TABLE users ADD COLUMN crew_id bigint REFERENCES crews;

-- a key that is made from an index
CREATE TABLE codes (code text NOT NULL, label text);
CREATE UNIQUE INDEX codes_code ON codes USING btree (code) INCLUDE (label);
CREATE INDEX ON codes (label, lower(label), label);
ALTER TABLE codes ADD CONSTRAINT codes_label_once EXCLUDE (label WITH =);

ALTER TABLE order_lines DROP CONSTRAINT order_lines_pkey CASCADE, ADD PRIMARY KEY (line, order_id);
CREATE TABLE events_2027 (id bigint NOT NULL, at timestamptz NOT NULL, kind text, user_id bigint);
ALTER TABLE events ATTACH PARTITION events_2027 FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
DROP INDEX users_username;
CREATE UNIQUE INDEX ON users (username) WHERE active;
CREATE TABLE a_table_whose_name_is_quite_long_indeed (
    a_column_whose_name_is_quite_long_too text UNIQUE
    , same text UNIQUE, UNIQUE (same, a_column_whose_name_is_quite_long_too))
