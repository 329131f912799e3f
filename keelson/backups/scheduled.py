"""What the agent does when a backup is due."""

from __future__ import annotations

from keelson.agent.jobs import Job
from keelson.backups.making import SCHEDULED, Source, back_up
from keelson.backups.retention import Retention, prune
from keelson.backups.store import Store


def run(job: Job) -> dict[str, float]:
    """Back up what `job` names, then remove the backups that are old enough; return {"bytes"}; raises KeelsonError."""
    source, settings = Source(job.engine, job.reference), job.settings
    store = Store.of_job(job)
    made = back_up(source, store, SCHEDULED)
    most = int(settings["keep_at_most"]) if settings.get("keep_at_most") else None
    prune(store, source.name, Retention(int(settings["keep_days"]), int(settings["keep_at_least"]), most))
    return {"bytes": made.manifest.bytes}
