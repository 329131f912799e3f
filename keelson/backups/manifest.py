"""What a backup says about itself: the file manifest.json, written once, last of all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from keelson.backups.engines import Contents
from keelson.backups.folder import FileFacts
from keelson.errors import BackupError, DamagedError

NAME = "manifest.json"
FORMAT = 1


@dataclass(frozen=True)
class Manifest:
    """One backup.

    Attributes:
        id: its name among the backups of `database`: a time in UTC.
        stack: the key of the stack that it was made in.
        database: the database's or the Redis's name.
        engine: postgres or redis.
        reason: scheduled, manual, before-drop or before-upgrade.
        begun: when its making began, in UTC by this machine's clock.
        ended: when it was verified and complete.
        files: what each file is like.
        counts: what it holds: rows by table, keys by database.
        facts: what its engine needs for a restore.
        verified: how it was proven before it got its name.
    """

    id: str
    stack: str
    database: str
    engine: str
    reason: str
    begun: datetime
    ended: datetime
    files: Mapping[str, FileFacts]
    counts: Mapping[str, int]
    facts: Mapping[str, Any] = field(default_factory=dict)
    verified: str = "all of it read back, hashes and counts compared"
    format: int = FORMAT

    @property
    def contents(self) -> Contents:
        """What its engine takes."""
        return Contents(self.counts, self.facts)

    @property
    def bytes(self) -> int:
        """The size of its files."""
        return sum(file.bytes for file in self.files.values())


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, down to the disk; raises BackupError."""
    values = asdict(manifest) | {"begun": manifest.begun.isoformat(), "ended": manifest.ended.isoformat()}
    text = json.dumps(values | {"sha256": _digest(values)}, indent=1, ensure_ascii=False)
    try:
        with os.fdopen(os.open(folder / NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as fault:
        msg = f"cannot write the backup's manifest to {folder.parent}: {fault.strerror}; make room or give write access"
        raise BackupError(msg) from None


def read(folder: Path) -> Manifest:
    """Return the manifest of the backup in `folder`.

    Raises:
        DamagedError: there is none, or it is not as it was written.
        BackupError: it cannot be read, or a later version of Keelson wrote it.
    """
    path = folder / NAME
    try:
        values = json.loads(path.read_bytes())
        said = values.pop("sha256")
        if values["format"] != FORMAT:
            msg = f"{path} has the format {values['format']}, and this version reads {FORMAT}; update Keelson"
            raise BackupError(msg)
        if said != _digest(values):
            msg = f"{path} was changed after the backup was made; use another backup"
            raise DamagedError(msg)
        return _decoded(values)
    except FileNotFoundError:
        msg = f"{folder} is no backup: it has no {NAME}"
        raise DamagedError(msg) from None
    except OSError as fault:
        msg = f"{path} cannot be read: {fault.strerror}; give read access"
        raise BackupError(msg) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        msg = f"{path} is damaged: it cannot be understood; use another backup"
        raise DamagedError(msg) from None


def _decoded(values: dict[str, Any]) -> Manifest:
    times = {name: datetime.fromisoformat(values[name]) for name in ("begun", "ended")}
    return Manifest(**{**values, **times, "files": {name: FileFacts(**file) for name, file in values["files"].items()}})


def _digest(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
