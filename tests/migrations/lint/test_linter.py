from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from keelson.errors import MigrationError, PlatformError
from keelson.migrations import read_directory
from keelson.migrations.lint import Place, lint, lint_each, squawk
from keelson.migrations.lint.reading import read
from keelson.migrations.parts import Part
from tests.migrations.lint.files import OLD, findings, rules, write


def test_nothing_is_said_of_what_the_file_or_an_earlier_pending_one_makes(tmp_path: Path) -> None:
    made = "CREATE TABLE public.a (b int, c text); CREATE SCHEMA s; CREATE TABLE s.d (e int);"
    later = "CREATE INDEX ON a (b); ALTER TABLE a ALTER b SET NOT NULL, ADD CHECK (b > 0), DROP c; ALTER TABLE s.d RENAME TO f;"
    assert rules(tmp_path, made + later) == []
    assert rules(tmp_path, [made, later, "ALTER TABLE s.f ADD UNIQUE (e); DROP TABLE a"]) == []
    assert "ban-drop-column" in rules(tmp_path, later, made)


def test_what_was_there_and_is_made_again_is_still_something_that_goes(tmp_path: Path) -> None:
    assert rules(tmp_path, "DROP TABLE users; CREATE TABLE users (id int); ALTER TABLE users ADD x text NOT NULL") == [
        "ban-drop-table"
    ]


def test_not_null_needs_no_reading_where_an_earlier_file_has_validated_it(tmp_path: Path) -> None:
    check = "ALTER TABLE users ADD CONSTRAINT c CHECK (age IS NOT NULL) NOT VALID"
    validate, then = "ALTER TABLE users VALIDATE CONSTRAINT c", "ALTER TABLE users ALTER age SET NOT NULL"
    assert rules(tmp_path, then, check, validate) == []
    assert rules(tmp_path, then, check) == ["adding-not-nullable-field"]
    assert rules(tmp_path, then, check, validate, "ALTER TABLE users DROP CONSTRAINT c") == [
        "adding-not-nullable-field"
    ]


def test_lines_are_right_whatever_stands_before(tmp_path: Path) -> None:
    text = "-- ☃\nSELECT 1;\n\\restrict x\nCOPY users (id, name) FROM stdin;\n1\tit's; a row\n2\t\\N\n\\.\nSELECT 'ä🎉'; DROP TABLE users;\n\nDROP VIEW v;\n"
    found = [(finding.line, finding.rule) for finding in findings(tmp_path, text)]
    assert found == [(8, "ban-drop-table"), (10, "ban-drop-view")]


def test_two_statements_on_a_line_are_told_apart(tmp_path: Path) -> None:
    text = "CREATE TABLE a (x int); /* é */ DROP TABLE users; DROP TABLE a; ALTER TABLE orders DROP user_id;"
    assert rules(tmp_path, text) == ["ban-drop-column", "ban-drop-table"]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("-- keelson: allow ban-drop-table: nobody reads it\nDROP TABLE users;\nDROP TABLE orders;", [3]),
        ("DROP TABLE users; -- keelson: allow ban-drop-table: nobody reads it\nDROP TABLE orders;", [2]),
        ("DROP TABLE\n  users -- keelson: allow ban-drop-table: nobody reads it\n;\nDROP TABLE orders;", [4]),
        ("-- keelson: allow ban-drop-table: nobody reads them\n\nDROP TABLE users;\nDROP TABLE orders;", []),
        ("DROP TABLE users;\nDROP TABLE orders;\n-- keelson: allow ban-drop-table: nobody reads them", []),
        ("-- Old\n-- keelson: allow ban-drop-table, ban-drop-view: nobody reads it\n-- and so on\nDROP TABLE users;", [2]),
        ("-- keelson: allow ban-drop-view: nobody reads it\nDROP VIEW v; DROP TABLE orders", [2]),
        ("-- squawk-ignore ban-drop-table\nDROP TABLE users;\nDROP TABLE orders;", [3]),
        ("-- squawk-ignore-file ban-drop-table\nDROP TABLE users;\nDROP TABLE orders;", []),
        ("DROP TABLE users; SELECT '-- keelson: allow ban-drop-table: a text is no comment'", [1]),
    ],
)  # fmt: skip
def test_a_file_makes_exceptions_with_a_reason(tmp_path: Path, text: str, left: list[int]) -> None:
    assert [finding.line for finding in findings(tmp_path, text)] == left


