"""Runs a command of Keelson in the toolbox of a stack on a Docker daemon."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keelson.docker import daemon, toolbox
from keelson.inside import shell
from keelson.inside.stream import ExecStream


def run(place: str, key: str, arguments: Sequence[str | Path], *, reads: bool) -> int:
    """Run the command as `keelson.inside.shell.run` does."""
    return shell.run(_Toolbox(place, key), arguments, reads=reads)


@dataclass(frozen=True)
class _Toolbox:
    place: str
    key: str

    def ask(self, operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - what the operation answers
        return toolbox.ask(self.place, self.key, operation, **arguments)

    def stream(
        self, command: Sequence[str], *, terminal: bool = False, environment: Mapping[str, str] | None = None
    ) -> ExecStream:
        return toolbox.stream(self.place, self.key, command, terminal=terminal, environment=environment)

    def unpack(self, archive: Iterator[bytes], directory: str) -> None:
        container = toolbox.find(self.place, self.key)
        with daemon.sentences(self.place):
            container.put_archive(directory, archive)
