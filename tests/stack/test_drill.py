"""Drills of a whole stack: by hand, on the ten databases and with what goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.stack.harness import StackUnderTest, notes_up
from tests.stack.test_ten_databases import DATABASES


@pytest.fixture(scope="module")
def notes(make_shared_stack: Callable[..., StackUnderTest]) -> StackUnderTest:
    """A stack with one server and one service of ten rows, up."""
    return notes_up(make_shared_stack)


@pytest.mark.everywhere
def test_a_backup_is_proven_and_a_failing_check_is_told(notes: StackUnderTest) -> None:
    notes.keelson("backup", "run", "notes")
    said = notes.keelson("backup", "drill", "notes").stdout
    assert "is proven" in said
    assert "as backed up" in said
    checks = notes.root / "sql" / "notes" / "checks"
    checks.mkdir()
    try:
        (checks / "none.sql").write_text("SELECT id FROM notes;\n")
        done = notes.keelson("backup", "drill", "--all", "--json", check=False)
    finally:
        (checks / "none.sql").unlink()
        checks.rmdir()
    assert done.returncode == 1
    [found] = json.loads(done.stdout)
    assert found["differences"] == ["the check none.sql finds 10 rows in the restored database"]
    assert found["compared"]["rows"] >= 10
    assert found["recovery_seconds"] > 0
    refused = notes.keelson("backup", "drill", "nothing", check=False)
    assert "has no service 'nothing'; it has notes" in refused.stderr


def test_ten_databases_are_proven(ten: StackUnderTest) -> None:
    ten.keelson("backup", "run", "--all")
    found = json.loads(ten.keelson("backup", "drill", "--all", "--json").stdout)
    assert [each["database"] for each in found] == DATABASES
    assert [each["differences"] for each in found] == [[]] * len(DATABASES)
    assert all(each["notes"] == [] for each in found)
    assert sum(len(each["checks"]) for each in found) > len(DATABASES)
