"""`keelson harden` on a whole stack: what we make is as it should be, and what was made worse is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from keelson.local import root
from tests.stack.harness import NOTES, StackUnderTest

SERVERS = {"main": {}, "timescale": {"timescaledb": True}}


@pytest.fixture(scope="module")
def stack(make_shared_stack: Callable[..., StackUnderTest]) -> StackUnderTest:
    """Two servers and the agent, for the whole module; a test puts back what it changes."""
    made = make_shared_stack(servers=SERVERS, agent={"enabled": True})
    made.write_service("notes")
    made.write_service("ticks", NOTES | {"database.yaml": "server: timescale\nextensions: [citext]\n"})
    made.keelson("up")
    return made


def faults(stack: StackUnderTest, *arguments: str) -> dict[str, str]:
    """What is not as it should be, by server and check."""
    done = stack.keelson("harden", "--json", *arguments, check=False)
    found: dict[str, Any] = json.loads(done.stdout)
    wrong = {
        f"{server['server']}: {check['id']}": check["found"]
        for server in found["servers"]
        for check in server["checks"]
        if check["state"] != "ok"
    }
    assert done.returncode == (1 if wrong else 0)
    return wrong


def test_a_stack_made_by_us_is_as_it_should_be(stack: StackUnderTest) -> None:
    assert faults(stack) == {}
    shown = stack.keelson("harden").stdout
    assert shown.count("35 checks are well") == len(SERVERS)


def test_a_service_that_was_made_worse_is_found_on_its_server_alone(stack: StackUnderTest) -> None:
    with stack.connect("ticks", "admin") as connection:
        connection.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
        connection.execute("CREATE EXTENSION hstore")
        try:
            assert set(faults(stack)) == {"timescale: public-schemas", "timescale: extensions"}
            assert faults(stack, "main") == {}
        finally:
            connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
            connection.execute("DROP EXTENSION hstore")


def test_a_password_of_the_stack_in_a_comment_is_found_and_not_shown(stack: StackUnderTest) -> None:
    password = stack.passwords()["main/notes_app_a"]
    with stack.connect("notes", "admin") as connection:
        connection.execute(f"COMMENT ON TABLE notes IS 'login: {password}'")
        try:
            (found,) = faults(stack).values()
            assert found == "the comment on table notes in notes has a password of the stack"
        finally:
            connection.execute("COMMENT ON TABLE notes IS NULL")


@pytest.mark.skipif(not root.find().has_pgaudit, reason="a private root of an older release lacks pgAudit")
def test_a_stack_that_did_not_load_pgaudit_does_after_the_next_up_which_the_preview_shows(
    stack: StackUnderTest,
) -> None:
    stack.write_settings(servers=SERVERS | {"main": {"pgaudit": False}})
    stack.keelson("up")
    assert faults(stack) == {"main: audit": "the server has pgAudit, and does not load it"}
    stack.write_settings(servers=SERVERS)
    assert "pgaudit" in stack.pulumi("preview", "--diff").stdout
    stack.keelson("up")
    assert faults(stack) == {}
    with stack.connect("notes", "admin") as connection:
        assert connection.execute("SHOW pgaudit.log").fetchone() == ("ddl, role",)


def test_a_server_that_is_down_is_said_and_the_others_are_looked_at(stack: StackUnderTest) -> None:
    stack.keelson("stop", "timescale")
    try:
        done = stack.keelson("harden", check=False)
        assert done.returncode == 1
        assert "35 checks are well" in done.stdout
        assert "timescale" in done.stderr
    finally:
        stack.keelson("start", "timescale")


def test_a_server_that_is_not_the_stacks_is_refused(stack: StackUnderTest) -> None:
    done = stack.keelson("harden", "other", check=False)
    assert done.returncode == 1
    assert "has no server 'other'; it has main, timescale" in done.stderr


def test_a_file_of_the_stack_that_others_can_read_is_found(stack: StackUnderTest) -> None:
    stack.sh('chmod o+r "$STATE/secrets.json"')
    try:
        assert "secrets.json can be read by others" in faults(stack)["main: private-files"]
    finally:
        stack.sh('chmod o-r "$STATE/secrets.json"')
