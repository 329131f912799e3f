"""The jobs of a stack, as providers wrote them down: one JSON file each in the stack's state directory, under `jobs/`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from keelson import paths
from keelson.backups import keys, terms
from keelson.backups.terms import Terms
from keelson.endpoint import Reference
from keelson.errors import PlatformError, SettingsError
from keelson.local import registry
from keelson.schedule import Schedule

ARCHIVE, ARCHIVE_DRILL = "archive", "archive-drill"  # kinds of job that are done with a whole server
OF_SERVERS = frozenset({ARCHIVE, ARCHIVE_DRILL})
YEAR_3000 = 32_503_680_000  # seconds since 1970; what is beyond is no time


@dataclass(frozen=True)
class Job:
    """What is done again and again, when, and with what.

    Attributes:
        name: the job's name in the stack, for example `backup-auth`.
        kind: what is done: `backup`, `drill`, `archive` or `archive-drill`.
        reference: the database or Redis that it is done with, as its administrator.
        engine: what answers there: `postgres` or `redis`.
        schedule: a cron expression of five fields.
        time_zone: in which the schedule is read.
        settings: what the kind knows of, such as `keep_days`; for each kind `time_limit`, the seconds that a run may take, and `at_once`,
            whether it is due as soon as it is written down.
        registered: when it was written down first, in seconds since 1970: what was due before that was not missed.
    """

    name: str
    kind: str
    reference: Reference
    schedule: str
    time_zone: str = "UTC"
    engine: str = "postgres"
    settings: Mapping[str, Any] = field(default_factory=dict)
    registered: float = 0

    @property
    def due(self) -> Schedule:
        """When it is due."""
        by_a_cron_job = self.reference.target.startswith("kubernetes:")
        return Schedule(self.schedule, self.time_zone, by_the_wall=by_a_cron_job)


def from_values(values: Mapping[str, Any]) -> Job:
    """Return the job whose fields are `values`, as JSON has them; raises TypeError or KeyError where they make none."""
    return Job(**{**values, "reference": Reference(**values["reference"])})


def backup_of(name: str) -> str:
    """Return the name of the job that backs up the database or Redis `name`."""
    return f"backup-{name}"


def drill_of(name: str) -> str:
    """Return the name of the job that drills the backups of the database `name`."""
    return f"drill-{name}"


def archive_of(server: str) -> str:
    """Return the name of the job that backs up the server `server` as a whole."""
    return f"{ARCHIVE}-{server}"


def archive_drill_of(server: str) -> str:
    """Return the name of the job that drills the archive of a server; no database has a dash in its name."""
    return f"drill-server-{server}"


def put(key: str, job: Job) -> None:
    """Write a job down in place of the one of its name, whose time of registration it keeps."""
    old = find(key, job.name)
    entry = asdict(job) | {"registered": old.registered if old else job.registered}
    paths.private_directory(directory(key))
    paths.write_private(_file(key, job.name), json.dumps(entry, indent=2) + "\n")
    if job.kind == "backup":
        terms.keep(key, Terms.of(job.settings.get("terms", {})))
        keys.ensure(key)


def drop(key: str, name: str) -> None:
    """Strike a job out; a second time is fine. What it made stays."""
    _file(key, name).unlink(missing_ok=True)


def find(key: str, name: str) -> Job | None:
    """Return one job, None if it is not written down, or so that nobody can read it."""
    try:
        return _read(_file(key, name))
    except PlatformError:
        return None


def load(key: str, name: str) -> Job:
    """Return one job that is to be done.

    Raises:
        SettingsError: it is not written down.
        PlatformError: nobody can read it.
    """
    if _file(key, name) not in files(key):
        msg = f"stack {key} has no job {name} any more; nothing is to be done"
        raise SettingsError(msg)
    return _read(_file(key, name))


def every(key: str) -> list[Job]:
    """Return the jobs of a stack in the order of their names; raises PlatformError when a file cannot be read."""
    return [_read(path) for path in files(key)]


def read(key: str) -> tuple[list[Job], list[str]]:
    """Return the jobs that can be read, and a sentence for each file that cannot."""
    found, faults = [], []
    for path in files(key):
        try:
            found.append(_read(path))
        except PlatformError as fault:
            faults.append(str(fault))
    return found, faults


def files(key: str) -> list[Path]:
    """Return the files in which the jobs of a stack stand."""
    return sorted(directory(key).glob("*.json"))


def directory(key: str) -> Path:
    """Return where the jobs of a stack stand."""
    return registry.directory(key) / "jobs"


def _file(key: str, name: str) -> Path:
    return directory(key) / f"{name}.json"


def _read(path: Path) -> Job:
    try:
        job = from_values(json.loads(path.read_text(encoding="utf-8")))
        _refuse_nonsense(job, path)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, SettingsError) as fault:
        msg = f"the job {path} cannot be read ({fault}); run `keelson up -- --refresh`, which writes it again"
        raise PlatformError(msg) from None
    return job


def _refuse_nonsense(job: Job, path: Path) -> None:
    texts = (job.name, job.kind, job.engine, job.schedule, job.time_zone, *asdict(job.reference).values())
    if not all(isinstance(text, str) for text in texts) or not isinstance(job.settings, Mapping):
        msg = "it holds what no job is made of"
        raise TypeError(msg)
    if job.name != path.stem:
        msg = f"it holds the job {job.name!r}"
        raise ValueError(msg)
    if not 0 <= job.registered < YEAR_3000:
        msg = f"it was registered at {job.registered!r}"
        raise ValueError(msg)
    _ = job.due
