"""Takes migrations back, the newest first, each in one transaction with its row of the ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from keelson.errors import MigrationError
from keelson.migrations import session, steps
from keelson.migrations.files import MigrationFile
from keelson.migrations.ledger import ensure_ledger, forget, note, read_entries, read_undo
from keelson.migrations.parts import Part
from keelson.migrations.runner import transactional
from keelson.migrations.session import Work
from keelson.postgres.connection import refuse_pooler


@dataclass(frozen=True, slots=True)
class Undo:
    """What takes one applied migration back."""

    file: str
    part: Part


def plan_undo(
    connection: psycopg.Connection, files: Sequence[MigrationFile], to: str | None = None
) -> tuple[Undo, ...]:
    """Return what `undo` would run, in order; reads alone.

    Args:
        connection: Any login that may read the ledger.
        files: All migrations of the database, in order.
        to: The file or version that stays as the newest one; `0` for none. None: all but the last one stay.

    Raises:
        MigrationError: `to` is not applied, or one that is to be taken back has no undo.
    """
    place = {file.name: number for number, file in enumerate(files)}
    once = [entry for entry in read_entries(connection) if entry.file and entry.version > 0]
    once.sort(key=lambda entry: (place.get(str(entry.file), len(place)), entry.version))
    names = [str(entry.file) for entry in once]
    back = names[_stay(names, [entry.version for entry in once], to) :]
    found = {file.name: file for file in files}
    return tuple(Undo(name, _part(connection, name, found.get(name))) for name in reversed(back))


def undo(
    connection: psycopg.Connection,
    plan: Sequence[Undo],
    *,
    owner: str | None,
    reason: str,
    on_progress: Callable[[str], None],
) -> None:
    """Run a plan of `plan_undo`, and note who did it and why.

    Raises:
        MigrationError: an undo failed; those before it stay done.
        LockError: another runner holds the database.
    """
    refuse_pooler(connection)
    work = Work(connection, owner, on_progress)
    with session.runners_lock(connection, on_wait=on_progress):
        with session.reading_ledger(connection), session.as_owner(connection, owner):
            ensure_ledger(connection)
            applied = {entry.file for entry in read_entries(connection)}
        for step in plan:
            if step.file in applied:
                on_progress(f"{connection.info.dbname}: taking back {step.file}")
                _run(work, step, reason)


def _run(work: Work, step: Undo, reason: str) -> None:
    def finish(_began: sql.Composable) -> None:
        forget(work.connection, step.file)
        note(work.connection, "undo", step.file, reason)

    if not step.part.facts().transaction:
        steps.run(work, f"{step.file} (undo)", step.part, finish)
        return

    def run() -> None:
        session.run_statements(work.connection, transactional(step.part), step.part.source)
        session.set_owner(work.connection, work.owner)
        finish(sql.SQL("now()"))

    session.run_file(work, step.part.source, run)


def _stay(names: Sequence[str], versions: Sequence[int], to: str | None) -> int:
    """Return how many of the applied files stay."""
    if to is None:
        return max(len(names) - 1, 0)
    if to == "0":
        return 0
    for number, (name, version) in enumerate(zip(names, versions, strict=True), 1):
        if to in {name, str(version), name.removesuffix(".sql")}:
            return number
    msg = (
        f"{to} is no migration that is applied; name one that `keelson migrate status` shows as applied, or 0 for none"
    )
    raise MigrationError(msg)


def _part(connection: psycopg.Connection, name: str, file: MigrationFile | None) -> Part:
    """Return the undo that stands beside the file; where the file is not here, the one that the ledger kept."""
    if file:
        if file.undo is None:
            msg = f"{file.source} has no undo; write one beside it, or restore a backup from before it"
            raise MigrationError(msg)
        return file.undo
    if text := read_undo(connection, name):
        return Part(Path(name), f"the undo of {name} in the ledger", written=text)
    msg = f"{name} is not here and the ledger has no undo of it; use the checkout that has it, or restore a backup from before it"
    raise MigrationError(msg)
