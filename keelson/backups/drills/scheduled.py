"""What the agent does when a drill is due."""

from __future__ import annotations

from keelson.agent.jobs import Job
from keelson.backups.drills.drilling import Plan, drill
from keelson.backups.store import Store
from keelson.errors import BackupError
from keelson.wording import counted


def run(job: Job) -> dict[str, float]:
    """Drill the newest good backup of what `job` names; return {"recovery_seconds"}.

    Raises:
        KeelsonError: it could not be made, or something is not as it was backed up.
    """
    store, name = Store.of_job(job), job.reference.database
    plan = Plan(store, job.reference.target, dict(job.settings["checks"]), beside=job.reference)
    done = drill(store.find(name), plan)
    if not done.well:
        found = counted(len(done.differences), "difference")
        msg = f"the drill of {name} found {found} to its backup {done.backup}: {done.differences[0]}"
        raise BackupError(msg)
    return {"recovery_seconds": done.recovery_seconds}
