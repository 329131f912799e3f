"""The ledger: the table public.schema_versions, one row for each migration that was applied."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources

import psycopg
from psycopg.rows import class_row

from keelson.migrations.files import MigrationFile

APPLIED = "applied"


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


def read_entries(connection: psycopg.Connection) -> tuple[Entry, ...]:
    """Return the rows in the order of their versions; none where there is no ledger yet."""
    if not _exists(connection):
        return ()
    query = """
        SELECT version, applied_at, description, file, checksum, duration, applied_by
        FROM public.schema_versions ORDER BY version
    """
    with connection.cursor(row_factory=class_row(Entry)) as cursor:
        return tuple(cursor.execute(query).fetchall())


def read_ledger(connection: psycopg.Connection) -> dict[str, str]:
    """Return {file: sha256} of what was applied, in order."""
    return {entry.file: entry.checksum or "" for entry in read_entries(connection) if entry.file is not None}


def ensure_ledger(connection: psycopg.Connection) -> None:
    """Make the table where it is missing, owned by the current role."""
    if not _exists(connection):
        connection.execute(resources.files(__package__).joinpath("ledger.sql").read_bytes())


def record(connection: psycopg.Connection, file: MigrationFile, who: str) -> None:
    """Write the row of a migration, in the transaction that applied it."""
    query = """
        INSERT INTO public.schema_versions
            (version, applied_at, description, file, checksum, duration, applied_by, outcome, undo)
        VALUES (%s, clock_timestamp(), %s, %s, %s, clock_timestamp() - transaction_timestamp(), session_user || %s, %s, %s)
    """
    values = [file.version, file.description, file.name, file.sha256, f" from {who}", APPLIED, file.undo()]
    connection.execute(query, values)


def _exists(connection: psycopg.Connection) -> bool:
    query = """
        SELECT FROM pg_catalog.pg_attribute
        WHERE attrelid = pg_catalog.to_regclass('public.schema_versions') AND attname = 'undo' AND NOT attisdropped
    """
    return connection.execute(query).fetchone() is not None
