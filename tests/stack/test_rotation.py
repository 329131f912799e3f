"""Logins are rotated while a writer works, and nobody is ever refused who was told a password in time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.stack.harness import StackUnderTest, changed
from tests.stack.test_faults import kill_up_after
from tests.stack.writers import Writer, at_work

OVERLAP = "SELECT rolname, extract(epoch FROM rolvaliduntil - now())::float8 FROM pg_roles WHERE rolname LIKE 'notes%' AND isfinite(rolvaliduntil)"
HOURS = 3600


@pytest.fixture(scope="module")
def running(make_shared_stack: Callable[..., StackUnderTest]) -> StackUnderTest:
    made = make_shared_stack(pgadmin={"enabled": True})
    made.write_service("notes")
    path = made.root / f"Pulumi.{made.name}.yaml"
    path.write_text(f"# ours, and to be kept\n{path.read_text()}")
    made.keelson("up")
    return made


def writer(told: Callable[[], str]) -> Writer:
    return Writer(lambda: psycopg.connect(told(), autocommit=True))


def from_env(stack: StackUnderTest) -> str:
    return str(json.loads(stack.keelson("env", "notes", "--json").stdout)["DATABASE_URL"])


def ends(stack: StackUnderTest) -> dict[str, float]:
    with stack.connect("notes", "admin") as connection:
        return dict(connection.execute(OVERLAP).fetchall())


def generation(stack: StackUnderTest) -> Any:
    return json.loads(stack.pulumi("config", "get", "keelson:rotation").stdout)


def is_refused(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError as fault:
        return "password authentication failed" in str(fault)
    return False


def test_no_login_fails_while_a_service_is_rotated_and_a_session_lives_on(running: StackUnderTest) -> None:
    old = from_env(running)
    anew, constant = writer(lambda: from_env(running)), writer(lambda: old)
    with psycopg.connect(old, autocommit=True) as session, at_work(anew, constant):
        running.said = running.keelson("rotate", "notes").stdout
        assert session.execute("SELECT current_user").fetchone() == ("notes_app_a",)
    assert anew.failed == []
    assert constant.failed == []
    assert list(dict.fromkeys(anew.users)) == ["notes_app_a", "notes_app_b"]
    assert set(constant.users) == {"notes_app_a"}
    assert from_env(running) != old


def test_the_settings_say_it_with_their_comments_and_another_up_changes_nothing(running: StackUnderTest) -> None:
    assert (running.root / f"Pulumi.{running.name}.yaml").read_text().startswith("# ours, and to be kept\n")
    assert generation(running) == {"notes": 2}
    assert changed(running.keelson("preview").stdout) == set()
    assert "come into use" not in running.keelson("preview").stdout


def test_postgresql_ends_the_logins_of_before_and_no_other(running: StackUnderTest) -> None:
    found = ends(running)
    assert found.keys() == {"notes_app_a", "notes_readonly_a"}
    assert all(23 * HOURS < left <= 24 * HOURS for left in found.values())


def test_pgadmin_logs_in_as_the_new_reader(running: StackUnderTest) -> None:
    assert '"notes_readonly_b"' in running.pulumi("stack", "export").stdout
    url = running.url("notes", "readonly")
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("notes_readonly_b",)


def test_a_second_rotation_within_the_overlap_is_refused(running: StackUnderTest) -> None:
    done = running.keelson("rotate", "notes", check=False)
    assert done.returncode == 1
    assert "clients may use notes_app_a and notes_readonly_a until" in done.stderr
    assert generation(running) == {"notes": 2}


def test_the_preview_tells_of_a_rotation_and_asks_no_server(running: StackUnderTest) -> None:
    running.pulumi("config", "set", "--path", "keelson:rotation.notes", "1")
    before = ends(running)
    with running.frozen("main"):
        said = running.keelson("preview").stdout
    assert (
        "notes: notes_app_a and notes_readonly_a come into use; notes_app_b and notes_readonly_b work for 24 h more"
        in said
    )
    assert {"Roles", "Rotation"} <= changed(said)
    assert ends(running).keys() == before.keys()
    running.pulumi("config", "set", "--path", "keelson:rotation.notes", "2")


def test_the_logins_of_before_come_back_within_the_overlap_and_no_login_fails(running: StackUnderTest) -> None:
    second = from_env(running)
    anew, constant = writer(lambda: from_env(running)), writer(lambda: second)
    with at_work(anew, constant):
        running.keelson("rotate", "notes", "--back")
    assert anew.failed == []
    assert constant.failed == []
    assert list(dict.fromkeys(anew.users)) == ["notes_app_b", "notes_app_a"]
    assert ends(running).keys() == {"notes_app_b", "notes_readonly_b"}


def test_a_login_is_refused_when_its_time_is_over(running: StackUnderTest) -> None:
    first = from_env(running)
    running.pulumi("config", "set", "keelson:rotate_overlap", "0")
    running.keelson("rotate", "notes", "--early")
    assert is_refused(first)
    with running.connect("notes") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("notes_app_b",)


def test_an_update_that_is_killed_is_finished_by_the_next_one_and_nobody_is_refused(running: StackUnderTest) -> None:
    running.pulumi("config", "set", "keelson:rotate_overlap", "24")
    running.keelson("rotate", "notes", "--early")
    old, before = from_env(running), generation(running)["notes"]
    anew, constant = writer(lambda: from_env(running)), writer(lambda: old)
    with at_work(anew, constant):
        for number, seconds in enumerate((1.0, 1.4, 1.8, 2.2)):  # into the start, the roles, pgAdmin, the end
            running.pulumi("config", "set", "--path", "keelson:rotation.notes", str(before + 1 - number % 2))
            kill_up_after(running, seconds)
            running.keelson("url", "notes")
        running.pulumi("config", "set", "--path", "keelson:rotation.notes", str(before + 1))
        running.keelson("up")
    assert anew.failed == []
    assert constant.failed == []
    used, ended = ("a", "b") if before % 2 == 0 else ("b", "a")
    assert anew.users[-1] == f"notes_app_{used}"
    assert ends(running).keys() == {f"notes_app_{ended}", f"notes_readonly_{ended}"}


def set_back(stack: StackUnderTest, since: str) -> None:
    """Have the engine's state say that the logins of notes are in use since then."""
    state = stack.export()
    for resource in state["deployment"]["resources"]:
        if resource["urn"].endswith("::notes-roles"):
            resource["outputs"]["since"] = since
    file = stack.home / "state.json"
    file.write_text(json.dumps(state))
    stack.pulumi("stack", "import", "--file", str(file))


