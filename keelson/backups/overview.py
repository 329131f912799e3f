"""What is known of a stack's backups where they lie: the newest good ones, the jobs that make them, and what became of those."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from keelson.agent import jobs, state
from keelson.agent.jobs import Job
from keelson.agent.state import JobState
from keelson.backups.store import Store
from keelson.errors import KeelsonError


@dataclass(frozen=True)
class Kept:
    """The backups of one database or Redis.

    Attributes:
        last: the id of the newest good one; empty where there is none, and then the next three say nothing either.
        begun: when that one was begun.
        bytes: how much it takes.
        reason: why it was made.
        fault: why the backups cannot be looked at.
        job: what makes them; None where nothing does.
        state: what became of its runs.
    """

    last: str = ""
    begun: datetime | None = None
    bytes: int = 0
    reason: str = ""
    fault: str = ""
    job: Job | None = None
    state: JobState = field(default_factory=JobState)


@dataclass(frozen=True)
class Overview:
    """All of a stack's backups; `directory` says where they lie, `faults` which jobs cannot be read."""

    directory: str
    kept: Mapping[str, Kept] = field(default_factory=dict)
    faults: tuple[str, ...] = ()

    def of(self, name: str) -> Kept:
        """Return what is known of the backups of a database or Redis."""
        return self.kept.get(name, Kept())

    def values(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        entry = asdict(self)
        for kept in entry["kept"].values():
            kept["begun"] = kept["begun"] and kept["begun"].isoformat()
        return entry


def overview(key: str, names: Iterable[str], directory: Path | None) -> Overview:
    """Return what is known of the backups of `names`, and of all for which there is a job; `directory` as the settings have it."""
    store = Store(key, directory)
    found, faults = jobs.read(key)
    made = {job.name: job for job in found}
    every = dict.fromkeys([*names, *(name.removeprefix(jobs.backup_of("")) for name in made)])
    kept = {name: _kept(key, store, name, made.get(jobs.backup_of(name))) for name in every}
    return Overview(str(store.directory), kept, tuple(faults))


def from_values(values: Mapping[str, Any]) -> Overview:
    """Return what `Overview.values` gave."""
    kept = {name: _from_values(each) for name, each in values["kept"].items()}
    return Overview(values["directory"], kept, tuple(values["faults"]))


def _kept(key: str, store: Store, name: str, job: Job | None) -> Kept:
    known = state.read(key, job.name) if job else JobState()
    try:
        last = store.last(name)
        if last is None:
            return Kept(job=job, state=known)
        return Kept(last.id, last.begun, last.manifest.bytes, last.manifest.reason, job=job, state=known)
    except KeelsonError as fault:
        return Kept(fault=str(fault), job=job, state=known)


def _from_values(values: Mapping[str, Any]) -> Kept:
    known = {
        "begun": datetime.fromisoformat(values["begun"]) if values["begun"] else None,
        "job": jobs.from_values(values["job"]) if values["job"] else None,
        "state": JobState(**values["state"]),
    }
    return Kept(**{**values, **known})
