"""Applies migrations: one runner at a time, one transaction for each file with its row in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import psycopg

from keelson.migrations import session
from keelson.migrations.adoption.tables import refuse_unadopted
from keelson.migrations.files import MigrationFile
from keelson.migrations.ledger import Entry, ensure_ledger, read_entries, read_half_done, renew_checksums
from keelson.migrations.runner import Runner
from keelson.migrations.standing import FileStatus, pending_of, standing
from keelson.postgres.connection import refuse_pooler

Progress = Callable[[str], None]


def apply(  # noqa: PLR0913 - each is an option of its own
    connection: psycopg.Connection,
    files: Sequence[MigrationFile],
    *,
    owner: str | None = None,
    on_progress: Progress | None = None,
    lock_deadline: float = session.LOCK_DEADLINE,
    out_of_order: bool = False,
) -> dict[str, str]:
    """Apply what is pending and return the ledger after it, {file: sha256}; arguments and errors are those of `bring_up`."""
    bring_up(
        connection,
        files,
        owner=owner,
        on_progress=on_progress,
        lock_deadline=lock_deadline,
        out_of_order=out_of_order,
    )
    return _ledger(_entries(connection, owner))


def bring_up(  # noqa: PLR0913 - each is an option of its own
    connection: psycopg.Connection,
    files: Sequence[MigrationFile],
    *,
    owner: str | None = None,
    on_progress: Progress | None = None,
    lock_deadline: float = session.LOCK_DEADLINE,
    out_of_order: bool = False,
) -> list[str]:
    """Apply what is pending and return the names of what was applied.

    Args:
        connection: The migrator's, in autocommit, to the server itself.
        files: All migrations of the database, in order.
        owner: The role that the migrations run as, and that owns what they make.
        on_progress: Told in a line of text what is being done.
        lock_deadline: Seconds to wait for another runner.
        out_of_order: Apply files too that come before one that is applied.

    Raises:
        MigrationError: a file failed (those before it stay), or files and ledger contradict each other.
        LockError: another runner holds the database for longer than the deadline.
        UnreachableError: a pooler stands between this client and the server.
    """
    database, tell = connection.info.dbname, on_progress or tell_nobody
    entries = _entries(connection, owner)
    if not pending_of(files, entries, database, out_of_order=out_of_order) and not _of_before(files, entries):
        return []
    if not entries:
        with session.reading_ledger(connection), session.as_owner(connection, owner):
            refuse_unadopted(connection)
    with session.reporting(connection):
        refuse_pooler(connection)
    with session.runners_lock(connection, lock_deadline, tell):
        with session.reading_ledger(connection), session.as_owner(connection, owner):
            ensure_ledger(connection)
            entries = read_entries(connection)
            renew_checksums(connection, _of_before(files, entries))
        pending = pending_of(files, entries, database, out_of_order=out_of_order)
        Runner(session.Work(connection, owner, tell)).run(pending)
        return [file.name for file in pending]


def status(connection: psycopg.Connection, files: Sequence[MigrationFile]) -> tuple[FileStatus, ...]:
    """Return where each migration stands, those too that only the ledger knows; reads alone."""
    return standing(files, read_entries(connection), read_half_done(connection))


def tell_nobody(_line: str) -> None:
    """Drop a line of progress."""


def _entries(connection: psycopg.Connection, owner: str | None) -> tuple[Entry, ...]:
    """Return the ledger; takes no lock and writes nothing."""
    with session.reading_ledger(connection), session.as_owner(connection, owner):
        return read_entries(connection)


def _of_before(files: Sequence[MigrationFile], entries: Sequence[Entry]) -> list[MigrationFile]:
    """Return the files that the ledger knows by the hash of their text, as ledgers did before."""
    checksums = {entry.file: entry.checksum for entry in entries}
    return [file for file in files if file.sha256 != checksums.get(file.name) == file.text_sha256]


def _ledger(entries: Sequence[Entry]) -> dict[str, str]:
    return {entry.file: entry.checksum or "" for entry in entries if entry.file is not None}
