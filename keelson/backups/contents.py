"""What a dump's table of contents says: which entries there are, and which of them can be made as soon as one table has its rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_LINE = re.compile(r"(?P<number>\d+); \d+ \d+ (?P<what>.*)")
_DEPENDS = ";\tdepends on: "
_TABLE = "TABLE "
_OF_ONE_TABLE = ("INDEX ", "CONSTRAINT ")  # not FK CONSTRAINT, which is of two
_ATTACHED = "INDEX ATTACH "


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of what `pg_restore --list` writes: its number, its kind, schema, name and owner, and the numbers that it depends on."""

    line: str
    number: str
    what: str
    needs: frozenset[str] = frozenset()

    @property
    def of_one_table(self) -> bool:
        """Whether it is an index, or a constraint that has one."""
        return self.what.startswith(_OF_ONE_TABLE) and not self.what.startswith(_ATTACHED)


def entries(text: str) -> list[Entry]:
    """Return the entries in what `pg_restore --list --verbose` wrote, in the order of the dump."""
    found: list[Entry] = []
    for line in text.splitlines():
        if match := _LINE.fullmatch(line):
            found.append(Entry(line, match["number"], match["what"]))
        elif line.startswith(_DEPENDS) and found:
            last = found.pop()
            found.append(Entry(last.line, last.number, last.what, frozenset(line.removeprefix(_DEPENDS).split())))
    return found


def of_tables(listed: Sequence[Entry], labels: Iterable[str]) -> list[Entry]:
    """Return the indexes that need nothing but one of the tables `labels` with its rows, and what is made before all rows.

    A name that the list does not show as it is, or that could be another's, has none: they are made at the end, with the others.
    """
    tables = {entry.number: _shown(entry) for entry in listed if entry.what.startswith(_TABLE)}
    clear = {name for name, times in Counter(tables.values()).items() if times == 1}
    wanted = {label.replace('"', "").replace(".", " ", 1) for label in labels} & clear
    before: set[str] = set()
    for entry in listed:
        if entry.of_one_table:
            break
        before.add(entry.number)
    return [
        entry
        for entry in listed
        if entry.of_one_table and entry.needs <= before and any(tables.get(need) in wanted for need in entry.needs)
    ]


def _shown(entry: Entry) -> str:
    """Return schema and name as the list has them, without the owner."""
    return entry.what.removeprefix(_TABLE).rpartition(" ")[0]
