"""Runs a command of Keelson in the toolbox of a stack in a cluster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keelson.containers.toolbox import PYTHON
from keelson.errors import PlatformError
from keelson.inside import shell, unpack
from keelson.inside.stream import ExecStream
from keelson.kubernetes import toolbox


def run(place: str, key: str, arguments: Sequence[str | Path], *, reads: bool) -> int:
    """Run the command as `keelson.inside.shell.run` does."""
    return shell.run(Toolbox(place, key), arguments, reads=reads)


@dataclass(frozen=True)
class Toolbox:
    """A stack's toolbox, for `keelson.inside.shell`."""

    place: str
    key: str

    def ask(self, operation: str, **arguments: Any) -> Any:  # noqa: ANN401 - what the operation answers
        """Return what an operation answers in there."""
        return toolbox.ask(self.place, self.key, operation, **arguments)

    def stream(
        self, command: Sequence[str], *, terminal: bool = False, environment: Mapping[str, str] | None = None
    ) -> ExecStream:
        """Start a process in there, which sees the stack's state as it is now."""
        toolbox.tell(self.place, self.key)
        return toolbox.stream(self.place, self.key, command, terminal=terminal, environment=environment)

    def unpack(self, archive: Iterator[bytes], directory: str) -> None:
        """Write the files of a tar archive below a directory in there; raises PlatformError where that fails."""
        with closing(toolbox.stream(self.place, self.key, [*PYTHON, unpack.__name__, directory])) as stream:
            with suppress(OSError):  # it has ended, and says why
                for block in archive:
                    stream.write(block)
            while stream.read():
                pass
            if stream.status():
                said = " ".join(stream.said.decode(errors="replace").split())
                msg = f"cannot copy files into the toolbox of stack {self.key} ({said}); look at its volume and run the command again"
                raise PlatformError(msg)
