from __future__ import annotations

import pytest

from keelson.errors import MigrationError
from keelson.migrations.statements import Statement, analyse, split

COUNTS = {
    "two selects": ("SELECT 1; SELECT 2", 2),
    "semicolon in a literal": ("SELECT ';'; SELECT 2", 2),
    "semicolon in comments": ("-- a; b\nSELECT 1; -- c; d\nSELECT 2", 2),
    "semicolon in block comments": ("/* a; /* b; */ c; */ SELECT 1; SELECT 2", 2),
    "apostrophe in a comment": ("-- it's\nSELECT 1; -- don't\nSELECT 2", 2),
    "dollar quote inside a dollar quote": ("DO $a$ BEGIN EXECUTE $b$ SELECT 1; $b$; END $a$; SELECT 2", 2),
    "escape string": (r"SELECT E'it\'s; x'; SELECT 2", 2),
    "parameter in a quoted body": ("CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT $1;'; SELECT 2", 2),
    "begin atomic": (
        "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN a > 1 THEN 1 ELSE 2 END; SELECT 3; END; SELECT 2",
        2,
    ),
    "rule with two actions": ("CREATE RULE r AS ON DELETE TO t DO ALSO (DELETE FROM a; DELETE FROM b); SELECT 2", 2),
    "multi-byte text": ("SELECT 'ä;ö☃'; SELECT '🎉;'; SELECT 3", 3),
    "operator that looks like a comment": ("ALTER TABLE t ADD EXCLUDE USING gist (a WITH -|-); SELECT 2", 2),
    "empty statements": (";;SELECT 1;;", 1),
    "adjacent literals": ("SELECT 'a'\n';b'; SELECT 2", 2),
    "national literal": ("SELECT N'a;b'; SELECT 2", 2),
    "trailing block comment": ("SELECT 1; /* ; */", 1),
    "byte order mark is the reader's work": ("SELECT 1; SELECT 2", 2),
    "restrict tokens of a dump": ("\\restrict abc\nSELECT 1;\nSELECT 2;\n\\unrestrict abc\n", 2),
    "backslash in texts": (
        "SELECT '\\d', E'\\\\d', $$\\q$$, \"\\x\" FROM (SELECT 1) AS t(\"\\x\"); -- \\q\nSELECT 2",
        2,
    ),
    "words of a copy in a text": ("INSERT INTO t VALUES ('copy x from stdin');\nSELECT 1;\n\\unrestrict", 2),
    "identifier with a dollar": ("SELECT a$b$ FROM (SELECT 1) AS t(a$b$); SELECT 2", 2),
}


def parse(text: str) -> tuple[Statement, ...]:
    return split(text, "sql/x/001_a.sql")


def refused(text: str) -> str:
    with pytest.raises(MigrationError) as caught:
        parse(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("text", "count"), COUNTS.values(), ids=COUNTS)
def test_text_splits_where_the_grammar_says(text: str, count: int) -> None:
    assert len(parse(text)) == count


def test_lines_are_those_of_the_file_whatever_comes_before() -> None:
    text = "-- ☃\nSELECT 'ä\n;';\n\n/* c\n */ SELECT 2;\n\\restrict x\nCREATE TABLE t (a int)"
    assert [(statement.line, analyse(statement, "x").kind) for statement in parse(text)] == [
        (2, "select_stmt"),
        (6, "select_stmt"),
        (8, "create_stmt"),
    ]
    assert parse(text)[0].text == "SELECT 'ä\n;'"


def test_copy_takes_its_rows_along_and_keeps_the_lines() -> None:
    text = "CREATE TABLE t (a text);\nCOPY t FROM stdin; -- rows\nit's; a row\n\\N\n\\\\x\n\\.\nSELECT 1"
    create, copy, select = parse(text)
    assert copy.copy_data
    assert copy.copy_data.text == "it's; a row\n\\N\n\\\\x\n"
    assert (create.line, copy.line, copy.copy_data.line, select.line) == (1, 2, 3, 7)


def test_copy_of_no_rows_and_with_options() -> None:
    copy, _ = parse("COPY t (a) FROM STDIN WITH (FORMAT csv);\n\\.\nSELECT 1")
    assert copy.copy_data
    assert copy.copy_data.text == ""


def test_copy_without_rows_is_refused() -> None:
    assert "001_a.sql:2: COPY FROM stdin has no data" in refused("\nCOPY t FROM stdin;\nSELECT 1")


