"""One run of one job where the platform keeps the schedule: `python3 -I -m keelson.inside.job KEY JOB --state FILE`.

FILE is the stack's state, mounted. What is done is what the agent does for that job; standard output has a line for each step, and
the last line of all, on standard error, says in one sentence why it failed, with status 1. After TERM what is half made is removed, and
the status is 143. A run leaves no notes: what came of it is the backup, whose manifest says that it was scheduled, or the evidence of the drill.
"""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

from keelson.agent import jobs, notices, run
from keelson.agent.jobs import Job
from keelson.agent.notices import Notice
from keelson.backups.drills.following import await_backup
from keelson.backups.engines import name_of
from keelson.backups.store import Backup, Store
from keelson.errors import KeelsonError
from keelson.inside.mounted import Mounted

WHERE = "it stands above in this log"


def main(argv: list[str]) -> int:
    """Do the job and return 1 if it failed."""
    signal.signal(signal.SIGTERM, run.leave)
    key, name, options = argv[0], argv[1], dict(zip(argv[2::2], argv[3::2], strict=True))
    try:
        fault = do(key, name, Path(options["--state"]))
    except KeelsonError as found:
        fault = str(found)
    except SystemExit:
        sys.stderr.write(f"{name} was asked to end before it was done; what was half made is removed\n")
        raise
    if fault:
        sys.stderr.write(f"{fault}\n")
    return 1 if fault else 0


def do(key: str, name: str, state: Path) -> str:
    """Do the job once and return why it failed; raises KeelsonError where it could not be begun."""
    began = time.monotonic()
    Mounted(key, state).follow()
    job = jobs.load(key, name)
    _say(job, f"begun, with {job.reference.database} on {job.reference.server}")
    if job.kind == "drill" and not await_backup(job):
        _say(job, "the backup that was due with it is not there after an hour, so the newest there is takes its place")
    before = _kept(job)
    _notify(notices.of_begin(job))
    outcome = run.attempt(key, name, WHERE)
    error, seconds = str(outcome["error"]), time.monotonic() - began
    _notify(notices.of_end(job, error, seconds, failures=1, begun=time.time() - seconds))
    _tell_difference(job, before)
    if not outcome["error"]:
        _say(job, f"done ({time.monotonic() - began:.1f} s)")
    return error


def _notify(every: list[Notice]) -> None:
    for notice in every:
        if fault := notices.send(notice):
            sys.stderr.write(f"{fault}\n")


def _kept(job: Job) -> dict[str, Backup]:
    """Return the backups that there are of what the job backs up."""
    if job.kind != "backup":
        return {}
    return {backup.id: backup for backup in Store.of_job(job).all(name_of(job.engine, job.reference))}


def _tell_difference(job: Job, before: dict[str, Backup]) -> None:
    after = _kept(job)
    for identity in sorted(set(after) - set(before)):
        _say(job, f"{identity} is written and read back ({after[identity].manifest.bytes:,} bytes)")
    for identity in sorted(set(before) - set(after)):
        _say(job, f"{identity} is removed, by its age")


def _say(job: Job, text: str) -> None:
    sys.stdout.write(f"{job.name}: {text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
