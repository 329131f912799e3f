"""How `up` goes about it: one look where nothing changes, nothing done where the look fails, no trace after an interrupt."""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Callable

import psycopg
import pytest

from tests.stack.harness import NOTES, StackUnderTest, notes_up, wait_until

SLOW = {
    "migrations/002_slow.sql": "CREATE TABLE slow (a int);\nSELECT pg_sleep(300);\n",
    "migrations/002_slow.down.sql": "DROP TABLE slow;\n",
}


def sleeping(admin: psycopg.Connection) -> bool:
    query = "SELECT FROM pg_stat_activity WHERE query LIKE '%pg_sleep(300)%' AND state = 'active' AND pid <> pg_backend_pid()"
    return admin.execute(query).fetchone() is not None


@pytest.fixture(scope="module")
def up(make_shared_stack: Callable[..., StackUnderTest]) -> StackUnderTest:
    """One stack for all tests, up."""
    return notes_up(make_shared_stack)


def test_an_up_that_changes_nothing_runs_no_update(up: StackUnderTest) -> None:
    before = up.export()
    again = up.keelson("up").stdout
    assert "unchanged" in again
    assert "Updating" not in again
    assert "keelson psql notes" in again
    assert up.export() == before


def test_an_output_that_changed_alone_is_written(up: StackUnderTest) -> None:
    program = up.root / "__main__.py"
    program.write_text(program.read_text().replace("    return {", '    return {"colour": "green", '))
    assert "Updating" in up.keelson("up").stdout
    assert json.loads(up.pulumi("stack", "output", "--json").stdout)["colour"] == "green"
    assert "Updating" not in up.keelson("up").stdout


def test_a_preview_that_fails_changes_nothing(up: StackUnderTest) -> None:
    before = up.export()
    up.write_service("another", NOTES)
    up.write_service("notes", {"migrations/002_bad.sql": "CRATE;\n", "migrations/002_bad.down.sql": "SELECT 1;\n"})
    failed = up.keelson("up", check=False)
    assert failed.returncode == 1
    assert "002_bad.sql:1" in failed.stdout
    assert "Updating" not in failed.stdout
    assert up.export() == before
    shutil.rmtree(up.root / "sql/another")
    for file in (up.root / "sql/notes/migrations").glob("002_bad*"):
        file.unlink()


def test_an_interrupt_in_a_migration_ends_all_and_the_next_up_finishes(up: StackUnderTest) -> None:
    up.write_service("notes", SLOW)
    with up.connect("notes", "admin") as admin, up.start("up") as running:
        wait_until(lambda: sleeping(admin), "the migration runs")
        began = time.monotonic()
        running.send_signal(signal.SIGINT)
        said = running.communicate(timeout=60)[0]
        assert time.monotonic() - began < 30
        assert running.returncode == 130
        assert "interrupted; run the command again to finish" in said
        assert "Traceback" not in said
        wait_until(lambda: not up.engine_processes(), "the engine and its providers ended", seconds=10)
        wait_until(lambda: not sleeping(admin), "the server ended the statement", seconds=10)
        assert admin.execute("SELECT to_regclass('slow')").fetchone() == (None,)
    up.write_service("notes", {"migrations/002_slow.sql": "CREATE TABLE slow (a int);\n"})
    up.keelson("up")
    assert up.count("notes", "slow") == 0
    assert up.keelson("status").returncode == 0


@pytest.mark.parametrize("command", ["start", "stop"])
def test_an_interrupt_of_start_and_stop_leaves_what_the_next_one_finishes(up: StackUnderTest, command: str) -> None:
    if command == "start":
        up.keelson("stop")
    before = up.tree("main")
    with up.start(command) as running:
        wait_until(lambda: up.tree("main") != before, "it is at work")
        running.send_signal(signal.SIGINT)
        said = running.communicate(timeout=60)[0]
    assert "Traceback" not in said
    up.keelson("start")
    assert up.count("notes", "notes") == 10
    assert up.keelson("status").returncode == 0
