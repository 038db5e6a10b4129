-- People who sign in. The organisation is a tenant's id and not its key: an id never changes, a key may be renamed.
-- Every tenant may read the shared tables, so nothing stands here that a neighbour must not see in some form:
-- of a password only its argon2 hash.

CREATE TABLE accounts (
    id INTEGER PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    organisation TEXT NOT NULL
) STRICT;
