"""What a database has of a person: the rows that are theirs, as `belonging` says it."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from keelson.postgres.belonging import Belonging, Way

_FITS = """
    SELECT FROM pg_catalog.pg_attribute
    WHERE attrelid = to_regclass(%(table)s) AND attname = %(column)s AND NOT attisdropped
      AND pg_catalog.pg_input_is_valid(%(id)s, pg_catalog.format_type(atttypid, atttypmod))
"""


def table_identifier(label: str) -> sql.Identifier:
    """Return a table's full name for a statement."""
    return sql.Identifier(*label.split(".", 1))


def rows_of(belonging: Belonging, table: str, person: str) -> sql.Composed:
    """Return the condition that is true for the rows of `table` that are the person's."""
    ways = [_one(belonging, way, person) for way in belonging.ways[table]] or [sql.Composed([sql.SQL("false")])]
    return sql.SQL("({})").format(sql.SQL(" OR ").join(ways))


def fitting(belonging: Belonging, connection: psycopg.Connection, person: str) -> Belonging:
    """Return the ways that can lead to this person: a column of numbers holds no id that is a word."""
    unfit = {
        (table, column)
        for table, column in belonging.holders()
        if connection.execute(_FITS, {"id": person, "table": table, "column": column}).fetchone() is None
    }
    left = {
        table: [way for way in ways if (table, way.column) not in unfit or way.table]
        for table, ways in belonging.ways.items()
    }
    return Belonging(left, belonging.source)


def persons(belonging: Belonging, connection: psycopg.Connection) -> list[str]:
    """Return the ids of all whose rows are in the database, in order."""
    queries = [
        sql.SQL("SELECT DISTINCT {0}::text FROM {1} WHERE {0} IS NOT NULL").format(
            sql.Identifier(column), table_identifier(table)
        )
        for table, column in belonging.holders()
    ]
    query = sql.SQL("{} ORDER BY 1").format(sql.SQL(" UNION ").join(queries))
    return [person for (person,) in connection.execute(query).fetchall()] if queries else []


def count(belonging: Belonging, connection: psycopg.Connection, table: str, person: str) -> int:
    """Return how many rows of `table` are the person's, of those that the connection may see."""
    query = sql.SQL("SELECT count(*) FROM {} WHERE {}").format(
        table_identifier(table), rows_of(belonging, table, person)
    )
    return int(_only(connection, query))


def _one(belonging: Belonging, way: Way, person: str) -> sql.Composed:
    column = sql.Identifier(way.column)
    if not way.table:
        return sql.SQL("{} = {}").format(column, sql.Literal(person))
    return sql.SQL("{} IN (SELECT {} FROM {} WHERE {})").format(
        column, sql.Identifier(way.key), table_identifier(way.table), rows_of(belonging, way.table, person)
    )


def _only(connection: psycopg.Connection, query: sql.Composed) -> Any:  # noqa: ANN401 - whatever the query yields
    row = connection.execute(query).fetchone()
    return row[0] if row else None