def test_a_copy_in_a_comment_is_none() -> None:
    assert len(parse("-- COPY t FROM stdin\nSELECT 1;\n/* COPY t FROM stdin */ SELECT 2;\n")) == 2


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("SELECT 1;\nSELEC 2;", 2, 'syntax error at or near "SELEC"'),
        ("SELECT 1;\n\n  SELECT 'ä", 3, "unterminated quoted string"),
        ("SELECT 1;\nSELECT $$ x", 2, "unterminated dollar-quoted string"),
        ("SELECT 1;\n/* x", 2, "unterminated /* comment"),
        ("CREATE TABLE t (\n  a int,\n)", 3, 'at or near ")"'),
        ("SELECT 1;\n\\i other.sql", 2, "\\i is a command of psql"),
        ("SELECT 1 \\gset", 1, "\\gset is a command of psql"),
        ("\nBEGIN;\nSELECT 1;\nCOMMIT;\nSELECT 2", 4, "is one transaction already"),
        ("SELECT 1; ROLLBACK", 1, "is one transaction already"),
        ("COPY t TO stdout", 1, "COPY TO stdout"),
        ("VACUUM t", 1, "VACUUM cannot run inside a transaction"),
        ("CREATE DATABASE d", 1, "CREATE DATABASE cannot"),
        ("DROP DATABASE d", 1, "DROP DATABASE cannot"),
        ("ALTER SYSTEM SET work_mem = 1", 1, "ALTER SYSTEM cannot"),
        ("CREATE INDEX CONCURRENTLY ON t (a)", 1, "CREATE INDEX CONCURRENTLY cannot"),
        ("DROP INDEX CONCURRENTLY i", 1, "DROP INDEX CONCURRENTLY cannot"),
        ("REINDEX TABLE CONCURRENTLY t", 1, "REINDEX cannot"),
        ("REINDEX SCHEMA s", 1, "REINDEX cannot"),
        ("CLUSTER", 1, "CLUSTER of all tables cannot"),
        ("DROP SUBSCRIPTION s", 1, "DROP SUBSCRIPTION cannot"),
        ("ALTER TABLE t DETACH PARTITION p CONCURRENTLY", 1, "DETACH PARTITION CONCURRENTLY cannot"),
        ("CREATE MATERIALIZED VIEW m WITH (timescaledb.continuous) AS SELECT 1", 1, "declare it in timescale.yaml"),
        ("CREATE MATERIALIZED VIEW m WITH (tsdb.continuous) AS SELECT 1", 1, "declare it in timescale.yaml"),
    ],
)
def test_what_cannot_be_part_of_a_migration_is_refused_with_its_line(text: str, line: int, what: str) -> None:
    message = refused(text)
    assert message.startswith(f"sql/x/001_a.sql:{line}: ")
    assert what in message


@pytest.mark.parametrize(
    "text",
    [
        "ANALYZE t",
        "REINDEX TABLE t",
        "CLUSTER t USING i",
        "CREATE INDEX ON t (a)",
        "DROP INDEX i",
        "CALL p()",
        "COPY t FROM '/x'",
    ],
)
def test_their_harmless_sisters_pass(text: str) -> None:
    assert len(parse(text)) == 1


def test_a_literal_near_an_error_is_not_shown() -> None:
    message = refused("ALTER ROLE x PASWORD 'h0rse'\n'battery'")
    assert "battery" not in refused("CREATE ROLE x LOGIN 'battery'")
    assert "h0rse" not in message


@pytest.mark.parametrize("text", ["-- nothing\n", "/* nothing */", ";", "\n\n"])
def test_a_file_without_a_statement_is_refused(text: str) -> None:
    assert "has no statement" in refused(text)


def test_a_chain_of_many_operators_has_a_tree() -> None:
    (statement,) = parse("UPDATE users SET note = " + "name || " * 500 + "''")
    assert [lock.table for lock in analyse(statement, "a.sql").locks] == ["users"]
    assert len(parse("COPY (SELECT " + "1 + " * 500 + "1) TO '/x'")) == 1


def test_rows_follow_a_copy_right_after_a_line_for_psql() -> None:
    (copy,) = parse("\\restrict x\nCOPY t FROM stdin;\nit's; a row\n\\.\n")
    assert copy.copy_data
    assert copy.copy_data.text == "it's; a row\n"
