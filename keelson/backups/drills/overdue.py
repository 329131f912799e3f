"""Whether drills are in order, as `status` and `doctor` see it."""

from __future__ import annotations

from datetime import datetime, timedelta

from keelson.agent.jobs import Job
from keelson.agent.state import JobState
from keelson.backups.drills.evidence import Drill
from keelson.backups.overdue import is_since
from keelson.wording import counted

PATIENCE = timedelta(
    hours=6
)  # from the time that a drill is due until it is overdue: those of a stack go one after the other


def failure(name: str, last: Drill | None) -> str:
    """Return that the newest drill found differences, in one sentence; nothing where it did not."""
    if last is None or last.well:
        return ""
    found = counted(len(last.differences), "difference")
    return f"the last drill of {name} found {found} to the backup {last.backup}: {last.differences[0]}"


def lateness(name: str, last: Drill | None, job: Job, known: JobState, now: datetime, words: str = "") -> str:  # noqa: PLR0913, PLR0917 - what is compared
    """Return that the last run of a drill could not be made, or that one was due and is not there; nothing where all is in time.

    `words` are what the command takes, where that is not the name.
    """
    if known.error and not (last and last.begun.timestamp() >= known.begun):
        return f"the last drill of {name} failed: {known.error}"
    due = job.due.before(now - PATIENCE)
    registered = job.registered if job.registered <= now.timestamp() else 0  # by a clock that was wrong then
    if due.timestamp() <= registered or is_since(last.begun if last else None, due, now):
        return ""
    since = f"the last one is of {last.begun:%Y-%m-%d %H:%M} UTC" if last else "there was none"
    return f"a drill of {name} was due at {due:%Y-%m-%d %H:%M} UTC, and {since}; run `keelson backup drill {words or name}`"
