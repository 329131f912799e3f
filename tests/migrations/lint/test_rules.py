from __future__ import annotations

from pathlib import Path

import pytest

from keelson.errors import SettingsError
from keelson.migrations.lint import Place, squawk
from keelson.migrations.lint.reading import read
from keelson.migrations.lint.rules import OF_SQUAWK, RULES, Rule, refuse_unknown, severity_of
from keelson.migrations.parts import Part
from tests.migrations.lint import page
from tests.migrations.lint.files import findings, rules

OUTSIDE = "-- keelson: no-transaction\n"

# A rule, a text that breaks it, and one like it that does not.
CASES = [
    ("needs-no-transaction", "VACUUM users", OUTSIDE + "VACUUM users"),
    ("needs-no-transaction", "CREATE INDEX CONCURRENTLY i ON users (name)", OUTSIDE + "CREATE INDEX CONCURRENTLY i ON users (name)"),
    ("require-concurrent-index-creation", "CREATE INDEX ON users (name)", "CREATE TABLE a (b int); CREATE INDEX ON a (b)"),
    ("require-concurrent-index-creation", "CREATE INDEX ON users (name)", OUTSIDE + "CREATE INDEX CONCURRENTLY i ON users (name)"),
    ("require-concurrent-index-deletion", "DROP INDEX i", OUTSIDE + "DROP INDEX CONCURRENTLY i"),
    ("require-concurrent-reindex", "REINDEX TABLE users", OUTSIDE + "REINDEX TABLE CONCURRENTLY users"),
    ("require-concurrent-partition-detach", "ALTER TABLE users DETACH PARTITION p",
     OUTSIDE + "ALTER TABLE users DETACH PARTITION p CONCURRENTLY"),
    ("constraint-missing-not-valid", "ALTER TABLE users ADD CONSTRAINT c CHECK (age > 0)",
     "ALTER TABLE users ADD CONSTRAINT c CHECK (age > 0) NOT VALID"),
    ("constraint-missing-not-valid", "ALTER TABLE users ADD CONSTRAINT c CHECK (age > 0) NOT VALID; ALTER TABLE users VALIDATE CONSTRAINT c",
     "ALTER TABLE users VALIDATE CONSTRAINT c"),
    ("adding-foreign-key-constraint", "ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users",
     "ALTER TABLE orders ADD FOREIGN KEY (user_id) REFERENCES users NOT VALID"),
    ("disallowed-unique-constraint", "ALTER TABLE users ADD UNIQUE (email)", "ALTER TABLE users ADD UNIQUE USING INDEX i"),
    ("adding-serial-primary-key-field", "ALTER TABLE users ADD PRIMARY KEY (email)", "ALTER TABLE users ADD PRIMARY KEY USING INDEX i"),
    ("ban-create-domain-with-constraint", "CREATE DOMAIN d AS int CHECK (VALUE > 0)", "CREATE DOMAIN d AS int"),
    ("ban-alter-domain-with-add-constraint", "ALTER DOMAIN d ADD CHECK (VALUE > 0)",
     "CREATE DOMAIN d AS int; ALTER DOMAIN d ADD CONSTRAINT c CHECK (VALUE > 0)"),
    ("ban-drop-constraint", "ALTER TABLE users DROP CONSTRAINT c",
     "ALTER TABLE users DROP CONSTRAINT c; ALTER TABLE users ADD CONSTRAINT c CHECK (age > 0) NOT VALID"),
    ("adding-field-with-default", "ALTER TABLE users ADD u uuid DEFAULT gen_random_uuid()", "ALTER TABLE users ADD u timestamptz DEFAULT now()"),
    ("adding-field-with-default", "ALTER TABLE users ADD u float DEFAULT 1 + random()", "ALTER TABLE users ADD u int DEFAULT 1"),
    ("adding-not-nullable-field", "ALTER TABLE users ALTER age SET NOT NULL", "CREATE TABLE a (b int); ALTER TABLE a ALTER b SET NOT NULL"),
    ("adding-required-field", "ALTER TABLE users ADD phone text NOT NULL", "ALTER TABLE users ADD phone text NOT NULL DEFAULT ''"),
    ("changing-column-type", "ALTER TABLE users ALTER name TYPE varchar(10)", "ALTER TABLE users ALTER name TYPE varchar(40)"),
    ("changing-column-type", "ALTER TABLE users ALTER age TYPE bigint", "ALTER TABLE users ALTER name TYPE text"),
    ("changing-column-type", "ALTER TABLE others ALTER x TYPE text", "CREATE TABLE others (x int); ALTER TABLE others ALTER x TYPE text"),
    ("renaming-column", "ALTER TABLE users RENAME age TO years", "CREATE TABLE a (b int); ALTER TABLE a RENAME b TO c"),
    ("ban-drop-column", "ALTER TABLE users DROP age", "ALTER TABLE users ADD height int"),
    ("ban-drop-not-null", "ALTER TABLE users ALTER email DROP NOT NULL", "CREATE TABLE a (b int NOT NULL); ALTER TABLE a ALTER b DROP NOT NULL"),
    ("ban-drop-default", "ALTER TABLE users ALTER age DROP DEFAULT", "ALTER TABLE users ALTER age SET DEFAULT 1"),
    ("ban-drop-generated-expression", "ALTER TABLE users ALTER age DROP EXPRESSION",
     "CREATE TABLE a (b int, c int GENERATED ALWAYS AS (b) STORED); ALTER TABLE a ALTER c DROP EXPRESSION"),
    ("ban-alter-identity", "ALTER TABLE users ALTER id DROP IDENTITY",
     "CREATE TABLE a (b bigint GENERATED ALWAYS AS IDENTITY); ALTER TABLE a ALTER b DROP IDENTITY"),
    ("renaming-table", "ALTER TABLE users RENAME TO people", "CREATE TABLE a (); ALTER TABLE a RENAME TO b"),
    ("renaming-object", "ALTER TYPE mood RENAME VALUE 'good' TO 'fine'", "CREATE TYPE t AS ENUM ('a'); ALTER TYPE t RENAME VALUE 'a' TO 'b'"),
    ("renaming-object", "ALTER SCHEMA a RENAME TO b", "ALTER INDEX i RENAME TO j; ALTER TABLE users RENAME CONSTRAINT a TO b"),
    ("ban-set-schema", "ALTER TABLE users SET SCHEMA s", "CREATE TABLE a (); ALTER TABLE a SET SCHEMA s"),
    ("ban-drop-table", "DROP TABLE users", "CREATE TABLE a (); DROP TABLE a"),
    ("ban-drop-schema", "DROP SCHEMA s", "CREATE SCHEMA s; DROP SCHEMA s"),
    ("ban-drop-sequence", "DROP SEQUENCE q", "CREATE SEQUENCE q; DROP SEQUENCE q"),
    ("ban-drop-type", "DROP TYPE mood", "CREATE TYPE t AS ENUM ('a'); DROP TYPE t"),
    ("ban-drop-domain", "DROP DOMAIN d", "CREATE DOMAIN d AS int; DROP DOMAIN d"),
    ("ban-drop-extension", "DROP EXTENSION citext", "CREATE EXTENSION citext; DROP EXTENSION citext"),
    ("ban-drop-view", "DROP VIEW v", "DROP VIEW v; CREATE VIEW v AS SELECT 1"),
    ("ban-drop-function", "DROP FUNCTION f(int)", "DROP FUNCTION f(int); CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'"),
    ("ban-truncate-cascade", "TRUNCATE users CASCADE", "TRUNCATE users"),
    ("ban-drop-database", OUTSIDE + "DROP DATABASE d", "SELECT 'DROP DATABASE d'"),
    ("prefer-timestamp-tz", "CREATE TABLE a (b timestamp)", "CREATE TABLE a (b timestamptz)"),
    ("prefer-identity", "CREATE TABLE a (b bigserial)", "CREATE TABLE a (b bigint GENERATED ALWAYS AS IDENTITY)"),
    ("identifier-too-long", f"CREATE TABLE {'a' * 64} ()", f"CREATE TABLE {'a' * 63} ()"),
    ("ban-duplicate-column-assignments", "UPDATE users SET age = 1, age = 2 WHERE id = 1", "UPDATE users SET age = 1 WHERE id = 1"),
    ("backfill-in-transaction", "ALTER TABLE users ADD x int; UPDATE users SET x = age", "UPDATE users SET age = 0"),
    ("backfill-in-transaction", "ALTER TABLE users ADD x int; DELETE FROM orders WHERE user_id > 9",
     "ALTER TABLE users ADD x int; UPDATE users SET x = 1 WHERE id = 5; DELETE FROM orders WHERE id IN (1, 2)"),
    ("backfill-in-transaction", "ALTER TABLE users ADD x int; UPDATE users SET x = 1 WHERE id = age",
     "CREATE TABLE a (b int); INSERT INTO a VALUES (1); ALTER TABLE a ADD c int; UPDATE a SET c = b"),
    ("data-dependent", OUTSIDE + "CREATE UNIQUE INDEX CONCURRENTLY i ON users (email)", OUTSIDE + "CREATE INDEX CONCURRENTLY i ON users (email)"),
    ("exclusion-constraint", "ALTER TABLE users ADD EXCLUDE USING gist (age WITH =)", "CREATE TABLE a (b int, EXCLUDE USING gist (b WITH =))"),
    ("stored-generated-column", "ALTER TABLE users ADD x int GENERATED ALWAYS AS (age + 1) STORED",
     "CREATE TABLE a (b int, c int GENERATED ALWAYS AS (b + 1) STORED)"),
    ("auto-increment-column", "ALTER TABLE users ADD x bigserial", "CREATE TABLE a (b bigint GENERATED ALWAYS AS IDENTITY)"),
    ("auto-increment-column", "ALTER TABLE users ADD x bigint GENERATED ALWAYS AS IDENTITY", "ALTER TABLE users ADD x bigint"),
    ("table-rewrite", "CLUSTER users USING i", "CREATE TABLE a (b int); CLUSTER a USING i"),
    ("table-rewrite", OUTSIDE + "VACUUM FULL users", OUTSIDE + "VACUUM users"),
    ("table-rewrite", "ALTER TABLE users SET UNLOGGED", "ALTER TABLE users SET (fillfactor = 50)"),
    ("index-over-many-columns", "CREATE TABLE a (b int, c int, d int, e int); CREATE INDEX ON a (b, c, d, e)",
     "CREATE TABLE a (b int, c int, d int, e int); CREATE INDEX ON a (b, c) INCLUDE (d, e); CREATE UNIQUE INDEX ON a (b, c, d, e)"),
    ("json-type", "CREATE TABLE a (b json)", "CREATE TABLE a (b jsonb)"),
    ("json-type", "ALTER TABLE users ADD b json", "ALTER TABLE users ADD b jsonb"),
    ("small-primary-key", "CREATE TABLE a (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY)", "CREATE TABLE a (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)"),
    ("small-primary-key", "CREATE TABLE a (id serial, PRIMARY KEY (id))", "CREATE TABLE years (year int PRIMARY KEY)"),
    ("definer-search-path", "CREATE FUNCTION f() RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT 1'",
     "CREATE FUNCTION f() RETURNS int SECURITY DEFINER SET search_path = pg_catalog LANGUAGE sql AS 'SELECT 1'"),
    ("definer-search-path", "CREATE FUNCTION f() RETURNS int SECURITY DEFINER LANGUAGE sql AS 'SELECT 1'",
     "CREATE FUNCTION f() RETURNS int SECURITY DEFINER LANGUAGE sql BEGIN ATOMIC SELECT 1; END"),
    ("function-search-path", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
     "CREATE FUNCTION f() RETURNS int SET search_path = x LANGUAGE sql AS 'SELECT 1'"),
    ("row-security-without-policy", "ALTER TABLE users ENABLE ROW LEVEL SECURITY", "ALTER TABLE users ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON users"),
    ("policy-without-row-security", "CREATE POLICY p ON users", "CREATE POLICY p ON users; ALTER TABLE public.users ENABLE ROW LEVEL SECURITY"),
    ("policy-without-row-security", "CREATE POLICY p ON users",
     "ALTER TABLE users ENABLE ROW LEVEL SECURITY; ALTER TABLE users RENAME TO people; CREATE POLICY p ON people"),
    # T1 to T6 of TimescaleDB, and what goes with them
    ("hypertable-concurrent-index", OUTSIDE + "CREATE INDEX CONCURRENTLY i ON bars (symbol)",
     OUTSIDE + "CREATE INDEX ON bars (symbol) WITH (timescaledb.transaction_per_chunk)"),
    ("hypertable-index", "CREATE INDEX ON bars (symbol)", OUTSIDE + "CREATE INDEX ON bars (symbol) WITH (timescaledb.transaction_per_chunk)"),
    ("hypertable-unique-time", "CREATE UNIQUE INDEX ON bars (symbol)", "CREATE UNIQUE INDEX ON bars (symbol, at)"),
    ("hypertable-unique-time", "ALTER TABLE bars ADD PRIMARY KEY (symbol)", "ALTER TABLE bars ADD PRIMARY KEY (symbol, at)"),
    ("hypertable-unique-time", "CREATE TABLE t (id bigint PRIMARY KEY, at timestamptz); SELECT create_hypertable('t', 'at')",
     "CREATE TABLE t (id bigint, at timestamptz, PRIMARY KEY (id, at)); SELECT create_hypertable('t', by_range('at'))"),
    ("hypertable-unique-time", "CREATE TABLE s (id bigint PRIMARY KEY, at timestamptz); ALTER TABLE s RENAME TO t; SELECT create_hypertable('t', 'at')",
     "CREATE TABLE s (id bigint, at timestamptz, PRIMARY KEY (id, at)); ALTER TABLE s RENAME TO t; SELECT create_hypertable('t', 'at')"),
    ("hypertable-unique-time", "CREATE TABLE t (id bigint UNIQUE, at timestamptz) WITH (tsdb.hypertable, tsdb.partition_column = 'at')",
     "CREATE TABLE t (id bigint, at timestamptz UNIQUE) WITH (tsdb.hypertable, tsdb.partition_column = 'at')"),
    ("compressed-table-change", "ALTER TABLE ticks ALTER a TYPE bigint", "ALTER TABLE ticks ADD b int"),
    ("aggregate-with-data", "CREATE MATERIALIZED VIEW m WITH (timescaledb.continuous) AS SELECT 1",
     "CREATE MATERIALIZED VIEW m WITH (timescaledb.continuous) AS SELECT 1 WITH NO DATA"),
    ("aggregate-with-data", "CREATE MATERIALIZED VIEW m WITH (timescaledb.continuous) AS SELECT 1",
     OUTSIDE + "CREATE MATERIALIZED VIEW m WITH (timescaledb.continuous) AS SELECT 1"),
    ("refresh-in-transaction", "CALL refresh_continuous_aggregate('m', NULL, NULL)", OUTSIDE + "CALL refresh_continuous_aggregate('m', NULL, NULL)"),
    ("create-hypertable-with-data", "SELECT create_hypertable('orders', 'at', migrate_data => true)",
     "CREATE TABLE t (at timestamptz); SELECT create_hypertable('t', 'at')"),
    ("timescale-edition", "SELECT add_retention_policy('bars', INTERVAL '1 day')", "SELECT drop_chunks('bars', INTERVAL '1 day')"),
    ("timescale-edition", "ALTER TABLE bars SET (timescaledb.compress)", "ALTER TABLE bars SET (fillfactor = 50)"),
    ("allow-unknown-rule", "-- keelson: allow ban-drop-tables: gone\nDROP TABLE users", "-- keelson: allow ban-drop-table: gone\nDROP TABLE users"),
    ("allow-without-reason", "-- keelson: allow ban-drop-table\nDROP TABLE users", "-- keelson: allow ban-drop-table: gone\nDROP TABLE users"),
    ("unused-allow", "-- keelson: allow ban-drop-table: gone\nSELECT 1", "-- keelson: allow ban-drop-table: gone\nDROP TABLE users"),
    # Off, unless settings say otherwise
    ("prefer-text-field", "CREATE TABLE a (b varchar(9))", "CREATE TABLE a (b text)"),
    ("ban-char-field", "CREATE TABLE a (b char(9))", "CREATE TABLE a (b text)"),
    ("prefer-bigint-over-int", "CREATE TABLE a (b int)", "CREATE TABLE a (b bigint)"),
    ("prefer-bigint-over-smallint", "CREATE TABLE a (b smallint)", "CREATE TABLE a (b bigint)"),
    ("require-lock-timeout", "ALTER TABLE users ADD b int", "SET lock_timeout = '1s'; ALTER TABLE users ADD b int"),
    ("require-statement-timeout", "ALTER TABLE users ADD b int", "SET statement_timeout = '1s'; ALTER TABLE users ADD b int"),
    ("require-enum-value-ordering", "ALTER TYPE mood ADD VALUE 'x'", "ALTER TYPE mood ADD VALUE 'x' AFTER 'good'"),
    ("require-table-schema", "DROP TABLE users", "DROP TABLE public.users"),
    ("ban-create-policy", "CREATE POLICY p ON users", "SELECT 1"),
]  # fmt: skip

