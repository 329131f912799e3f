"""How the archive of a server of a stack is: what waits by the server's own words, the newest backup, and whether that is in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg

from keelson.agent import jobs
from keelson.agent import state as runs
from keelson.agent.jobs import Job
from keelson.backups.overdue import PATIENCE, is_since
from keelson.backups.physical import places, waiting
from keelson.backups.physical.chosen import ENGINE
from keelson.backups.physical.engine import Workplace
from keelson.backups.physical.waiting import Waiting
from keelson.endpoint import MAINTENANCE_DATABASE, Reference, resolve
from keelson.errors import KeelsonError


@dataclass(frozen=True)
class ArchiveState:
    """One server's archive; `fault` is one sentence where something is wrong, else empty.

    Attributes:
        server: whose it is.
        backed_up: when the newest backup was begun; None where there is none.
        waiting: what the server says; None where it does not answer.
        fault: that it is stuck, that something was dropped, or that a backup failed or is overdue.
    """

    server: str
    backed_up: datetime | None = None
    waiting: Waiting | None = field(default=None)
    fault: str = ""


def look(reference: Reference, limit: int) -> ArchiveState:
    """Return how the archive of a server is; raises KeelsonError or psycopg.Error where it cannot be asked."""
    key, server, now = reference.stack, reference.server, datetime.now(UTC)
    place, _ = places.find(key, server)
    last = ENGINE.newest(place.repository)
    with resolve(reference.to(database=MAINTENANCE_DATABASE)).connect("keelson archive", patience=0) as connection:
        connection.execute("SET statement_timeout = '2s'")
        told = waiting.ask(connection, limit)
    fault = _missing(place) or told.fault(server, last) or _late(key, server, last, now)
    return ArchiveState(server, last, told, fault)


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
    }


def from_values(told: Mapping[str, Any]) -> ArchiveState:
    """Return the state that was told as values."""
    backed_up = told["backed_up"] and datetime.fromisoformat(told["backed_up"])
    return ArchiveState(
        told["server"], backed_up, told["waiting"] and waiting.from_values(told["waiting"]), told["fault"]
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
