"""Where a command runs: here, or inside the stack, where its files and client programs are."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import typer

from keelson.cli.context import Context
from keelson.target import target


def run_where_files_lie(chosen: Context, *arguments: str | Path) -> None:
    """Run the command inside the stack and end with its exit status, if the stack's files do not lie here; else return."""
    status = status_where_files_lie(chosen, *arguments)
    if status is not None:
        raise typer.Exit(status)


def status_where_files_lie(chosen: Context, *arguments: str | Path) -> int | None:
    """Do the same and return the exit status, for what comes after; None where the files lie here and nothing was run."""
    return target(chosen.stack.settings.place).run_inside(chosen.stack.key, arguments)


def hand_over(command: Sequence[str], variables: Mapping[str, str], *, fleeting: bool) -> None:
    """Let a program have this process's terminal and end as it ends.

    It takes this process's place, but where its connection is carried by this process (`fleeting`): then that stays, and leaves
    Ctrl-C to the program.
    """
    if not fleeting:
        os.execvpe(command[0], [*command], os.environ | variables)  # noqa: S606
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        status = subprocess.run(command, env=os.environ | variables, check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)
    raise typer.Exit(128 - status if status < 0 else status)
