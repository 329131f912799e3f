"""How the archive of a server of a stack is: what waits by the server's own words, the newest backup, and whether that is in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from keelson.agent import jobs
from keelson.agent import state as runs
from keelson.agent.jobs import Job
from keelson.backups.drills import evidence
from keelson.backups.drills.evidence import Drill, of_server
from keelson.backups.drills.overdue import failure, lateness
from keelson.backups.overdue import PATIENCE, is_since
from keelson.backups.physical import places, waiting
from keelson.backups.physical.chosen import ENGINE
from keelson.backups.physical.engine import Workplace
from keelson.backups.physical.waiting import Waiting
from keelson.backups.store import Store
from keelson.endpoint import MAINTENANCE_DATABASE, Reference, resolve
from keelson.errors import KeelsonError

AHEAD = timedelta(minutes=5)  # by which the server's clock may be before this one's


@dataclass(frozen=True)
class ArchiveState:
    """One server's archive; `fault` is one sentence where something is wrong, else empty.

    Attributes:
        server: whose it is.
        backed_up: when the newest backup was begun; None where there is none.
        waiting: what the server says; None where it does not answer.
        fault: that it is stuck, that something was dropped, that a backup or drill failed, or that one is overdue.
        drilled: when it was drilled last; None where it never was.
        proven: whether that found nothing wrong.
        recovery_seconds: how long it took until a server was there.
    """

    server: str
    backed_up: datetime | None = None
    waiting: Waiting | None = field(default=None)
    fault: str = ""
    drilled: datetime | None = None
    proven: bool = False
    recovery_seconds: float | None = None


def look(reference: Reference, limit: int) -> ArchiveState:
    """Return how the archive of a server is; raises KeelsonError or psycopg.Error where it cannot be asked."""
    key, server, now = reference.stack, reference.server, datetime.now(UTC)
    place, _ = places.find(key, server)
    newest = ENGINE.newest(place.repository)
    future = newest is not None and newest > now + AHEAD
    last = None if future else newest  # whose time is wrong says nothing of what it holds
    with resolve(reference.to(database=MAINTENANCE_DATABASE)).connect("keelson archive", patience=0) as connection:
        connection.execute("SET statement_timeout = '2s'")
        told = waiting.ask(connection, limit)
    job = jobs.find(key, jobs.archive_drill_of(server))
    drill = evidence.last(Store.of_job(job) if job else Store(key), of_server(server))
    fault = (
        _missing(place)
        or told.fault(server, last)
        or (_future(server, newest) if newest and future else "")
        or _late(key, server, last, now)
        or _unproven(server, drill, job, now)
    )
    if drill is None:
        return ArchiveState(server, last, told, fault)
    return ArchiveState(server, last, told, fault, drill.begun, drill.well, round(drill.recovery_seconds, 3))


def of_job(job: Job) -> ArchiveState:
    """Return the same for a job of the agent; what cannot be asked is a fault."""
    try:
        return look(job.reference, int(job.settings.get("waiting", 0)) or 2**62)
    except (KeelsonError, psycopg.Error) as fault:
        return ArchiveState(job.reference.server, fault=str(fault).strip().splitlines()[0])


def values(found: ArchiveState) -> dict[str, Any]:
    """Return it as JSON has it."""
    told = found.waiting and waiting.values(found.waiting)
    return {
        "server": found.server,
        "backed_up": found.backed_up and found.backed_up.isoformat(),
        "waiting": told,
        "fault": found.fault,
        "drilled": found.drilled and found.drilled.isoformat(),
        "proven": found.proven,
        "recovery_seconds": found.recovery_seconds,
    }


def from_values(told: Mapping[str, Any]) -> ArchiveState:
    """Return the state that was told as values."""
    times = {name: told[name] and datetime.fromisoformat(told[name]) for name in ("backed_up", "drilled")}
    return ArchiveState(**{**told, **times, "waiting": told["waiting"] and waiting.from_values(told["waiting"])})


def _future(server: str, newest: datetime) -> str:
    return (
        f"the newest backup of server {server} is of {newest:%Y-%m-%d %H:%M} UTC, which is in the future: a clock was wrong; see that it is right "
        f"now, then run `keelson backup run --server {server} --full`, which says what to do if it is refused"
    )


def _unproven(server: str, drill: Drill | None, job: Job | None, now: datetime) -> str:
    """Return that the last drill found something or could not be made, or that one is overdue."""
    name = f"the archive of {server}"
    found = failure(name, drill)
    return found or (
        lateness(name, drill, job, runs.read(job.reference.stack, job.name), now, f"--server {server}") if job else ""
    )


def _missing(place: Workplace) -> str:
    if place.repository.is_dir():
        return ""
    return f"the archive of {place.server} is missing ({place.repository}); mount its disk and run `keelson restart {place.server}`"


def _late(key: str, server: str, last: datetime | None, now: datetime) -> str:
    job = jobs.find(key, jobs.archive_of(server))
    if job is None:
        return ""
    known = runs.read(key, job.name)
    if known.error and not (last and last.timestamp() > known.begun):
        return f"the last backup of server {server} failed: {known.error}"
    written = datetime.fromtimestamp(job.registered, UTC)  # when the first one is due
    due = job.due.before(now - PATIENCE) if last else max(written, job.due.before(now - PATIENCE))
    if due > now - PATIENCE or (last and (is_since(last, due, now) or due <= written)):
        return ""
    since = f"the last one is of {last:%Y-%m-%d %H:%M} UTC" if last else "there is none"
    return f"a backup of server {server} was due at {due:%Y-%m-%d %H:%M} UTC, and {since}; run `keelson backup run --server {server}`"
