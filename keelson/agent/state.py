"""What became of each job's runs: one JSON file each in the stack's state directory, under `agent/`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from keelson import paths
from keelson.agent.jobs import YEAR_3000
from keelson.local import registry


@dataclass(frozen=True)
class JobState:
    """What is known of a job's runs; times in seconds since 1970, 0 for never.

    Attributes:
        handled: the last time that was due and for which a run was begun; what was due before that is not missed.
        schedule: the schedule and time zone at that time.
        begun: when the last run began.
        ended: when the last run that came to its end did so.
        seconds: how long that took.
        unfinished: whether a run was begun that did not come to its end, be it that it still runs or that it was cut off.
        error: why the last run failed, in one sentence; empty if it did not.
        failures: how many runs failed since the last success.
        attempts: how often the job was run for `handled`.
        succeeded: when the last run that did what it should ended.
        figures: what that run told about its result, for example {"bytes": 4711}.
    """

    handled: float = 0.0
    schedule: str = ""
    begun: float = 0.0
    ended: float = 0.0
    seconds: float = 0.0
    unfinished: bool = False
    error: str = ""
    failures: int = 0
    attempts: int = 0
    succeeded: float = 0.0
    figures: Mapping[str, float] = field(default_factory=dict)


def read(key: str, job_name: str) -> JobState:
    """Return what is known of a job; of one without a readable file nothing is known."""
    try:
        entry = json.loads(_file(key, job_name).read_text(encoding="utf-8"))
        blank = asdict(JobState())
        known = JobState(**{name: type(blank[name])(entry[name]) for name in blank if name in entry})
    except (OSError, ValueError, TypeError):
        return JobState()
    return known if 0 <= known.handled < YEAR_3000 else JobState()


def write(key: str, job_name: str, state: JobState) -> None:
    """Replace what is known of a job, in one step; raises PlatformError when it cannot be written."""
    paths.private_directory(directory(key))
    paths.write_private(_file(key, job_name), json.dumps(asdict(state), indent=2) + "\n")


def directory(key: str) -> Path:
    """Return where the agent keeps what it knows."""
    return registry.directory(key) / "agent"


def _file(key: str, job_name: str) -> Path:
    return directory(key) / f"{job_name}.json"
