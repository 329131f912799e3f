"""From which backup a moment is reached, and on which branch of the server's life.

Each restore in place begins a new timeline, and what came after the moment on the one before stays in the archive. So that
"as it was at 11:00" means what the server held at 11:00, whatever was restored since, the repository keeps when each timeline began.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from keelson import paths
from keelson.backups.physical.engine import Inventory, Physical
from keelson.backups.physical.pgbackrest import position
from keelson.errors import BackupError

NOTES = "timelines.json"  # in the repository, beside the engine's own
SHOWN = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Branch:
    """A timeline that the server took at a moment, and what it grew from: each earlier timeline, up to a position of the log."""

    timeline: int
    since: str = ""
    before: int = 0  # the timeline that the server had until then
    history: tuple[tuple[int, int], ...] = ()

    def holds(self, backup: Physical) -> bool:
        """Say whether a backup leads to this timeline."""
        if backup.timeline == self.timeline:
            return True
        return any(backup.timeline == timeline and backup.position <= end for timeline, end in self.history)


def read_branches(repository: Path) -> list[Branch]:
    """Return the timelines that restores in place began, the oldest first; raises BackupError."""
    try:
        told = json.loads((repository / NOTES).read_text(encoding="utf-8"))
        return [Branch(**{**each, "history": tuple((int(t), int(p)) for t, p in each["history"])}) for each in told]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError) as fault:
        msg = f"cannot read {repository / NOTES}: {fault}; put it back from a copy of the repository"
        raise BackupError(msg) from None


def note_branch(repository: Path, branch: Branch) -> None:
    """Keep that the server takes a new timeline now."""
    known = [*read_branches(repository), branch]
    paths.write_private(repository / NOTES, json.dumps([asdict(each) for each in known], indent=2) + "\n")


def branch_at(branches: Sequence[Branch], moment: datetime | None) -> Branch | None:
    """Return the timeline that the server had at a moment, at the end where there is none; None where it never had another one."""
    if not branches:
        return None
    if moment is None:
        return branches[-1]
    taken = [each for each in branches if datetime.fromisoformat(each.since) <= moment]
    if taken:
        return taken[-1]
    first = branches[0].before
    return next((replace(each) for each in branches if each.timeline == first), Branch(first))


def history_of(text: str) -> tuple[tuple[int, int], ...]:
    """Read PostgreSQL's file about a timeline's ancestors."""
    lines = (line.split() for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return tuple((int(words[0]), position(words[1])) for words in lines)


def choose(
    inventory: Inventory, branch: Branch | None, moment: datetime | None, until: datetime, server: str
) -> Physical:
    """Return the newest good backup from which a moment is reached.

    Args:
        inventory: what there is.
        branch: on which the moment lies.
        moment: None for the end of what is archived.
        until: up to when it is archived.
        server: for messages.

    Raises:
        BackupError: the moment is before the first backup, or after what is archived.
    """
    usable = [each for each in inventory.backups if not each.fault and (branch is None or branch.holds(each))]
    if not usable:
        msg = (
            f"the archive of {server} has no backup yet to begin from; make one: `keelson backup run --server {server}`"
        )
        raise BackupError(msg)
    if moment is None:
        return usable[-1]
    if moment > until:
        msg = f"{moment:{SHOWN}} is later than what the archive of {server} holds; {window(usable, until)}"
        raise BackupError(msg)
    before = [each for each in usable if each.ended <= moment]
    if not before:
        msg = f"{moment:{SHOWN}} is before the first backup of {server} was complete; {window(usable, until)}"
        raise BackupError(msg)
    return before[-1]


def window(backups: Sequence[Physical], until: datetime) -> str:
    """Say from when to when can be restored."""
    return f"give a time from {backups[0].ended:{SHOWN}} to {until:{SHOWN}}"


def read_moment(text: str, now: datetime, windows: Iterable[str] = ()) -> datetime | None:
    """Return the moment that somebody names, None for `latest`.

    Raises:
        BackupError: it is no time, has no time zone, or is in the future.
    """
    if text == "latest":
        return None
    hint = f"; {'; '.join(windows)}" if windows else ""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        msg = f"--at {text!r} is no time; write it like 2026-11-22T08:15:00Z, or latest{hint}"
        raise BackupError(msg) from None
    if moment.tzinfo is None:
        msg = f"--at {text!r} does not say its time zone; write it like {moment:%Y-%m-%dT%H:%M:%S}Z or +01:00{hint}"
        raise BackupError(msg)
    moment = moment.astimezone(UTC)
    if moment > now:
        msg = f"--at {text!r} is in the future; give a time until {now:{SHOWN}}, or latest{hint}"
        raise BackupError(msg)
    return moment
