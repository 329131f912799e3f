"""Passwords are generated, and are nowhere that another can read."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from keelson.local import client
from tests.stack.harness import StackUnderTest
from tests.stack.leaks import Needles, watched

LEAST = 24
CLIENTS = {
    b"bwrap",
    b"ld-linux-x86-64.so.2",
    b"pg_dump",
    b"pg_restore",
    b"redis-cli",
}  # the loader starts those of the root
HOLDERS = {"secrets.json", "keelson.pgpass"}  # see docs/secrets.md


@pytest.fixture(scope="module")
def running(make_shared_stack: Callable[..., StackUnderTest]) -> StackUnderTest:
    """A stack with all kinds of parts, whose server logs every statement; what ran while it came up is known."""
    made = make_shared_stack(
        postgres={"log_statement": "all"}, redis={"redis": {}}, pgadmin={"enabled": True}, agent={"enabled": True}
    )
    made.write_service("notes")
    with watched() as made.seen:
        said = made.keelson("up")
    made.said = said.stdout + said.stderr
    return made


@pytest.fixture(scope="module")
def needles(running: StackUnderTest) -> Needles:
    """All passwords and verifiers of the stack."""
    return Needles.of(running, "main", "notes")


def test_every_login_has_a_generated_password_of_its_own(running: StackUnderTest) -> None:
    passwords = running.passwords()
    logins = {"postgres", "notes_migrator", "notes_app_a", "notes_app_b", "notes_readonly_a", "notes_readonly_b"}
    assert {name.split("/")[-1] for name in passwords} >= logins
    assert len(set(passwords.values())) == len(passwords)
    assert min(map(len, passwords.values())) >= LEAST


def test_nothing_that_the_stack_says_tells_a_password(running: StackUnderTest, needles: Needles) -> None:
    commands = [
        ("status", "--json"),
        ("doctor",),
        ("harden", "--json"),
        ("preview",),
        ("preview", "--format", "markdown"),
    ]
    said = [running.keelson(*command, check=False) for command in (*commands, ("preview", "--format", "json"))]
    assert all(each.stdout for each in said)
    assert needles.found_in(running.said, *(each.stdout + each.stderr for each in said)) == []
    assert needles.found_in(running.pulumi("preview", "--diff").stdout) == []


def test_the_state_holds_no_password_that_was_generated(running: StackUnderTest, needles: Needles) -> None:
    exported = running.pulumi("stack", "export", "--show-secrets").stdout
    assert "notes-roles" in exported
    assert needles.found_in(exported, running.pulumi("stack", "output", "--json", "--show-secrets").stdout) == []


def test_the_engine_s_own_log_of_each_command_holds_none(running: StackUnderTest, needles: Needles) -> None:
    logs = sorted((running.home / "pulumi/logs").glob("*.log"))
    texts = [running.pulumi("logs", "decrypt", str(log)).stdout for log in logs]
    assert any("notes-roles" in text for text in texts)
    assert needles.found_in(*texts) == []


def test_logs_and_what_the_machine_shows_hold_none(running: StackUnderTest, needles: Needles) -> None:
    logged = running.logs()
    assert "CREATE ROLE" in logged, "every statement is logged"
    with running.connect("notes", "admin") as admin:
        statements = [query for (query,) in admin.execute("SELECT query FROM pg_stat_statements").fetchall()]
    assert needles.found_in(logged, *statements) == []
    assert needles.found_in(running.shown()) == []


def test_no_process_was_started_with_a_password(running: StackUnderTest, needles: Needles) -> None:
    with watched() as seen:
        running.keelson("backup", "run", "--all")
        running.keelson("restore", "notes", "--into", "notes_copy")
        running.keelson("restore", "notes", "--discard", "notes_copy")
    assert needles.found_in(*running.seen.commands, *seen.commands) == []
    assert needles.found_in(*running.seen.environments) == []
    holders = {name for environment, name in seen.environments.items() if needles.found_in(environment)}
    assert holders <= CLIENTS, "the kernel shows an environment to its own user alone"


def test_a_backup_holds_no_password_and_no_verifier(running: StackUnderTest, needles: Needles) -> None:
    running.keelson("backup", "run", "notes")
    backup = running.backups_of("notes")[-1]
    files = running.sh('ls "$BACKUPS/notes/$1"', backup).split()
    assert {"data.dump", "roles.sql"} <= {*files}
    dump = running.fetch(f"notes/{backup}/data.dump")
    with dump.open("rb") as file:
        command = [*client.command("pg_restore"), "--file=-"]
        text = subprocess.run(command, stdin=file, capture_output=True, check=True, env=running.environment).stdout
    assert b"COPY public.notes" in text
    read = [running.fetch(f"notes/{backup}/{name}").read_bytes() for name in files]
    assert needles.found_in(text, *read) == []
    assert b"SCRAM-SHA-256$" not in b"".join([text, *read])


@pytest.mark.parametrize("damage", ["cut off", "of another form"])
def test_a_fault_in_the_file_of_passwords_tells_none(running: StackUnderTest, needles: Needles, damage: str) -> None:
    """The second is not foreseen, so what it says is a traceback."""
    text = running.read("secrets.json")
    running.write("secrets.json", text[: len(text) // 2] if damage == "cut off" else json.dumps([text]))
    try:
        said = [running.keelson(*words, check=False) for words in (("up",), ("url", "notes"), ("status",))]
    finally:
        running.write("secrets.json", text)
    assert [each.returncode for each in said] == [1, 1, 1]
    assert needles.found_in(*(each.stdout + each.stderr for each in said)) == []


@pytest.mark.local
def test_passwords_lie_in_two_private_files_and_verifiers_in_the_servers_own(
    running: StackUnderTest, needles: Needles
) -> None:
    found = needles.files(running.home)
    of_server = {path: names for path, names in found.items() if "/main/pgdata/" in path}
    assert {name.partition(" ")[0] for names in of_server.values() for name in names} == {"verifier"}
    others = [running.home / path for path in found if path not in of_server]
    assert {path.name for path in others} == HOLDERS
    assert {stat.S_IMODE(path.stat().st_mode) for path in others} == {0o600}


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
