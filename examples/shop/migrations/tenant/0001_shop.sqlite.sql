-- Every tenant has these tables for itself. Prices are counted in ten-thousandths, so that no sum is ever rounded.

CREATE TABLE users (
    id INTEGER PRIMARY KEY,
    username TEXT NOT NULL UNIQUE CHECK (length(username) BETWEEN 1 AND 100)
) STRICT;

CREATE TABLE products (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    price_e4 INTEGER NOT NULL CHECK (price_e4 >= 0)
) STRICT;

CREATE TABLE items (
    id INTEGER PRIMARY KEY,
    description TEXT NOT NULL CHECK (length(description) BETWEEN 1 AND 200),
    price_e4 INTEGER NOT NULL CHECK (price_e4 >= 0)
) STRICT;

CREATE TABLE orders (
    id INTEGER PRIMARY KEY,
    item_id INTEGER NOT NULL REFERENCES items (id),
    quantity INTEGER NOT NULL CHECK (quantity > 0)
) STRICT;

CREATE INDEX orders_item_id ON orders (item_id);