def test_logins_that_are_old_are_rotated_by_up_and_the_preview_shows_that(running: StackUnderTest) -> None:
    before = generation(running)["notes"]
    running.pulumi("config", "set", "keelson:rotate_after", "90")
    assert "come into use" not in running.keelson("preview").stdout, "they are of today"
    set_back(running, "2020-01-01T00:00:00+00:00")
    seen = running.keelson("preview")
    assert "notes: its logins are in use since 2020-01-01, and keelson:rotate_after is 90 days" in seen.stderr
    assert f"come into use; {'notes_app_a' if before % 2 else 'notes_app_b'} and" in seen.stdout
    assert generation(running) == {"notes": before}, "a preview changes nothing"
    old = from_env(running)
    running.keelson("up")
    assert generation(running) == {"notes": before + 1}
    assert from_env(running) != old
    assert not is_refused(old)
    assert "come into use" not in running.keelson("preview").stdout


def test_no_password_of_any_turn_stands_in_state_previews_or_logs(running: StackUnderTest) -> None:
    shown = running.said + running.pulumi("preview", "--diff").stdout + running.pulumi("stack", "export").stdout
    shown += running.shown() + running.logs()
    assert "SCRAM-SHA-256$" not in shown
    assert not [name for name, password in running.passwords().items() if password in shown]
