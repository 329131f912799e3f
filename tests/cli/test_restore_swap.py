"""Picking a backup, by a person at a real terminal and by nobody."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.cli.test_backup import put

PROGRAM = """
import sys
from pathlib import Path
from keelson.backups.store import Store
from keelson.cli.restore_swap import is_to_replace, pick, refuse_unconfirmed
from keelson.errors import KeelsonError
try:
    found = pick(Store("keelson-dev", Path(sys.argv[1])), "notes")
    if is_to_replace("notes"):
        refuse_unconfirmed("notes", "")
    print("picked", found.id)
except KeelsonError as fault:
    print("refused", fault)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two backups of notes."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for day in (20, 21):
        put(tmp_path, "notes", datetime(2026, 11, day, tzinfo=UTC))
    return tmp_path


def typed(folder: Path, text: str) -> str:
    """Return what a program says on a terminal on which a person types."""
    here, there = pty.openpty()
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    environment = {**os.environ, "COLUMNS": "200", "TERM": "dumb"}
    with subprocess.Popen(command, stdin=there, stdout=there, stderr=there, env=environment) as process:
        os.close(there)
        os.write(here, text.encode())
        said = b""
        try:
            while block := os.read(here, 4096):
                said += block
        except OSError:  # the other side is closed
            pass
        assert process.wait(30) == 0, said
    os.close(here)
    return said.decode()


def test_a_person_picks_by_number_or_takes_the_newest(folder: Path) -> None:
    assert "picked 20261121T000000Z" in typed(folder, "\nn\n")
    assert "picked 20261120T000000Z" in typed(folder, "2\nn\n")
    assert "refused there is no backup with the number 3 in the list; give one of 1 to 2" in typed(folder, "3\n")


def test_the_live_name_has_to_be_typed_to_the_letter(folder: Path) -> None:
    assert "picked 20261121T000000Z" in typed(folder, "1\ny\nnotes\n")
    assert "add --confirm notes" in typed(folder, "1\ny\nNotes\n")


def test_nobody_is_asked_without_a_terminal(folder: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert "20261121T000000Z" in done.stdout
    assert "give --backup ID with --into NAME, or with --swap --confirm notes" in done.stderr
