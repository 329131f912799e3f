from __future__ import annotations

from pathlib import Path

import pytest

from keelson.errors import MigrationError
from keelson.migrations.files import read_file
from keelson.migrations.plan import code_in, describe, losses_in


def described(tmp_path: Path, text: str) -> str:
    path = tmp_path / "001_a.sql"
    path.write_text(text)
    return describe(read_file(path, tmp_path))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("CREATE TABLE users (a int); CREATE INDEX ON users (a); CREATE INDEX ON users (a, a)", "creates table users, 2 indexes"),
        ("CREATE SCHEMA s; CREATE TABLE s.a (); CREATE TABLE s.b ()", "creates schema s, tables s.a, s.b"),
        ("CREATE TABLE a(); CREATE TABLE b(); CREATE TABLE c(); CREATE TABLE d(); CREATE TABLE e()", "creates tables a, b, c and 2 more"),
        ("ALTER TABLE users ADD a int", "ALTER TABLE users: ACCESS EXCLUSIVE"),
        ("ALTER TABLE users VALIDATE CONSTRAINT c", "ALTER TABLE users: SHARE UPDATE EXCLUSIVE"),
        ("CREATE INDEX ON s.t (a)", "creates 1 index; CREATE INDEX s.t: SHARE"),
        ("INSERT INTO t VALUES (1); UPDATE t SET a = 1; ALTER TABLE t ADD b int", "ALTER TABLE t: ACCESS EXCLUSIVE"),
        ("INSERT INTO t VALUES (1)", "INSERT t: ROW EXCLUSIVE"),
        ("CREATE TABLE a (u int REFERENCES users, FOREIGN KEY (u) REFERENCES b)",
         "creates table a; REFERENCES b: SHARE ROW EXCLUSIVE; REFERENCES users: SHARE ROW EXCLUSIVE"),
        ("ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u", "REFERENCES u: SHARE ROW EXCLUSIVE; ALTER TABLE t: SHARE ROW EXCLUSIVE"),
        ("DROP TABLE a, s.b", "DESTRUCTIVE: drops table a, drops table s.b; DROP TABLE a: ACCESS EXCLUSIVE; DROP TABLE s.b: ACCESS EXCLUSIVE"),
        ("DROP TRIGGER x ON s.t", "DROP TRIGGER s.t: ACCESS EXCLUSIVE"),
        ("ALTER TABLE t RENAME a TO b", "RENAME t: ACCESS EXCLUSIVE"),
        ("CREATE TABLE p PARTITION OF t DEFAULT", "creates table p; PARTITION OF t: ACCESS EXCLUSIVE"),
        ("ALTER TABLE t ATTACH PARTITION p DEFAULT", "ALTER TABLE p: ACCESS EXCLUSIVE; ALTER TABLE t: SHARE UPDATE EXCLUSIVE"),
        ("SELECT create_hypertable('m.ohlcv', 'timestamp')", "create_hypertable m.ohlcv: ACCESS EXCLUSIVE"),
        ("CREATE TABLE t (a int); SELECT create_hypertable('t', 'a')", "creates table t"),
        ("LOCK TABLE t IN SHARE MODE", "LOCK TABLE t: SHARE"),
        ("TRUNCATE t; CREATE POLICY p ON u", "DESTRUCTIVE: empties t; creates 1 policy; TRUNCATE t: ACCESS EXCLUSIVE; CREATE POLICY u: ACCESS EXCLUSIVE"),
        ("CREATE TYPE e AS ENUM ('a'); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "creates 1 type, 1 function"),
        ("CREATE MATERIALIZED VIEW m AS SELECT 1; CREATE VIEW v AS SELECT 1", "creates materialized view m, view v"),
        ("SELECT 1; SELECT 2", "2 statements"),
        ("DO $$ BEGIN END $$; CALL p()", "runs code that a preview does not look into: DO, CALL"),
        ("GRANT SELECT ON t TO x", "1 statement"),
        ("DELETE FROM a WHERE x; DELETE FROM b WHERE x; DELETE FROM c WHERE x; DELETE FROM d WHERE x; DELETE FROM e WHERE x",
         "DELETE a: ROW EXCLUSIVE; DELETE b: ROW EXCLUSIVE; DELETE c: ROW EXCLUSIVE; locks 2 more tables"),
    ],
)  # fmt: skip
def test_a_migration_is_one_line(tmp_path: Path, text: str, line: str) -> None:
    assert set(described(tmp_path, text).split("; ")) == set(line.split("; "))


