"""The stack on one screen: as it is, and as it is not as it should be."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from keelson.status.looking import deadline
from tests.stack.harness import NOTES, StackUnderTest, wait_until

MORE = 1.7  # seconds that a look takes beside waiting for answers


@pytest.fixture(scope="module")
def stack(make_shared_stack: Callable[..., StackUnderTest]) -> StackUnderTest:
    """Two servers, a Redis and the agent, for the whole module; a test puts back what it changes."""
    made = make_shared_stack(servers={"main": {}, "second": {}}, redis={"redis": {}}, agent={"enabled": True})
    made.write_service("notes")
    made.write_service("other", NOTES | {"database.yaml": "server: second\n"})
    made.keelson("up")
    return made


def status(stack: StackUnderTest) -> tuple[int, dict[str, Any]]:
    done = stack.keelson("status", "--json", check=False)
    return done.returncode, json.loads(done.stdout)


def named(found: dict[str, Any], kind: str) -> dict[str, Any]:
    return {each["name"]: each for each in found[kind]}


def test_a_stack_as_it_should_be_is_well(stack: StackUnderTest) -> None:
    wait_until(lambda: stack.keelson("status", check=False).returncode == 0, "all is well", seconds=60)
    code, found = status(stack)
    assert (code, found["well"], found["faults"]) == (0, True, [])
    assert {part["kind"] for part in found["parts"]} == {"server", "redis", "agent"}
    notes = named(found, "databases")["notes"]
    assert (notes["version"], notes["pending"], notes["connections"]) == (1, [], 0)
    assert notes["size"] > 1_000_000
    assert notes["backup"]["last"] is None
    assert notes["backup"]["due"]
    redis = named(found, "redis")["redis"]
    assert redis["memory"] > 0
    assert redis["evicted"] == 0
    assert {each["server"] for each in found["certificates"]} == {"main", "second", "redis", "authority"}
    assert stack.key in found["backups"]


def test_clients_are_counted_and_the_look_itself_is_not(stack: StackUnderTest) -> None:
    with stack.connect("notes"):
        assert named(status(stack)[1], "databases")["notes"]["connections"] == 1


def test_everything_fits_on_one_screen(stack: StackUnderTest, ten: StackUnderTest) -> None:
    for each in (stack, ten):
        lines = each.keelson("status").stdout.splitlines()
        assert max(map(len, lines)) <= 80
        assert len(lines) <= 24


def test_a_pending_migration_is_a_fault_that_names_its_file(stack: StackUnderTest) -> None:
    path = stack.root / "sql/notes/migrations/002_more.sql"
    path.write_text("SELECT 1;\n")
    path.with_name("002_more.down.sql").write_text("SELECT 1;\n")
    try:
        done = stack.keelson("status", check=False)
        assert done.returncode == 1
        assert "notes: 1 migration is pending (002_more.sql); run `keelson up`" in done.stdout
    finally:
        path.unlink()
        path.with_name("002_more.down.sql").unlink()


def test_a_part_of_the_settings_that_is_not_there_is_a_fault(stack: StackUnderTest) -> None:
    settings = dict(stack.settings)
    stack.write_settings(redis={"redis": {}, "sessions": {"databases": {"logins": 0}}})
    try:
        code, found = status(stack)
        assert code == 1
        assert named(found, "parts")["sessions"]["state"] == "missing"
    finally:
        stack.write_settings(**settings)


def test_a_server_that_is_down_is_said_once_and_the_others_are_shown(stack: StackUnderTest) -> None:
    stack.keelson("stop", "second")
    try:
        code, found = status(stack)
        assert code == 1
        assert named(found, "parts")["second"]["state"] == "down"
        assert named(found, "databases")["notes"]["well"]
        assert not named(found, "databases")["other"]["well"]
        assert len([fault for fault in found["faults"] if fault.startswith("second")]) == len(found["faults"])
    finally:
        stack.keelson("start", "second")


@pytest.mark.parametrize("part", ["second", "redis", "agent"])
def test_a_frozen_part_is_named_soon(stack: StackUnderTest, part: str) -> None:
    with stack.frozen(part):
        began, waits = time.monotonic(), deadline(str(stack.settings["target"]))
        code, found = status(stack)
        assert time.monotonic() - began < max(waits, deadline(str(stack.settings["target"]))) + MORE
    assert code == 1
    assert any(fault.startswith(part) for fault in found["faults"]), found["faults"]
    assert named(found, "databases")["notes"]["size"]
    wait_until(lambda: status(stack)[0] == 0, "well again", seconds=30)


@pytest.mark.local
def test_with_a_frozen_supervisor_the_databases_are_shown(stack: StackUnderTest) -> None:
    (pid,) = [pid for pid, command in stack.processes().items() if "supervisord.conf" in command and "-c" in command]
    os.kill(pid, signal.SIGSTOP)
    try:
        code, found = status(stack)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    assert named(found, "databases")["notes"]["well"]
    silent = ["the parts could not be looked at in time; `keelson restart` starts all of them anew"]
    replaced: list[str] = []  # by its guardian, where a busy machine's look lasts that long
    assert (code, found["faults"]) in [(1, silent), (0, replaced)]


def certificate(begins: datetime, ends: datetime) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(begins).not_valid_after(ends)
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


@pytest.mark.parametrize(("days", "listed"), [(10, "warnings"), (-1, "faults")])
def test_a_certificate_that_ends_soon_is_a_warning_and_one_that_has_ended_a_fault_and_neither_is_well(
    stack: StackUnderTest, days: int, listed: str
) -> None:
    path = stack.certificate_of("main")  # the server has read it; a look reads it again
    write = 'printf "%s\n" "$2" >"$1"'
    kept, now = stack.sh('cat "$1"', path).rstrip("\n"), datetime.now(UTC)
    stack.sh(write, path, certificate(now - timedelta(days=300), now + timedelta(days=days)))
    try:
        found_code, found = status(stack)
        assert (found_code, found["well"]) == (1, False)
        (sentence,) = found[listed]
        assert "certificate of main" in sentence
        doctor = stack.keelson("doctor", "--json", check=False)
        (finding,) = [each for each in json.loads(doctor.stdout) if each["check"] == "certificate main"]
        assert (doctor.returncode, finding["level"], finding["detail"]) == (1, "failed", sentence)
    finally:
        stack.sh(write, path, kept)


def test_watch_looks_again_and_again_and_ends_with_an_interrupt(stack: StackUnderTest) -> None:
    with stack.start("status", "0.2", "--watch", "--json") as process:
        assert process.stdout
        looks = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(10) == 0
    assert "Traceback" not in rest
    assert len({look["at"] for look in looks}) == 3


def test_watch_draws_on_a_terminal(stack: StackUnderTest) -> None:
    here, there = pty.openpty()
    variables = stack.environment | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    command = [str(Path(sys.prefix) / "bin" / "keelson"), "status", "--watch", "0.2", "--stack", stack.name]
    process = subprocess.Popen(command, cwd=stack.root, env=variables, stdin=there, stdout=there, stderr=there)
    os.close(there)
    shown = b""
    while shown.count(b"DATABASE") < 3:
        shown += os.read(here, 65_536)
    process.send_signal(signal.SIGINT)
    try:
        while block := os.read(here, 65_536):
            shown += block
    except OSError:  # the other end is closed
        pass
    os.close(here)
    assert process.wait(10) == 0
    assert b"Traceback" not in shown
    assert shown.rstrip().endswith(b"\x1b[?1049l\x1b[?25h") or b"\x1b[?1049l" in shown  # the screen of before is back


def test_seconds_go_with_watch(stack: StackUnderTest) -> None:
    assert stack.keelson("status", "5", check=False).returncode == 2
