"""A file that one thread writes and another reads at the same time: what is read is what lies on the disk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import IO

from keelson.backups.sealing import BLOCK, Passing


class Progress:
    """How far the writing is, for threads that wait for it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._steps, self._over = 0, False
        self._fault: BaseException | None = None

    def advance(self) -> None:
        """Say that the file is there, or that there is more in it."""
        with self._changed:
            self._steps += 1
            self._changed.notify_all()

    def end(self, fault: BaseException | None = None) -> None:
        """Say that nothing more comes, and why not where something went wrong."""
        with self._changed:
            self._over, self._fault = True, fault
            self._changed.notify_all()

    def begun(self, *, whole: bool = False) -> None:
        """Wait until the file is there, or all of it; raises what went wrong."""
        self._until(lambda: self._over or (self._steps > 0 and not whole))

    def steps(self) -> tuple[int, bool]:
        """Return how many steps were made, and whether they were all; raises what went wrong."""
        return self._until(lambda: True)

    def beyond(self, steps: int) -> None:
        """Wait until there are more steps, or no more come; raises what went wrong."""
        self._until(lambda: self._over or self._steps > steps)

    def _until(self, reached: Callable[[], bool]) -> tuple[int, bool]:
        with self._changed:
            self._changed.wait_for(reached)
            if self._fault:
                raise self._fault
            return self._steps, self._over


class Tail:
    """What reads a file to the end that it will have."""

    def __init__(self, file: IO[bytes], progress: Progress) -> None:
        self._file, self._progress = file, progress

    def read(self, size: int = BLOCK) -> bytes:
        """Return at most `size` of the next bytes once there are some; none at the end."""
        while True:
            steps, over = self._progress.steps()
            if (block := self._file.read(size)) or over:
                return block
            self._progress.beyond(steps)

    def write(self, block: bytes) -> None:
        """It is read alone."""
        raise NotImplementedError


class Told:
    """What writes the file, and says so."""

    def __init__(self, file: Passing, progress: Progress) -> None:
        self._file, self._progress = file, progress

    def write(self, block: bytes) -> None:
        """Write the next bytes."""
        self._file.write(block)
        self._progress.advance()

    def read(self, size: int = BLOCK) -> bytes:
        """It is written alone."""
        raise NotImplementedError
