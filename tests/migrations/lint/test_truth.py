"""Locks and rewrites that a plan foretells, compared with what the server does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from keelson.migrations.lint import Place, foresee
from keelson.migrations.locks import MODES
from tests import servers
from tests.migrations.lint.files import rules, write

GROUND = """
CREATE TABLE users (id bigint PRIMARY KEY, name varchar(20), age int, note text, email text NOT NULL, amount numeric(10, 2),
    at timestamptz);
CREATE TABLE orders (id bigint PRIMARY KEY, user_id bigint, n bigint GENERATED ALWAYS AS IDENTITY);
ALTER TABLE users ADD CONSTRAINT positive CHECK (age > 0) NOT VALID;
ALTER TABLE users ADD CONSTRAINT known CHECK (note IS NOT NULL);
CREATE INDEX users_age ON users (age);
CREATE UNIQUE INDEX users_email ON users (email);
CREATE TABLE parts (id int, day date) PARTITION BY RANGE (day);
CREATE TABLE parts_one PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE parts_two (id int, day date);
CREATE MATERIALIZED VIEW seen AS SELECT id FROM users;
CREATE UNIQUE INDEX seen_id ON seen (id);
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION f();
"""
STATEMENTS = [
    "ALTER TABLE users ADD x int",
    "ALTER TABLE users ADD x int DEFAULT 1",
    "ALTER TABLE users ADD x timestamptz NOT NULL DEFAULT now()",
    "ALTER TABLE users ADD x timestamptz DEFAULT clock_timestamp()",
    "ALTER TABLE users ADD x uuid DEFAULT gen_random_uuid()",
    "ALTER TABLE users ADD x float DEFAULT 2 * random()",
    "ALTER TABLE users ADD x int GENERATED ALWAYS AS (age + 1) STORED",
    "ALTER TABLE users ADD x bigint GENERATED ALWAYS AS IDENTITY",
    "ALTER TABLE users ADD x bigserial",
    "ALTER TABLE users ADD x text DEFAULT coalesce(current_setting('a.b', true), 'none')",
    "ALTER TABLE users DROP age",
    "ALTER TABLE users ALTER name TYPE varchar(40)",
    "ALTER TABLE users ALTER name TYPE varchar(10)",
    "ALTER TABLE users ALTER name TYPE text",
    "ALTER TABLE users ALTER age TYPE bigint",
    "ALTER TABLE users ALTER amount TYPE numeric(12, 2)",
    "ALTER TABLE users ALTER amount TYPE numeric(12, 3)",
    "ALTER TABLE users ALTER amount TYPE numeric",
    "ALTER TABLE users ALTER note TYPE varchar(9)",
    "ALTER TABLE users ALTER at TYPE timestamptz(3)",
    "ALTER TABLE users ALTER age SET NOT NULL",
    "ALTER TABLE users ALTER note SET NOT NULL",
    "ALTER TABLE users ALTER age SET DEFAULT 1",
    "ALTER TABLE users ALTER age SET STATISTICS 500",
    "ALTER TABLE users SET (fillfactor = 70)",
    "ALTER TABLE users VALIDATE CONSTRAINT positive",
    "ALTER TABLE users DROP CONSTRAINT positive",
    "ALTER TABLE users ADD CHECK (age < 999)",
    "ALTER TABLE users ADD CHECK (age > 1) NOT VALID",
    "ALTER TABLE users ADD UNIQUE (name)",
    "ALTER TABLE users ADD UNIQUE USING INDEX users_email",
    "ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users",
    "ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users NOT VALID",
    "CREATE TABLE a (user_id bigint REFERENCES users)",
    "ALTER TABLE users ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY p ON users",
    "ALTER TABLE users DISABLE TRIGGER t",
    "DROP TRIGGER t ON users",
    "CREATE TRIGGER u BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION f()",
    "CREATE INDEX i ON users (name)",
    "ALTER TABLE users CLUSTER ON users_age",
    "CLUSTER users USING users_age",
    "REINDEX TABLE users",
    "ALTER TABLE users SET UNLOGGED",
    "ALTER TABLE users RENAME age TO years",
    "ALTER TABLE users RENAME TO people",
    "DROP TABLE orders",
    "TRUNCATE orders",
    "INSERT INTO orders (id) VALUES (9)",
    "UPDATE users SET age = 3",
    "DELETE FROM orders",
    "LOCK TABLE users IN SHARE MODE",
    "ALTER TABLE parts ATTACH PARTITION parts_two FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')",
    "ALTER TABLE parts DETACH PARTITION parts_one",
    "CREATE TABLE p3 PARTITION OF parts FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')",
    "REFRESH MATERIALIZED VIEW seen",
    "REFRESH MATERIALIZED VIEW CONCURRENTLY seen",
    "ANALYZE users",
    "CREATE VIEW v AS SELECT 1",
    "CREATE RULE r AS ON DELETE TO orders DO INSTEAD NOTHING",
    "COMMENT ON TABLE users IS 'x'",
    "COMMENT ON COLUMN users.age IS 'x'",
    "ALTER INDEX users_age RENAME TO a",
    "ALTER TABLE users ALTER email DROP NOT NULL",
    "ALTER TABLE users REPLICA IDENTITY FULL",
    "ALTER TABLE users OWNER TO CURRENT_USER",
    "GRANT SELECT ON users TO PUBLIC",
]
WATCHED = ("users", "orders", "parts", "parts_one", "parts_two", "seen")
WEAKEST_TOLD = MODES.index("ROW EXCLUSIVE")


@pytest.fixture(scope="module")
def ground(server: servers.Server) -> Iterator[psycopg.Connection]:
    with server.connect() as admin:
        admin.execute("CREATE DATABASE lint_truth TEMPLATE template0")
    try:
        with server.connect("lint_truth") as connection:
            connection.execute(GROUND)
            connection.execute("INSERT INTO users SELECT n, n, n, n, n, n, now() FROM generate_series(1, 100) n")
            yield connection
    finally:
        with server.connect() as admin:
            admin.execute("DROP DATABASE lint_truth WITH (FORCE)")


def files_of(connection: psycopg.Connection) -> dict[str, int]:
    query = "SELECT relname, pg_relation_filenode(oid) FROM pg_class WHERE relname = ANY (%s)"
    return dict(connection.execute(query, [list(WATCHED)]).fetchall())


def done_by(connection: psycopg.Connection, statement: str) -> tuple[dict[str, str], set[str]]:
    """Return the strongest lock on each table after a statement, and the tables that have another file; then undo it."""
    names = dict(
        connection.execute("SELECT oid, relname FROM pg_class WHERE relname = ANY (%s)", [list(WATCHED)]).fetchall()
    )
    before = files_of(connection)
    with connection.transaction(force_rollback=True):
        connection.execute(statement)
        query = "SELECT relation::int, mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'"
        held: dict[str, int] = {}
        for oid, mode in connection.execute(query).fetchall():
            if oid in names:
                strength = MODES.index(
                    "".join(f" {sign}" if sign.isupper() else sign for sign in mode.removesuffix("Lock"))
                    .strip()
                    .upper()
                )
                held[names[oid]] = max(strength, held.get(names[oid], -1))
        after = files_of(connection)
    locks = {name: MODES[strength] for name, strength in held.items() if strength >= WEAKEST_TOLD}
    return locks, {name for name in before if name in after and before[name] != after[name]}


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_plan_tells_what_the_server_does(ground: psycopg.Connection, tmp_path: Path, statement: str) -> None:
    earlier, pending = write(tmp_path, GROUND, statement)
    (plan,) = foresee([pending], [earlier], Place())[0].statements
    locks, rewritten = done_by(ground, statement)
    assert {lock.table: lock.mode for lock in plan.locks if MODES.index(lock.mode) >= WEAKEST_TOLD} == locks
    if not statement.startswith("TRUNCATE"):  # which makes an empty file
        assert {work.table for work in plan.work if work.deed == "rewrites"} == rewritten


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("CREATE INDEX CONCURRENTLY i ON bars (symbol)", "hypertable-concurrent-index"),
        ("CREATE UNIQUE INDEX ON bars (symbol)", "hypertable-unique-time"),
        ("ALTER TABLE bars ADD UNIQUE (symbol)", "hypertable-unique-time"),
        ("SELECT add_retention_policy('bars', INTERVAL '1 day')", "timescale-edition"),
        ("ALTER TABLE bars SET (timescaledb.compress)", "timescale-edition"),
    ],
)
def test_timescaledb_refuses_what_the_linter_calls_an_error(
    server: servers.Server, tmp_path: Path, statement: str, rule: str
) -> None:
    found = rules(tmp_path, f"-- keelson: no-transaction\n{statement}", place=Place(edition="apache"))
    assert rule in found
    with server.connect() as admin:
        admin.execute("CREATE DATABASE lint_bars TEMPLATE template0")
    try:
        with server.connect("lint_bars") as connection:
            connection.execute("CREATE EXTENSION timescaledb")
            connection.execute("CREATE TABLE bars (at timestamptz NOT NULL, symbol text)")
            connection.execute("SELECT create_hypertable('bars', 'at')")
            with pytest.raises((errors.FeatureNotSupported, errors.DatabaseError)):
                connection.execute(statement)
            connection.execute("CREATE INDEX ON bars (symbol) WITH (timescaledb.transaction_per_chunk)")
    finally:
        with server.connect() as admin:
            admin.execute("DROP DATABASE lint_bars WITH (FORCE)")
