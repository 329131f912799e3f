"""Whose a row is: a column of its table says it, or a row of another table that one of its columns refers to.

Written `user_id`, or `portfolio_id -> portfolios.id`: whose the row of portfolios is that has this id. What is asked of a database
with it stands in `possessions`: settings are read without a driver, whose import takes a third of a short command's time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from keelson.errors import SettingsError

PUBLIC = "public"

_NAME = r"[A-Za-z_][A-Za-z0-9_$]*"
_WAY = re.compile(rf"({_NAME})(?:\s*->\s*((?:{_NAME}\.)?{_NAME})\.({_NAME}))?")


def table_label(name: str) -> str:
    """Return the full name of a table: without a schema it is one of `public`."""
    return name if "." in name else f"{PUBLIC}.{name}"


@dataclass(frozen=True, slots=True)
class Way:
    """How a row leads to the one whose it is.

    Attributes:
        column: Holds the id itself, or refers to a row of another table.
        table: That table's full name; empty where the column holds the id.
        key: The column of that table which `column` refers to.
    """

    column: str
    table: str = ""
    key: str = ""

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the way that is written; raises ValueError where it cannot be read."""
        found = _WAY.fullmatch(text.strip())
        if not found:
            msg = f"{text!r} leads nowhere: write a column such as `user_id`, or `portfolio_id -> portfolios.id`"
            raise ValueError(msg)
        column, table, key = found.groups()
        return cls(column, table_label(table), key) if table else cls(column)


class Belonging:
    """Whose the rows of a database's tables are.

    Args:
        ways: By the table's full name, one or several ways; a row is of a person to whom any of them leads.
        source: The file that says so, for messages.

    Raises:
        SettingsError: a way leads to a table that is not named, or round in a circle.
    """

    def __init__(self, ways: Mapping[str, Sequence[Way]], source: str) -> None:
        self.ways = ways
        self.source = source
        for table in ways:
            self._refuse_circle(table, (), source)

    def __iter__(self) -> Iterator[str]:
        """Yield the tables' names."""
        return iter(self.ways)

    def holders(self) -> Iterator[tuple[str, str]]:
        """Yield each table and column that holds an id itself."""
        return ((table, way.column) for table, ways in self.ways.items() for way in ways if not way.table)

    def _refuse_circle(self, table: str, before: tuple[str, ...], source: str) -> None:
        if table in before:
            msg = f"{source}: the ways lead round in a circle: {' -> '.join((*before, table))}; name the column that holds the id"
            raise SettingsError(msg)
        for way in self.ways[table]:
            if way.table and way.table not in self.ways:
                msg = f"{source}: {table} leads to {way.table}, which is not named; add it with its own column"
                raise SettingsError(msg)
            if way.table:
                self._refuse_circle(way.table, (*before, table), source)
