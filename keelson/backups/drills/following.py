"""A drill that is due with a backup, where each of the two is begun by itself: it waits for that backup."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from keelson.agent import jobs
from keelson.agent.jobs import Job
from keelson.backups.overdue import is_since
from keelson.backups.store import Store

PATIENCE = timedelta(hours=1)  # from the time that both are due
PAUSE = 5.0  # seconds between two looks


def await_backup(
    drill: Job, clock: Callable[[], float] = time.time, pause: Callable[[float], None] = time.sleep
) -> bool:
    """Wait for the backup that is due when `drill` is, if there is one; say whether there is none that did not come in time.

    Raises:
        KeelsonError: the backups cannot be looked at.
    """
    name = drill.reference.database
    backup = jobs.find(drill.reference.stack, jobs.backup_of(name))
    if backup is None or (backup.schedule, backup.time_zone) != (drill.schedule, drill.time_zone):
        return True
    due = drill.due.before(_moment(clock))
    while not is_since(_newest(Store.of_job(drill), name), due, now := _moment(clock)):
        if now >= due + PATIENCE:
            return False
        pause(PAUSE)
    return True


def _newest(store: Store, name: str) -> datetime | None:
    last = store.last(name)
    return last.begun if last else None


def _moment(clock: Callable[[], float]) -> datetime:
    return datetime.fromtimestamp(clock(), UTC)
