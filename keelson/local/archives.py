"""The archives of this machine's servers; see `keelson.backups.physical.archives.Archives` for what each method is for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from keelson import paths
from keelson.backups.physical import making, state
from keelson.backups.physical.planning import Reached, Side
from keelson.backups.physical.state import ArchiveState
from keelson.endpoint import Reference
from keelson.local import archive, recovery
from keelson.local import server as servers


class LocalArchives:
    """In directories, with programs of the private root."""

    def prepare(self, stack: str, server: str) -> None:
        """Make a repository whose directory is missing; the server sees it from its next start on."""
        place, _ = archive.find(stack, server)
        if not place.repository.is_dir():
            paths.private_directory(place.repository)
            servers.restart(stack, server)
        making.prepare(stack, server)

    def state(self, reference: Reference, limit: int) -> ArchiveState:
        """Look at it."""
        return state.look(reference, limit)

    def sides(self, stack: str, server: str) -> Sequence[tuple[str, int]]:
        """Go by the registry."""
        return [(each.name, each.port) for each in recovery.sides(stack, server)]

    def beside(self, stack: str, server: str, moment: datetime | None, *, into: str = "", cluster: str = "") -> Side:
        """Make one with a directory and a port of its own."""
        return recovery.beside(stack, server, moment, into=into, cluster=cluster)

    def in_place(self, stack: str, server: str, moment: datetime | None, *, cluster: str = "") -> tuple[Reached, str]:
        """Exchange its data."""
        reached, before = recovery.in_place(stack, server, moment, cluster=cluster)
        return reached, f"kept in {before}; remove that directory when nobody needs them"

    def discard(self, stack: str, server: str, side: str) -> None:
        """Remove its directory."""
        recovery.discard(stack, server, side)

    def discard_all(self, stack: str, server: str) -> None:
        """Nothing: the stack's own end does."""
