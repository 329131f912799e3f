"""Progress shows on a terminal, and never in a pipe."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

PROGRAM = """
from keelson.cli.progress import progress, working
with working("starting main"):
    pass
with progress("backups", 2) as advance:
    advance("auth")
    advance("market")
print("done")
"""


def on_a_terminal(program: str) -> str:
    """Run a program whose standard error is a terminal, and return what that showed."""
    here, there = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stderr=there,
        stdout=subprocess.PIPE,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "80"},
    )
    os.close(there)
    shown = b""
    try:
        while block := os.read(here, 65_536):
            shown += block
    except OSError:  # the other end is closed
        pass
    assert process.communicate()[0] == b"done\n"
    os.close(here)
    return shown.decode()


def test_a_terminal_shows_what_is_done_and_how_far_it_is() -> None:
    shown = on_a_terminal(PROGRAM)
    assert "starting main" in shown
    assert "backups: market" in shown
    assert "1/2" in shown


def test_a_pipe_gets_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("done\n", "")


@pytest.mark.parametrize("command", [["preview", "--format", "json"], ["start"], ["stop"], ["up"]])
def test_no_command_draws_in_a_pipe(command: list[str]) -> None:
    """In an empty folder each ends at once, with one sentence and no sign of a terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "keelson", *command], cwd="/", capture_output=True, text=True, check=False
    )
    assert "\x1b" not in done.stdout + done.stderr
