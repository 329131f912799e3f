"""The drill itself: a backup is restored, compared and checked, each phase is timed, and what came of it is kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg

from keelson.backups.drills import evidence, scratch
from keelson.backups.drills.checks import run_checks
from keelson.backups.drills.comparing import compare_all
from keelson.backups.drills.evidence import Drill
from keelson.backups.drills.scratch import Scratch
from keelson.backups.folder import Watch
from keelson.backups.making import ignore
from keelson.backups.store import Backup, Store
from keelson.errors import BackupError, DamagedError, KeelsonError
from keelson.target import target

PHASES = ("server", "roles", "restore", "compare", "checks")
MOST = 100  # sentences that are kept of one drill

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
    missing: tuple[str, ...] = ()  # roles

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
    """

    store: Store
    place: str
    checks: Mapping[str, str] = field(default_factory=dict)
    watch: Watch = ignore
    tell: Tell = lambda _phase: None


def drill(backup: Backup, plan: Plan) -> Drill:
    """Restore a database's backup into a throw-away server, hold it against its manifest, and keep what came of it.

    Raises:
        BackupError: no drill could be made, for example because the disk is too small; nothing is kept of that.
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
            _restore(backup, server, plan, found)
            _look(backup, server, plan, found)
        except DamagedError as fault:
            backup.note(str(fault))
            found.differences.append(str(fault))
        except KeelsonError as fault:
            found.differences.append(str(fault))
        except psycopg.Error as fault:
            said = (fault.diag.message_primary or str(fault) or type(fault).__name__).splitlines()[0]
            found.differences.append(f"the throw-away server refused: {said} (SQLSTATE {fault.sqlstate})")


def _restore(backup: Backup, server: Scratch, plan: Plan, found: _Findings) -> None:
    manifest, folder = backup.manifest, backup.folder(plan.watch)
    with found.timed("roles", plan.tell):
        faults, missing = server.make_roles(folder, manifest.contents)
    found.differences += faults
    found.missing = tuple(missing)
    with found.timed("restore", plan.tell):
        server.restore(manifest.database, folder, manifest.contents, target(plan.place).client)


def _look(backup: Backup, server: Scratch, plan: Plan, found: _Findings) -> None:
    manifest = backup.manifest
    with found.timed("compare", plan.tell), server.connect(manifest.database) as connection:
        compared = compare_all(connection, manifest.contents, backup.folder(), found.missing)
    found.differences += compared.differences
    found.notes += compared.notes
    found.compared = compared.compared
    with found.timed("checks", plan.tell), server.connect(manifest.database) as connection:
        found.checks, faults = run_checks(connection, plan.checks)
    found.differences += faults
