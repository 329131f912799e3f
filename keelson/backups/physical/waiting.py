"""How a server's archive is, by its own words: what is archived, what waits, what had to be dropped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from keelson.backups.physical.archiving import DROPPED, FOLDER
from keelson.wording import counted

PATIENCE = 300.0  # seconds that something may wait before it is said to be stuck
QUIET = 60.0  # seconds after which what was written is archived in any case
TIMES = ("archived", "oldest", "at")
FAR = 0.5  # of what may wait before it is dropped


@dataclass(frozen=True)
class Waiting:
    """One moment of a server's archive; times are None where there was no such thing.

    Attributes:
        archived: when a file of the log was archived last.
        waiting: how many files wait.
        bytes: how much that is.
        oldest: since when the oldest of them waits.
        failing: why archiving fails now; empty where it does not.
        dropped: when each file was dropped that could not wait any longer.
        limit: how many bytes may wait.
        at: when this was asked.
    """

    archived: datetime | None
    waiting: int
    bytes: int
    oldest: datetime | None
    failing: bool
    dropped: tuple[datetime, ...]
    limit: int
    at: datetime

    @property
    def exposed(self) -> float:
        """Return how many seconds of work a loss of the server would cost now, at most."""
        if self.oldest is None:
            return QUIET
        return max(QUIET, (self.at - self.oldest).total_seconds() + QUIET)

    def fault(self, server: str, backed_up: datetime | None) -> str:
        """Return what is wrong in one sentence; nothing where all is well.

        Args:
            server: whose archive it is.
            backed_up: when the last good backup was begun.
        """
        lost = [each for each in self.dropped if not (backed_up and backed_up >= each)]  # which is told to the second
        if lost:
            return (
                f"{counted(len(lost), 'file')} of the log of {server} had to be dropped, the last at {lost[-1]:%Y-%m-%d %H:%M} UTC, as more "
                f"than {_size(self.limit)} waited for its archive: times since then cannot be restored until there is a new backup; see to the "
                f"archive, then run `keelson backup run --server {server}`"
            )
        stuck = self.oldest is not None and (self.at - self.oldest).total_seconds() > PATIENCE
        if self.waiting and (self.failing or stuck or self.bytes > FAR * self.limit):
            return (
                f"the archive of {server} is stuck: {_size(self.bytes)} of the log wait, and beyond {_size(self.limit)} they are dropped so that "
                f"the disk does not fill; what a loss of the server would cost has grown to {_span(self.exposed)}; "
                f"`keelson logs {server}` says why"
            )
        return ""


def ask(connection: psycopg.Connection, limit: int) -> Waiting:
    """Ask a server as its administrator; raises psycopg.Error."""
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(_question(), {"dropped": f"/../{FOLDER}/{DROPPED}"}).fetchone() or {}
    return _waiting(found, limit)


def values(told: Waiting) -> dict[str, Any]:
    """Return it as JSON has it."""
    times = {name: at.isoformat() if (at := getattr(told, name)) else None for name in TIMES}
    return asdict(told) | times | {"dropped": [each.isoformat() for each in told.dropped]}


def from_values(told: Mapping[str, Any]) -> Waiting:
    """Return what was told as values."""
    times = {name: told[name] and datetime.fromisoformat(told[name]) for name in TIMES}
    return Waiting(**{**told, **times, "dropped": tuple(datetime.fromisoformat(each) for each in told["dropped"])})


def _waiting(found: Mapping[str, object], limit: int) -> Waiting:
    lines = [line.split() for line in str(found["dropped"] or "").splitlines() if line.strip()]
    return Waiting(
        archived=found["archived"],  # type: ignore[arg-type]
        waiting=int(str(found["waiting"])),
        bytes=int(str(found["bytes"])),
        oldest=found["oldest"],  # type: ignore[arg-type]
        failing=bool(found["failing"]),
        dropped=tuple(datetime.fromisoformat(words[0]) for words in lines),
        limit=limit,
        at=found["at"].astimezone(UTC),  # type: ignore[attr-defined]
    )


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def _span(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 2 * 3600 else f"{seconds / 60:.0f} min"


@cache
def _question() -> bytes:
    return (Path(__file__).parent / "waiting.sql").read_bytes()
