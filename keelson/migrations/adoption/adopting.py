"""Writes files into the ledger that are applied already, without running them: in one transaction, with a note of who said so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from keelson.errors import MigrationError
from keelson.migrations.adoption.ledgers import Applied, Question, Said, read
from keelson.migrations.adoption.tables import TOOLS, Table, find_table, find_tables, has_rows
from keelson.migrations.files import MigrationFile
from keelson.migrations.formats import Location, flyway
from keelson.migrations.ledger import Action, Outcome, note, read_entries, record_sql, writing

_UNKNOWN = sql.SQL("NULL::timestamptz")


@dataclass(frozen=True, slots=True)
class Adoption:
    """What was written into the ledger, and what its user should know.

    Attributes:
        source: The other tool's table; empty for a baseline.
        files: The files that count as applied now.
        without_file: Entries of the other ledger that have no file here.
        between: Files that come before one of them and are not applied.
        changed: Files that are not what they were when the other tool applied them.
        again: Repeatable files that changed since, and so run again.
    """

    source: str
    files: tuple[str, ...]
    without_file: tuple[str, ...] = ()
    between: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    again: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """A database, its files, and as whom its ledger is written."""

    connection: psycopg.Connection
    files: Sequence[MigrationFile]
    location: Location
    root: Path | None = None
    owner: str | None = None


def adopt(  # noqa: PLR0913 - each is an option of its own
    target: Target,
    tool: str = "",
    table: str = "",
    *,
    reason: str = "",
    accept: bool = False,
    on_wait: Callable[[str], None] | None = None,
) -> Adoption:
    """Take another tool's ledger over; its table is left as it is.

    Args:
        target: The database.
        tool: Whose ledger; empty: the one that is there.
        table: Its name, where that is not the usual one.
        reason: Why, for the history.
        accept: Take files as they are now, though they changed since they were applied.
        on_wait: Told in a line of text when another runner is waited for.

    Raises:
        MigrationError: there is no such ledger, one of its entries failed, none has a file, or a file changed; or the
            database has a ledger of ours already.
        LockError: another runner holds the database.
    """
    if tool and tool not in TOOLS:
        msg = f"{tool!r} is no tool whose ledger can be read; there are {', '.join(sorted(TOOLS))}"
        raise MigrationError(msg)
    with _writing(target, on_wait):
        chosen = _choose(target, tool, table)
        said = read(Question(target.connection, chosen, target.files, target.location, target.root))
        again = [one for one in said.applied if one.is_changed and one.file.repeatable]
        applied = _in_order(target.files, (one for one in said.applied if one not in again))
        _refuse_unfit(chosen, said, applied, accept=accept)
        detail = f"from {chosen} of {chosen.tool}"
        _forget_documents(target.connection, chosen, applied)
        _record(target.connection, applied, ("imported", "import"), (reason, detail))
        return Adoption(
            str(chosen),
            tuple(one.file.name for one in applied),
            tuple(said.without_file),
            tuple(_between(target.files, applied)),
            tuple(one.file.name for one in applied if one.is_changed),
            tuple(one.file.name for one in again),
        )


def baseline(target: Target, to: str, reason: str, on_wait: Callable[[str], None] | None = None) -> Adoption:
    """Say that all files up to one are applied; `to` is its name or its version, `0` for none.

    Raises:
        MigrationError: no file is meant, or the database has a ledger already.
        LockError: another runner holds the database.
    """
    place = _place_of(target.files, to)
    with _writing(target, on_wait):
        applied = [Applied(file) for file in target.files[: place + 1] if not file.repeatable]
        _record(target.connection, applied, ("baseline", "baseline"), (reason, f"up to {to}"))
        if not applied:
            note(target.connection, "baseline", None, reason, "nothing is applied yet")
    return Adoption("", tuple(one.file.name for one in applied))


@contextmanager
def _writing(target: Target, on_wait: Callable[[str], None] | None) -> Iterator[None]:
    """Hold the lock of all runners and be the owner for one transaction, in a database whose ledger knows no file."""
    connection = target.connection
    with writing(connection, target.owner, on_wait):
        if any(entry.file for entry in read_entries(connection)):
            msg = (
                f"schema_versions of {connection.info.dbname!r} has files already; a beginning is said once,"
                " and what was applied by hand since is accepted by `keelson migrate repair`"
            )
            raise MigrationError(msg)
        yield


def _choose(target: Target, tool: str, table: str) -> Table:
    connection = target.connection
    if tool:
        return find_table(connection, tool, table)
    if table:
        msg = "say by --from whose ledger --table is"
        raise MigrationError(msg)
    found = [one for one in find_tables(connection) if has_rows(connection, one)]
    if read_entries(connection):
        found.append(find_table(connection, "documents", ""))
    if len(found) > 1:
        found = [one for one in found if one.tool == target.location.format_in(target.root)] or found
    if len(found) != 1:
        shown = ", ".join(f"{one} of {one.tool}" for one in found)
        what = f"has the ledgers {shown}; choose one by --from" if found else "has no ledger of a tool that is known"
        step = "" if found else "; name it by --from and --table, or say where to begin by `keelson migrate baseline`"
        msg = f"{connection.info.dbname!r} {what}{step}"
        raise MigrationError(msg)
    return found[0]


def _refuse_unfit(table: Table, said: Said, applied: Sequence[Applied], *, accept: bool) -> None:
    if not applied:
        what = (
            f"none of its entries ({', '.join(said.without_file[:3])} …) has a file"
            if said.without_file
            else "it is empty"
        )
        msg = f"{table} says of no file here that it is applied: {what}; see that the directory is the one that it is about"
        raise MigrationError(msg)
    changed = [one.file.source for one in applied if one.is_changed]
    if changed and not accept:
        msg = (
            f"{', '.join(changed)} changed after {table.tool} applied {'it' if len(changed) == 1 else 'them'};"
            " put back what it was, or take it as it is now with --accept"
        )
        raise MigrationError(msg)


def _in_order(files: Sequence[MigrationFile], applied: Iterable[Applied]) -> list[Applied]:
    """Return each file once, in the order of the directory."""
    known = {one.file.name: one for one in applied}
    return [known[file.name] for file in files if file.name in known]


def _between(files: Sequence[MigrationFile], applied: Sequence[Applied]) -> Iterator[str]:
    names = {one.file.name for one in applied}
    once = [file for file in files if not file.repeatable]
    last = max((place for place, file in enumerate(once) if file.name in names), default=-1)
    return (file.name for file in once[: last + 1] if file.name not in names)


def _forget_documents(connection: psycopg.Connection, table: Table, applied: Sequence[Applied]) -> None:
    """Take out the rows of our own table that are written anew with their files; the history keeps when they were applied."""
    if table.tool != "documents":
        return
    versions = [one.file.version for one in applied]
    rows = connection.execute(
        "SELECT version FROM public.schema_versions WHERE version <> ALL(%s)", [versions]
    ).fetchall()
    if rows:
        numbers = ", ".join(str(version) for (version,) in rows)
        msg = f"{table} has the versions {numbers}, which have no file; put their files back, or delete those rows"
        raise MigrationError(msg)
    connection.execute("DELETE FROM public.schema_versions")


def _record(
    connection: psycopg.Connection,
    applied: Sequence[Applied],
    kinds: tuple[Outcome, Action],
    why: tuple[str, str],
) -> None:
    outcome, action = kinds
    for one in applied:
        connection.execute(record_sql(one.file, _UNKNOWN, outcome))
        if one.at:
            query = "UPDATE public.schema_versions SET applied_at = %s WHERE file = %s"
            connection.execute(query, [one.at, one.file.name])
        changed = "; it changed since it was applied" if one.is_changed else ""
        note(connection, action, one.file.name, why[0], why[1] + changed)


def _place_of(files: Sequence[MigrationFile], to: str) -> int:
    """Return the place of the file that a name or a version means."""
    places = [
        place
        for place, file in enumerate(files)
        if to in (file.name, str(file.version))
        or ((version := flyway.version_of(file.name)) and version == _version(to))
    ]
    if to == "0" and not places:
        return -1
    if len(places) != 1:
        known = f"; the last one is {files[-1].name}" if files else ""
        msg = (
            f"no file has the name or version {to!r}{known}"
            if not places
            else f"{to!r} means several files; give a name"
        )
        raise MigrationError(msg)
    return places[0]


def _version(text: str) -> tuple[int, ...] | None:
    return flyway.version_of(f"V{text}__x.sql")
