"""Whether the backups of a stack are in time."""

from __future__ import annotations

from datetime import UTC, datetime

from keelson.backups.drills.overdue import failure as drill_failure
from keelson.backups.drills.overdue import lateness
from keelson.backups.overdue import overdue
from keelson.backups.overview import Kept, Overview
from keelson.errors import KeelsonError
from keelson.settings.stack import Stack
from keelson.status.model import BackupStatus, DrillStatus
from keelson.target import target


class Backups:
    """The backups of one stack, and the jobs that make them."""

    def __init__(self, stack: Stack) -> None:
        self._made = stack.settings.agent.enabled or stack.settings.target == "kubernetes"  # by CronJobs there
        self._found = _overview(stack)
        self.faults, self.directory = self._found.faults, self._found.directory

    def of(self, name: str, now: datetime | None = None) -> BackupStatus:
        """Return how the backups of a database or Redis are."""
        kept = self._found.of(name)
        if kept.fault:
            return BackupStatus(fault=kept.fault)
        if kept.job is None:
            return BackupStatus(kept.begun, kept.bytes)
        now = now or datetime.now(UTC)
        wrong = (failure(name, kept) or overdue(kept.job, kept.begun, now)) if self._made else ""
        return BackupStatus(kept.begun, kept.bytes, kept.job.due.after(now), wrong)

    def drills_of(self, name: str, now: datetime | None = None) -> DrillStatus:
        """Return how the drills of a database's backups are."""
        kept = self._found.of(name)
        last, job = kept.drill, kept.drill_job
        now = now or datetime.now(UTC)
        fault = drill_failure(name, last)
        if job and self._made:
            fault = fault or lateness(name, last, job, kept.drill_state, now)
        due = job.due.after(now) if job else None
        if last is None:
            return DrillStatus(due=due, fault=fault)
        return DrillStatus(last.begun, round(last.recovery_seconds, 3), due, fault)


def _overview(stack: Stack) -> Overview:
    """Return what the target knows of the stack's backups; where it knows nothing, why."""
    names, directory = [*stack.databases, *stack.settings.redis], stack.settings.backup.directory
    try:
        return target(stack.settings.place).backups(stack.key, names, directory)
    except KeelsonError as fault:
        return Overview("", faults=(str(fault),))


def failure(name: str, kept: Kept) -> str:
    """Return why the last run failed; nothing where it did not, or a good backup was made since."""
    last, known = kept.begun, kept.state
    if known.error and not (last and last.timestamp() > known.begun):
        return f"the last backup of {name} failed: {known.error}"
    return ""
