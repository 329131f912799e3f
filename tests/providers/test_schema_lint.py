"""What the linter does to a preview of a database's migrations; no test here opens a connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from keelson import migrations
from keelson.migrations.lint import Place, squawk
from keelson.migrations.lint.place import as_input
from providers.schema import SchemaProvider

PROD = as_input(Place())
DROP = "ALTER TABLE users DROP COLUMN name;"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    made = tmp_path / "db"
    made.mkdir()
    (made / "001_users.sql").write_text("CREATE TABLE users (id bigint PRIMARY KEY, name text);")
    return made


def check(old: dict[str, Any], lint: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    hashes = {file.name: file.sha256 for file in migrations.read_directory(Path("db"))}
    done = SchemaProvider().check(old, {"service": "auth", "directory": "db", "files": hashes, "lint": lint})
    return done.inputs, [failure.reason for failure in done.failures or ()]


def test_an_error_in_a_pending_file_stops_the_preview_with_what_to_do(folder: Path) -> None:
    old, failures = check({}, PROD)
    assert failures == []
    (folder / "002_drop.sql").write_text(f"\n{DROP}")
    (failure,) = check(old, PROD)[1]
    assert failure.startswith("db/002_drop.sql:2: ban-drop-column: the data of the column are lost")
    assert "or put `-- keelson: allow ban-drop-column: …` before the statement, with the reason" in failure
    (folder / "002_drop.sql").write_text(f"-- keelson: allow ban-drop-column: release 4 does not read it\n{DROP}")
    seen, failures = check(old, PROD)
    assert (failures, seen["pending"]) == ([], "002_drop.sql")


def test_where_nothing_is_protected_it_is_a_warning_in_the_plan(folder: Path) -> None:
    dev = as_input(Place(protected=False))
    old, _ = check({}, dev)
    (folder / "002_drop.sql").write_text(DROP)
    seen, failures = check(old, dev)
    assert failures == []
    assert seen["plan"]["002_drop.sql"].endswith("; no undo; warning: ban-drop-column in line 1")


def test_files_that_did_not_change_are_not_looked_at_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "002_drop.sql").write_text(DROP)
    old, _ = check({}, as_input(Place(protected=False)))

    def refuse(*_: object) -> None:
        pytest.fail("squawk was asked")

    monkeypatch.setattr(squawk, "look", refuse)
    seen, failures = check(old, PROD)
    assert failures == []
    assert (seen["plan"], seen["pending"]) == (old["plan"], old["pending"])
