"""The archives of servers in containers; see `keelson.backups.physical.archives.Archives` for what each method is for."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from keelson.backups.physical import state
from keelson.backups.physical.planning import Reached, Side
from keelson.backups.physical.state import ArchiveState
from keelson.docker import containers, daemon, part, recovery, toolbox
from keelson.endpoint import Reference
from keelson.errors import UnreachableError


class DockerArchives:
    """On volumes, asked for in the toolbox."""

    def __init__(self, place: str) -> None:
        self._place = place

    def prepare(self, stack: str, server: str) -> None:
        """Let the toolbox have it made."""
        toolbox.ask_apart(self._place, stack, "prepare_archive", server=server)

    def state(self, reference: Reference, limit: int) -> ArchiveState:
        """Let the toolbox look."""
        asked: dict[str, Any] = {"reference": reference.as_input(), "limit": limit}
        return state.from_values(toolbox.ask_apart(self._place, reference.stack, "archive_state", **asked))

    def sides(self, stack: str, server: str) -> Sequence[tuple[str, int]]:
        """Go by the registry, and by the containers' ports."""
        found = containers.look(self._place, stack)
        names = recovery.sides(self._place, stack, server)
        inner = part.kind("server").listens_on
        ports = {name: found[name].publication(inner) for name in names if name in found}
        return [(name, published.port if (published := ports.get(name)) else inner) for name in names]

    def beside(self, stack: str, server: str, moment: datetime | None, *, into: str = "", cluster: str = "") -> Side:
        """Make one with a container and volumes of its own."""
        return recovery.beside(recovery.find(self._place, stack, server), moment, into=into, cluster=cluster)

    def in_place(self, stack: str, server: str, moment: datetime | None, *, cluster: str = "") -> tuple[Reached, str]:
        """Exchange the data on its volume."""
        return recovery.in_place(recovery.find(self._place, stack, server), moment, cluster=cluster)

    def discard(self, stack: str, server: str, side: str) -> None:
        """Remove its container and volumes."""
        recovery.discard(self._place, stack, server, side)

    def discard_all(self, stack: str, server: str) -> None:
        """Remove all of them; fine where the stack is gone."""
        with contextlib.suppress(UnreachableError), daemon.sentences(self._place):
            for side in recovery.sides(self._place, stack, server):
                recovery.remove(self._place, stack, side)
