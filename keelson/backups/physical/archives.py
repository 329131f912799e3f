"""What a target does with the archives of its servers, on the machine that asks: see `keelson.target.Target.archives`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from keelson.backups.physical.planning import Reached, Side
    from keelson.backups.physical.state import ArchiveState
    from keelson.endpoint import Reference


class Archives(Protocol):
    """The archives of a stack's servers; `stack` is a stack's key."""

    def prepare(self, stack: str, server: str) -> None:
        """Make a server's repository, or recognise it, and send it a file of the log; raises KeelsonError."""

    def state(self, reference: Reference, limit: int) -> ArchiveState:
        """Return how a server's archive is, of which `limit` bytes may wait; raises KeelsonError or psycopg.Error where it cannot be asked."""

    def sides(self, stack: str, server: str) -> Sequence[tuple[str, int]]:
        """Return name and port of each server that was made beside a live one."""

    def beside(self, stack: str, server: str, moment: datetime | None, *, into: str = "", cluster: str = "") -> Side:
        """Make a server beside the live one as that was at a moment; only administrators are let in, and it archives nothing.

        Raises:
            BackupError: the moment cannot be reached.
            ServerError: the name is another server's, or there is no room.
        """

    def in_place(self, stack: str, server: str, moment: datetime | None, *, cluster: str = "") -> tuple[Reached, str]:
        """Put a server as it was at a moment into the live one's place; return where the data of before are kept.

        Raises:
            BackupError: the moment cannot be reached; the live server is as it was.
            ServerError: the new one does not start; the live one is back.
        """

    def discard(self, stack: str, server: str, side: str) -> None:
        """Take a server away that was made beside a live one; raises ServerError where it is not one of those."""

    def discard_all(self, stack: str, server: str) -> None:
        """Take all of them away, as a destroy does."""
