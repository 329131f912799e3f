"""Which module does which kind of job; one is imported only in the process of a run."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping

from keelson.agent.jobs import Job
from keelson.errors import SettingsError

Figures = Mapping[str, float]  # what a run tells about its result, for example {"bytes": 4711}

# Each module has a function `run(job)` that does the job once; it returns figures or None, and raises KeelsonError.
MODULES = {
    "backup": "keelson.backups.scheduled",
    "drill": "keelson.backups.drills.scheduled",
    "archive": "keelson.backups.physical.scheduled",
    "archive-drill": "keelson.backups.physical.scheduled_drill",
}


def function(kind: str) -> Callable[[Job], Figures | None]:
    """Return what does a kind of job; raises SettingsError when this version knows no such kind."""
    if kind not in MODULES:
        msg = f"this version does not know the kind of job {kind!r}; run `keelson up` with the version that wrote it"
        raise SettingsError(msg)
    run: Callable[[Job], Figures | None] = importlib.import_module(MODULES[kind]).run
    return run
