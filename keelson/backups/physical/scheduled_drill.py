"""What the agent does when the drill of an archive is due."""

from __future__ import annotations

from keelson.agent.jobs import Job
from keelson.backups.physical.drilling import Plan, drill
from keelson.backups.store import Store
from keelson.errors import BackupError
from keelson.wording import counted


def run(job: Job) -> dict[str, float]:
    """Drill the archive of the server that `job` names; return {"recovery_seconds"}.

    Raises:
        KeelsonError: it could not be made, or found something.
    """
    done = drill(job.reference, Plan(Store.of_job(job), dict(job.settings["databases"])))
    if not done.well:
        found = counted(len(done.differences), "fault")
        msg = f"the drill of the archive of {job.reference.server} found {found}: {done.differences[0]}"
        raise BackupError(msg)
    return {"recovery_seconds": done.recovery_seconds}
