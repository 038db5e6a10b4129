-- Every tenant has these tables for itself, whether they lie in common tables, in a schema or in a database of its own:
-- the text is the same. Prices are counted in ten-thousandths, so that no sum is ever rounded.

-- A sequence would be one for all tenants of row isolation, and its gaps would tell each how much the others write. So
-- every tenant counts for itself, and what fails uses up no number.
CREATE TABLE counters (
    tenant_id uuid NOT NULL DEFAULT tenantry.tenant(),
    counted text NOT NULL,
    last bigint NOT NULL,
    PRIMARY KEY (tenant_id, counted)
);

CREATE FUNCTION next_id(counted text) RETURNS bigint LANGUAGE sql
BEGIN ATOMIC
    INSERT INTO counters (counted, last) VALUES (next_id.counted, 1)
    ON CONFLICT (tenant_id, counted) DO UPDATE SET last = counters.last + 1
    RETURNING last;
END;

CREATE TABLE users (
    tenant_id uuid NOT NULL DEFAULT tenantry.tenant(),
    id bigint NOT NULL DEFAULT next_id('users'),
    username text NOT NULL CHECK (length(username) BETWEEN 1 AND 100),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, username)
);

CREATE TABLE products (
    tenant_id uuid NOT NULL DEFAULT tenantry.tenant(),
    id bigint NOT NULL DEFAULT next_id('products'),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    price_e4 bigint NOT NULL CHECK (price_e4 >= 0),
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE items (
    tenant_id uuid NOT NULL DEFAULT tenantry.tenant(),
    id bigint NOT NULL DEFAULT next_id('items'),
    description text NOT NULL CHECK (length(description) BETWEEN 1 AND 200),
    price_e4 bigint NOT NULL CHECK (price_e4 >= 0),
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE orders (
    tenant_id uuid NOT NULL DEFAULT tenantry.tenant(),
    id bigint NOT NULL DEFAULT next_id('orders'),
    item_id bigint NOT NULL,
    quantity bigint NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, item_id) REFERENCES items (tenant_id, id)
);

CREATE INDEX orders_item_id ON orders (tenant_id, item_id);
