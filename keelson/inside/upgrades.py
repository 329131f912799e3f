"""What is done beside a server before a container of another image takes its data over."""

from __future__ import annotations

from keelson.errors import BackupError, KeelsonError

BEFORE_UPGRADE = "before-upgrade"


def back_up_server(key: str, server: str) -> list[str]:
    """Back up each database of a server that has a backup job, where that job's backups lie; return their names.

    Each backup is read back completely before it counts.

    Raises:
        BackupError: one could not be made; those made before it stay.
    """
    from keelson.agent import jobs  # noqa: PLC0415 - a session starts for each command, and most ask for a password
    from keelson.backups.making import Source, back_up  # noqa: PLC0415
    from keelson.backups.store import Store  # noqa: PLC0415

    mine = [job for job in jobs.every(key) if (job.kind, job.engine) == ("backup", "postgres")]
    made = []
    for job in (job for job in mine if job.reference.server == server):
        try:
            back_up(Source(job.engine, job.reference), Store.of_job(job), BEFORE_UPGRADE)
        except BackupError:
            raise
        except KeelsonError as fault:
            raise BackupError(str(fault)) from None
        made.append(job.reference.database)
    return made