def test_a_file_that_is_no_sql_has_no_plan(tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match=r"001_a.sql:1: syntax error"):
        described(tmp_path, "CRATE TABLE t")


def test_a_file_that_changed_since_it_was_read_has_no_plan(tmp_path: Path) -> None:
    path = tmp_path / "001_a.sql"
    path.write_text("SELECT 1")
    file = read_file(path, tmp_path)
    path.write_text("SELECT 2")
    with pytest.raises(MigrationError, match=r"001_a.sql changed since the plan was made"):
        describe(file)


@pytest.mark.parametrize(
    ("text", "losses"),
    [
        ("ALTER TABLE users DROP COLUMN phone", "drops column users.phone"),
        ("ALTER TABLE s.users ALTER a TYPE int, DROP b", "changes the type of s.users.a, drops column s.users.b"),
        ("ALTER TYPE address DROP ATTRIBUTE street", "drops column address.street"),
        ("DROP SCHEMA s CASCADE", "drops schema s and all that depends on it"),
        ("DROP MATERIALIZED VIEW m", "drops materialized view m"),
        ("DROP EXTENSION citext", "drops extension citext"),
        ("DROP TYPE s.mood", "drops type s.mood"),
        ("DROP FUNCTION f(int) CASCADE", "drops function f and all that depends on it"),
        ("DROP TRIGGER t ON users CASCADE", "drops trigger users.t and all that depends on it"),
        ("DROP OWNED BY auth_app", "drops all that auth_app owns"),
        ("TRUNCATE a, b", "empties a, empties b"),
        ("DELETE FROM users", "deletes every row of users"),
        ("WITH gone AS (DELETE FROM users RETURNING *) INSERT INTO old SELECT * FROM gone", "deletes every row of users"),
        ("WITH x AS (SELECT 1), gone AS (DELETE FROM a) SELECT FROM x", "deletes every row of a"),
        ("SELECT drop_chunks('m.ohlcv', INTERVAL '1 day')", "drops chunks of m.ohlcv"),
        ("DROP TABLE IF EXISTS a; CREATE TABLE a ()", "drops table a"),
        ('DROP TABLE "a; b\nc"', "drops table a, b c"),
        ("CREATE TABLE a (); DROP TABLE a", ""),
        ("CREATE TABLE a (b int); DELETE FROM a; ALTER TABLE a DROP b", ""),
        ("DELETE FROM users WHERE id = 1", ""),
        ("UPDATE users SET a = 1", ""),
        ("DROP INDEX i; DROP VIEW v; DROP TRIGGER t ON users; DROP FUNCTION f(int); DROP POLICY p ON users", ""),
        ("ALTER TABLE users DROP CONSTRAINT c, ALTER a DROP NOT NULL, ALTER b DROP DEFAULT", ""),
    ],
)  # fmt: skip
def test_what_a_migration_destroys_stands_first(tmp_path: Path, text: str, losses: str) -> None:
    plan = described(tmp_path, text)
    assert losses_in(plan) == losses
    assert plan.startswith("DESTRUCTIVE: ") == bool(losses)


def test_code_that_runs_is_named(tmp_path: Path) -> None:
    assert code_in(described(tmp_path, "CREATE TABLE a (); DO $$ BEGIN END $$")) == "DO"
    assert code_in(described(tmp_path, "CREATE TABLE a ()")) == ""
