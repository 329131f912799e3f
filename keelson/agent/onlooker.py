"""The agent where others run the jobs: it runs none, and says of each whether a backup was due and is there.

There are no notes of runs: what is known of a job is what stands in the manifests of the backups, and in the evidence of drills.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

from keelson.agent import figures, jobs
from keelson.agent.figures import BackupFigures
from keelson.agent.jobs import Job
from keelson.agent.looks import Look
from keelson.agent.loop import JobView, View, say
from keelson.agent.state import JobState
from keelson.backups.drills.overdue import failure, lateness
from keelson.backups.overdue import overdue
from keelson.errors import KeelsonError
from keelson.inside.mounted import Mounted

DEADLINE = 3.0  # seconds for the directories of all backups

Newest = BackupFigures | str | None  # the newest good backup, or why nobody can look; None where there is none


class Onlooker:
    """The jobs of one stack, whose state is mounted; `step` is called again and again by one thread.

    Args:
        key: the stack's key.
        mounted: the state, which was taken over once.
        clock: the time in seconds since 1970.
    """

    def __init__(self, key: str, mounted: Mounted, clock: Callable[[], float] = time.time) -> None:
        self.view = View()
        self._key, self._mounted, self._clock = key, mounted, clock
        self._look = Look(self._look_at_backups, DEADLINE)
        self._fault = ""

    def step(self) -> None:
        """Follow the state, look at the backups, and say how things are; where their volume hangs, it waits for that once."""
        self._follow()
        now = datetime.fromtimestamp(self._clock(), UTC)
        found, faults = jobs.read(self._key)
        newest = self._newest(found)
        states = {job.name: _state(job, newest[job.name], now) for job in found if job.name in newest}
        states |= {job.name: state for job in found if (state := _drill_state(job, newest, now))}
        views = tuple(
            JobView(job, states.get(job.name, JobState()), job.due.after(now).timestamp(), running=False)
            for job in found
        )
        self.view = View(views, tuple(filter(None, [self._fault, *faults])), time.monotonic())

    def end(self) -> None:
        """End: nothing runs."""

    def _follow(self) -> None:
        """Take the state over where it was replaced; what cannot be taken is told once, and what was taken before stays."""
        try:
            self._mounted.follow()
            fault = ""
        except KeelsonError as found:
            fault = str(found)
        if fault and fault != self._fault:
            say(fault)
        self._fault = fault

    def _newest(self, found: list[Job]) -> Mapping[str, Newest]:
        """Return what was seen, by job; one that came a moment ago may be missing."""
        try:
            return self._look.result()
        except TimeoutError:
            fault = f"the backups could not be looked at within {DEADLINE:.0f} s; see whether their volume answers"
            return dict.fromkeys([job.name for job in found], fault)

    def _look_at_backups(self) -> dict[str, Newest]:
        return {job.name: _look_at(job) for job in jobs.read(self._key)[0] if job.kind == "backup"}


def _look_at(job: Job) -> Newest:
    try:
        return figures.of_backups(job)
    except KeelsonError as fault:
        return str(fault)


def _state(job: Job, newest: Newest, now: datetime) -> JobState:
    """Return what would stand in the notes of runs. How many failed nobody knows: one at least, where a backup is overdue."""
    if isinstance(newest, str):
        return JobState(error=newest)
    fault = overdue(job, datetime.fromtimestamp(newest.begun, UTC) if newest else None, now)
    if newest is None:
        return JobState(error=fault, failures=int(bool(fault)))
    return JobState(
        begun=newest.begun,
        ended=newest.ended,
        seconds=newest.ended - newest.begun,
        error=fault,
        failures=int(bool(fault)),
        succeeded=newest.ended,
        figures={"bytes": newest.size},
    )


def _drill_state(job: Job, newest: Mapping[str, Newest], now: datetime) -> JobState | None:
    """Return the same of a drill; None for other jobs, and while nobody knows."""
    name = job.reference.database
    found = newest.get(jobs.backup_of(name))
    if job.kind != "drill" or isinstance(found, str) or jobs.backup_of(name) not in newest:
        return None
    last = found.drill if found else None
    fault = failure(name, last) or lateness(name, last, job, JobState(), now)
    if last is None:
        return JobState(error=fault, failures=int(bool(fault)))
    begun, ended = last.begun.timestamp(), last.ended.timestamp()
    known = JobState(begun=begun, ended=ended, seconds=ended - begun, error=fault, failures=int(bool(fault)))
    return replace(known, succeeded=ended, figures={"recovery_seconds": last.recovery_seconds}) if last.well else known
