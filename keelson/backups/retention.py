"""Which backups are old enough to go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from keelson.backups.store import Backup, Store


@dataclass(frozen=True, slots=True)
class Retention:
    """How long backups are kept, how many good ones at least, and how many at most."""

    keep_days: int
    keep_at_least: int
    keep_at_most: int | None = None


def removable(backups: Sequence[Backup], retention: Retention, now: datetime | None = None) -> list[Backup]:
    """Return those that may go of `backups`, the newest of which comes first.

    One may go when it was begun more than `keep_days` ago, or `keep_at_most` newer good ones are there, is not pinned, and is not among the newest `keep_at_least` good ones. While there are
    fewer good ones than that, damaged ones stay too: they may be all that is left. One from the future, by a clock that
    was wrong then or is wrong now, is not old.
    """
    good = [backup for backup in backups if not backup.fault]
    kept, most = good[: retention.keep_at_least], retention.keep_at_most
    if len(kept) < retention.keep_at_least:
        return []
    beyond = {backup.id for backup in good[most:]} if most else set()
    oldest = (now or datetime.now(UTC)) - timedelta(days=retention.keep_days)
    old = (backup for backup in backups if backup.begun < oldest or backup.id in beyond)
    return [backup for backup in old if backup not in kept and not backup.pinned]


def prune(store: Store, name: str, retention: Retention, now: datetime | None = None) -> list[Backup]:
    """Remove the backups of `name` that may go, and return them; one that is being read stays.

    Raises:
        BackupError: another process writes backups of `name`, or one cannot be removed.
    """
    with store.writing(name):
        return [backup for backup in removable(store.all(name), retention, now) if backup.remove()]
