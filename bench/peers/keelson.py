"""Keelson itself."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bench.peers.peer import Migration, Peer, Place, write_each

PROGRAM = str(Path(sys.prefix) / "bin" / "keelson")


class Keelson(Peer):
    """This project."""

    name = "keelson"

    def install(self) -> None:
        """It is this checkout."""

    def write(self, folder: Path, migrations: Sequence[Migration]) -> None:
        write_each(folder, migrations, "{number:05d}_change.sql")

    def command(self, folder: Path, place: Place) -> list[str]:
        return [PROGRAM, "migrate", "up", "--url", place.url(), "--dir", str(folder)]

    def fleet(self, folder: Path, places: Sequence[Place]) -> list[list[str]]:
        pattern = f"{places[0].database.rpartition('_')[0]}_*"
        return [[*self.command(folder, places[0]), "--databases", pattern]]
