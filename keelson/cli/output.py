"""What commands print: tables for people, JSON for programs, one sentence for faults."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table

console = Console(highlight=False, soft_wrap=True)
_faults = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Print a line for a person."""
    console.print(text, markup=False)


def complain(sentence: str) -> None:
    """Print a fault on standard error."""
    _faults.print(f"error: {sentence}", markup=False, style="red")


def note(sentence: str) -> None:
    """Print on standard error what the user should know."""
    _faults.print(f"note: {sentence}", markup=False)


def print_json(value: object) -> None:
    """Print `value` for a program."""
    sys.stdout.write(as_json_text(value))


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
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    if console.is_terminal:
        console.print(table)
    else:
        Console(highlight=False, width=10_000).print(table)
