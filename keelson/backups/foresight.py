"""What a restore would do, before anything is made: what it needs, and what of the live database the backup lacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from psycopg import errors

from keelson.backups.copies import administrator, refuse_other_server
from keelson.backups.rows import count_all
from keelson.backups.store import Backup
from keelson.endpoint import Reference, resolve
from keelson.errors import BackupError

SPARE = 1.2  # of the database's size then: what a restore writes beside it
# The program of the server's own machine, since nobody else sees that disk; its data directory is where it works.
_FREE = "COPY pg_temp.room FROM PROGRAM 'df -P -k . | tail -n 1'"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a table now and in the backup; None where it is not there."""

    name: str
    live: int | None
    backup: int | None

    @property
    def lost(self) -> int:
        """How many rows fewer there would be; what was changed in place is not seen."""
        return max(0, (self.live or 0) - (self.backup or 0))


@dataclass(frozen=True, slots=True)
class Foresight:
    """What was found.

    Attributes:
        tables: all of both, those that differ as the first.
        age: how old the backup is.
        needed: bytes that the restored database takes.
        free: bytes that the server has; None where it does not tell.
        versions: the schema's version now and in the backup.
    """

    tables: tuple[Table, ...]
    age: timedelta
    needed: int
    free: int | None
    versions: tuple[int | None, int | None]

    @property
    def differing(self) -> tuple[Table, ...]:
        """The tables that have another number of rows, or are in one of the two alone."""
        return tuple(table for table in self.tables if table.live != table.backup)


def foresee(reference: Reference, service: str, backup: Backup) -> Foresight:
    """Look at the live database and its server; `reference` names them.

    Raises:
        BackupError: the server lacks a version or the room, or the backup is of something else.
    """
    manifest = backup.manifest
    if manifest.database != service:
        msg = f"{backup.path} is a backup of {manifest.database}, not of {service}; name the right one"
        raise BackupError(msg)
    needed, free = refuse_small_server(reference, backup)
    with resolve(reference.to(database=service)).connect("keelson restore") as live:
        counts, _ = count_all(live)
        version = _version(live)
    versions = (version, manifest.facts.get("schema_version"))
    return Foresight(_tables(counts, manifest.counts), datetime.now(UTC) - manifest.begun, needed, free, versions)


def refuse_small_server(reference: Reference, backup: Backup) -> tuple[int, int | None]:
    """Return the bytes that the restored database takes, and those that its server has; None where it does not tell.

    Raises:
        BackupError: the server lacks a version or the room.
    """
    needed = int(int(backup.manifest.facts.get("size") or 0) * SPARE)
    with administrator(reference) as admin:
        refuse_other_server(admin, backup.manifest.facts)
        free = room(admin)
    if free is not None and free < needed:
        msg = (
            f"a restore of {backup.manifest.database} needs about {needed / 1e6:.0f} MB, and the server {reference.server} has "
            f"{free / 1e6:.0f} MB free; make room there, for example by `--discard` of a copy"
        )
        raise BackupError(msg)
    return needed, free


def room(admin: psycopg.Connection) -> int | None:
    """Return the bytes that are free where a server keeps its data; None where it does not tell."""
    try:
        with admin.transaction(force_rollback=True):
            admin.execute("CREATE TEMPORARY TABLE room (line text)")
            admin.execute(_FREE.encode())
            row = admin.execute("SELECT line FROM pg_temp.room").fetchone()
    except (errors.ExternalRoutineException, errors.InsufficientPrivilege, errors.SystemError):
        return None
    words = str(row[0]).split() if row else []
    return int(words[3]) * 1024 if len(words) > 3 and words[3].isdigit() else None  # noqa: PLR2004 - POSIX' fourth column


def _version(live: psycopg.Connection) -> int | None:
    from keelson.migrations import ledger  # noqa: PLC0415 - what most commands load without

    return max((entry.version for entry in ledger.read_entries(live)), default=None)


def _tables(live: Mapping[str, int], backup: Mapping[str, int]) -> tuple[Table, ...]:
    every = (Table(name, live.get(name), backup.get(name)) for name in {*live, *backup})
    return tuple(sorted(every, key=lambda table: (table.live == table.backup, table.name)))
