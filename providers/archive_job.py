"""The archive of a server: its repository, and what the agent backs up into it on a schedule."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import ClassVar

from keelson.agent import jobs
from keelson.endpoint import Reference
from keelson.errors import UnreachableError
from keelson.target import target
from providers.base import Bag, Managed
from providers.scheduled_job import JobProvider


@dataclass(frozen=True)
class ArchiveJobInputs:
    """The server as its administrator, when it is backed up, and how; `archiving` is what the server itself was told."""

    reference: Reference
    schedule: str
    time_zone: str
    full_every: int
    directory: str = ""
    waiting: int = 0
    keep_full: int = 0
    drill: str = ""  # when it is drilled; empty: never
    databases: dict[str, dict[str, str]] = field(default_factory=dict)  # that the server has, each with its checks
    kept: str = ""  # where drills are kept: the settings' backup.directory
    mark: str = ""

    @property
    def job(self) -> jobs.Job:
        """What the agent takes; it is due from the start, as nothing can be restored before the first backup."""
        return jobs.Job(
            name=jobs.archive_of(self.reference.server),
            kind=jobs.ARCHIVE,
            reference=self.reference,
            schedule=self.schedule,
            time_zone=self.time_zone,
            settings={"full_every": self.full_every, "waiting": self.waiting, "at_once": True},
            registered=time.time(),
        )

    @property
    def drill_job(self) -> jobs.Job:
        """What the agent takes as its drill."""
        return jobs.Job(
            name=jobs.archive_drill_of(self.reference.server),
            kind=jobs.ARCHIVE_DRILL,
            reference=self.reference,
            schedule=self.drill,
            time_zone=self.time_zone,
            settings={"databases": self.databases, "directory": self.kept},
            registered=time.time(),
        )


class ArchiveJobProvider(JobProvider[ArchiveJobInputs]):
    """Made where the server archives to, and tried; what is in it stays when it goes."""

    inputs = ArchiveJobInputs
    compared: ClassVar = (
        "reference",
        "schedule",
        "time_zone",
        "full_every",
        "directory",
        "waiting",
        "keep_full",
        "drill",
        "databases",
        "kept",
        "mark",
    )

    def name_in(self, state: Bag) -> str:
        """Return the name under which it is written down."""
        return jobs.archive_of(state["reference"]["server"])

    def make(self, inputs: ArchiveJobInputs) -> Bag:
        """Make the repository, send it a file of the log, and write the job down."""
        place = target(inputs.reference.target)
        place.archives().prepare(inputs.reference.stack, inputs.reference.server)
        place.put_job(inputs.reference.stack, inputs.job)
        if inputs.drill:
            place.put_job(inputs.reference.stack, inputs.drill_job)
        else:
            place.drop_job(inputs.reference.stack, jobs.archive_drill_of(inputs.reference.server))
        return {}

    def remove(self, state: Bag) -> None:
        """Strike the job out, and take away what was restored beside the server: that is no resource of the engine's."""
        reference = Reference(**state["reference"])
        with suppress(UnreachableError):  # with the stack's state, the job is gone too
            target(reference.target).archives().discard_all(reference.stack, reference.server)
            target(reference.target).drop_job(reference.stack, jobs.archive_drill_of(reference.server))
            super().remove(state)


class ArchiveJob(Managed, module="keelson", name="ArchiveJob"):
    """The archive of one server."""

    provider = ArchiveJobProvider
