"""Standard input and output of a process that runs inside, whatever carries them."""

from __future__ import annotations

from abc import ABC, abstractmethod

STDERR = 2
_KEPT = 4096  # bytes of what a process said last on standard error


class ExecStream(ABC):
    """A process's streams, read by one thread, while others may write.

    With a terminal what it writes on standard error comes with its output.
    """

    def __init__(self) -> None:
        self._received = b""
        self.said = b""  # on standard error

    @abstractmethod
    def write(self, text: bytes) -> None:
        """Send all of it; raises OSError when the process is gone."""

    @abstractmethod
    def read_any(self) -> tuple[int, bytes]:
        """Return the next block with the number of the stream that it came on; an empty one when the process is gone."""

    @abstractmethod
    def resize(self, rows: int, columns: int) -> None:
        """Tell the process the size of its terminal."""

    @abstractmethod
    def status(self) -> int:
        """Return the exit status of a process that is gone."""

    @abstractmethod
    def close(self) -> None:
        """Let the process end."""

    def read_line(self) -> bytes:
        """Return the next line of its output; an empty one when the process is gone."""
        while b"\n" not in self._received:
            block = self.read()
            if not block:
                return b""
            self._received += block
        line, end, self._received = self._received.partition(b"\n")
        return line + end

    def read(self) -> bytes:
        """Return the next block of its output; an empty one when the process is gone."""
        while True:
            stream, block = self.read_any()
            if stream != STDERR or not block:
                return block
            self.said = (self.said + block)[-_KEPT:]
