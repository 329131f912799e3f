"""Where each file stands, by what the ledger has of it. Nothing here opens a connection."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from keelson.errors import MigrationError
from keelson.migrations.files import MigrationFile
from keelson.migrations.ledger import Entry

State = Literal["applied", "pending", "half done", "changed", "missing", "out of order"]


@dataclass(frozen=True, slots=True)
class FileStatus:
    """Where one migration stands in a database."""

    file: str
    version: int | None
    description: str
    applied_at: datetime | None
    state: State


def standing(
    files: Sequence[MigrationFile], entries: Iterable[Entry], half_done: Collection[str] = ()
) -> tuple[FileStatus, ...]:
    """Return where each migration stands, in the order of the files; after them those that only the ledger knows."""
    known = {entry.file: entry for entry in entries}
    last = _last_applied(files, known)
    found = [_status(file, known.get(file.name), place < last) for place, file in enumerate(files)]
    states = [replace(item, state="half done") if item.file in half_done else item for item in found]
    names = {file.name for file in files}
    gone = [
        FileStatus(entry.file or "(no file)", entry.version, entry.description, entry.applied_at, "missing")
        for entry in known.values()
        if entry.file not in names
    ]
    return (*states, *gone)


def pending_of(
    files: Sequence[MigrationFile], entries: Sequence[Entry], database: str, *, out_of_order: bool = False
) -> list[MigrationFile]:
    """Return what is to be applied to `database`, in order.

    Raises:
        MigrationError: files and ledger contradict each other, or a file comes before one that is applied and
            `out_of_order` does not allow that.
    """
    _refuse_contradictions(files, entries, database)
    known = {entry.file: entry for entry in entries}
    last = _last_applied(files, known)
    pending = [(place, file) for place, file in enumerate(files) if _is_pending(file, known.get(file.name))]
    for place, file in pending:
        if place < last and not file.repeatable and not out_of_order:
            step = f"give it a number above {files[last].version}" if file.version is not None else "let it come later"
            msg = f"{file.source} comes before {files[last].name}, which is applied; {step}"
            raise MigrationError(msg)
    return [file for _, file in pending]


def is_as_applied(file: MigrationFile, checksum: str | None) -> bool:
    """Say whether a file means what it meant when it was applied, as far as the ledger has its hash."""
    return not checksum or checksum in file.hashes


def is_pending(file: MigrationFile, checksum: str | None) -> bool:
    """Say whether a file is to be applied, by the hash that the ledger has of it; None: it has no row of the file."""
    return checksum is None or (file.repeatable and not is_as_applied(file, checksum))


def _is_pending(file: MigrationFile, entry: Entry | None) -> bool:
    return is_pending(file, entry.checksum or "" if entry else None)


def _last_applied(files: Sequence[MigrationFile], known: Mapping[str | None, Entry]) -> int:
    """Return the place of the last file that is applied and runs once; -1 where there is none."""
    places = (place for place, file in enumerate(files) if file.name in known and not file.repeatable)
    return max(places, default=-1)


def _status(file: MigrationFile, entry: Entry | None, is_early: bool) -> FileStatus:  # noqa: FBT001 - a fact, no option
    state: State
    if _is_pending(file, entry):
        state = "out of order" if is_early and not file.repeatable else "pending"
    else:
        state = "applied" if entry and is_as_applied(file, entry.checksum) else "changed"
    version = entry.version if entry and file.version is None else file.version
    return FileStatus(file.name, version, file.description, entry.applied_at if entry else None, state)


def _refuse_contradictions(files: Sequence[MigrationFile], entries: Iterable[Entry], database: str) -> None:
    found = {file.name: file for file in files}
    for entry in entries:
        if entry.file is None:
            msg = f"schema_versions of {database!r} has version {entry.version} without a file, from another tool; `keelson migrate import` finds the files"
            raise MigrationError(msg)
        file = found.get(entry.file)
        if file and not file.repeatable and not is_as_applied(file, entry.checksum):
            msg = (
                f"{file.source} was changed after it was applied to {database!r}; put it back and write a new migration,"
                " or accept the change by `keelson migrate repair`"
            )
            raise MigrationError(msg)
        if file is None:
            msg = f"{entry.file} was applied to {database!r}, but its file is missing; {_way_back(entry, files)}"
            raise MigrationError(msg)


def _way_back(entry: Entry, files: Iterable[MigrationFile]) -> str:
    twin = next((file for file in files if entry.checksum in file.hashes), None)
    return f"rename {twin.source} back" if twin else "put it back, or use the checkout that has it"
