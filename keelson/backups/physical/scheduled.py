"""What the agent does when a backup of a whole server is due."""

from __future__ import annotations

from keelson.agent.jobs import Job
from keelson.backups.physical.making import FULL_EVERY, back_up


def run(job: Job) -> dict[str, float]:
    """Back up the server that `job` names; return {"bytes"}; raises KeelsonError."""
    made = back_up(
        job.reference.stack, job.reference.server, full_every=int(job.settings.get("full_every", FULL_EVERY))
    )
    return {"bytes": made.stored}
