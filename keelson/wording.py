"""How sentences say how many there are of something."""

from __future__ import annotations

_PLURALS = {"index": "indexes", "policy": "policies", "entry": "entries"}


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as `1 file` or `3 files`."""
    return f"1 {noun}" if number == 1 else f"{number} {plural(noun)}"


def plural(noun: str) -> str:
    """Return what several of something are called."""
    before, space, last = noun.rpartition(" ")
    return f"{before}{space}{_PLURALS.get(last, f'{last}s')}"
