"""The ledger: the table public.schema_versions, one row for each migration that was applied, and what goes with it.

A row's `version` is the number that its file's name starts with. A file without a number has the number of its turn; one
that is repeatable has a negative one, so that it never takes the place of a file that comes later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from typing import Literal

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from keelson.migrations.files import MigrationFile
from keelson.migrations.session import as_owner, reading_ledger, runners_lock, who
from keelson.postgres.catalog import has_table

Outcome = Literal["applied", "baseline", "imported"]
Action = Literal["undo", "repair", "baseline", "import"]

_NEXT = """
    SELECT CASE WHEN {repeatable} THEN least(min(version), 0) - 1 ELSE greatest(max(version), 0) + 1 END
    FROM public.schema_versions
"""
_RECORD = """
    INSERT INTO public.schema_versions
        (version, applied_at, description, file, checksum, text_checksum, duration, applied_by, outcome, undo)
    VALUES ({version}, clock_timestamp(), {description}, {file}, {checksum}, {text_checksum},
        clock_timestamp() - {start}, session_user || {who}, {outcome}, {undo})
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the ledger; `file` is None in rows that another tool wrote."""

    version: int
    applied_at: datetime
    description: str
    file: str | None
    checksum: str | None
    duration: timedelta | None
    applied_by: str | None
    outcome: str | None = None


_READ = tuple(Entry.__dataclass_fields__)
_NEWEST_COLUMN = "text_checksum"


def read_entries(connection: psycopg.Connection) -> tuple[Entry, ...]:
    """Return the rows in the order of their versions; none where there is no ledger yet."""
    present = _columns(connection)
    if not present:
        return ()
    columns = [
        sql.SQL("{} AS {}" if name in present else "NULL AS {1}").format(*[sql.Identifier(name)] * 2) for name in _READ
    ]
    query = sql.SQL("SELECT {} FROM public.schema_versions ORDER BY version").format(sql.SQL(", ").join(columns))
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        return tuple(cursor.execute(query).fetchall())


def has_ledger(connection: psycopg.Connection) -> bool:
    """Say whether the table is there, in the form that this release writes."""
    return _NEWEST_COLUMN in _columns(connection)


def read_ledger(connection: psycopg.Connection) -> dict[str, str]:
    """Return {file: sha256} of what was applied, in order."""
    return {entry.file: entry.checksum or "" for entry in read_entries(connection) if entry.file is not None}


def ensure_ledger(connection: psycopg.Connection) -> None:
    """Make the tables where they are missing, owned by the current role."""
    if _NEWEST_COLUMN not in _columns(connection):
        connection.execute(resources.files(__package__).joinpath("ledger.sql").read_bytes())


@contextmanager
def writing(
    connection: psycopg.Connection, owner: str | None, on_wait: Callable[[str], None] | None = None
) -> Iterator[None]:
    """Be the only one who writes the ledger, as its owner, in one transaction that no file is part of.

    Raises:
        LockError: another runner holds the database.
        MigrationError: the ledger cannot be made or written.
    """
    with runners_lock(connection, on_wait=on_wait), reading_ledger(connection), as_owner(connection, owner):
        ensure_ledger(connection)
        yield


def record_sql(file: MigrationFile, start: sql.Composable, outcome: Outcome = "applied") -> sql.Composed:
    """Return the statement that writes a migration's row; `start` is when its work began.

    Raises:
        MigrationError: its undo cannot be read.
    """
    version: sql.Composable = sql.Literal(file.version)
    if file.version is None:
        version = sql.SQL("({})").format(sql.SQL(_NEXT).format(repeatable=sql.Literal(file.repeatable)))
    return sql.SQL(_RECORD).format(
        version=version,
        description=sql.Literal(file.description),
        file=sql.Literal(file.name),
        checksum=sql.Literal(file.sha256),
        text_checksum=sql.Literal(file.text_sha256),
        start=start,
        who=sql.Literal(f" from {who()}"),
        outcome=sql.Literal(outcome),
        undo=sql.Literal(file.undo.text() if file.undo else None),
    )


def forget(connection: psycopg.Connection, file: str) -> None:
    """Take a migration's row out, as it is undone or runs again."""
    connection.execute("DELETE FROM public.schema_versions WHERE file = %s", [file])


def renew_checksums(connection: psycopg.Connection, files: Iterable[MigrationFile]) -> None:
    """Let the ledger know files by their meaning."""
    query = "UPDATE public.schema_versions SET checksum = %s, text_checksum = %s WHERE file = %s"
    for file in files:
        connection.execute(query, [file.sha256, file.text_sha256, file.name])


def read_half_done(connection: psycopg.Connection) -> set[str]:
    """Return the files without a transaction of which some statements are done."""
    if not has_table(connection, "public.schema_steps"):
        return set()
    return {name for (name,) in connection.execute("SELECT DISTINCT file FROM public.schema_steps").fetchall()}


def read_undo(connection: psycopg.Connection, file: str) -> str | None:
    """Return the undo that was kept of a migration."""
    row = connection.execute("SELECT undo FROM public.schema_versions WHERE file = %s", [file]).fetchone()
    return row[0] if row else None


def note(connection: psycopg.Connection, action: Action, file: str | None, reason: str, detail: str = "") -> None:
    """Write down what is done to the ledger, in the transaction that does it."""
    query = """
        INSERT INTO public.schema_history (who, action, file, reason, detail)
        VALUES (session_user || %s, %s, %s, %s, %s)
    """
    connection.execute(query, [f" from {who()}", action, file, reason, detail])


def _columns(connection: psycopg.Connection) -> set[str]:
    """Return the names of the ledger's columns; none where there is no ledger."""
    query = """
        SELECT attname::text FROM pg_catalog.pg_attribute
        WHERE attrelid = pg_catalog.to_regclass('public.schema_versions') AND attnum > 0 AND NOT attisdropped
    """
    return {name for (name,) in connection.execute(query).fetchall()}
