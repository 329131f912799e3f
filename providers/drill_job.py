"""A drill of a stack's backups: what the agent runs on its schedule."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from keelson.agent import jobs
from keelson.endpoint import Reference
from providers.base import Bag, Managed
from providers.scheduled_job import JobProvider


@dataclass(frozen=True)
class DrillJobInputs:
    """The database (as its administrator), when its backups are drilled, where they lie, and the project's checks by name."""

    reference: Reference
    name: str
    schedule: str
    time_zone: str
    checks: Mapping[str, str] = field(default_factory=dict)
    directory: str = ""  # "": below the user's data directory
    orders: Mapping[str, Any] = field(default_factory=dict)  # when runs begin, and who is told, where settings say so
    mark: str = ""  # another one where the jobs were lost

    @property
    def job(self) -> jobs.Job:
        """What the agent takes."""
        return jobs.Job(
            name=jobs.drill_of(self.name),
            kind="drill",
            reference=self.reference,
            schedule=self.schedule,
            time_zone=self.time_zone,
            settings={"checks": dict(self.checks), "directory": self.directory, **self.orders},
            registered=time.time(),
        )


class DrillJobProvider(JobProvider[DrillJobInputs]):
    """Written where the agent reads it; the evidence of drills stays when it goes."""

    inputs = DrillJobInputs
    compared: ClassVar = ("reference", "schedule", "time_zone", "checks", "directory", "orders", "mark")

    def name_in(self, state: Bag) -> str:
        """Return the name under which it is written down."""
        return jobs.drill_of(state["name"])


class DrillJob(Managed, module="keelson", name="DrillJob"):
    """The drills of one database's backups."""

    provider = DrillJobProvider