REFUSED_BEFORE = {  # by the engine, whatever the settings say; or said by a rule of ours
    "ban-concurrent-index-creation-in-transaction",
    "transaction-nesting",
    "ban-uncommitted-transaction",
    "prefer-robust-stmts",
    "prefer-repack",
}
APACHE = Place(
    edition="apache",
    compressed=("ticks",),
    chosen={rule.id: "warning" for rule in RULES.values() if rule.level == "off"},
)


@pytest.mark.parametrize(("rule", "broken", "kept"), CASES, ids=[case[0] for case in CASES])
def test_a_rule_finds_what_breaks_it_and_nothing_else(tmp_path: Path, rule: str, broken: str, kept: str) -> None:
    assert rule in rules(tmp_path, broken, place=APACHE)
    assert rule not in rules(tmp_path, kept, place=APACHE)


def test_squawk_knows_every_rule_that_is_called_its_own() -> None:
    reading = read(Part(Path("a.sql"), "a.sql", written="SELECT 1"))
    assert squawk.look([reading], OF_SQUAWK, "17") == [[]]  # it refuses names that it does not know


def test_every_rule_that_is_on_has_a_case() -> None:
    ordinary = {rule.id for rule in RULES.values() if rule.level == "off" and "old and new programs" in rule.why_off}
    assert set(RULES) - {case[0] for case in CASES} - ordinary - REFUSED_BEFORE == {
        "timescale-in-yaml",
        "not-linted",
    }


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_is_a_sentence_and_one_that_is_off_says_why(rule: Rule) -> None:
    sentence = rule.about(["users"])
    assert "{" not in sentence
    assert not sentence.endswith(".")
    assert bool(rule.why_off) == (rule.level == "off")


