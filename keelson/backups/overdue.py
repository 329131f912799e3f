"""Whether a backup that was due is there, as all who look see it: `status`, and an agent that runs no jobs."""

from __future__ import annotations

from datetime import datetime, timedelta

from keelson.agent.jobs import Job
from keelson.backups.engines import name_of

PATIENCE = timedelta(hours=1)  # from the time that a backup is due until it is overdue
LEEWAY = timedelta(minutes=1)  # by which clocks may differ


def overdue(job: Job, last: datetime | None, now: datetime) -> str:
    """Return that a backup was due and is not there, in one sentence; nothing where all is in time.

    Args:
        job: what makes it.
        last: when the newest good one was begun; None where there is none.
        now: the time.
    """
    due = job.due.before(now - PATIENCE)
    registered = job.registered if job.registered <= now.timestamp() else 0  # by a clock that was wrong then
    if due.timestamp() <= registered or is_since(last, due, now):
        return ""
    name = name_of(job.engine, job.reference)
    since = f"the last good one is of {last:%Y-%m-%d %H:%M} UTC" if last else "there is no good one"
    return f"a backup of {name} was due at {due:%Y-%m-%d %H:%M} UTC, and {since}; run `keelson backup run {name}`"


def is_since(last: datetime | None, due: datetime, now: datetime) -> bool:
    """Say whether `last` is of the time since `due`; one from the future, by a clock that was wrong then, proves nothing."""
    return last is not None and due - LEEWAY <= last <= now + LEEWAY
