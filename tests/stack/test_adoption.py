"""A service whose migrations another tool has applied, in the stack that takes it over."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.stack.harness import StackUnderTest

SETTINGS = "server: main\nmigrations: {directory: ../../db/notes}\n"
FIRST = "-- +goose Up\nCREATE TABLE notes (id int);\n-- +goose Down\nDROP TABLE notes;\n"
SECOND = "-- +goose Up\nALTER TABLE notes ADD COLUMN more text;\n"
RESTORED = """
    SET ROLE notes_owner;
    CREATE TABLE notes (id int);
    CREATE TABLE goose_db_version (id int PRIMARY KEY, version_id bigint, is_applied boolean, tstamp timestamp DEFAULT now());
    INSERT INTO goose_db_version VALUES (1, 0, true), (2, 1, true)
"""


@pytest.mark.thorough
@pytest.mark.timeout(300)
def test_a_database_that_goose_migrated_is_taken_over_and_goes_on_from_there(
    make_stack: Callable[..., StackUnderTest],
) -> None:
    stack = make_stack("taken")
    stack.write_service("notes", {"database.yaml": SETTINGS})
    folder = stack.root / "db/notes"
    folder.mkdir(parents=True)
    stack.keelson("up", "--yes")
    with stack.connect("notes", "admin") as admin:
        admin.execute(RESTORED)
    (folder / "00001_notes.sql").write_text(FIRST)
    refused = stack.keelson("up", "--yes", check=False)
    assert refused.returncode == 1
    assert "was migrated by goose, which keeps goose_db_version" in refused.stdout + refused.stderr

    done = json.loads(stack.keelson("migrate", "import", "notes", "--reason", "a test", "--json").stdout)
    assert (done["source"], done["files"]) == ("goose_db_version", ["00001_notes.sql"])
    said = stack.pulumi("preview", "--diff").stdout
    assert "dynamic/keelson:Schema" not in said, said
    (folder / "00002_more.sql").write_text(SECOND)
    assert "pending 00002_more.sql" in stack.pulumi("preview").stdout
    stack.keelson("up", "--yes")
    rows = json.loads(stack.keelson("migrate", "status", "notes", "--json").stdout)
    assert [(row["file"], row["state"]) for row in rows] == [
        ("00001_notes.sql", "applied"),
        ("00002_more.sql", "applied"),
    ]
