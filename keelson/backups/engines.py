"""What is particular to one kind of server in a backup: how it is written, read back and restored.

What is the same for all (names, locks, manifest, hashes, retention) stands in the other modules of this package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from keelson.backups.folder import Folder
from keelson.endpoint import Reference
from keelson.errors import BackupError, DamagedError

Counts = Mapping[str, int]  # rows by table, keys by database: what is compared after reading back and after a restore


@dataclass(frozen=True, slots=True)
class Contents:
    """What was written, as the manifest keeps it.

    Attributes:
        counts: what the backup holds, counted in the source at the backup's one moment.
        facts: all else that a restore or a reader of the manifest needs (versions, settings); JSON's types alone, no secret.
    """

    counts: Counts
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a backup is restored to.

    Attributes:
        service: the database or Redis that the backup was made of.
        reference: the new database, as its server's administrator; or the other Redis, as its administrator.
        with_roles: whether roles that the server lacks are made first, without passwords.
        script: SQL that is run in a new database, as its administrator, before it is complete and anybody may connect.
    """

    service: str
    reference: Reference
    with_roles: bool = False
    script: str = ""


class Engine(Protocol):
    """Backups of one kind of server. All methods raise KeelsonError with one sentence; they leave nothing running."""

    def expect(self, reference: Reference) -> int:
        """Return about how many bytes a backup takes, where no earlier one tells; raises where a backup cannot work at all."""

    def back_up(self, reference: Reference, folder: Folder) -> tuple[Contents, Counts]:
        """Write the files, read all of them back, and return what was written and what was counted in what is kept.

        The caller compares the two; `folder` compares sizes and hashes.
        """

    def read_back(self, folder: Folder, contents: Contents) -> Counts:
        """Read every file by `folder.open(name)` from its beginning to its end, as a restore would, and return what was counted.

        The caller compares that with `contents.counts`; `folder` compares sizes and hashes.
        """

    def restore(self, folder: Folder, contents: Contents, destination: Destination) -> Counts:
        """Restore all of it, and return what was counted at the destination.

        The caller compares that with `contents.counts`. When this raises, nothing half-restored is left.
        """

    def discard(self, destination: Destination) -> None:
        """Take away what `restore` has just made, because it is not as the manifest says."""


def engine(name: str, place: str) -> Engine:
    """Return the engine `name`, whose client programs are those of the target `place`; raises BackupError.

    It is imported when it is used: what one needs is not loaded for the others.
    """
    if name == "postgres":
        from keelson.backups.postgres import PostgresEngine  # noqa: PLC0415

        return PostgresEngine(place)
    if name == "redis":
        from keelson.backups.redis import RedisEngine  # noqa: PLC0415

        return RedisEngine()
    msg = f"there is no way to back up {name!r}; known are postgres and redis"
    raise BackupError(msg)


def refuse_difference(expected: Counts, found: Counts, what: str) -> None:
    """Raise DamagedError when `what` does not hold what the manifest says; the sentence names the first that differs."""
    for name in sorted({*expected, *found}):
        if (wanted := expected.get(name)) != (counted := found.get(name)):
            has, should = ("none" if count is None else str(count) for count in (counted, wanted))
            msg = f"{what} is not what was backed up: {name} has {has} in place of {should}; use another backup"
            raise DamagedError(msg)


def name_of(engine_name: str, reference: Reference) -> str:
    """Return the name under which backups of `reference` are kept: the database's, or the Redis's."""
    return reference.server if engine_name == "redis" else reference.database
