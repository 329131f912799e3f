"""Makes and verifies backups of whole servers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from keelson.backups.physical import places
from keelson.backups.physical.chosen import ENGINE
from keelson.backups.physical.engine import Inventory, Physical
from keelson.errors import BackupError, DamagedError
from keelson.wording import counted

FULL_EVERY = 7  # days, where nobody says otherwise


@dataclass(frozen=True)
class Kept:
    """The archive of one database cluster: what it is called, what is in it, and whether the server is that cluster now."""

    cluster: str
    present: bool
    inventory: Inventory


def prepare(key: str, server: str) -> None:
    """Make a server's repository, or recognise it, and send it a file of the log; raises KeelsonError."""
    place, _ = places.find(key, server)
    ENGINE.prepare(place)
    ENGINE.check(place)


def back_up(key: str, server: str, *, full: bool | None = None, full_every: int = FULL_EVERY) -> Physical:
    """Back up a whole server, and let go what is not kept any longer; return the backup.

    Args:
        key: the stack's key.
        server: its name.
        full: whether it is to stand on no other; None: where the last such one is old.
        full_every: the days after which it is.

    Raises:
        KeelsonError: it could not be made; earlier ones stay.
    """
    place, _ = places.find(key, server)
    ENGINE.prepare(place)
    if full is None:
        full = _is_full_due(ENGINE.inventory(place), full_every)
    ENGINE.back_up(place, full=full)
    made = ENGINE.inventory(place).backups
    if not made:
        msg = f"the backup of {server} is not in its archive {place.repository}; look at `keelson logs {server}` and try again"
        raise BackupError(msg)
    return made[-1]


def prune(key: str, server: str, label: str = "", *, dry_run: bool) -> list[str]:
    """Let go what is not kept any longer, or one backup; return a line for each thing that goes, or would; raises KeelsonError."""
    place, _ = places.find(key, server)
    if label and label not in ENGINE.recorded(place.repository):
        msg = f"the archive of {server} has no backup {label!r}; `keelson backup list --server {server}` shows those that it has"
        raise BackupError(msg)
    return ENGINE.expire(place, label, dry_run=dry_run)


def verify(key: str, server: str) -> str:
    """Read all of a server's archive back; return what was read; raises DamagedError where something is not as it was written."""
    place, _ = places.find(key, server)
    read = ENGINE.verify(place)
    if gaps := ENGINE.gaps(place.repository):
        (last, first), more = gaps[0], f", and {counted(len(gaps) - 1, 'further gap')}" if len(gaps) > 1 else ""
        msg = (
            f"the archive of {server} lacks the log between {last} and {first}{more}: times there, and up to the next backup, cannot be restored; "
            f"if none was made since: `keelson backup run --server {server}`"
        )
        raise DamagedError(msg)
    return read


def every(key: str, server: str) -> list[Kept]:
    """Return the archives of a server: of what it is now, and of clusters that it was before; raises KeelsonError."""
    present, _ = places.find(key, server)
    found = [(name, places.find(key, server, name)[0]) for name in places.clusters(key, server)]
    return [Kept(name, name == present.repository.name, ENGINE.inventory(place)) for name, place in found]


def _is_full_due(inventory: Inventory, full_every: int) -> bool:
    good = [each.begun for each in inventory.backups if each.full and not each.fault]
    hour = timedelta(hours=1)  # by which a day's run may come early
    return not good or datetime.now(UTC) - good[-1] >= timedelta(days=full_every) - hour
