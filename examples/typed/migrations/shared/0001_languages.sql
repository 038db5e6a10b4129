CREATE TABLE languages (code text PRIMARY KEY, name text NOT NULL);