def test_dangers_are_errors_where_an_environment_is_protected_and_settings_have_the_last_word() -> None:
    rule = RULES["ban-drop-table"]
    assert severity_of(rule, protected=True, chosen={}) == "error"
    assert severity_of(rule, protected=False, chosen={}) == "warning"
    assert severity_of(rule, protected=True, chosen={"ban-drop-table": "off"}) == "off"
    assert severity_of(RULES["json-type"], protected=True, chosen={}) == "warning"
    assert severity_of(RULES["hypertable-concurrent-index"], protected=False, chosen={}) == "error"


def test_a_rule_that_is_not_is_refused_by_name() -> None:
    with pytest.raises(SettingsError, match=r"there is no rule 'ban-drop-tables'; did you mean 'ban-drop-table'\?"):
        refuse_unknown(["ban-drop-tables"])


def test_without_the_apache_edition_policies_are_advised_to_stand_in_timescale_yaml(tmp_path: Path) -> None:
    assert rules(tmp_path, "SELECT add_retention_policy('bars', INTERVAL '1 day')") == ["timescale-in-yaml"]
    assert rules(tmp_path, "SELECT create_hypertable('new', 'at')") == ["create-hypertable-with-data"]


def test_a_finding_reads_like_a_compilers(tmp_path: Path) -> None:
    (finding,) = findings(tmp_path, "\n\nDROP TABLE\n  users;\n")
    assert str(finding) == (
        "002_a.sql:3: error ban-drop-table: the rows of users are lost and programs that still use it fail; "
        "first release programs that do not, or rename it and drop it later"
    )


def test_the_page_lists_the_rules_as_they_are() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert text.endswith(page.table()), "write it anew: python -m tests.migrations.lint.page"
