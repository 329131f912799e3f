CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE address AS (street text, zip varchar(10));
CREATE TYPE price_range AS RANGE (subtype = numeric);
CREATE DOMAIN email AS text NOT NULL CHECK (VALUE ~ '@');
CREATE SEQUENCE tickets START 100 INCREMENT 10;
CREATE TABLE users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email email UNIQUE,
    name text COLLATE "C" DEFAULT 'nobody',
    mood mood DEFAULT 'ok',
    home address,
    born date CHECK (born > '1900-01-01'),
    seen timestamptz DEFAULT '2020-01-01 00:00:00+02',
    long_name text GENERATED ALWAYS AS (name || '!') STORED
);
COMMENT ON TABLE users IS 'People';
COMMENT ON COLUMN users.email IS 'Where to write to';
CREATE TABLE orders (
    id serial PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users ON DELETE CASCADE,
    amount numeric(10, 2) DEFAULT 0 CHECK (amount >= 0),
    CONSTRAINT orders_amount_of_user UNIQUE (user_id, amount)
);
CREATE INDEX ON orders (amount);
CREATE INDEX orders_large ON orders (user_id) WHERE amount > 1000;
CREATE STATISTICS orders_together ON user_id, amount FROM orders;
CREATE TABLE events (id bigint, at date NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE VIEW rich AS SELECT u.id, u.name FROM users u JOIN orders o ON o.user_id = u.id WHERE o.amount > 10;
CREATE MATERIALIZED VIEW totals AS SELECT user_id, sum(amount) AS total FROM orders GROUP BY user_id;
CREATE UNIQUE INDEX ON totals (user_id);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.seen := now();
    RETURN NEW;
END $$;
CREATE FUNCTION double(x integer) RETURNS integer LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT x * 2; END;
CREATE PROCEDURE nothing() LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE product(double precision) (sfunc = float8mul, stype = double precision, initcond = '1');
CREATE TRIGGER users_touch BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON users FOR SELECT USING (name = current_user);
CREATE RULE quiet AS ON DELETE TO orders WHERE OLD.amount > 5 DO INSTEAD NOTHING;
CREATE SCHEMA "Odd Names";
CREATE TABLE "Odd Names"."A table" ("a column" integer, "select" text);
CREATE PUBLICATION told FOR TABLE users (id, name), orders WHERE (amount > 1);
