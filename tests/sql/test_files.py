"""What can be said of the SQL files without a server."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.sql import project

FILES = sorted(path for path in project.SQL.rglob("*") if path.is_file())
MIGRATIONS = [path for database in project.DATABASES for path in project.migrations(database)]
SEEDS = [path for path in FILES if "seeds" in path.parts and path.suffix == ".sql"]

LOOKS_LIKE_A_SECRET = re.compile(
    r"""password\s*[=:]\s*\S | \bPASSWORD\s+' | ://[^/\s:@]+:[^@\s]+@ | \$2[aby]\$ | \$argon2 | \$scrypt | SCRAM-SHA-256\$ | \bmd5[0-9a-f]{32}""",
    re.IGNORECASE | re.VERBOSE,
)
NOT_FOR_A_MIGRATION = re.compile(
    r"""^\s*(BEGIN|START\s+TRANSACTION|COMMIT|ROLLBACK)\s*; | ^\s*\\ | CREATE\s+EXTENSION | (CREATE|ALTER|DROP)\s+(ROLE|USER|DATABASE)\b
    | schema_versions | schema_seeds | timescaledb\.(compress|continuous) | add_\w+_policy | CONCURRENTLY""",
    re.IGNORECASE | re.VERBOSE | re.MULTILINE,
)
NOT_THE_SAME_TWICE = re.compile(
    r"\b(random|now|clock_timestamp|gen_random_uuid)\s*\(|\bcurrent_(date|timestamp)\b", re.IGNORECASE
)


def named(path):
    return str(path.relative_to(project.SQL))


@pytest.mark.parametrize("path", FILES, ids=named)
def test_no_file_holds_what_looks_like_a_secret(path):
    assert not LOOKS_LIKE_A_SECRET.search(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", MIGRATIONS, ids=named)
def test_migration_is_plain_sql_that_both_editions_accept_and_has_an_undo(path):
    for text in (path.read_text(encoding="utf-8"), project.undo_of(path).read_text(encoding="utf-8")):
        assert not NOT_FOR_A_MIGRATION.search(text)


@pytest.mark.parametrize("database", project.DATABASES)
def test_versions_follow_each_other(database):
    assert [project.number(path) for path in project.migrations(database)] == list(
        range(1, len(project.migrations(database)) + 1)
    )


@pytest.mark.parametrize("path", [path for path in MIGRATIONS if "_" not in path.name], ids=named)
def test_migration_without_words_in_its_name_begins_with_a_description(path):
    assert re.match(r"-- Description: \S", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", SEEDS, ids=named)
def test_seed_gives_the_same_rows_every_time(path):
    text = path.read_text(encoding="utf-8")
    assert not NOT_THE_SAME_TWICE.search(text)
    assert text.count("INSERT INTO") == text.count("ON CONFLICT")


@pytest.mark.parametrize(
    "path", [path for path in FILES if "checks" in path.parts or "queries" in path.parts], ids=named
)
def test_check_and_query_are_one_statement(path):
    statement = re.sub("--.*", "", path.read_text(encoding="utf-8"))
    assert re.fullmatch(r"\s*(SELECT|WITH)\b[^;]*;\n", statement)


@pytest.mark.parametrize("database", project.DATABASES)
def test_production_gets_reference_data_only(database):
    assert project.seed_folders(database, "prod") in ([], ["reference"])
    assert project.seed_folders(database, "staging") in ([], ["reference"])


@pytest.mark.parametrize("path", sorted(project.SQL.glob("*/timescale.yaml")), ids=named)
def test_timescale_settings_have_the_known_shape(path):
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert set(settings) <= {"hypertables", "aggregates"}
    for policies in settings["hypertables"].values():
        assert set(policies) <= {"compression", "retention"}
    for aggregate in settings["aggregates"].values():
        assert set(aggregate) == {"query", "refresh", "unique"}
