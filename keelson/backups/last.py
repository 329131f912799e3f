"""The dump that a database leaves behind when it is taken out of the settings."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from keelson import paths
from keelson.backups.dump import Dump, dump_database
from keelson.endpoint import Reference, resolve
from keelson.target import target


def directory(stack: str, database: str) -> Path:
    """Return where the dumps of a stack's database lie."""
    return paths.data() / "backups" / stack / database


def dump_before_drop(reference: Reference) -> Dump:
    """Dump the database of `reference` under a name of this moment, and read the dump back; raises BackupError."""
    name = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.dump"
    path = directory(reference.stack, reference.database) / name
    return dump_database(target(reference.target).client, resolve(reference).connection_parameters(), path)
