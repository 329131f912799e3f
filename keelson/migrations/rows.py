"""About how many rows tables have, from the server's own statistics; no table is read."""

from __future__ import annotations

from importlib import resources

import psycopg

from keelson.wording import counted

LARGE = 5_000  # rows, from which a table is worth a word
MOST = 200  # tables, the largest, that a stack's state remembers


def estimated_rows(connection: psycopg.Connection, *, least: int = 0, most: int | None = None) -> dict[str, int]:
    """Return about how many rows each table has, by its name without the schema public; reads catalogs alone."""
    query = resources.files(__package__).joinpath("rows.sql").read_bytes()
    rows = connection.execute(query, {"least": least, "most": most}).fetchall()
    return {table if schema == "public" else f"{schema}.{table}": count for schema, table, count in rows}


def remembered_rows(connection: psycopg.Connection) -> dict[str, int]:
    """Return the same of large tables alone, in one digit, so that it seldom differs from what was there before."""
    found = estimated_rows(connection, least=LARGE, most=MOST)
    return {table: _in_one_digit(rows) for table, rows in found.items()}


def in_words(rows: int) -> str:
    """Return a number of rows as people say it."""
    for size, unit in ((10**9, "billion"), (10**6, "million"), (10**3, "thousand")):
        if rows >= size:
            return f"about {rows / size:.2g} {unit} rows"
    return "no rows known" if rows <= 0 else f"about {counted(rows, 'row')}"


def _in_one_digit(rows: int) -> int:
    return round(rows, 1 - len(str(rows)))
