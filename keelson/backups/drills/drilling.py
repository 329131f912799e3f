"""The drill itself: a backup is restored, compared and checked, each phase is timed, and what came of it is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import psycopg

from keelson.backups import foresight
from keelson.backups.copies import NewCopy, new_copy
from keelson.backups.drills import evidence, scratch
from keelson.backups.drills.checks import run_checks
from keelson.backups.drills.comparing import compare_all
from keelson.backups.drills.evidence import Drill
from keelson.backups.drills.scratch import Scratch
from keelson.backups.engines import Destination
from keelson.backups.folder import Watch
from keelson.backups.making import ignore
from keelson.backups.store import Backup, Store
from keelson.endpoint import Reference
from keelson.errors import BackupError, DamagedError, KeelsonError, UnfitServerError
from keelson.target import target

PHASES = ("server", "roles", "restore", "compare", "checks")
MOST = 100  # sentences that are kept of one drill
BESIDE = "restored beside the live database, with the roles that its server has: for the throw-away server, {}"

Tell = Callable[[str], None]  # is told the phase that begins


@dataclass
class _Findings:
    """What a drill has found so far."""

    differences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    compared: Mapping[str, int] = field(default_factory=dict)
    checks: Mapping[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    server: str = ""

    @contextmanager
    def timed(self, phase: str, tell: Tell) -> Iterator[None]:
        tell(phase)
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[phase] = round(time.monotonic() - began, 3)


@dataclass(frozen=True)
class Plan:
    """How drills are made.

    Attributes:
        store: among whose backups the evidence is kept.
        checks: the project's own queries by name.
        place: the target whose client programs are run.
        watch: is told how many bytes were read.
        tell: is told each phase as it begins.
        beside: the live database, on whose server the backup is restored where the throw-away one lacks what it needs.
    """

    store: Store
    place: str
    checks: Mapping[str, str] = field(default_factory=dict)
    watch: Watch = ignore
    tell: Tell = lambda _phase: None
    beside: Reference | None = None


def drill(backup: Backup, plan: Plan) -> Drill:
    """Restore a database's backup into a throw-away server, hold it against its manifest, and keep what came of it.

    Where that server has another edition of TimescaleDB, or lacks an extension, and the plan says beside which database, it is restored
    there, into a copy that is closed to all and goes with the drill.

    Raises:
        BackupError: no drill could be made, for example because a disk is too small; nothing is kept of that.
        UnreachableError: the live database's server does not answer, and the backup can be restored nowhere else.
        PlatformError: this machine has no private root, or the evidence cannot be written.
        ServerError: the throw-away server does not start.
    """
    with backup.held():
        manifest = backup.manifest
        if manifest.engine != "postgres":
            msg = f"{manifest.database} is a {manifest.engine}, and drills are for databases; restore it into another Redis to try that"
            raise BackupError(msg)
        begun, found = datetime.now(UTC), _Findings()
        _run(backup, plan, found)
    more = len(found.differences) - MOST
    done = Drill(
        stack=plan.store.key,
        database=manifest.database,
        backup=backup.id,
        begun=begun,
        ended=datetime.now(UTC),
        differences=(*found.differences[:MOST], *([f"{more} further differences"] if more > 0 else ())),
        notes=tuple(found.notes),
        compared=found.compared,
        checks=found.checks,
        seconds=found.seconds,
        bytes=manifest.bytes,
        server=found.server,
    )
    evidence.keep(plan.store, done)
    return done


def _run(backup: Backup, plan: Plan, found: _Findings) -> None:
    began = time.monotonic()
    plan.tell("server")
    with scratch.running(backup.manifest.contents) as server:
        found.seconds["server"] = round(time.monotonic() - began, 3)
        found.server = server.version
        try:
            server.refuse_unfit(backup.manifest.contents)
        except UnfitServerError as fault:
            if plan.beside is None:
                found.differences.append(str(fault))
                return
            found.notes.append(BESIDE.format(fault))
        else:
            _into_scratch(backup, server, plan, found)
            return
    _into_copy(backup, plan.beside, plan, found)


def _into_scratch(backup: Backup, server: Scratch, plan: Plan, found: _Findings) -> None:
    manifest, folder = backup.manifest, backup.folder(plan.watch)
    with _noted(backup, found, "the throw-away server"):
        with found.timed("roles", plan.tell):
            faults, missing = server.make_roles(folder, manifest.contents)
        found.differences += faults
        with found.timed("restore", plan.tell):
            copy = server.empty(manifest.database, manifest.contents)
            copy.fill(target(plan.place).client, folder)
        _look(backup, copy, plan, found, missing)


def _into_copy(backup: Backup, live: Reference, plan: Plan, found: _Findings) -> None:
    """Restore into a database beside the live one; roles are the stack's there, whatever they were then.

    Raises:
        BackupError: that server has too little room, or lacks something too, or refuses.
        UnreachableError: it does not answer.
    """
    manifest, folder = backup.manifest, backup.folder(plan.watch)
    destination = Destination(manifest.database, live.to(database=f"{manifest.database}_drill"))
    try:
        foresight.refuse_small_server(live, backup)
        with new_copy(folder, manifest.contents, destination, stays=False) as copy, _noted(backup, found, live.server):
            found.server = copy.counted(lambda connection: connection.info.parameter_status("server_version") or "")
            with found.timed("restore", plan.tell):
                copy.fill(target(plan.place).client, folder)
            _look(backup, copy, plan, found)
    except psycopg.Error as fault:
        raise BackupError(_refused(live.server, fault)) from None


@contextmanager
def _noted(backup: Backup, found: _Findings, who: str) -> Iterator[None]:
    """Take what fails in the block for something that the drill has found."""
    try:
        yield
    except DamagedError as fault:
        backup.note(str(fault))
        found.differences.append(str(fault))
    except KeelsonError as fault:
        found.differences.append(str(fault))
    except psycopg.Error as fault:
        found.differences.append(_refused(who, fault))


def _refused(who: str, fault: psycopg.Error) -> str:
    said = (fault.diag.message_primary or str(fault) or type(fault).__name__).splitlines()[0]
    return f"{who} refused: {said} (SQLSTATE {fault.sqlstate})"


def _look(backup: Backup, copy: NewCopy, plan: Plan, found: _Findings, missing: Collection[str] | None = None) -> None:
    """Compare and check what was restored; `missing` are roles that could not be made, None where none were to be made."""
    manifest = backup.manifest
    compare, made = partial(compare_all, contents=manifest.contents, folder=backup.folder()), missing is not None
    with found.timed("compare", plan.tell):
        compared = copy.counted(lambda connection: compare(connection, without=missing or (), roles=made))
    found.differences += compared.differences
    found.notes += compared.notes
    found.compared = compared.compared
    with found.timed("checks", plan.tell):
        found.checks, faults = copy.counted(lambda connection: run_checks(connection, plan.checks))
    found.differences += faults
