"""Whether the backups of a stack are in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from keelson.agent import jobs, state
from keelson.agent.jobs import Job
from keelson.backups.store import Store
from keelson.errors import KeelsonError
from keelson.settings.stack import Stack
from keelson.status.model import BackupStatus

PATIENCE = timedelta(hours=1)  # from the time that a backup is due until it is overdue


class Backups:
    """The backups of one stack, and the jobs that make them."""

    def __init__(self, stack: Stack) -> None:
        self._key, self._made_by_agent = stack.key, stack.settings.agent.enabled
        self._store = Store(stack.key, stack.settings.backup.directory)
        found, faults = jobs.read(stack.key)
        self._jobs = {job.name: job for job in found}
        self.faults = tuple(faults)
        self.directory = self._store.directory

    def of(self, name: str, now: datetime | None = None) -> BackupStatus:
        """Return how the backups of a database or Redis are."""
        try:
            last = self._store.last(name)
            begun, size = (last.begun, last.manifest.bytes) if last else (None, 0)
        except KeelsonError as fault:
            return BackupStatus(fault=str(fault))
        job = self._jobs.get(jobs.backup_of(name))
        if job is None:
            return BackupStatus(begun, size)
        now = now or datetime.now(UTC)
        wrong = self._fault(name, job, begun, now) if self._made_by_agent else ""
        return BackupStatus(begun, size, job.due.after(now), wrong)

    def _fault(self, name: str, job: Job, last: datetime | None, now: datetime) -> str:
        known = state.read(self._key, job.name)
        if known.error and not (last and last.timestamp() > known.begun):
            return f"the last backup of {name} failed: {known.error}"
        due = job.due.before(now - PATIENCE)
        if due.timestamp() <= job.registered or (last and last >= due - timedelta(minutes=1)):
            return ""
        since = f"the last good one is of {last:%Y-%m-%d %H:%M} UTC" if last else "there is no good one"
        return f"a backup of {name} was due at {due:%Y-%m-%d %H:%M} UTC, and {since}; run `keelson backup run {name}`"
