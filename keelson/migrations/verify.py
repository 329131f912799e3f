"""Proof before doing: whether migrations, undos, seeds and checks do what they should, in scratch databases.

| step | shows that |
|---|---|
| replay | all migrations run from nothing |
| drift | the live database is what its applied migrations make |
| pending | the pending ones, on top of the applied ones, make the same as all from nothing |
| undo | each undo makes the schema what it was before its migration, and all run again after that |
| seeds | the seeds of the environment load, and change no row when they run again |
| checks | each file of checks/ finds no row |
| audit | changes of each table that database.yaml names so are written to a whole trail that the application cannot touch |
| privacy | privacy.yaml names all that looks like a person's, where there is one |
| tenants | policies keep the rows of one user from another, in each table that database.yaml names so |
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psycopg
from psycopg import sql

from keelson.audit import trail
from keelson.errors import KeelsonError, MigrationError
from keelson.migrations import session, tenants
from keelson.migrations.applying import tell_nobody
from keelson.migrations.drift import Applied, applied_files, find_drift
from keelson.migrations.files import MigrationFile
from keelson.migrations.parts import Part
from keelson.migrations.scratch import Scratch, ScratchDatabase
from keelson.migrations.seeds import SeedFile, apply_seeds
from keelson.migrations.statements import statements_of
from keelson.migrations.subject import Subject
from keelson.migrations.undo import plan_undo, undo
from keelson.postgres import possessions
from keelson.postgres.belonging import Belonging
from keelson.postgres.snapshot import Difference, Snapshot, compare, read
from keelson.privacy.catalog import read_catalog
from keelson.privacy.check import faults
from keelson.privacy.subject import Subject as Personal
from keelson.settings.privacy import PrivacyDefinition
from keelson.wording import counted

Outcome = Literal["ok", "failed", "skipped"]
_NOTHING = Applied(())


@dataclass(frozen=True, slots=True)
class Step:
    """What came of one step: a phrase, what differs where schemas do, and how long it took."""

    name: str
    outcome: Outcome
    said: str
    differences: tuple[Difference, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Data:
    """What goes into a database, and what must hold for it: the seeds of an environment, the files of checks/, whose rows are.

    Attributes:
        tenants: Whose the rows are that policies keep from others.
        privacy: What privacy.yaml says of a database, where there is one.
        audited: The tables whose changes stand in the audit trail.
    """

    environment: str = ""
    seeds: tuple[SeedFile, ...] = ()
    checks: tuple[Path, ...] = ()
    tenants: Belonging | None = None
    privacy: PrivacyDefinition | None = None
    audited: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Replayed:
    """What all files make.

    Attributes:
        database: With all of them.
        whole: Its catalog.
        plain: With all but the repeatable ones, to take files back from.
        tried: Those to take back.
        before: What the catalog was before each of them.
        after: What it was after the last of them.
    """

    database: ScratchDatabase
    whole: Snapshot
    plain: ScratchDatabase
    tried: tuple[MigrationFile, ...]
    before: tuple[Snapshot, ...]
    after: Snapshot


def verify(
    subject: Subject, server: Scratch, data: Data, live: psycopg.Connection | None = None, *, every_undo: bool = False
) -> Iterator[Step]:
    """Yield what comes of each step, as soon as it is known.

    Args:
        subject: The database's files.
        server: Where to make databases.
        data: Seeds and checks.
        live: The live database; without one all files count as pending.
        every_undo: Try the undo of each file, not of the pending ones alone.
    """
    applied = applied_files(live, subject.files) if live else _NOTHING
    pending = tuple(file for file in subject.files if file not in applied.files)
    tried = _with_undo_to_try(subject.files, subject.files if every_undo else pending)
    with server.cleaning_up():
        yield from _steps(subject, server, data, live, applied, tried)


def _steps(  # noqa: PLR0913, PLR0917 - what `verify` was told, and what it made of that
    subject: Subject,
    server: Scratch,
    data: Data,
    live: psycopg.Connection | None,
    applied: Applied,
    tried: tuple[MigrationFile, ...],
) -> Iterator[Step]:
    made: list[_Replayed] = []
    yield _timed("replay", lambda: _replay(subject, server, tried, made))
    yield _timed("drift", lambda: _drift(subject, server, live))
    if not made:
        return
    yield _timed("pending", lambda: _pending(subject, server, applied.files, made[0].whole))
    filled = _to_fill(server, made[0]) if data.seeds or data.checks or data.tenants else made[0].database
    yield _timed("undo", lambda: _undo(subject, made[0]))
    seeded = _timed("seeds", lambda: _seeds(filled, data))
    yield seeded
    if seeded.outcome == "failed":
        yield Step("checks", "skipped", "the seeds failed")
        return
    yield _timed("checks", lambda: _checks(subject, filled, data))
    if data.audited:
        yield _timed("audit", lambda: _audit(subject, filled, data.audited))
    if said := data.privacy:
        yield _timed("privacy", lambda: _privacy(filled, said))
    if (named := data.tenants) and list(named):
        yield _timed("tenants", lambda: _tenants(subject, filled, named))


def _timed(name: str, work: Callable[[], Step]) -> Step:
    began = time.monotonic()
    try:
        done = work()
    except KeelsonError as fault:
        done = Step(name, "failed", str(fault))
    return Step(name, done.outcome, done.said, done.differences, time.monotonic() - began)


def _replay(subject: Subject, server: Scratch, tried: tuple[MigrationFile, ...], made: list[_Replayed]) -> Step:
    once = tuple(file for file in subject.files if not file.repeatable)
    first = once.index(tried[0]) if tried else len(once)
    plain = database = subject.make(server, once[:first])
    before = []
    for number in range(first, len(once)):
        before.append(subject.look_at(plain))
        plain.replay(once[: number + 1])
    whole = after = subject.look_at(plain)
    if len(once) < len(subject.files):
        database = server.copy(plain)
        database.replay(subject.files)
        whole = subject.look_at(database)
    made.append(_Replayed(database, whole, plain, tried, tuple(before), after))
    return Step("replay", "ok", f"{counted(len(subject.files), 'file')} from nothing")


def _to_fill(server: Scratch, replayed: _Replayed) -> ScratchDatabase:
    """Return a database for rows, which must not be the one that files are taken back from."""
    shared = replayed.tried and replayed.database is replayed.plain
    return server.copy(replayed.database) if shared else replayed.database


def _drift(subject: Subject, server: Scratch, live: psycopg.Connection | None) -> Step:
    if live is None:
        return Step("drift", "skipped", "no live database was looked at")
    found = find_drift(live, subject, server)
    notes = "".join(f"; {sentence}" for sentence in found.notes)
    if found.differences:
        return Step(
            "drift", "failed", f"the live database is not what its applied migrations make{notes}", found.differences
        )
    return Step("drift", "ok", f"the live database is what its applied migrations make{notes}")


def _pending(subject: Subject, server: Scratch, applied: Sequence[MigrationFile], expected: Snapshot) -> Step:
    pending = len(subject.files) - len(applied)
    if not applied or not pending:
        return Step("pending", "skipped", "nothing is applied" if not applied else "nothing is pending")
    database = subject.make(server, applied)
    database.replay(subject.files, out_of_order=subject.out_of_order)
    differences = compare(expected, subject.look_at(database))
    if differences:
        return Step(
            "pending",
            "failed",
            "on top of the applied files they make something else than all from nothing",
            differences,
        )
    return Step("pending", "ok", f"{counted(pending, 'file')} on top of {len(applied)}")


def _undo(subject: Subject, replayed: _Replayed) -> Step:
    """Take the files back, the newest first, and apply them again."""
    left = _without_undo(subject.files, replayed.tried)
    if not replayed.tried:
        return Step("undo", "skipped", left or "nothing is pending")
    for file, before in reversed(list(zip(replayed.tried, replayed.before, strict=True))):
        _take_back(subject, replayed.plain, file)
        if differences := compare(before, subject.look_at(replayed.plain)):
            return Step("undo", "failed", f"the undo of {file.name} does not leave what was before", differences)
    replayed.plain.replay([file for file in subject.files if not file.repeatable])
    if differences := compare(replayed.after, subject.look_at(replayed.plain)):
        return Step("undo", "failed", "after their undo the files make something else", differences)
    said = f"{counted(len(replayed.tried), 'file')} taken back and applied again"
    return Step("undo", "ok", f"{said}; {left}" if left else said)


def _without_undo(files: Sequence[MigrationFile], tried: Sequence[MigrationFile]) -> str:
    """Say which file has no undo, and so keeps those before it from being taken back."""
    once = [file for file in files if not file.repeatable]
    last = once[-len(tried) - 1] if len(once) > len(tried) else None
    return f"{last.name} has no undo" if last and not last.undo else ""


def _take_back(subject: Subject, database: ScratchDatabase, file: MigrationFile) -> None:
    once = [each.name for each in subject.files if not each.repeatable]
    place = once.index(file.name)
    with database.as_migrator() as connection:
        plan = plan_undo(connection, subject.files, once[place - 1] if place else "0")
        undo(connection, plan, owner=subject.origin.owner, reason="verify", on_progress=tell_nobody)


def _with_undo_to_try(files: Sequence[MigrationFile], asked: Sequence[MigrationFile]) -> tuple[MigrationFile, ...]:
    """Return the newest files that can be taken back one after the other: none of them may lack its undo."""
    once = [file for file in files if not file.repeatable]
    found: list[MigrationFile] = []
    while once and once[-1] in asked and once[-1].undo:
        found.append(once.pop())
    return tuple(reversed(found))


def _seeds(database: ScratchDatabase, data: Data) -> Step:
    if not data.seeds:
        return Step("seeds", "skipped", "there are none")
    owner = database.origin.owner
    with database.as_migrator() as connection, database.as_admin() as admin:
        apply_seeds(connection, data.seeds, owner=owner)
        before = _contents(admin)
        for seed in data.seeds:
            admin.execute("DELETE FROM public.schema_seeds WHERE file = %s", [seed.name])
            apply_seeds(connection, [seed], owner=owner)
            after = _contents(admin)
            if changed := sorted(table for table in after if after[table] != before.get(table)):
                told = ", ".join(_told(table, before.get(table, (0, "")), after[table]) for table in changed)
                msg = f"{seed.source} changes rows when it runs again: {told}; add ON CONFLICT DO NOTHING, or a WHERE NOT EXISTS"
                raise MigrationError(msg)
    return Step(
        "seeds", "ok", f"{counted(len(data.seeds), 'file')} of {data.environment}, a second time without a change"
    )


def _told(table: str, before: tuple[int, str], after: tuple[int, str]) -> str:
    rows = "other rows" if before[0] == after[0] else f"{before[0]} rows, then {after[0]}"
    return f"{table} ({rows})"


def _contents(admin: psycopg.Connection) -> dict[str, tuple[int, str]]:
    """Return number and digest of the rows of each table."""
    objects = read(admin).objects.items()
    names = [key.name for key, parts in objects if key.kind == "table" and "partition" not in parts.get("", {})]
    queries = [
        sql.SQL(
            "SELECT {}, count(*), coalesce(md5(string_agg(h, '' ORDER BY h)), '') FROM (SELECT md5(t::text) AS h FROM {} t) r"
        ).format(
            sql.Literal(name),
            sql.SQL(name),  # quoted by the server
        )
        for name in names
    ]
    rows = admin.execute(sql.SQL(" UNION ALL ").join(queries)).fetchall() if queries else []
    return {name: (count, digest) for name, count, digest in rows}


def _checks(subject: Subject, database: ScratchDatabase, data: Data) -> Step:
    if not data.checks:
        return Step("checks", "skipped", "there are none")
    subject.finish(database)
    with database.as_migrator() as connection:
        found = [
            f"{path.name} finds {rows} rows"
            for path in data.checks
            if (rows := _rows_of(connection, path, database.origin.owner))
        ]
    if found:
        return Step("checks", "failed", "; ".join(found))
    return Step("checks", "ok", f"{counted(len(data.checks), 'file')} find nothing")


def _audit(subject: Subject, database: ScratchDatabase, audited: tuple[str, ...]) -> Step:
    with database.as_admin() as admin:
        found = trail.verify(admin, subject.origin.service, audited)
    if found.faults:
        return Step("audit", "failed", "; ".join(found.faults))
    entries = counted(found.entries, "entry")
    return Step("audit", "ok", f"changes of {counted(len(audited), 'table')} are written, {entries} whole")


def _privacy(database: ScratchDatabase, said: PrivacyDefinition) -> Step:
    with database.as_admin() as admin:
        found = list(faults(read_catalog(admin), Personal(database.name, said, database.as_admin)))
    if found:
        return Step("privacy", "failed", "; ".join(found))
    return Step("privacy", "ok", f"{counted(len(said.tables), 'table')} with rows of persons, none is left out")


def _tenants(subject: Subject, database: ScratchDatabase, named: Belonging) -> Step:
    with database.as_admin() as admin:
        if admin.info.parameter_status("is_superuser") != "on":
            return Step(
                "tenants", "skipped", "the login of --scratch is no superuser, and cannot act as the application"
            )
        found = list(tenants.faults(admin, subject.origin.service, named))
        persons = len(possessions.persons(named, admin))
    if found:
        return Step("tenants", "failed", "; ".join(found))
    said = f"policies of {counted(len(list(named)), 'table')} hold"
    return Step("tenants", "ok", f"{said}, tried with rows of {counted(persons, 'user')}")


def _rows_of(connection: psycopg.Connection, path: Path, owner: str | None) -> int:
    with session.told(path.name), session.as_owner(connection, owner):
        statements = list(statements_of(Part(path, path.name)))
        return sum(len(connection.execute(statement.text).fetchall()) for statement in statements)
