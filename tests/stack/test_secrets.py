"""Passwords are generated, and are nowhere that another can read."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stack.harness import StackUnderTest

LEAST = 24


@pytest.fixture(scope="module")
def running(make_shared_stack: Callable[..., StackUnderTest]) -> StackUnderTest:
    made = make_shared_stack()
    made.write_service("notes")
    said = made.keelson("up")
    made.said = said.stdout + said.stderr
    return made


def test_every_login_has_a_generated_password_of_its_own(running: StackUnderTest) -> None:
    passwords = running.passwords()
    logins = {"postgres", "notes_migrator", "notes_app_a", "notes_app_b", "notes_readonly_a", "notes_readonly_b"}
    assert {name.split("/")[-1] for name in passwords} >= logins
    assert len(set(passwords.values())) == len(passwords)
    assert min(map(len, passwords.values())) >= LEAST


def test_no_password_shows_in_state_preview_logs_or_process_lists(running: StackUnderTest) -> None:
    hidden = list(running.passwords().values())
    shown = running.said + running.pulumi("preview", "--diff").stdout + running.pulumi("stack", "export").stdout
    shown += running.keelson("status", "--json").stdout + running.shown()
    assert not [name for name, password in running.passwords().items() if password in shown]
    assert len(hidden) >= 6


@pytest.mark.local
def test_nobody_else_can_read_a_file_of_the_stack(running: StackUnderTest) -> None:
    roots = [running.home / "state/keelson", running.home / "data/keelson"]
    open_to_others = [
        path
        for root in roots
        for path in (root, *root.rglob("*"))
        if not path.is_symlink()
        and not path.is_socket()
        and stat.S_IMODE(path.stat().st_mode) & 0o077
        and _alone(path, root)
    ]
    assert not open_to_others


def _alone(path: Path, root: Path) -> bool:
    """Whether no folder above `path` shuts others out already."""
    return not any(
        stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0 for folder in path.parents if folder.is_relative_to(root)
    )


def test_a_password_that_the_user_chose_is_used_and_stays_secret(running: StackUnderTest) -> None:
    chosen = "of-the-user's-own %40 choice:1"
    running.pulumi("config", "set", "--path", "keelson:passwords.notes_app_a", chosen, "--secret")
    running.keelson("up")
    with running.connect("notes") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("notes_app_a",)
    assert running.passwords()["main/notes_app_a"] == chosen
    assert chosen not in running.pulumi("stack", "export").stdout + running.pulumi("preview", "--diff").stdout
