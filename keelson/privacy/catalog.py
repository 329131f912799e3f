"""What a database's catalog says of its tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

import psycopg


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its type, whether it must have a value, and its place in the primary key, from 1 (0: none)."""

    name: str
    type: str
    required: bool
    key: int


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """One table refers to another; `on_delete` is PostgreSQL's letter (a no action, r restrict, c cascade, n null, d default)."""

    child: str
    parent: str
    on_delete: str


@dataclass(frozen=True, slots=True)
class Catalog:
    """The tables of a database by their full names, and how they refer to each other."""

    tables: Mapping[str, Mapping[str, Column]]
    foreign_keys: tuple[ForeignKey, ...]

    def key_of(self, table: str) -> list[str]:
        """Return the columns of the primary key, in order."""
        found = sorted((column for column in self.tables[table].values() if column.key), key=lambda column: column.key)
        return [column.name for column in found]


def read_catalog(connection: psycopg.Connection) -> Catalog:
    """Return what the connected database has."""
    tables: dict[str, dict[str, Column]] = {}
    for table, *column in connection.execute(_query("tables")).fetchall():
        tables.setdefault(table, {})[column[0]] = Column(*column)
    keys = connection.execute(_query("foreign_keys")).fetchall()
    return Catalog(tables, tuple(ForeignKey(*key) for key in keys))


def _query(name: str) -> bytes:
    return (resources.files(__package__) / f"{name}.sql").read_bytes()
