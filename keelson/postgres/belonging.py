"""Whose a row is: a column of its table says it, or a row of another table that one of its columns refers to.

Written `user_id`, or `portfolio_id -> portfolios.id`: whose the row of portfolios is that has this id.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import psycopg
from psycopg import sql

from keelson.errors import SettingsError

PUBLIC = "public"

_NAME = r"[A-Za-z_][A-Za-z0-9_$]*"
_FITS = """
    SELECT FROM pg_catalog.pg_attribute
    WHERE attrelid = to_regclass(%(table)s) AND attname = %(column)s AND NOT attisdropped
      AND pg_catalog.pg_input_is_valid(%(id)s, pg_catalog.format_type(atttypid, atttypmod))
"""
_WAY = re.compile(rf"({_NAME})(?:\s*->\s*((?:{_NAME}\.)?{_NAME})\.({_NAME}))?")


def table_label(name: str) -> str:
    """Return the full name of a table: without a schema it is one of `public`."""
    return name if "." in name else f"{PUBLIC}.{name}"


def table_identifier(label: str) -> sql.Identifier:
    """Return a table's full name for a statement."""
    return sql.Identifier(*label.split(".", 1))


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

    def rows_of(self, table: str, person: str) -> sql.Composed:
        """Return the condition that is true for the rows of `table` that are the person's."""
        ways = [self._one(way, person) for way in self.ways[table]] or [sql.Composed([sql.SQL("false")])]
        return sql.SQL("({})").format(sql.SQL(" OR ").join(ways))

    def fitting(self, connection: psycopg.Connection, person: str) -> Belonging:
        """Return the ways that can lead to this person: a column of numbers holds no id that is a word."""
        unfit = {
            (table, column)
            for table, column in self.holders()
            if connection.execute(_FITS, {"id": person, "table": table, "column": column}).fetchone() is None
        }
        left = {
            table: [way for way in ways if (table, way.column) not in unfit or way.table]
            for table, ways in self.ways.items()
        }
        return Belonging(left, self.source)

    def holders(self) -> Iterator[tuple[str, str]]:
        """Yield each table and column that holds an id itself."""
        return ((table, way.column) for table, ways in self.ways.items() for way in ways if not way.table)

    def persons(self, connection: psycopg.Connection) -> list[str]:
        """Return the ids of all whose rows are in the database, in order."""
        queries = [
            sql.SQL("SELECT DISTINCT {0}::text FROM {1} WHERE {0} IS NOT NULL").format(
                sql.Identifier(column), table_identifier(table)
            )
            for table, column in self.holders()
        ]
        query = sql.SQL("{} ORDER BY 1").format(sql.SQL(" UNION ").join(queries))
        return [person for (person,) in connection.execute(query).fetchall()] if queries else []

    def count(self, connection: psycopg.Connection, table: str, person: str) -> int:
        """Return how many rows of `table` are the person's, of those that the connection may see."""
        query = sql.SQL("SELECT count(*) FROM {} WHERE {}").format(table_identifier(table), self.rows_of(table, person))
        return int(_only(connection, query))

    def _one(self, way: Way, person: str) -> sql.Composed:
        column = sql.Identifier(way.column)
        if not way.table:
            return sql.SQL("{} = {}").format(column, sql.Literal(person))
        return sql.SQL("{} IN (SELECT {} FROM {} WHERE {})").format(
            column, sql.Identifier(way.key), table_identifier(way.table), self.rows_of(way.table, person)
        )

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


def _only(connection: psycopg.Connection, query: sql.Composed) -> Any:  # noqa: ANN401 - whatever the query yields
    row = connection.execute(query).fetchone()
    return row[0] if row else None
