"""What is known of a stack's backups where they lie: the newest good ones, the jobs that make them, and what became of those."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from keelson.agent import jobs, state
from keelson.agent.jobs import Job
from keelson.agent.state import JobState
from keelson.backups.drills import evidence
from keelson.backups.drills.evidence import Drill
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
        drill: the newest drill; None where there was none.
        drill_job: what makes drills; None where nothing does.
        drill_state: what became of its runs.
    """

    last: str = ""
    begun: datetime | None = None
    bytes: int = 0
    reason: str = ""
    fault: str = ""
    job: Job | None = None
    state: JobState = field(default_factory=JobState)
    drill: Drill | None = None
    drill_job: Job | None = None
    drill_state: JobState = field(default_factory=JobState)


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
        for name, kept in entry["kept"].items():
            drill = self.kept[name].drill
            kept["begun"] = kept["begun"] and kept["begun"].isoformat()
            kept["drill"] = drill and drill.values()
        return entry


def overview(key: str, names: Iterable[str], directory: Path | None) -> Overview:
    """Return what is known of the backups of `names`, and of all for which there is a job; `directory` as the settings have it."""
    store = Store(key, directory)
    found, faults = jobs.read(key)
    made = {job.name: job for job in found}
    every = dict.fromkeys(
        [*names, *(job.name.removeprefix(f"{job.kind}-") for job in found if job.kind not in jobs.OF_SERVERS)]
    )
    kept = {name: _kept(key, store, name, made) for name in every}
    return Overview(store.where, kept, tuple(faults))


def from_values(values: Mapping[str, Any]) -> Overview:
    """Return what `Overview.values` gave."""
    kept = {name: _from_values(each) for name, each in values["kept"].items()}
    return Overview(values["directory"], kept, tuple(values["faults"]))


def _kept(key: str, store: Store, name: str, made: Mapping[str, Job]) -> Kept:
    job, drill_job = made.get(jobs.backup_of(name)), made.get(jobs.drill_of(name))
    known = Kept(
        job=job,
        state=state.read(key, job.name) if job else JobState(),
        drill_job=drill_job,
        drill_state=state.read(key, drill_job.name) if drill_job else JobState(),
    )
    try:
        known = replace(known, drill=evidence.last(store, name))
        last = store.last(name)
        if last is None:
            return known
        made_of = last.manifest
        return replace(known, last=last.id, begun=last.begun, bytes=made_of.bytes, reason=made_of.reason)
    except KeelsonError as fault:
        return replace(known, fault=str(fault))


def _from_values(values: Mapping[str, Any]) -> Kept:
    known = {
        "begun": datetime.fromisoformat(values["begun"]) if values["begun"] else None,
        "job": jobs.from_values(values["job"]) if values["job"] else None,
        "state": JobState(**values["state"]),
        "drill": evidence.from_values(values["drill"]) if values.get("drill") else None,
        "drill_job": jobs.from_values(values["drill_job"]) if values.get("drill_job") else None,
        "drill_state": JobState(**values.get("drill_state", {})),
    }
    return Kept(**{**values, **known})