def test_an_exception_of_a_rule_that_is_off_is_not_called_unused(tmp_path: Path) -> None:
    text = "-- keelson: allow ban-char-field: ISO 4217\nCREATE TABLE a (currency char(3))"
    assert rules(tmp_path, text) == []
    assert rules(tmp_path, text, place=Place(chosen={"ban-char-field": "error"})) == []


def test_what_is_no_sql_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match=r"002_a.sql:2: syntax error"):
        findings(tmp_path, "SELECT 1;\nSELEC 2")


def test_files_that_ran_are_not_judged(tmp_path: Path) -> None:
    assert findings(tmp_path, [], "DROP TABLE users", "not even SQL") == []


def test_settings_of_squawk_in_folders_above_count_nothing(tmp_path: Path) -> None:
    (tmp_path / ".squawk.toml").write_text("excluded_rules = ['ban-drop-table']")
    assert rules(tmp_path, "DROP TABLE users") == ["ban-drop-table"]


def test_a_squawk_that_takes_too_long_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(squawk, "DEADLINE", 0.0)
    with pytest.raises(PlatformError, match="squawk looked at the migrations for more than 0 s; try again"):
        squawk.look([read(Part(Path("x.sql"), "x.sql", written="SELECT 1"))], (), "17")


def test_what_squawk_cannot_read_it_says() -> None:
    reading = replace(read(Part(Path("a.sql"), "a.sql", written="SELECT 1")), text="SELEC 1")
    assert squawk.UNREAD in {found.rule for found in squawk.look([reading], (), "17")[0]}


def test_a_section_of_another_tools_file_has_the_files_lines(tmp_path: Path) -> None:
    text = "-- +goose Up\nCREATE TABLE a (b json);\n\nDROP TABLE users;\n\n-- +goose Down\nDROP TABLE orders;\n"
    (tmp_path / "20260101000000_a.sql").write_text(text)
    found = lint(read_directory(tmp_path, tmp_path), (), Place())
    assert [(finding.line, finding.rule) for finding in found] == [(2, "json-type"), (4, "ban-drop-table")]


@pytest.mark.parametrize(
    "text",
    [
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; DROP FUNCTION f();",
        "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; DROP FUNCTION f();",
        "CREATE TABLE a (b bigint); CREATE INDEX ON a (b); DROP INDEX a_b_idx",
        "CREATE TABLE s.a (b bigint UNIQUE); DROP INDEX s.a_b_key",
        "CREATE TABLE a (b bigint GENERATED ALWAYS AS IDENTITY); DROP SEQUENCE a_b_seq",
        "CREATE TYPE t AS ENUM ('a'); ALTER TYPE t RENAME TO u; DROP TYPE u",
        "CREATE SCHEMA s; ALTER SCHEMA s RENAME TO t; DROP SCHEMA t",
        "ALTER TABLE users ADD x int NOT NULL DEFAULT 1; ALTER TABLE users ALTER x DROP DEFAULT",
        "ALTER TABLE users ADD x int; ALTER TABLE users RENAME x TO y",
        "ALTER TABLE users ADD x int; ALTER TABLE users DROP x",
        "ALTER TABLE users ALTER age DROP DEFAULT, ALTER age SET DEFAULT 1",
        "ALTER TABLE orders ADD other bigint REFERENCES users",
    ],
)
def test_no_word_about_what_nobody_can_use_yet(tmp_path: Path, text: str) -> None:
    assert rules(tmp_path, text) == []


def test_a_function_that_files_before_have_made_is_one_that_programs_call(tmp_path: Path) -> None:
    make = "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'"
    assert rules(tmp_path, [make, "DROP FUNCTION f()"], make) == ["ban-drop-function"]
    assert rules(tmp_path, "ALTER TABLE orders ADD other bigint DEFAULT 1 REFERENCES users") == [
        "adding-foreign-key-constraint"
    ]


def test_each_file_is_judged_as_if_those_before_it_had_run(tmp_path: Path) -> None:
    files = write(tmp_path, OLD, "CREATE TABLE a (b int); DROP TABLE a", "CREATE TABLE c ()", "DROP TABLE c")
    assert [(finding.file, finding.rule) for finding in lint_each(files, Place())] == [("004_a.sql", "ban-drop-table")]


def test_a_long_chain_of_operators_is_looked_at(tmp_path: Path) -> None:
    text = f"ALTER TABLE users ADD x int; UPDATE users SET note = {'name || ' * 500}''"
    assert rules(tmp_path, text) == ["backfill-in-transaction"]
