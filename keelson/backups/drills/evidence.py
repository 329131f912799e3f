"""What is kept of each drill: one JSON file beside the backups, `<directory>/<stack key>/<database>/drills/<time>.json`.

A file is written in one step, with mode 0600, and never changed; it stays when the backup goes by its age.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from keelson import paths
from keelson.backups.store import ID_FORMAT, Store, time_of
from keelson.errors import BackupError

FOLDER = "drills"
FORMAT = 1
KEPT = 1000  # files, for each database


@dataclass(frozen=True)
class Drill:
    """One drill.

    Attributes:
        stack: the stack's key.
        database: whose backup it was.
        backup: the backup's id.
        begun: when the drill began, in UTC.
        ended: when it was done.
        differences: a sentence for all that is not as it was backed up; none is a drill that went well.
        notes: what could not be compared, in a sentence each.
        compared: how many there were of what was compared, such as `rows`.
        checks: how many rows each of the project's check queries found.
        seconds: how long each phase took.
        bytes: the size of the backup.
        server: the version of the server that it was restored into.
        reached: of an archive: when the last transaction was committed that it held; empty where none came after the backup.
        exposed_seconds: of an archive: how much work a loss of the server would have cost then, at most; None where it did not answer.
    """

    stack: str
    database: str
    backup: str
    begun: datetime
    ended: datetime
    differences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    compared: Mapping[str, int] = field(default_factory=dict)
    checks: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    bytes: int = 0
    server: str = ""
    reached: str = ""
    exposed_seconds: float | None = None
    format: int = FORMAT

    @property
    def well(self) -> bool:
        """Whether all was as it was backed up."""
        return not self.differences

    @property
    def recovery_seconds(self) -> float:
        """How long it took from a running server without the database to one with all of it."""
        return sum(self.seconds.get(phase, 0.0) for phase in ("roles", "restore", "recovery"))

    def values(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        times = {"begun": self.begun.isoformat(), "ended": self.ended.isoformat()}
        return asdict(self) | times | {"well": self.well, "recovery_seconds": round(self.recovery_seconds, 3)}


def of_server(server: str) -> str:
    """Return the name under which the drills of a whole server's archive are kept: no database has a dash in its name."""
    return f"server-{server}"


def keep(store: Store, drill: Drill) -> Path:
    """Write a drill down as the newest, whatever the clock says, and return where; the oldest beyond `KEPT` go. Raises PlatformError."""
    folder = paths.private_directory(store.directory / drill.database / FOLDER)
    after = [time_of(path.stem) + timedelta(seconds=1) for path in _files(store, drill.database)[:1]]
    path = folder / f"{max([drill.begun, *after]):{ID_FORMAT}}.json"
    paths.write_private(path, json.dumps(drill.values(), indent=1, ensure_ascii=False) + "\n")
    for old in _files(store, drill.database)[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def last(store: Store, database: str) -> Drill | None:
    """Return the newest drill of a database, None where there was none.

    Raises:
        BackupError: what was kept of it cannot be read.
    """
    found = _files(store, database)
    return read(found[0]) if found else None


def read(path: Path) -> Drill:
    """Return the drill that was kept in a file; raises BackupError."""
    try:
        return from_values(json.loads(path.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        msg = f"what was kept of a drill in {path} cannot be read ({fault}); move it away, and drill again"
        raise BackupError(msg) from None


def from_values(values: Mapping[str, Any]) -> Drill:
    """Return the drill that `values` tell; raises KeyError, TypeError or ValueError where they tell none."""
    known: dict[str, Any] = {name: values[name] for name in Drill.__dataclass_fields__ if name in values}
    known |= {name: datetime.fromisoformat(values[name]) for name in ("begun", "ended")}
    known |= {name: tuple(values[name]) for name in ("differences", "notes")}
    return Drill(**known)


def _files(store: Store, database: str) -> list[Path]:
    """Return the files of a database's drills, the newest first."""
    return sorted((store.directory / database / FOLDER).glob("[0-9]*.json"), reverse=True)
