"""What a restore to a moment begins with, where the archive lies."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg

from keelson.backups.physical import choosing, places
from keelson.backups.physical.chosen import ENGINE
from keelson.backups.physical.engine import Goal, Physical, Workplace
from keelson.endpoint import MAINTENANCE_DATABASE, Reference, resolve
from keelson.errors import UnreachableError

ARCHIVED_SECONDS = 90.0  # until the last file of the log must have arrived
POLL = 0.2


@dataclass(frozen=True)
class Planned:
    """A moment, the backup from which it is reached, and the archive that has both."""

    backup: Physical
    goal: Goal
    cluster: str
    until: datetime


@dataclass(frozen=True)
class Reached:
    """What a restore has come to: from which backup, and the last transaction that it holds; None where none came after the backup."""

    backup: Physical
    last: datetime | None
    seconds: float


@dataclass(frozen=True)
class Side:
    """A server beside the live one, as that was at a moment."""

    name: str
    port: int
    reached: Reached


def plan(reference: Reference, moment: datetime | None, cluster: str = "", *, settle: bool = True) -> Planned:
    """Choose from which backup a moment is reached; raises BackupError.

    Args:
        reference: the server.
        moment: None for the end of what is archived.
        cluster: which of the server's; by default what it is now.
        settle: whether the live server first archives what it has written; else what is there counts, as after its loss.
    """
    place, _ = places.find(reference.stack, reference.server, cluster)
    inventory = ENGINE.inventory(place)
    until = restorable_until(reference, place) if settle else last_archived(place)
    branch = choosing.branch_at(choosing.read_branches(place.repository), moment)
    chosen = choosing.choose(inventory, branch, moment, until, reference.server)
    goal = Goal(chosen.label, moment, str(branch.timeline) if branch else "latest")
    return Planned(chosen, goal, place.repository.name, until)


def restorable_until(reference: Reference, place: Workplace) -> datetime:
    """Return up to when the archive goes: now, where the server answers and sends what it has."""
    if (asked := _send_the_rest(reference, place)) is not None:
        return asked
    return last_archived(place)


def last_archived(place: Workplace) -> datetime:
    """Return when the last file of the log came to the archive."""
    files = [path for path in (place.repository / "archive").rglob("0*") if path.is_file()]
    return datetime.fromtimestamp(max((path.stat().st_mtime for path in files), default=0.0), UTC)


def _send_the_rest(reference: Reference, place: Workplace) -> datetime | None:
    """Let the live server end what it writes with a transaction, and send it; return the time before that, None where it cannot.

    PostgreSQL recognises that a moment is reached by a transaction that comes after it.
    """
    if not places.is_present(reference.stack, place):
        return None
    try:
        with resolve(reference.to(database=MAINTENANCE_DATABASE)).connect("keelson archive", patience=0) as admin:
            asked = admin.execute("SELECT clock_timestamp()").fetchone()
            admin.execute("SELECT pg_current_xact_id()")
            file = admin.execute("SELECT pg_walfile_name(pg_switch_wal())").fetchone()
            deadline = time.monotonic() + ARCHIVED_SECONDS
            while time.monotonic() < deadline:
                if (last := ENGINE.inventory(place).last_archived) and file and last[8:] >= file[0][8:]:
                    return asked[0].astimezone(UTC) if asked else None
                time.sleep(POLL)
    except (psycopg.Error, UnreachableError):
        return None
    return None


def values(planned: Planned) -> dict[str, Any]:
    """Return a plan as JSON has it."""
    backup, moment = planned.backup, planned.goal.moment
    return {
        "backup": asdict(backup) | {"begun": backup.begun.isoformat(), "ended": backup.ended.isoformat()},
        "goal": asdict(planned.goal) | {"moment": moment and moment.isoformat()},
        "cluster": planned.cluster,
        "until": planned.until.isoformat(),
    }


def from_values(told: Mapping[str, Any]) -> Planned:
    """Return the plan that was told as values."""
    backup, goal = told["backup"], told["goal"]
    times = {name: datetime.fromisoformat(backup[name]) for name in ("begun", "ended")}
    moment = goal["moment"] and datetime.fromisoformat(goal["moment"])
    return Planned(
        Physical(**{**backup, **times}),
        Goal(**{**goal, "moment": moment}),
        str(told["cluster"]),
        datetime.fromisoformat(told["until"]),
    )
