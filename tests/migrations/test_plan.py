from __future__ import annotations

from pathlib import Path

import pytest

from keelson.errors import MigrationError
from keelson.migrations.files import read_file
from keelson.migrations.plan import describe


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
        ("INSERT INTO t VALUES (1); UPDATE t SET a = 1; ALTER TABLE t DROP a", "ALTER TABLE t: ACCESS EXCLUSIVE"),
        ("INSERT INTO t VALUES (1)", "INSERT t: ROW EXCLUSIVE"),
        ("CREATE TABLE a (u int REFERENCES users, FOREIGN KEY (u) REFERENCES b)",
         "creates table a; REFERENCES b: SHARE ROW EXCLUSIVE; REFERENCES users: SHARE ROW EXCLUSIVE"),
        ("ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u", "REFERENCES u: SHARE ROW EXCLUSIVE; ALTER TABLE t: SHARE ROW EXCLUSIVE"),
        ("DROP TABLE a, s.b", "DROP TABLE a: ACCESS EXCLUSIVE; DROP TABLE s.b: ACCESS EXCLUSIVE"),
        ("DROP TRIGGER x ON s.t", "DROP TRIGGER s.t: ACCESS EXCLUSIVE"),
        ("ALTER TABLE t RENAME a TO b", "RENAME t: ACCESS EXCLUSIVE"),
        ("CREATE TABLE p PARTITION OF t DEFAULT", "creates table p; PARTITION OF t: ACCESS EXCLUSIVE"),
        ("ALTER TABLE t ATTACH PARTITION p DEFAULT", "ALTER TABLE p: ACCESS EXCLUSIVE; ALTER TABLE t: SHARE UPDATE EXCLUSIVE"),
        ("SELECT create_hypertable('m.ohlcv', 'timestamp')", "create_hypertable m.ohlcv: ACCESS EXCLUSIVE"),
        ("CREATE TABLE t (a int); SELECT create_hypertable('t', 'a')", "creates table t"),
        ("LOCK TABLE t IN SHARE MODE", "LOCK TABLE t: SHARE"),
        ("TRUNCATE t; CREATE POLICY p ON u", "creates 1 policy; TRUNCATE t: ACCESS EXCLUSIVE; CREATE POLICY u: ACCESS EXCLUSIVE"),
        ("CREATE TYPE e AS ENUM ('a'); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "creates 1 type, 1 function"),
        ("CREATE MATERIALIZED VIEW m AS SELECT 1; CREATE VIEW v AS SELECT 1", "creates materialized view m, view v"),
        ("DO $$ BEGIN END $$; SELECT 1", "2 statements"),
        ("GRANT SELECT ON t TO x", "1 statement"),
        ("DELETE FROM a; DELETE FROM b; DELETE FROM c; DELETE FROM d; DELETE FROM e",
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
