"""What commands print: tables for people, JSON for programs, one sentence for faults."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_RED, _PLAIN = "\033[31m", "\033[0m"


@functools.cache
def console() -> Console:
    """Return standard output as rich writes on it."""
    from rich.console import Console  # noqa: PLC0415 - takes longer than most of what is said without it

    return Console(highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Print a line for a person."""
    _write(f"{text}\n")


def complain(sentence: str) -> None:
    """Print a fault on standard error."""
    coloured = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    sys.stderr.write(f"{_RED}error: {sentence}{_PLAIN}\n" if coloured else f"error: {sentence}\n")


def note(sentence: str) -> None:
    """Print on standard error what the user should know."""
    sys.stderr.write(f"note: {sentence}\n")


def print_json(value: object) -> None:
    """Print `value` for a program."""
    _write(as_json_text(value))


def as_json_text(value: object) -> str:
    """Return `value` as JSON that people can read too."""
    return json.dumps(value, indent=2, default=str) + "\n"


def human_bytes(number: int) -> str:
    """Return a number of bytes with a unit, as people read it."""
    for size, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number} B"


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under column heads; in a pipe as wide as they need."""
    cells = [[str(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        _write_aligned([columns, *cells])
        return
    from rich.table import Table  # noqa: PLC0415 - nor does what is read by a program need it

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in cells:
        table.add_row(*row)
    console().print(table)


def _write_aligned(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    _write("".join(f"{line.rstrip()}\n" for line in lines))


def _write(text: str) -> None:
    """Write at once: a program that this one starts may write next, and who read the pipe may be gone."""
    sys.stdout.write(text)
    sys.stdout.flush()
