"""What a backup says about itself: the file manifest.json, written once, last of all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from keelson.backups.engines import Contents
from keelson.backups.folder import FileFacts
from keelson.backups.keys import Keys
from keelson.backups.places import MANIFEST, Directory, MissingError, Place
from keelson.errors import BackupError, DamagedError

NAME = MANIFEST
FORMAT, ENCRYPTED, APART = (
    1,
    2,
    3,
)  # versions of Keelson that know of no encryption, or of no second dump, read those before
FORMATS = (FORMAT, ENCRYPTED, APART)
TABLES_APART = "tables_apart"  # among the facts: whose rows are in a second dump
ENCRYPTION, SIGNATURE = "encryption", "signature"  # among the facts


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

    @property
    def recipients(self) -> tuple[str, ...]:
        """Whom its files are encrypted to; nobody where they are kept in clear."""
        return tuple(self.facts.get(ENCRYPTION, {}).get("recipients", ()))


def write(place: Place | Path, manifest: Manifest, keys: Keys = Keys()) -> None:  # noqa: B008 - they cannot be changed
    """Write the manifest, signed where there is a key, and kept for good; raises BackupError."""
    values = asdict(manifest) | {"begun": manifest.begun.isoformat(), "ended": manifest.ended.isoformat()}
    if signature := keys.signature(_text(values)):
        values["facts"] = {**values["facts"], SIGNATURE: signature}
    text = json.dumps(values | {"sha256": hashlib.sha256(_text(values)).hexdigest()}, indent=1, ensure_ascii=False)
    with (Directory(place) if isinstance(place, Path) else place).create(NAME) as file:
        file.write(text.encode() + b"\n")


def read(place: Place | Path, keys: Keys = Keys()) -> tuple[Manifest, str]:  # noqa: B008 - as above
    """Return the manifest of a backup, and what a reader should know of its signature; nothing where that is the stack's.

    Raises:
        DamagedError: there is none, or it is not as it was written.
        BackupError: it cannot be read, or a later version of Keelson wrote it.
    """
    place = Directory(place) if isinstance(place, Path) else place
    path = place.path / NAME
    try:
        with place.open(NAME) as (file, _):
            values = json.loads(file.read())
        said = values.pop("sha256")
        if values["format"] not in FORMATS:
            msg = f"{path} has the format {values['format']}, and this version reads {APART} at most; update Keelson"
            raise BackupError(msg)
        if said != hashlib.sha256(_text(values)).hexdigest():
            msg = f"{path} was changed after the backup was made; use another backup"
            raise DamagedError(msg)
        found = _decoded(values)
        signature = values["facts"].pop(SIGNATURE, {})
        return found, keys.remark(str(path), found.database, found.id, _text(values), signature)
    except MissingError:
        msg = f"{place.path} is no backup: it has no {NAME}"
        raise DamagedError(msg) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        msg = f"{path} is damaged: it cannot be understood; use another backup"
        raise DamagedError(msg) from None


def _decoded(values: dict[str, Any]) -> Manifest:
    times = {name: datetime.fromisoformat(values[name]) for name in ("begun", "ended")}
    return Manifest(**{**values, **times, "files": {name: FileFacts(**file) for name, file in values["files"].items()}})


def _text(values: Mapping[str, Any]) -> bytes:
    """Return the text that is hashed and signed."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
