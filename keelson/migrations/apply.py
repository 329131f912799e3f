"""Applies migrations: one runner at a time, one transaction for each file with its row in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import psycopg

from keelson.errors import MigrationError
from keelson.migrations import session
from keelson.migrations.files import MigrationFile
from keelson.migrations.ledger import Entry, ensure_ledger, read_entries, read_ledger, record
from keelson.migrations.statements import split
from keelson.postgres.locks import advisory_lock

LOCK_DEADLINE = 60.0  # s

Progress = Callable[[str], None]
State = Literal["applied", "pending", "changed", "missing", "out of order"]


@dataclass(frozen=True, slots=True)
class FileStatus:
    """Where one migration stands in a database."""

    file: str
    version: int
    description: str
    state: State
    applied_at: datetime | None


def apply(
    connection: psycopg.Connection,
    files: Sequence[MigrationFile],
    *,
    owner: str | None = None,
    on_progress: Progress | None = None,
    lock_deadline: float = LOCK_DEADLINE,
) -> dict[str, str]:
    """Apply what is pending and return the ledger after it, {file: sha256}.

    Args:
        connection: The migrator's, in autocommit.
        files: All migrations of the database, in order.
        owner: The role that the migrations run as, and that owns what they make.
        on_progress: Told in a line of text what is being done.
        lock_deadline: Seconds to wait for another runner.

    Raises:
        MigrationError: a file failed (those before it stay), or files and ledger contradict each other.
        LockError: another runner holds the database for longer than the deadline.
    """
    tell = on_progress or tell_nobody
    if not _pending(connection, files, owner):
        return _ledger(connection, owner)
    what = f"migrations and seeds of database {connection.info.dbname!r}"
    with advisory_lock(connection, session.LOCK_KEY, what, lock_deadline):
        with session.reading_ledger(connection), session.as_owner(connection, owner):
            ensure_ledger(connection)
        pending = _pending(connection, files, owner)
        for number, file in enumerate(pending, 1):
            tell(f"{connection.info.dbname}: {file.name} ({number} of {len(pending)})")
            _apply_one(connection, file, owner, tell)
        return _ledger(connection, owner)


def status(connection: psycopg.Connection, files: Sequence[MigrationFile]) -> tuple[FileStatus, ...]:
    """Return where each migration stands, those too that only the ledger knows; reads alone."""
    entries = {entry.file: entry for entry in read_entries(connection)}
    newest = max((entry.version for entry in entries.values()), default=-1)
    known = [_status(file, entries.get(file.name), newest) for file in files]
    names = {file.name for file in files}
    gone = [
        FileStatus(entry.file or "(no file)", entry.version, entry.description, "missing", entry.applied_at)
        for entry in entries.values()
        if entry.file not in names
    ]
    return tuple(sorted([*known, *gone], key=lambda item: item.version))


def _status(file: MigrationFile, entry: Entry | None, newest: int) -> FileStatus:
    state: State
    if entry is None:
        state = "pending" if file.version > newest else "out of order"
    else:
        state = "applied" if entry.checksum == file.sha256 else "changed"
    return FileStatus(file.name, file.version, file.description, state, entry.applied_at if entry else None)


def _pending(connection: psycopg.Connection, files: Sequence[MigrationFile], owner: str | None) -> list[MigrationFile]:
    """Return what the ledger does not have yet; takes no lock and writes nothing."""
    with session.reading_ledger(connection), session.as_owner(connection, owner):
        entries = read_entries(connection)
    _refuse_contradictions(files, entries, connection.info.dbname)
    applied = {entry.file for entry in entries}
    pending = [file for file in files if file.name not in applied]
    newest = max(entries, key=lambda entry: entry.version, default=None)
    for file in pending:
        if newest and file.version <= newest.version:
            msg = f"{file.source} comes before {newest.file}, which is applied; give it a number above {newest.version}"
            raise MigrationError(msg)
    return pending


def _refuse_contradictions(files: Sequence[MigrationFile], entries: Iterable[Entry], database: str) -> None:
    found = {file.name: file for file in files}
    by_hash = {file.sha256: file for file in files}
    for entry in entries:
        if entry.file is None:
            msg = f"schema_versions of {database!r} has version {entry.version} from another tool; baseline the database first"
            raise MigrationError(msg)
        file = found.get(entry.file)
        if file and file.sha256 != entry.checksum:
            msg = (
                f"{file.source} was changed after it was applied to {database!r}; put it back and write a new migration"
            )
            raise MigrationError(msg)
        if file is None:
            msg = f"{entry.file} was applied to {database!r}, but its file is missing; {_way_back(entry, by_hash)}"
            raise MigrationError(msg)


def _way_back(entry: Entry, by_hash: Mapping[str, MigrationFile]) -> str:
    twin = by_hash.get(entry.checksum or "")
    return f"rename {twin.source} back" if twin else "put it back, or use the checkout that has it"


def _apply_one(connection: psycopg.Connection, file: MigrationFile, owner: str | None, tell: Progress) -> None:
    statements = split(file.text(), file.source)

    def work() -> None:
        session.run_statements(connection, statements, file.source)
        session.set_owner(connection, owner)
        record(connection, file, session.who())

    session.run_file(connection, file.source, owner, work, tell)


def _ledger(connection: psycopg.Connection, owner: str | None) -> dict[str, str]:
    with session.reading_ledger(connection), session.as_owner(connection, owner):
        return read_ledger(connection)


def tell_nobody(_line: str) -> None:
    """Drop a line of progress."""
