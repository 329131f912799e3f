"""The drill of an archive: a server is made of it, brought as far as it goes, looked at, and thrown away.

What it proves: that the backup and the log since are there, decrypt and fit each other; that a server starts on them and ends its recovery;
that every database lets itself be read, with its ledger and the project's checks; and that each page has its checksum.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from keelson import inside, paths
from keelson.backups.drills import evidence
from keelson.backups.drills.checks import run_checks
from keelson.backups.drills.evidence import Drill
from keelson.backups.physical import places, planning, waiting
from keelson.backups.physical.chosen import ENGINE
from keelson.backups.physical.planning import Planned
from keelson.backups.store import Store
from keelson.endpoint import MAINTENANCE_DATABASE, Reference, resolve
from keelson.errors import BackupError, KeelsonError, ServerError
from keelson.local import throwaway
from keelson.local.recovering import Forward, forward
from keelson.local.registry import Registry
from keelson.local.root import find as find_root
from keelson.local.sandbox import InContainer, InPrivateRoot

PHASES = ("restore", "recovery", "look", "checks", "pages")
SPARE = 1.2  # of the server's files, beside the log
TEMPLATES = ("template0", "template1")
LEDGER = "public.schema_versions"
QUICK = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}  # nothing of it is to last


@dataclass(frozen=True)
class Plan:
    """How it is made.

    Attributes:
        store: beside whose backups the evidence is kept.
        databases: that the server must have, each with the project's own checks by name.
        moment: to which; None for as far as the archive goes.
        tell: is told each phase as it begins.
    """

    store: Store
    databases: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    moment: datetime | None = None
    tell: Callable[[str], None] = lambda _phase: None


@dataclass
class _Found:
    """What it has found so far."""

    differences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    compared: dict[str, int] = field(default_factory=dict)
    checks: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    server: str = ""
    reached: str = ""

    @contextmanager
    def timed(self, phase: str, tell: Callable[[str], None]) -> Iterator[None]:
        tell(phase)
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[phase] = round(time.monotonic() - began, 3)


def drill(reference: Reference, plan: Plan) -> Drill:
    """Make a server of an archive, look at it, throw it away, and keep what came of it; the live server is only asked how much waits.

    Raises:
        BackupError: no drill could be made, for example because there is no backup yet, or too little room; nothing is kept of that.
        PlatformError: this machine has no private root, or the evidence cannot be written.
    """
    begun, found, exposed = datetime.now(UTC), _Found(), _exposed(reference)
    planned = planning.plan(reference, plan.moment, settle=plan.moment is not None)
    base = paths.private_directory(paths.data()) / "scratch"
    _refuse_small_disk(base.parent, planned)
    with throwaway.scratch_directory(base) as directory:
        try:
            _try(reference, planned, plan, directory, found)
        except KeelsonError as fault:
            found.differences.append(str(fault))
        except psycopg.Error as fault:
            said = (fault.diag.message_primary or str(fault) or type(fault).__name__).splitlines()[0]
            found.differences.append(f"the restored server refused: {said} (SQLSTATE {fault.sqlstate})")
    done = Drill(
        stack=reference.stack,
        database=evidence.of_server(reference.server),
        backup=planned.backup.label,
        begun=begun,
        ended=datetime.now(UTC),
        differences=tuple(found.differences),
        notes=tuple(found.notes),
        compared=found.compared,
        checks=found.checks,
        seconds=found.seconds,
        bytes=planned.backup.bytes,
        server=found.server,
        reached=found.reached,
        exposed_seconds=exposed,
    )
    evidence.keep(plan.store, done)
    return done


def _exposed(reference: Reference) -> float | None:
    """Return how many seconds of work a loss of the server would have cost when the drill began; None where it does not answer."""
    try:
        with resolve(reference.to(database=MAINTENANCE_DATABASE)).connect("keelson drill", patience=0) as connection:
            return round(waiting.ask(connection, 0).exposed, 1)
    except (KeelsonError, psycopg.Error):
        return None


def _try(reference: Reference, planned: Planned, plan: Plan, directory: Path, found: _Found) -> None:
    place, _ = places.find(reference.stack, reference.server, planned.cluster)
    with found.timed("restore", plan.tell):
        there = places.into(reference.stack, place, directory)
        paths.private_directory(directory / "pgdata")
        ENGINE.restore(there, planned.goal)
    began = time.monotonic()
    plan.tell("recovery")
    with forward(directory, place.repository, reference.server, **_parameters(reference)) as reached:
        found.seconds["recovery"] = round(time.monotonic() - began, 3)
        found.server = reached.admin.info.parameter_status("server_version") or ""
        found.reached = reached.last.isoformat() if reached.last else ""
        with found.timed("look", plan.tell):
            _look(reached, plan, found)
        with found.timed("checks", plan.tell):
            _check(reached, plan, found)
    with found.timed("pages", plan.tell):
        _read_pages(directory, found)


def _parameters(reference: Reference) -> dict[str, str]:
    """Return what the server takes beside what its recovery needs: the libraries that its databases ask for."""
    record = Registry(reference.stack).server(reference.server)
    if record is None:
        return QUICK
    timescale = {"shared_preload_libraries": "timescaledb", "timescaledb.telemetry_level": "off"}
    prepared = record.parameters.get("max_prepared_transactions")
    return {
        **QUICK,
        **(timescale if record.timescale else {}),
        **({"max_prepared_transactions": str(prepared)} if prepared else {}),
    }


def _look(reached: Forward, plan: Plan, found: _Found) -> None:
    """Connect to every database, and see that those of the stack have their ledger, and no index that is not valid."""
    rows = reached.admin.execute("SELECT datname FROM pg_catalog.pg_database WHERE datallowconn").fetchall()
    every = sorted({row[0] for row in rows} - {*TEMPLATES})
    found.compared |= {"databases": len(every), "tables": 0, "migrations": 0}
    found.differences += [f"the database {name} is missing" for name in plan.databases if name not in every]
    for name in every:
        with reached.connect(name) as connection:
            tables, invalid = connection.execute(_COUNTED).fetchone() or (0, 0)
            found.compared["tables"] += tables
            if invalid:
                found.differences.append(f"the database {name} has {invalid} indexes that are not valid")
            if name in plan.databases:
                found.compared["migrations"] += _ledger(connection, name, found)


def _ledger(connection: psycopg.Connection, name: str, found: _Found) -> int:
    if not (connection.execute("SELECT pg_catalog.to_regclass(%s)", [LEDGER]).fetchone() or (None,))[0]:
        found.differences.append(f"the database {name} has no ledger of its migrations ({LEDGER})")
        return 0
    row = connection.execute("SELECT count(*), max(version) FROM public.schema_versions").fetchone() or (0, None)
    found.notes.append(f"{name} is at version {row[1] if row[1] is not None else 'none'} of its schema")
    return int(row[0])


def _check(reached: Forward, plan: Plan, found: _Found) -> None:
    for name, queries in plan.databases.items():
        if not queries or f"the database {name} is missing" in found.differences:
            continue
        with reached.connect(name) as connection:
            rows, faults = run_checks(connection, queries)
        found.checks |= {f"{name}/{query}": count for query, count in rows.items()}
        found.differences += [f"{name}: {fault}" for fault in faults]


def _read_pages(directory: Path, found: _Found) -> None:
    """Hold every page of the stopped server against its checksum."""
    sandbox = InContainer(directory) if inside.here() else InPrivateRoot(find_root(), directory)
    try:
        sandbox.run("pg_checksums", "--check", "-D", f"{sandbox.data}/pgdata")
    except ServerError as fault:
        if "not enabled" in str(fault):
            found.notes.append("its pages have no checksums, so they were not held against any")
            return
        found.differences.append(f"pages of the restored server are not as they were written: {fault}")


def _refuse_small_disk(directory: Path, planned: Planned) -> None:
    needed, free = planned.backup.bytes * SPARE, shutil.disk_usage(directory).free
    if free < needed:
        msg = f"a drill needs about {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free under {directory}; make room there"
        raise BackupError(msg)


_COUNTED = """\
SELECT (SELECT count(*) FROM pg_catalog.pg_class AS relation JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relnamespace
        WHERE relkind IN ('r', 'p') AND nspname NOT IN ('pg_catalog', 'information_schema')),
       (SELECT count(*) FROM pg_catalog.pg_index WHERE NOT indisvalid)
"""
