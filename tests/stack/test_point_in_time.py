"""The archive of a whole stack's server: turned on, watched, restored from, gone with the stack."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.stack.harness import StackUnderTest, notes_up, wait_until

pytestmark = pytest.mark.local


@pytest.mark.timeout(600)
def test_a_server_is_restored_as_it_was_beside_the_live_one_and_in_its_place(
    make_stack: Callable[..., StackUnderTest],
) -> None:
    stack = notes_up(make_stack, agent={})
    refused = stack.keelson("backup", "run", "--server", "main", check=False)
    assert "server main keeps no archive; set `point_in_time: true` below keelson:servers.main" in refused.stderr
    stack.write_settings(point_in_time=True)
    previewed = stack.keelson("preview")
    assert (
        "server main begins to archive its log, which takes a restart of some seconds"
        in previewed.stdout + previewed.stderr
    )
    stack.keelson("up")
    _await_first_backup(stack)
    moment = stack.keelson("psql", "notes", "--role", "admin", "--", "-Atc", _NOW).stdout.strip()
    before = stack.count("notes", "notes")
    stack.keelson("psql", "notes", "--role", "admin", "--", "-c", "DELETE FROM notes")
    assert stack.count("notes", "notes") == 0

    said = stack.keelson("restore", "--server", "main", "--at", moment, "--into", "then").stdout
    assert f"then holds main as it was at {moment[:16]}" in said
    found = stack.keelson("psql", "notes", "--beside", "then", "--", "-Atc", "SELECT count(*) FROM notes").stdout
    assert int(found) == before
    assert stack.keelson("url", "notes", "--beside", "then").stdout.startswith("postgresql://postgres:")
    assert "then" in stack.keelson("restore", "--server", "main", "--list").stdout
    stack.keelson("restore", "--server", "main", "--discard", "then")

    unnamed = stack.keelson("restore", "--server", "main", "--at", moment, "--in-place", check=False)
    assert "nothing was changed" in unnamed.stderr
    assert stack.count("notes", "notes") == 0
    stack.keelson("restore", "--server", "main", "--at", moment, "--in-place", "--confirm", "main")
    stack.keelson("up", "--", "--refresh")
    assert stack.count("notes", "notes") == before
    assert "full" in stack.keelson("backup", "run", "--server", "main", "--full").stdout
    assert "reads back, 2 backups" in stack.keelson("backup", "verify", "--server", "main").stdout
    assert "main: 2" in (said := stack.keelson("backup", "drill", "--server", "main").stdout)
    assert "and the log since are proven" in said
    listed = json.loads(stack.keelson("backup", "list", "--server", "main", "--json").stdout)
    assert [each["full"] for each in listed[0]["backups"]] == [True, True]
    status = json.loads(stack.keelson("status", "--json", check=False).stdout)
    assert not [fault for fault in status["faults"] if "archive" in fault or "backup of server" in fault]
    assert status["archives"][0]["exposed_seconds"] >= 60
    assert "archive of main: at most" in stack.keelson("status", check=False).stdout
    looked = {each["check"]: each for each in json.loads(stack.keelson("doctor", "--json", check=False).stdout)}
    assert looked["archive main"]["level"] == "ok", looked["archive main"]["detail"]
    stack.keelson("destroy", "--yes")
    assert not stack.running()
    assert not stack.left()


_NOW = 'SELECT to_char(clock_timestamp(), \'YYYY-MM-DD"T"HH24:MI:SS.US"Z"\')'


def _await_first_backup(stack: StackUnderTest) -> None:
    """Wait until the agent has made the first one, which is due from the start."""

    def is_there() -> bool:
        status = json.loads(stack.keelson("status", "--json", check=False).stdout)
        return bool(status["archives"][0]["backed_up"])

    wait_until(is_there, "no first backup was made", 120)
