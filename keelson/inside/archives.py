"""The archives of a stack's servers as they are seen from inside; see `keelson.backups.physical.archives.Archives`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NoReturn

from keelson.backups.physical import making, state
from keelson.backups.physical.planning import Reached, Side
from keelson.backups.physical.state import ArchiveState
from keelson.endpoint import Reference
from keelson.errors import SettingsError
from keelson.inside import archive
from keelson.local.registry import Registry


class InsideArchives:
    """Read where they are mounted; no container is made from here."""

    def prepare(self, stack: str, server: str) -> None:
        """Let the server make it, as only that may write there."""
        place, _ = archive.find(stack, server)
        if not place.repository.is_dir():
            place.make()
        making.prepare(stack, server)

    def state(self, reference: Reference, limit: int) -> ArchiveState:
        """Look at it."""
        return state.look(reference, limit)

    def sides(self, stack: str, server: str) -> Sequence[tuple[str, int]]:
        """Go by the registry."""
        return [(each.name, each.port) for each in Registry(stack).servers().values() if each.origin == server]

    def beside(self, stack: str, server: str, moment: datetime | None, *, into: str = "", cluster: str = "") -> Side:  # noqa: ARG002
        """Refuse."""
        _refuse()

    def in_place(self, stack: str, server: str, moment: datetime | None, *, cluster: str = "") -> tuple[Reached, str]:  # noqa: ARG002
        """Refuse."""
        _refuse()

    def discard(self, stack: str, server: str, side: str) -> None:  # noqa: ARG002
        """Refuse."""
        _refuse()

    def discard_all(self, stack: str, server: str) -> None:  # noqa: ARG002
        """Refuse."""
        _refuse()


def _refuse() -> NoReturn:
    msg = "this runs inside the stack, where no server is made; run the command where you run `keelson up`"
    raise SettingsError(msg)
