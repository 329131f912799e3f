"""What a program for physical backups has to be able to do, and what it tells."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from keelson.backups.physical.archiving import IN_SANDBOX, Archiving, Layout


@dataclass(frozen=True)
class Physical:
    """One backup of a whole server.

    Attributes:
        label: the engine's name for it.
        full: whether it stands on no other.
        begun: when it was begun.
        ended: from when on it can be restored to.
        bytes: what the server's files take.
        stored: what it added to the repository.
        timeline: on which it was made.
        position: the log's position at its end.
        fault: why it is no good one; else empty.
    """

    label: str
    full: bool
    begun: datetime
    ended: datetime
    bytes: int
    stored: int
    timeline: int
    position: int
    fault: str = ""


@dataclass(frozen=True)
class Inventory:
    """What a repository holds: its backups, the oldest first, and the last file of the log."""

    backups: tuple[Physical, ...] = ()
    last_archived: str = ""


@dataclass(frozen=True)
class Goal:
    """To where a backup is brought forward: a moment on a timeline, or as far as the log goes where there is none."""

    label: str
    moment: datetime | None
    timeline: str = "latest"


class Workplace(Protocol):
    """A server's archive: where programs run beside the server, and where those that only read the repository do."""

    @property
    def server(self) -> str:
        """The server's name, for messages."""

    @property
    def repository(self) -> Path:
        """The repository of the database cluster that is meant, as this process sees it."""

    @property
    def layout(self) -> Layout:
        """What programs see beside the server."""

    @property
    def reading(self) -> Layout:
        """What programs see that only read the repository."""

    def run(self, argv: Sequence[str], *, seconds: float) -> subprocess.CompletedProcess[bytes]:
        """Run a program to its end beside the server, where it reaches that; raises KeelsonError."""

    def read(self, argv: Sequence[str], *, seconds: float) -> subprocess.CompletedProcess[bytes]:
        """Run one to its end that needs the repository alone, and no server; raises KeelsonError."""


class Engine(Protocol):
    """A program that archives and backs up; each method raises BackupError, in one sentence."""

    def command(self, layout: Layout = IN_SANDBOX) -> str:
        """Return PostgreSQL's archive_command."""

    def files(
        self, archiving: Archiving, passphrase: str, port: int, layout: Layout = IN_SANDBOX
    ) -> Mapping[str, tuple[str, int]]:
        """Return what lies in the layout's `told`, by name: the text, and the file's mode."""

    def version(self) -> Sequence[str]:
        """Return the command that says which version of the program there is, and fails where there is none."""

    def prepare(self, place: Workplace) -> None:
        """Make the repository, or recognise it."""

    def check(self, place: Workplace) -> None:
        """Send a file of the log, and wait until it is there."""

    def back_up(self, place: Workplace, *, full: bool) -> None:
        """Make a backup, then let go what is not kept any longer."""

    def inventory(self, place: Workplace) -> Inventory:
        """Return what the repository holds."""

    def newest(self, repository: Path) -> datetime | None:
        """Return when the newest complete backup was begun, None where there is none; runs no program."""

    def gaps(self, repository: Path) -> list[tuple[str, str]]:
        """Return the files of the log between which others are missing; runs no program."""

    def expire(self, place: Workplace, label: str = "", *, dry_run: bool) -> list[str]:
        """Let go what is not kept any longer, or the backup `label` with those that stand on it; return a line for each thing that goes."""

    def recorded(self, repository: Path) -> set[str]:
        """Return the labels of all backups that there ever were, as far as that is kept; runs no program."""

    def verify(self, place: Workplace) -> str:
        """Read all of the repository back; return what was read; raises DamagedError."""

    def restore(self, place: Workplace, goal: Goal) -> None:
        """Write a server's files to `pgdata` of the layout `reading`, ready to go forward to `goal`."""
