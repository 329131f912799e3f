"""Brings the ledger to what the files say after a deliberate edit, with a note of who did it and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from keelson.migrations.files import MigrationFile
from keelson.migrations.ledger import Entry, note, read_entries, writing
from keelson.migrations.standing import is_as_applied


@dataclass(frozen=True, slots=True)
class Repair:
    """One row that is brought to what a file says: `what` tells it in words."""

    was: str
    file: MigrationFile
    what: str


def plan_repairs(connection: psycopg.Connection, files: Sequence[MigrationFile]) -> tuple[Repair, ...]:
    """Return where ledger and files differ in what a repair can mend; reads alone."""
    return tuple(_repairs(files, read_entries(connection)))


def repair(
    connection: psycopg.Connection, files: Sequence[MigrationFile], *, owner: str | None, reason: str
) -> tuple[Repair, ...]:
    """Mend the ledger in one transaction, and return what was mended.

    Raises:
        LockError: another runner holds the database.
    """
    with writing(connection, owner):
        repairs = tuple(_repairs(files, read_entries(connection)))
        for item in repairs:
            _mend(connection, item)
            note(connection, "repair", item.file.name, reason, item.what)
        return repairs


def restart(connection: psycopg.Connection, file: str, *, owner: str | None, reason: str) -> int:
    """Forget how far a file without a transaction came, so that it runs from its start; return how many statements.

    Raises:
        LockError: another runner holds the database.
    """
    with writing(connection, owner):
        done = connection.execute("DELETE FROM public.schema_steps WHERE file = %s", [file]).rowcount
        if done:
            note(connection, "repair", file, reason, f"its {done} statements are forgotten")
        return done


def _repairs(files: Sequence[MigrationFile], entries: Sequence[Entry]) -> list[Repair]:
    known = {entry.file: entry for entry in entries}
    names = {file.name for file in files}
    gone = {entry.checksum: str(entry.file) for entry in entries if entry.file and entry.file not in names}
    found = []
    for file in files:
        entry = known.get(file.name)
        if entry is None:
            former = next((gone[checksum] for checksum in file.hashes if checksum in gone), None)
            if former:
                found.append(Repair(former, file, f"{former} is named {file.name} now"))
        elif not file.repeatable and not is_as_applied(file, entry.checksum):
            found.append(Repair(file.name, file, f"checksum {entry.checksum} became {file.sha256}"))
        elif entry.description != file.description:
            found.append(Repair(file.name, file, f"description {entry.description!r} became {file.description!r}"))
    return found


def _mend(connection: psycopg.Connection, item: Repair) -> None:
    query = """
        UPDATE public.schema_versions
        SET file = %s, version = coalesce(%s, version), description = %s, checksum = %s, text_checksum = %s, undo = %s
        WHERE file = %s
    """
    file = item.file
    undo = file.undo.text() if file.undo else None
    values = [file.name, file.version, file.description, file.sha256, file.text_sha256, undo, item.was]
    connection.execute(query, values)
