"""A backup job of a stack: what the agent runs on its schedule."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from keelson.agent import jobs
from keelson.backups.terms import SECRET, Terms
from keelson.endpoint import Reference
from keelson.target import target
from providers.base import Bag, Managed
from providers.scheduled_job import JobProvider


@dataclass(frozen=True)
class BackupJobInputs:
    """The database or Redis (as its administrator), when it is backed up, how long backups are kept, and where."""

    reference: Reference
    name: str  # of the database, or of the Redis
    engine: str
    schedule: str
    time_zone: str
    keep_days: int
    keep_at_least: int
    directory: str = ""  # "": below the user's data directory
    keep_at_most: int | None = None
    terms: Mapping[str, Any] = field(default_factory=dict)  # how backups are kept, where that is otherwise than usual
    orders: Mapping[str, Any] = field(default_factory=dict)  # when runs begin, and who is told, where settings say so
    bucket_secret: str = field(default="", repr=False)  # of the key to the bucket; empty keeps the one that is there
    mark: str = ""  # another one where the jobs were lost

    @property
    def job(self) -> jobs.Job:
        """What the agent takes."""
        settings = {"keep_days": self.keep_days, "keep_at_least": self.keep_at_least, "directory": self.directory}
        settings |= {"keep_at_most": self.keep_at_most} if self.keep_at_most else {}
        settings |= {"terms": self.terms} if self.terms else {}
        settings |= self.orders
        return jobs.Job(
            name=jobs.backup_of(self.name),
            kind="backup",
            reference=self.reference,
            engine=self.engine,
            schedule=self.schedule,
            time_zone=self.time_zone,
            settings=settings,
            registered=time.time(),
        )


class BackupJobProvider(JobProvider[BackupJobInputs]):
    """Written where the agent reads it; what it has made stays when it goes."""

    inputs = BackupJobInputs
    compared: ClassVar = (
        "reference",
        "engine",
        "schedule",
        "time_zone",
        "keep_days",
        "keep_at_least",
        "directory",
        "keep_at_most",
        "terms",
        "orders",
        "bucket_secret",
        "mark",
    )
    repeated: ClassVar = ("engine", *JobProvider.repeated)

    def name_in(self, state: Bag) -> str:
        """Return the name under which it is written down."""
        return jobs.backup_of(state["name"])

    def make(self, inputs: BackupJobInputs) -> Bag:
        """Write the job down."""
        place, stack = target(inputs.reference.target), inputs.reference.stack
        place.put_job(stack, inputs.job)
        if inputs.bucket_secret and (bucket := Terms.of(inputs.terms).bucket):
            place.ensure_password(stack, SECRET, bucket.access_key, inputs.bucket_secret)
        return {}


class BackupJob(Managed, module="keelson", name="BackupJob"):
    """The backups of one database or Redis."""

    provider = BackupJobProvider
